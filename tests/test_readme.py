"""The README's Python blocks run, in order, and print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

from tests.tools import each

README = Path(__file__).parents[1] / "README.md"


def blocks():
    """Return the README's Python blocks, each with the output that follows it, or None."""
    found = re.findall(r"```(\w+)\n(.*?)```\n", README.read_text(), flags=re.DOTALL)
    pairs = []
    for kind, text in found:
        if kind == "python":
            pairs.append([text, None])
        elif kind == "text":
            pairs[-1][1] = text
    return pairs


def test_the_blocks_run_and_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code, expected in blocks():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), names)
        assert printed.getvalue() == (expected or "")
    assert (tmp_path / "digits.svg").read_text().count("<svg")


def test_the_first_block_is_a_dozen_lines():
    code, expected = blocks()[0]
    assert len(code.splitlines()) == 12
    assert expected


@each("target", re.findall(r"\]\(([^)]+)\)", README.read_text()))
def test_links_lead_somewhere(target):
    assert (README.parent / target).exists()


def test_the_picture_is_there():
    (source,) = re.findall(r'src="([^"]+)"', README.read_text())
    assert (README.parent / source).read_text().count("</svg>") == 1
