"""Retired phrases: none is left in anything that a reader of the project sees."""

import io
import re
import tokenize
from pathlib import Path

from tests.tools import each

ROOT = Path(__file__).parents[1]

# A pattern, what to write instead, and a sentence in which the pattern must be found.
RETIRED = [
    (r"quick(er|est|ly)?", "fast, faster", "which is quicker"),
    (r"beside PyTorch('s)?", "compared with PyTorch", "speed beside PyTorch's"),
    (r"(held|hold|holds) (against|beside)", "checked against", "gradients are held against loops"),
    (r"such (as )?(have|has|are|is|were|do|does)", "those that ...", "such as have a bias"),
    (r"(of|by|in|from|to) such\b(?! (a|an|as)\b)(?=[.,;:)]|$)", "name it", "the number of such."),
    (r"of which", "a sentence of its own", "two parts, of which one is empty"),
    (
        r"(times?|calls|numbers?|entries|images|pixels|bytes|FLOPs|seconds|u?s|ms|[KM]iB|\d) "
        r"an? (axis|op|step|image|epoch|layer|thread|entry|batch|row|class|call|second|node)",
        "per axis, per op, per step",
        "one number an axis",
    ),
    (r"where there (is|are) (one|none|any|no)", "if any", "the bias, where there is one"),
    (
        r"(a|each|every|another|this|the|whole) training"
        r"(?! (accuracy|batch|checkpoint|code|command|curve|data|epoch|example|file|flag|image|"
        r"label|loader|log|loop|loss|metric|mode|part|point|run|sample|script|session|set|state|"
        r"statistics|step|task|time|(and|or) (test|validation)))",
        "a training run",
        "the state of a training",
    ),
    (r"trainings", "training runs", "two trainings"),
    (r"tak(e|es|ing|en) note of", "record", "takes note of shapes"),
    (r"so many", "N", "only the first so many"),
    (r"of one's own", "your own", "an op of one's own"),
    (r"(is|are|was|were) told", "is reported", "the loss is told"),
    (r"(goes|go|going|went) on (where|as|from|with)", "resumes", "it goes on where it stood"),
    (r"all there is( to know)?", "say what", "writes all there is to know"),
    (r"by (itself|themselves)", "alone", "a layer by itself"),
    (r"com(e|es|ing) along", "bundled", "the digits that come along"),
    (r"house|mail|neighbou?rs?", "a term of the field", "the first working house"),
    (r"(their|its|the) floors?|floors (of|for)", "lower bound", "ops beside their floor"),
    (r"in earnest", "full", "a training run in earnest"),
    (r"something else", "say what", "this state is of something else"),
]
WORDS = [(re.compile(rf"(?<![\w-])(?:{p})(?![\w-])", re.IGNORECASE), i) for p, i, _ in RETIRED]

# Names in text: the expressions of f-strings, and the JSON key "quick" of the benchmark's results.
CODE = re.compile(r"\{[^{}]*\}|\"quick\"")


def python_texts(source):
    """Yield the line and the text of each comment and string, with line breaks as spaces."""
    texts = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in texts:
            yield token.start[0], " ".join(token.string.split())


def paragraphs(source):
    """Yield the line and the text of each paragraph, with line breaks as spaces."""
    line = 1
    for part in re.split(r"(\n\s*\n)", source):
        yield line, " ".join(part.split())
        line += part.count("\n")


def findings(text):
    """Return the retired phrases in a text, each with what to write instead."""
    text = CODE.sub("", text)
    return [(match[0], instead) for words, instead in WORDS for match in words.finditer(text)]


def files():
    """Return what users read: code, its tests, and documents."""
    folders = [ROOT / name for name in ("tinygrad_np", "models", "examples", "tests")]
    found = [
        path for folder in folders for kind in ("py", "md") for path in folder.rglob(f"*.{kind}")
    ]
    return sorted({*found, ROOT / "README.md", ROOT / "CHANGELOG.md"} - {Path(__file__)})


def test_no_retired_phrases():
    found = []
    for path in files():
        split = python_texts if path.suffix == ".py" else paragraphs
        for line, text in split(path.read_text()):
            where = f"{path.relative_to(ROOT)}:{line}"
            found += [f"{where}: {bad!r}: {instead}" for bad, instead in findings(text)]
    assert not found, f"{len(found)} retired phrases:\n" + "\n".join(found)


@each(("pattern", "instead", "example"), RETIRED)
def test_each_phrase_is_found(pattern, instead, example):
    assert instead in [better for _, better in findings(example)]
