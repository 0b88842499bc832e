"""Top-level functions: what differs from the methods, and what they refuse."""

import inspect

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import Tensor
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError

X = Tensor([[1.0, 5.0], [4.0, 2.0]])


OWN = {name for name in set(dir(Tensor)) - set(dir(Variable)) if not name.startswith("_")}
# Methods that are not functions of a tensor, or that top-level code does not call.
ONLY_METHODS = {
    "T", "backward", "contiguous", "cpu", "detach", "dim", "element_size", "expand_as",
    "gradient", "indices", "is_leaf", "item", "mT", "name", "nbytes", "ndim",
    "new_full", "new_ones", "new_tensor", "new_zeros", "numel", "numpy", "register_hook",
    "retain_grad", "size", "to", "tolist", "type", "uniform", "values", "view", "view_as",
    # NumPy's, which methods of arrays have:
    "astype", "copy", "ravel",
    # tinygrad's, which has no functions:
    "assign", "batchnorm", "glorot_uniform", "hardsigmoid", "kaiming_uniform", "layernorm",
    "quick_gelu", "realize", "rearrange", "scaled_uniform", "sequential",
}  # fmt: skip


def test_max_and_min_return_values_and_indices_along_an_axis():
    values, indices = tinygrad_np.max(X, 1)
    assert (values.tolist(), indices.tolist()) == ([5.0, 4.0], [1, 0])
    found = tinygrad_np.min(X, dim=0, keepdim=True)
    assert (found.values.tolist(), found.indices.tolist()) == ([[1.0, 2.0]], [[0, 1]])
    assert tinygrad_np.max(X).item() == 5
    assert tinygrad_np.max(X, Tensor(3.0)).tolist() == [[3.0, 5.0], [4.0, 3.0]]
    values, indices = tinygrad_np.max(Tensor(2.0), 0)
    assert (values.item(), indices.item()) == (2.0, 0)


def test_max_along_an_axis_sends_the_gradient_to_the_first_of_equal_entries():
    x = Tensor([[2.0, 2.0]], requires_grad=True)
    tinygrad_np.max(x, 1).values.sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0]]


def test_joining_functions_take_one_list():
    assert tinygrad_np.cat((X, X), 1).shape == (2, 4)
    assert tinygrad_np.stack([X, X], axis=2).shape == (2, 2, 2)
    for name in ("cat", "stack"):
        with pytest.raises(DtypeError, match=rf"^{name}: expected `tensors` .* Try {name}\(\[a, b"):
            getattr(tinygrad_np, name)(X, X)


def test_where_with_the_condition_alone_returns_positions():
    rows, columns = tinygrad_np.where(X > 3)
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
    with pytest.raises(DtypeError, match="where: expected both `input` and `other`"):
        tinygrad_np.where(X > 3, X)


@each("diagonal", [-2, -1, 0, 1, 2])
def test_diag_builds_and_extracts_any_diagonal(diagonal):
    vector = np.array([1.0, 2.0, 3.0])
    made = tinygrad_np.diag(Tensor(vector), diagonal)
    np.testing.assert_array_equal(made.data, np.diag(vector, diagonal))
    np.testing.assert_array_equal(tinygrad_np.diag(made, diagonal).data, vector)


def test_factories_accept_the_cpu_and_no_other_device():
    for device in (None, "cpu", "cpu:0", tinygrad_np.device("cpu")):
        assert tinygrad_np.zeros(2, 3, device=device).shape == (2, 3)
    for device in ("cuda", "mps", 0):
        with pytest.raises(ArgumentError, match=r"^device: expected 'cpu', got .* on the CPU\."):
            tinygrad_np.ones(2, device=device)
    assert not tinygrad_np.cuda.is_available()


def test_randint_takes_bounds_and_size():
    for made in (
        tinygrad_np.randint(5, 7, (40,)),
        tinygrad_np.randint(low=5, high=7, size=(40,)),
        tinygrad_np.randint(5, 7, size=[40]),
    ):
        assert set(made.tolist()) == {5, 6}
    assert set(tinygrad_np.randint(2, (40,)).tolist()) == {0, 1}
    assert set(tinygrad_np.randint(high=2, size=(40,)).tolist()) == {0, 1}
    for arguments in ((3,), (0, 3, 3), (0.5, 3, (1,)), ()):
        with pytest.raises(DtypeError, match="randint: expected two integers and a tuple of sizes"):
            tinygrad_np.randint(*arguments)


def test_dtypes_are_numpy_dtypes():
    assert Tensor([1.0]).dtype is tinygrad_np.float32
    assert tinygrad_np.tensor([1], dtype=tinygrad_np.float64).dtype == np.float64
    assert tinygrad_np.long is tinygrad_np.int64


def test_grad_adds_the_gradients_of_several_outputs():
    x = Tensor(2.0, requires_grad=True)
    y = Tensor(3.0, requires_grad=True)
    assert tinygrad_np.autograd.grad([x * y, x * x], [x, y]) == (Tensor(7.0), Tensor(2.0))
    assert tinygrad_np.autograd.grad(x * x, (x, y), allow_unused=True)[1] is None
    for outputs in (x * x, [x * x, x * 3]):
        with pytest.raises(GraphError):
            tinygrad_np.autograd.grad(outputs, (x, y))
    (weighted,) = tinygrad_np.autograd.grad(Tensor([1.0, 2.0]) * x, x, Tensor([1.0, 10.0]))
    assert weighted.item() == 21.0


def test_every_method_that_computes_is_also_a_function():
    in_place = {name for name in OWN if name.endswith("_")}
    assert OWN - in_place - set(tinygrad_np.__all__) == ONLY_METHODS


def test_functions_and_methods_have_examples():
    functions = [getattr(tinygrad_np, name) for name in tinygrad_np.__all__]
    methods = [getattr(Tensor, name) for name in sorted(OWN)]
    examples = [
        value
        for value in functions + methods
        if callable(value) and not (inspect.isclass(value) and issubclass(value, Exception))
    ]
    assert len(examples) > 400
    assert [value for value in examples if ">>>" not in inspect.getdoc(value)] == []


def test_var_and_std_take_their_options_by_name():
    """PyTorch reads var(x, 1, False) as unbiased=False, and NumPy as a dtype."""
    for name in ("var", "std", "var_mean", "std_mean"):
        function = getattr(tinygrad_np, name)
        with pytest.raises(TypeError, match="positional"):
            function(X, 1, False)
    assert tinygrad_np.var(X, 1, unbiased=False, keepdim=True).tolist() == [[4.0], [1.0]]


def test_condition_in_the_place_of_a_value_raises():
    with pytest.raises(ArgumentError, match=r"where: .* mask\.where\(x, y\)"):
        X.where(X > 2, 0)
    assert (X > 2).where(X > 3, False).tolist() == [[False, True], [True, False]]


def test_methods_of_arrays_exist():
    x = Tensor([[1.7, 2.0]], requires_grad=True)
    assert x.astype(np.float64).dtype == np.float64
    assert x.copy().data is not x.data
    assert x.ravel().shape == (2,)


def test_missing_modules_of_pytorch_are_named_with_a_replacement():
    with pytest.raises(AttributeError, match=r"no attribute 'save'. Use train\.save\(path, "):
        tinygrad_np.save  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'nothing'$"):
        tinygrad_np.nothing  # noqa: B018


def test_functions_of_a_number_compute_with_it():
    assert float(tinygrad_np.exp(0.0)) == 1.0
    assert float(tinygrad_np.sqrt(4)) == 2.0
    assert float(tinygrad_np.sum(3.0)) == 3.0


def test_equal_compares_shape_and_entries():
    assert tinygrad_np.equal(X, X.clone())
    assert not tinygrad_np.equal(X, X[0])
    assert not tinygrad_np.equal(X, X + 1)


def test_random_and_masked_changes_in_place():
    x = Tensor.zeros(1000)
    assert x.normal_(mean=5.0, std=0.1) is x
    assert 4.9 < x.data.mean() < 5.1
    assert x.uniform_(-1, 1).data.min() < -0.9
    y = Tensor([1.0, 2.0], requires_grad=True) * 1
    y.masked_fill_(Tensor([True, False]), 7.0)
    y.scatter_(0, Tensor([1]), Tensor([3.0]))
    assert y.tolist() == [7.0, 3.0]
