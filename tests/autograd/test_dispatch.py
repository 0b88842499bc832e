"""Calling an op: result classes, dtypes and array inputs."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.tools import each, leaf
from tinygrad_np import Tensor, nn, no_grad, op, ops
from tinygrad_np.autograd.op import SavePlan
from tinygrad_np.autograd.tape import record
from tinygrad_np.checks import kind_of
from tinygrad_np.errors import DtypeError, GraphError, ShapeError
from tinygrad_np.nn import Parameter
from tinygrad_np.runtime.state import thread

# Results and nodes.


def test_results_are_tensors():
    weight = Parameter(np.ones(2))
    assert type(weight * 2) is Tensor
    assert type(2 * weight) is Tensor
    assert type(np.ones(2) * weight) is Tensor


def test_numpy_scalars_are_numbers_on_either_side():
    x, number = Tensor([1]), np.float64(2.5)
    dtypes = {ops.mul(number, x).dtype, ops.mul(x, number).dtype, (x * number).dtype}
    assert dtypes == {np.dtype(np.float32)}


def test_record_creates_a_node():
    """`record` also works for a result that was not computed by calling the op, as in checkpoint().

    The node is checked for in-place changes like any other.
    """
    square = op("x^2", vjps={"x": lambda grad_out, x: grad_out * 2 * x})(lambda x: x * x)
    x, out = leaf(1.0, 3.0), np.array([1.0, 9.0])
    node = record(
        SavePlan(square, (True,)), (x,), [x.data], [x.version], {}, (2,), out.dtype, thread.state
    )
    assert (node.op, node.edges, node.shape, node.dtype) == (square, (x,), (2,), out.dtype)
    y = Tensor.wrap(out, node)
    assert y.gradient(x, gradient=np.ones(2))[0].tolist() == [2.0, 6.0]
    with no_grad():
        x[0] = 5.0
    with pytest.raises(GraphError, match="changed in place"):
        y.sum().backward()


# Array inputs.


def test_arrays_are_passed_to_the_forward_without_a_copy():
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
def test_results_have_the_promoted_dtype(make, dtype):
    assert make().dtype == dtype


def test_gradients_have_the_dtype_of_their_input():
    x, y = leaf([1.0, 2.0], dtype=np.float32), leaf([3.0, 4.0])
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    assert x.grad.tolist() == [3.0, 4.0]


def test_complex_numbers_raise():
    with pytest.raises(DtypeError, match="dtype complex128"):
        leaf(1.0) * np.array([1j])


def test_changing_a_list_option_later_changes_no_gradient():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    for call in (lambda axes: x.sum(axes), lambda axes: x.sum(axis=axes)):
        axes = [0]
        y = call(axes)
        axes[0] = 1
        assert y.gradient(x, gradient=np.array([1.0, 10.0]))[0].tolist() == [[1.0, 10.0]] * 2


def test_forward_error_keeps_its_cause():
    @op("x looked up", vjps={})
    def looked_up(x):
        try:
            return {}["x"]
        except KeyError as error:
            raise RuntimeError("could not look up") from error

    for x in (leaf([1.0]), np.ones(1)):
        with pytest.raises(RuntimeError, match="could not look up") as caught:
            looked_up(x)
        assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(ShapeError) as caught:
        leaf([1.0, 2.0]) + leaf([1.0, 2.0, 3.0])
    assert type(caught.value.__cause__) is ValueError


def test_integer_division_dtype_matches_numpy():
    x, y = np.array([1], np.int64), np.array([3], np.uint64)
    assert (Tensor(x) / Tensor(y)).dtype == np.float64
    assert (Tensor(x) / Tensor(x)).dtype == np.float32


def test_ndarray_subclass_is_promoted_like_an_array(tmp_path):
    numbers = np.memmap(tmp_path / "numbers", np.int64, "w+", shape=(3,))
    numbers[:] = [1, 2, 3]
    w = leaf([1.0, 2.0, 3.0], dtype=np.float32)
    product = Tensor.from_numpy(numbers) * w
    product.sum().backward()
    assert (product.dtype, w.grad.dtype) == (np.float32, np.float32)
    assert w.grad.tolist() == [1.0, 2.0, 3.0]


def test_matrix_is_refused_in_operators():
    matrix = np.array([[1.0, 2.0], [3.0, 4.0]]).view(np.matrix)
    x = Tensor.from_numpy(matrix)
    assert (x * x).tolist() == [[1.0, 4.0], [9.0, 16.0]]
    for call in (lambda: matrix * x, lambda: x * matrix, lambda: ops.mul(matrix, matrix)):
        with pytest.raises(DtypeError, match=r"^mul: .* numpy\.matrix, .*Use np\.asarray\(matrix"):
            call()


@each(
    "call",
    [
        lambda masked, x: x + masked,
        lambda masked, x: x @ masked,
        lambda masked, x: x == masked,
        lambda masked, x: ops.relu(masked),
        lambda masked, x: ops.where(masked > 1, x, 0.0),
        lambda masked, x: x.masked_fill(masked > 1, 0.0),
        lambda masked, x: x.masked_select(masked > 1),
        lambda masked, x: x[masked[0].astype(int) - 1],
        lambda masked, x: x.gather(1, masked.astype(int) * 0),
        lambda masked, x: x.nll_loss(masked[0].astype(int) - 1),
        lambda masked, x: x.cross_entropy(masked[0].astype(int) - 1),
        lambda masked, x: nn.Linear(2, 1)(masked),
    ],
)
def test_masked_array_raises(call):
    masked = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], [[False, True], [False, False]])
    with pytest.raises(DtypeError, match=r"expected an array without a mask, .* with \.filled"):
        call(masked, leaf([[1.0, 2.0], [3.0, 4.0]]))


def test_operator_of_a_masked_array_raises_for_a_tensor_in_a_graph():
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    with pytest.raises(GraphError, match="asarray: this tensor requires a gradient"):
        masked * leaf(3.0, 4.0)
    product = masked * Tensor([3.0, 4.0])
    assert type(product) is np.ma.MaskedArray
    assert product.mask.tolist() == [False, True]


def test_none_is_accepted_only_for_an_optional_input():
    x = leaf([1.0])
    with pytest.raises(DtypeError, match="where: expected a Tensor, an ndarray or a number, got N"):
        ops.where(x > 0, None, x)
    with pytest.raises(DtypeError, match="relu: expected a Tensor, an ndarray or a number, got N"):
        ops.relu(None)


@each("value", [[1.0], {1.0}, "1", Image.new("L", (1, 1))], ids=kind_of)
def test_other_objects_raise_with_their_full_type_name(value):
    for call in (ops.relu, leaf(1.0).add):
        with pytest.raises(DtypeError, match=rf"got {re.escape(kind_of(value))}\. Convert a list"):
            call(value)


def test_list_default_is_passed_unchanged():
    seen = []
    scaled = op("x")(lambda x, *, by=[1, 2], to=None: seen.append((by, to)) or x * 1)
    scaled(np.ones(2), to=[3])
    assert seen == [([1, 2], (3,))]


def test_op_is_frozen():
    with pytest.raises(AttributeError):
        ops.add.vjp = {}
