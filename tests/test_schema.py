"""Schemas of state dicts: which values they accept, and how they describe the others."""

import re

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.schema import (
    ANYTHING,
    ARRAY,
    COUNT,
    FLAG,
    NO_ARRAY,
    NUMBER,
    RATE,
    REAL,
    TEXT,
    DictOf,
    ListOf,
    OrNone,
    check,
    equal_to,
    integer,
    like,
)

VALUES = {
    "0": 0,
    "1": 1,
    "-1": -1,
    "0.5": 0.5,
    "int64": np.int64(2),
    "float32": np.float32(0.5),
    "inf": np.inf,
    "nan": np.nan,
    "huge": 10**400,
    "True": True,
    "x": "x",
    "None": None,
    "list": [],
    "dict": {},
    "array": np.ones(2),
}


def accepts(schema, value):
    """Return whether a value has a schema."""
    try:
        check("f", value, schema)
    except ArgumentError:
        return False
    return True


@each(
    ("schema", "accepted"),
    [
        (COUNT, "0 1 int64"),
        (integer(1), "0 1"),
        (RATE, "0 1 0.5 int64 float32"),
        (REAL, "0 1 -1 0.5 int64 float32 inf nan"),
        (NUMBER, "0 1 -1 0.5 int64 float32 inf"),
        (TEXT, "x"),
        (equal_to("x"), "x"),
        (equal_to("y"), ""),
        (FLAG, "True"),
        (ARRAY, "array"),
        (NO_ARRAY, " ".join(VALUES).removesuffix(" array")),
        (ANYTHING, " ".join(VALUES)),
    ],
)
def test_leaves_accept_only_their_values(schema, accepted):
    found = [name for name, value in VALUES.items() if accepts(schema, value)]
    assert " ".join(found) == accepted


TREE = {
    "a": [COUNT, TEXT],
    "b": DictOf(REAL, {"n": COUNT}, needed=("n",)),
    "c": OrNone(ListOf(FLAG)),
}


@each(
    ("value", "words"),
    [
        ([], "expected the state to be a dict with the keys ['a', 'b', 'c'], got a list with 0"),
        (
            {"a": 1},
            "expected the state to be a dict with the keys ['a', 'b', 'c'], got a dict with",
        ),
        ({"a": [1]}, "expected `a` to be a list with 2 entries, got a list with 1 entries."),
        ({"a": [1, 2]}, "expected `a[1]` to be a string, got 2."),
        ({"b": {}}, "expected `b` to be a dict with the keys ['n'], got a dict with the keys []."),
        ({"b": {"n": 1, 2: 3}}, "expected `b` to be a dict with string keys, got a dict with"),
        ({"b": {"n": 0.5}}, "expected `b.n` to be an integer >= 0, got 0.5."),
        ({"b": {"n": 1, "m": "x" * 99}}, f"expected `b.m` to be a number, got '{'x' * 59}...."),
        ({"c": [True, 1]}, "expected `c[1]` to be a bool, got 1."),
        (
            {"c": np.ones(2)},
            "expected `c` to be a list, got an array of shape (2,) and dtype float",
        ),
    ],
)
def test_the_path_and_the_value_are_named(value, words):
    good = {"a": (1, "x"), "b": {"n": 1, "m": 0.5}, "c": None}
    check("f", good, TREE)
    check("f", good | {"c": [True]}, TREE)
    if isinstance(value, dict) and value != {"a": 1}:
        value = good | value
    with pytest.raises(ArgumentError, match=f"^f: {re.escape(words)}"):
        check("f", value, TREE)


def test_arrays_must_agree_in_shape_and_dtype():
    check("f", np.zeros(3), np.ones(3))
    with pytest.raises(
        ShapeError, match=r"^f: expected `w` to be an array of shape \(3,\) and dtype"
    ):
        check("f", np.ones(4), np.ones(3), "w")
    for other in (np.ones(3, np.float32), [1.0, 1.0, 1.0], None):
        with pytest.raises(ArgumentError, match=r"^f: expected `w` to be an array of shape \(3,\)"):
            check("f", other, np.ones(3), "w")


def test_like_accepts_values_of_the_same_kind():
    own = {
        "lr": 0.1,
        "betas": (0.9, 0.99),
        "flag": False,
        "name": "x",
        "none": None,
        "w": np.ones(2),
    }
    check("f", own, like(own))
    check("f", own | {"lr": 1, "betas": [0, 1], "none": "y"}, like(own))
    for name, value in {"lr": "x", "betas": 0.9, "flag": 0, "name": 1, "w": None}.items():
        assert not accepts(like(own), own | {name: value})
