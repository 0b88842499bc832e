"""Text for character models: a bundled novel, and its characters as integers."""

import gzip
from pathlib import Path

import numpy as np

from tinygrad_np.errors import ArgumentError, DtypeError
from tinygrad_np.runtime.memory import Array

_FOLDER = Path(__file__).parent / "text"


def alice() -> str:
    """Return "Alice's Adventures in Wonderland" by Lewis Carroll (1865), in the public domain.

    The novel has 144,000 ASCII characters, 67 of them distinct; lines end with a newline.

    >>> from tinygrad_np import data
    >>> text = data.alice()
    >>> start = text.index("Alice was")
    >>> text[start : start + 42]
    'Alice was beginning to get very tired of s'
    """
    return gzip.decompress((_FOLDER / "alice.txt.gz").read_bytes()).decode("ascii")


def characters(text: str, vocabulary: str | None = None) -> tuple[str, Array]:
    """Convert text to integers, one per character.

    Args:
        text: the text.
        vocabulary: the characters that have a number, each once; by default, those of `text` in
            sorted order.

    Returns:
        The vocabulary, and an int64 array of shape (len(text),): the position of each character in
        the vocabulary. `"".join(vocabulary[i] for i in array)` is the text.

    Raises:
        DtypeError: if an argument is not a str.
        ArgumentError: if a character occurs twice in `vocabulary`, or one of `text` is not in it.

    >>> from tinygrad_np import data
    >>> vocabulary, tokens = data.characters("hello")
    >>> vocabulary, tokens.tolist()
    ('ehlo', [1, 0, 2, 2, 3])
    >>> data.characters("hole", vocabulary)[1].tolist()
    [1, 3, 2, 0]
    """
    for name, value in (("text", text), ("vocabulary", vocabulary)):
        if not isinstance(value, str) and not (value is None and name == "vocabulary"):
            raise DtypeError(
                f"characters: expected `{name}` to be a str, got {type(value).__name__}."
            )
    if vocabulary is None:
        vocabulary = "".join(sorted(set(text)))
    index = {character: i for i, character in enumerate(vocabulary)}
    if len(index) < len(vocabulary):
        twice = next(one for one in vocabulary if vocabulary.count(one) > 1)
        raise ArgumentError(
            f"characters: expected each character once in `vocabulary`, got {twice!r} twice."
        )
    try:
        return vocabulary, np.array([index[character] for character in text], np.int64)
    except KeyError as error:
        raise ArgumentError(
            f"characters: expected only characters of `vocabulary` in `text`, got "
            f"{error.args[0]!r} at position {text.index(error.args[0])}."
        ) from error
