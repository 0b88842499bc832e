"""Reasons to doubt a prediction: several shapes, low confidence, and shapes that are no digits."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.playground import pictures
from tinygrad_np import data
from tinygrad_np.cli.doubts import find_doubts, strangeness
from tinygrad_np.data.photo import read_digit

pytestmark = pytest.mark.slow

SURE, UNSURE = np.eye(10)[3] * 9, np.eye(10)[3]
STRANGE = "the shape does not look like a digit. A model answers with a digit for any picture."


def test_doubts_are_low_confidence_and_several_shapes():
    digit = data.digits(28)[1].images[0]
    assert find_doubts(digit, SURE, 1) == []
    several = "expected one digit, found 3 shapes. Only the largest was read."
    low = "low confidence (23.2%). The digit is hard to read, or the picture contains none."
    assert find_doubts(digit, SURE, 3) == [several]
    assert find_doubts(digit, UNSURE, 1) == [low]
    assert find_doubts(digit, UNSURE + 1e4, 3) == [several, low]
    assert len(find_doubts(digit, SURE * np.nan, 1)) == 1
    found = find_doubts(digit, UNSURE, 3, "garment")
    assert found == [line.replace("digit", "garment") for line in (several, low)]


@pytest.mark.parametrize("side", [28, 8])
def test_letter_is_doubted_at_either_size(side):
    generator = np.random.default_rng(0)
    picture = pictures.encode(pictures.draw(pictures.LETTERS["N"], "colored", generator))
    image, shapes = read_digit(picture, "N", side)
    assert find_doubts(image, SURE, shapes) == [STRANGE]
    assert find_doubts(image, SURE, shapes, "garment") == []


def test_bundled_digits_are_seldom_strange():
    images = data.digits(28)[1].images[:100]
    flagged = [find_doubts(image, SURE, 1) == [STRANGE] for image in images]
    assert np.mean(flagged) < 0.03


@pytest.mark.skipif(not os.environ.get("TINYGRAD_NP_DATA"), reason="TINYGRAD_NP_DATA is not set")
def test_mnist_is_seldom_strange():
    """6.9% were measured."""
    _, test_set = data.mnist(os.environ["TINYGRAD_NP_DATA"])
    flagged = [find_doubts(image, SURE, 1) == [STRANGE] for image in test_set.images[:1000]]
    assert np.mean(flagged) < 0.1


def test_threads_get_the_same_doubts():
    images = data.digits(28)[1].images[:8]
    expected = [strangeness(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(strangeness, [*images] * 2))
    np.testing.assert_allclose(found, expected * 2, rtol=1e-4, atol=1e-4)
