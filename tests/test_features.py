"""FEATURES.md beside this file: the tests, modules, files and flags that it names are there, and
each row is proved or said to be for later."""

import ast
import functools
import importlib
import re
from dataclasses import fields
from pathlib import Path

import pytest

import tinygrad_np
from headlines.courses import COURSES
from headlines.runs import RUNS
from tinygrad_np.cli.config import RunConfig, flag

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("FEATURES.md").read_text(encoding="utf-8")
RESULTS = "examples/RESULTS.md"
LATER = ("later: the playground", "later: GPU", "later: ensembles")
SECTIONS = {"The card": 8, "A": 37, "B": 25, "C": 28, "D": 13, "What none of them has": 6}
TITLES = {one.name: one.title for one in (*RUNS, *COURSES)}
SETTINGS = [one.name for one in fields(RunConfig)]
FLAGS = {flag(name) for name in SETTINGS} | {"--resume", "--config"}
FLAGS |= {flag(f"no_{name}") for name in SETTINGS if isinstance(getattr(RunConfig(), name), bool)}


def rows(page):
    """Return item, place and proof of each row, in sections by the words before their colon."""
    found = {}
    for part in page.split("\n## ")[1:]:
        title, *lines = part.splitlines()
        cells = [line.strip("|").split("|") for line in lines if line.startswith("|")]
        found[title.partition(":")[0]] = [[cell.strip() for cell in row] for row in cells[2:]]
    return found


def quoted(cell):
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


@functools.cache
def functions_in(path):
    """Return the names of a file's test functions, none where there is no file."""
    if not (ROOT / path).is_file():
        return frozenset()
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return frozenset(name for name in functions if name.startswith("test_"))


def is_there(place):
    """Tell whether a file, a flag, or a name of the package or of the models is there."""
    if place.startswith("--"):
        return place in FLAGS
    if "/" in place or place.endswith((".md", ".toml")):
        return (ROOT / place).is_file()
    head, *names = place.split(".")
    try:
        if head in ("models", "tinygrad_np"):
            value = importlib.import_module(head)
        elif hasattr(tinygrad_np, head) and head[0].isupper():
            value = getattr(tinygrad_np, head)
        else:
            value = importlib.import_module(f"tinygrad_np.{head}")
        functools.reduce(getattr, names, value)
    except (ImportError, AttributeError):
        return False
    return True


def faults(row):
    """Return what is wrong with a row."""
    if len(row) != 3:
        return [f"{len(row)} cells, expected item, place and proof"]
    _, where, shown = row
    if where.startswith("later"):
        return [] if where in LATER and not shown else [f"{where} {shown}: expected {LATER}"]
    places, proofs = quoted(where), quoted(shown)
    wrong = [f"{place}: is not there" for place in places if not is_there(place)]
    wrong += [] if places else ["no place"]
    proved = False
    for proof in proofs:
        path, _, name = proof.partition("::")
        if path.startswith("tests/"):
            proved = True
            wrong += [] if name in functions_in(path) else [f"{proof}: no such test"]
        elif proof != RESULTS:
            wrong += [] if proof in TITLES else [f"{proof}: no such run"]
    # A page of results proves a row by its runs.
    proved |= RESULTS in proofs and any(proof in TITLES for proof in proofs)
    return wrong if proved else [*wrong, "no proof"]


ROWS = [row for section in rows(PAGE).values() for row in section]


def test_the_page_was_read():
    """No section has lost a row."""
    found = {title: len(section) for title, section in rows(PAGE).items()}
    assert list(found) == list(SECTIONS)
    assert all(found[title] >= least for title, least in SECTIONS.items()), found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_is_proved(row):
    assert faults(row) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("x | `nn.Linear` | ", "no proof"),
        ("x | `nn.Linear` | by looking", "no proof"),
        ("x | `nn.Linear` | `examples/RESULTS.md`", "no proof"),
        ("x | | `tests/test_features.py::test_the_top_level`", "no place"),
        ("x | later: never | ", "later: never : expected"),
        ("x | `nn.Linear` | `tests/test_features.py::test_nothing`", "no such test"),
        ("x | `nn.Linear` | `tests/test_features.py::rows`", "no such test"),
        ("x | `nn.Linear` | `tests/test_nothing.py::test_x`", "no such test"),
        ("x | `nn.Linear` | run `lab` in `examples/RESULTS.md`", "lab: no such run"),
        ("x | `nn.Linea` | `tests/test_features.py::test_the_top_level`", "nn.Linea: is not"),
        ("x | `nnn.Linear` | `tests/test_features.py::test_the_top_level`", "nnn.Linear: is not"),
        ("x | `models.CNN` | `tests/test_features.py::test_the_top_level`", "models.CNN: is not"),
        ("x | `tests/API.txt` | `tests/test_features.py::test_the_top_level`", "API.txt: is not"),
        ("x | `--epoch` | `tests/test_features.py::test_the_top_level`", "--epoch: is not there"),
        ("x | `nn.Linear`", "2 cells"),
    ],
)
def test_a_faulty_row_is_noticed(row, expected):
    assert any(expected in fault for fault in faults([cell.strip() for cell in row.split("|")]))


@pytest.mark.parametrize("name", TITLES)
def test_every_headline_has_a_result(name):
    """A row names each run, and the page of results, which is of full runs, has its figure."""
    assert any(name in quoted(row[2]) and RESULTS in row[2] for row in ROWS)
    page = (ROOT / RESULTS).read_text(encoding="utf-8")
    assert "they show that all runs, and no figures" not in page
    (line,) = re.findall(rf"^\| {re.escape(TITLES[name])} \|.*$", page, flags=re.MULTILINE)
    assert re.search(r"\d\d\.\d\d %", line.split("|")[4])


def test_the_top_level():
    """What a reader is to find there, and the packages that the project was asked to use."""
    for folder in ("tinygrad_np", "models", "examples", "tests"):
        assert (ROOT / folder).is_dir()
    for file in ("pyproject.toml", "README.md"):
        assert (ROOT / file).is_file()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in ("numpy", "matplotlib", "graphviz", "pytest"):
        assert f'"{package}>=' in project
