"""Argument checks: accepted values, rejected values and their messages."""

import math

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np.checks import check_at_least, check_integer, check_probability, is_integer, is_real
from tinygrad_np.errors import ArgumentError

INTEGERS = [0, 3, -1, np.int8(2), np.uint64(5)]
REALS = [0.5, math.inf, math.nan, np.float16(1), np.float64(-2)]
OTHERS = ["3", None, 1j, [1], np.array(1), np.array([1.0]), np.complex64(1)]


def test_is_integer_and_is_real_reject_other_values():
    assert all(is_integer(value) and is_real(value) for value in INTEGERS)
    assert all(is_real(value) and not is_integer(value) for value in REALS)
    assert not any(is_integer(value) or is_real(value) for value in OTHERS)


def test_valid_values_pass():
    check_integer("f", 1, a=1, b=np.uint8(200))
    check_at_least("f", 0, a=0, b=0.5, c=np.float32(3), d=np.int64(2))
    check_probability("f", a=0, b=1, c=0.5, d=np.float32(1))
    # Arguments can have the same names as the parameters of the checks.
    check_integer("f", 1, who=1, least=2)
    check_at_least("f", 1, who=1, least=2)
    check_probability("f", who=1)


REFUSED = {
    "an integer >= 1": ((check_integer, "f", 1), [0, -3, 1.0, math.nan]),
    "a finite number >= 0": (
        (check_at_least, "f", 0),
        [-0.1, math.inf, -math.inf, math.nan],
    ),
    "a number from 0 to 1": ((check_probability, "f"), [-0.1, 1.1, math.nan]),
}


@each("expected", REFUSED)
def test_invalid_values_raise(expected):
    (check, *arguments), values = REFUSED[expected]
    for value in [*values, *OTHERS]:
        with pytest.raises(ArgumentError) as caught:
            check(*arguments, good=1, bad=value)
        assert str(caught.value) == f"f: expected `bad` to be {expected}, got {value!r}."
