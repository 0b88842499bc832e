"""The README: its Python blocks run in order and print the output shown, and its links exist."""

import contextlib
import importlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.examples.tools import environment
from tests.tools import each
from tinygrad_np.cli import main

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```\n", README.read_text(), flags=re.DOTALL)


def blocks():
    """Return the Python blocks of the README, each with the output shown below it, or None."""
    found = re.findall(r"```(\w+)\n(.*?)```\n", README.read_text(), flags=re.DOTALL)
    pairs = []
    for kind, text in BLOCKS:
        if kind == "python":
            pairs.append([text, ""])
        elif kind == "text":
            pairs[-1][1] = text
    return pairs


def test_blocks_print_the_output_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, expected in python_blocks():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        assert printed.getvalue() == expected
    assert (directory / "net.svg").read_text().count("<svg")


def test_first_block_has_12_lines():
    code, expected = blocks()[0]
    assert len(code.splitlines()) == 12
    assert expected


@each("target", re.findall(r"\]\(([^)]+)\)", README.read_text()))
def test_links_exist(target):
    assert (README.parent / target).exists()


def test_image_exists():
    (source,) = re.findall(r'src="([^"]+)"', README.read_text())
    assert (README.parent / source).read_text().count("</svg>") == 1
