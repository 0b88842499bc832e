"""Retired phrases: none is left in anything that a reader of the project sees."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tests.tools import each

ROOT = Path(__file__).parents[1]

# A pattern, what to write instead, and a text in which the pattern must be found.
RETIRED = [
    (r"quick(er|est|ly)?", "fast, faster", "which is quicker"),
    (r"beside PyTorch('s)?", "compared with PyTorch", "speed beside PyTorch's"),
    (r"(held|hold|holds) (against|beside)", "checked against", "gradients are held against loops"),
    (r"such (as )?(have|has|are|is|were|do|does)", "those that ...", "such as have a bias"),
    (r"(of|by|in|from|to|with|none) such(?= *[.,;:)]|$)", "name it", "the number of such."),
    (r"(?<!regardless )of which", "a sentence of its own", "two parts, of which one is empty"),
    (
        r"(times?|calls|number|numbers|value|entry|entries|images?|pixels?|bytes|FLOPs|seconds|u?s|"
        r"ms|[KM]iB|once|twice) an? (axis|op|step|image|epoch|layer|thread|entry|batch|row|class|"
        r"channel|call|second|node)",
        "per axis, per op, per step",
        "one number an axis",
    ),
    (r"where there (is|are) (one|none|any|no)", "if any", "the bias, where there is one"),
    (
        r"(a|each|every|another|this|the|whole) training"
        r"(?! (accuracy|batch|checkpoint|code|command|curve|data|epoch|error|example|file|flag|"
        r"image|label|loader|log|loop|loss|metric|mode|objective|part|point|procedure|process|run|"
        r"sample|script|session|set|split|state|statistics|step|task|time|(and|or) (test|valid)))",
        "a training run",
        "the state of a training.",
    ),
    (r"trainings", "training runs", "two trainings"),
    (r"tak(e|es|ing|en) note of", "record", "takes note of shapes"),
    (r"so many", "N", "only the first so many"),
    (r"of one's own", "your own", "an op of one's own"),
    (r"(is|are|was|were) told", "is reported", "the loss is told"),
    (r"(goes|go|going|went) on (where|as|from|with)", "resumes", "it goes on where it stood"),
    (r"all there is( to know)?", "name the contents", "writes all there is to know"),
    (
        r"(?<!multiplied )(?<!divided )by (itself|themselves)",
        "alone",
        "a layer by itself",
    ),
    (r"com(e|es|ing) along", "bundled", "the digits that come along"),
    (r"house|mail|(their|its) floors?", "a term of the field", "ops beside their floor"),
    (r"in earnest", "full", "a training run in earnest"),
    (r"something else", "name the other thing", "this state is of something else"),
]

# Not prose: the expressions of f-strings, the flag --quick, and the JSON key "quick" of the
# benchmark.
CODE = re.compile(r"\{[^{}]*\}|--quick\b|^quick$")


def compiled(pattern):
    """Return a regular expression that finds a pattern as whole words."""
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE)


WORDS = [(compiled(pattern), instead) for pattern, instead, _ in RETIRED]


def text_of(node):
    """Return the text of a string or f-string; adjacent literals are one string."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in parts)


def python_texts(source):
    """Yield (line, text) for each string, run of comment lines and test name."""
    for node in ast.walk(ast.parse(source)):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text or isinstance(node, ast.JoinedStr):
            yield node.lineno, text_of(node)
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.name.replace("_", " ")
    run, last = [], 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and run:
                yield last, " ".join(run)
                run = []
            run.append(token.string.lstrip("# "))
            last = token.start[0]
    yield last, " ".join(run)


def paragraphs(source):
    """Yield (line, text) for each paragraph."""
    line = 1
    for part in re.split(r"(\n\s*\n)", source):
        yield line, part
        line += part.count("\n")


def findings(text):
    """Return the retired phrases in a text, each with what to write instead."""
    text = " ".join(CODE.sub("", text).split())
    return [(match[0], instead) for words, instead in WORDS for match in words.finditer(text)]


def files():
    """Return what readers see: code, its tests, and documents."""
    directories = [ROOT / name for name in ("tinygrad_np", "models", "examples", "tests")]
    found = {path for directory in directories for path in directory.rglob("*.[pm][yd]")}
    return sorted((found | {ROOT / "README.md", ROOT / "CHANGELOG.md"}) - {Path(__file__)})


@pytest.mark.slow
def test_no_retired_phrases():
    found = []
    for path in files():
        split = python_texts if path.suffix == ".py" else paragraphs
        for line, text in split(path.read_text(encoding="utf-8")):
            where = f"{path.relative_to(ROOT)}:{line}"
            found += [f"{where}: {bad!r}: {instead}" for bad, instead in findings(text)]
    assert not found, f"{len(found)} retired phrases:\n" + "\n".join(found)


@each(("pattern", "instead", "example"), RETIRED)
def test_each_phrase_is_found(pattern, instead, example):
    assert compiled(pattern).search(example), instead


@each(
    "source",
    [
        'x = ("the bias, where there "\n"is one")\n',
        '"""An op of\none\'s own."""\n',
        "# Each is held\n# against the loops.\n",
        "def test_a_layer_by_itself(): pass\n",
    ],
)
def test_phrases_are_found_across_lines(source):
    assert any(findings(text) for _, text in python_texts(source))


@each(
    "text",
    [
        "the axis, regardless of which one; multiplied by itself; the training set",
        "python examples/mnist.py --quick",
        "the floor of a / b and a neighbor",
    ],
)
def test_plain_text_is_accepted(text):
    assert findings(text) == []
