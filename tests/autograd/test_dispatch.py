"""What happens when an op is called: result classes, dtypes, arrays as inputs."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, op
from tinygrad_np.errors import DtypeError
from tinygrad_np.nn import Parameter

# Records.


def test_classes_of_results():
    weight = Parameter(np.ones(2))
    assert type(weight * 2) is Tensor
    assert type(2 * weight) is Tensor
    assert type(np.ones(2) * weight) is Tensor


# What must not be lost, mixed up or written over.


def test_an_op_on_arrays_is_given_the_arrays_themselves():
    """Nothing is recorded, so nothing need be copied."""
    given = []

    @op("x")
    def look(x):
        given.append(x)
        return x * 1

    array = np.ones(3)
    look(array)
    assert given[0] is array


# Dtypes.


@each(
    ("make", "dtype"),
    [
        (lambda: Tensor([1, 2]) + Tensor([1.0, 2.0]), np.float32),
        (lambda: Tensor([1, 2]) * 2.5, np.float32),
        (lambda: Tensor([1, 2]) + 2, np.int64),
        (lambda: Tensor([True]) + 2, np.int64),
        (lambda: Tensor([True]) + Tensor([2]), np.int64),
        (lambda: Tensor([1, 2]) / 2, np.float32),
        (lambda: Tensor([1.0]) * np.float64(2), np.float32),
        (lambda: Tensor([1.0]) * np.array(2.0), np.float32),
        (lambda: Tensor([1.0]) * Tensor(np.array(2.0)), np.float32),
        (lambda: Tensor([1.0]) * np.array([2.0]), np.float64),
        (lambda: Tensor([1]) * Tensor(np.array(2.0)), np.float64),
        (lambda: Tensor([1.0]).half() * 2.0, np.float16),
        (lambda: Tensor(np.ones(70_000, np.int32)) + Tensor([1.0]), np.float32),
        (lambda: Tensor(np.ones(70_000, bool)) + 1, np.int64),
        (lambda: Tensor([9, 9]).dropout(0.5), np.float32),
        (lambda: Tensor(np.full((1, 1, 4, 4), 8)).avg_pool2d(2), np.float32),
        (lambda: Tensor([1, 2]).mean(), np.float32),
        (lambda: Tensor([True, True]).sum(), np.int64),
        (lambda: Tensor([1.0]) > 0, np.bool_),
    ],
)
def test_dtypes_of_results(make, dtype):
    assert make().dtype == dtype


def test_gradients_go_back_to_each_inputs_dtype():
    x, y = leaf([1.0, 2.0], dtype=np.float32), leaf([3.0, 4.0])
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    assert x.grad.tolist() == [3.0, 4.0]


def test_complex_numbers_are_refused():
    with pytest.raises(DtypeError, match="dtype complex128"):
        leaf(1.0) * np.array([1j])
