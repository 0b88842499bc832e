"""README.md: its Python blocks print what stands below them, and its commands run."""

import contextlib
import importlib
import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.tools import each
from tinygrad_np.cli import main
from tinygrad_np.data import sources
from tinygrad_np.errors import DataNotFoundError

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```\n", README.read_text(), flags=re.DOTALL)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """The reader's working directory, with mynet.py, and without MNIST or a network."""
    for name in [name for name in os.environ if "TINYGRAD" in name]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sources, "load", not_found)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = (text for _, text in BLOCKS if text.startswith("# mynet.py"))
    (tmp_path / "mynet.py").write_text(code)
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("mynet", None)


def not_found(source, data_dir=None):
    raise DataNotFoundError(f"{source.title} was not found")


def python_blocks():
    """Return the Python blocks, each with the output that follows it, or an empty string."""
    pairs = []
    for kind, text in BLOCKS:
        if kind == "python":
            pairs.append([text, ""])
        elif kind == "text":
            pairs[-1][1] = text
    return pairs


def commands():
    """Return the arguments of each `python -m tinygrad_np` command."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    start = "python -m tinygrad_np "
    return [shlex.split(line, comments=True)[3:] for line in lines if line.startswith(start)]


def test_python_blocks_print_the_output_below_them(directory):
    names = {}
    for code, expected in python_blocks():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        assert printed.getvalue() == expected
    assert (directory / "net.svg").read_text().count("<svg")


@pytest.mark.slow
def test_commands_run(directory, capsys):
    ran = set()
    for arguments in commands():
        if arguments == ["playground"]:  # runs until Ctrl-C: see tests/playground/test_server.py
            continue
        status = main(arguments)
        if "mnist" in " ".join(arguments):  # no data here: 1, but not 2 for invalid arguments
            assert status == 1, (arguments, capsys.readouterr().err)
        else:
            assert status == 0, (arguments, capsys.readouterr().err)
            ran.add(arguments[0])
    assert ran == {"evaluate", "gradcheck", "graph", "summary", "train"}
    assert "on digits" in capsys.readouterr().out


def test_first_block_has_a_dozen_lines():
    code, expected = python_blocks()[0]
    assert len(code.splitlines()) == 12
    assert expected


@each("target", re.findall(r"\]\(([^)]+)\)", README.read_text()))
def test_links_exist(target):
    assert (README.parent / target).exists()


def test_pictures_exist():
    sources = re.findall(r'src="([^"]+)"', README.read_text())
    assert sources
    for source in sources:
        content = (README.parent / source).read_bytes()
        assert content.count(b"</svg>") == 1 or content.startswith(b"\x89PNG")
        assert len(content) < 200_000
