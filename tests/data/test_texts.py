"""The bundled novel, and the conversion of text to integers."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import data
from tinygrad_np.errors import ArgumentError, DtypeError

FOLDER = Path(data.__file__).parent / "text"


def test_novel_is_complete():
    text = data.alice()
    assert text.isascii()
    assert text.startswith("ALICE'S ADVENTURES IN WONDERLAND\n\nLewis Carroll\n\nCHAPTER I. Down")
    assert text.endswith("\n\n              THE END\n")
    assert [f"CHAPTER {n}." in text for n in ("I", "IV", "XII", "XIII")] == [True] * 3 + [False]
    assert "\n\n\n" not in text
    assert not {"\r", "\t"} & set(text)


def test_novel_contains_nothing_of_its_publisher():
    text = data.alice().lower()
    for word in ("gutenberg", "license", "copyright", "ebook", "http", "fulcrum", "["):
        assert word not in text


def test_file_is_small_and_reproducible():
    content = (FOLDER / "alice.txt.gz").read_bytes()
    assert len(content) < 80_000
    assert content[4:8] == bytes(4)  # the time stamp of gzip
    assert "public domain" in (FOLDER / "README.md").read_text(encoding="utf-8")
    assert len(gzip.decompress(content)) == len(data.alice())


def test_characters_of_the_novel_can_be_joined_again():
    text = data.alice()
    vocabulary, tokens = data.characters(text)
    assert tokens.dtype == np.int64
    assert tokens.shape == (len(text),)
    assert list(vocabulary) == sorted(set(text))
    assert "".join(vocabulary[i] for i in tokens[:5000]) == text[:5000]
    assert np.bincount(tokens)[vocabulary.index("e")] == text.count("e")


def test_characters_of_an_empty_text():
    vocabulary, tokens = data.characters("")
    assert (vocabulary, tokens.shape, tokens.dtype) == ("", (0,), np.int64)


@each(
    ("arguments", "kind", "message"),
    [
        ((b"abc",), DtypeError, "expected `text` to be a str, got bytes."),
        ((None,), DtypeError, "expected `text` to be a str, got NoneType."),
        (("abc", ["a"]), DtypeError, "expected `vocabulary` to be a str, got list."),
        (
            ("a", "aba"),
            ArgumentError,
            "expected each character once in `vocabulary`, got 'a' twice.",
        ),
        (
            ("ab?a", "ab"),
            ArgumentError,
            "expected only characters of `vocabulary` in `text`, got '?' at position 2.",
        ),
    ],
)
def test_errors(arguments, kind, message):
    with pytest.raises(kind) as caught:
        data.characters(*arguments)
    assert str(caught.value) == f"characters: {message}"
