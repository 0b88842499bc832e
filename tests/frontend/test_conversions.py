"""PyTorch's words for conversions, properties and creation, and hints for what is absent."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError
from tinygrad_np.frontend.device import device


def test_to_returns_the_tensor_itself_if_nothing_changes():
    x = Tensor([1.0, 2.0])
    same = [
        x.to(),
        x.to("cpu"),
        x.to(device("cpu"), non_blocking=True),
        x.to(np.float32),
        x.to(Tensor([3.0])),
        x.to(device="cpu", dtype="float32"),
        x.type(np.float32),
        x.float(),
        x.contiguous(),
    ]
    assert all(y is x for y in same)
    for copied in (x.to(copy=True), x.to("cpu", copy=True), x.clone()):
        assert copied is not x
        assert copied.tolist() == x.tolist()
        assert not np.may_share_memory(copied.data, x.data)


@each(
    "convert",
    [
        lambda x: x.to(np.float64),
        lambda x: x.to(dtype="float64"),
        lambda x: x.to("cpu", np.float64),
        lambda x: x.to(Tensor([1.0], np.float64)),
        lambda x: x.type(np.float64),
        lambda x: x.double(),
    ],
)
def test_conversions_are_differentiable(convert):
    x = leaf([1.0, 2.0], dtype=np.float32)
    y = convert(x)
    assert y.dtype == np.float64
    (y * y).sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [2.0, 4.0])


def test_invalid_conversions_raise():
    x = Tensor([1.0])
    for call in (lambda: x.to("cuda"), lambda: x.to(np.float64, device="mps"), x.cuda):
        with pytest.raises(ArgumentError, match=r"^device: expected 'cpu', got '(cuda|mps)'"):
            call()
    for call in (lambda: x.to("cpu", device="cuda"), lambda: x.to("cuda", device="cpu")):
        with pytest.raises(ArgumentError, match=r"^device: expected 'cpu', got 'cuda'"):
            call()
    with pytest.raises(ArgumentError, match=r"^to: expected one dtype, got .*float64'> and "):
        x.to(np.float64, np.float32)
    with pytest.raises(DtypeError, match=r"^to: expected a float, int or bool dtype, got complex"):
        x.to(np.complex64)
    with pytest.raises(DtypeError, match=r"^to: expected a dtype, got 3"):
        x.type(3)


@each(
    ("name", "dtype"),
    [
        ("float", np.float32),
        ("double", np.float64),
        ("half", np.float16),
        ("int", np.int32),
        ("long", np.int64),
        ("short", np.int16),
        ("bool", np.bool_),
    ],
)
def test_conversions_have_the_named_dtype(name, dtype):
    found = getattr(Tensor([0.0, 1.7], np.float64), name)()
    assert found.dtype == dtype
    assert found.tolist() == np.array([0.0, 1.7]).astype(dtype).tolist()


def test_clone_is_a_node_of_the_graph():
    x = nn.Parameter([1.0, 2.0])
    y = x.clone()
    y += 1.0  # would be refused on x itself
    (y * y).sum().backward()
    assert x.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [4.0, 6.0]


def test_sizes_and_bytes():
    x = Tensor.ones(2, 3, dtype=np.float16)
    assert (x.dim(), x.size(), x.size(0), x.size(-1), x.size(dim=1)) == (2, (2, 3), 2, 3, 3)
    assert (x.nbytes, x.element_size(), x.numel()) == (12, 2, 6)
    assert x.is_floating_point()
    assert not x.bool().is_floating_point()
    with pytest.raises(AxisError, match=r"^size: "):
        x.size(2)


def test_transposes():
    x = leaf(np.arange(6.0).reshape(1, 2, 3))
    assert x.mT.shape == (1, 3, 2)
    np.testing.assert_array_equal(x.mT.data[0], x.data[0].T)
    assert x[0].t().tolist() == x[0].T.tolist()
    assert x[0, 0].t().tolist() == [0.0, 1.0, 2.0]
    (x.mT * x.detach().mT).sum().backward()
    np.testing.assert_array_equal(x.grad.data, x.data)
    with pytest.raises(AxisError, match=r"^t: expected at most two axes, got shape \(1, 2, 3\)\."):
        x.t()
    with pytest.raises(AxisError, match=r"^transpose: "):
        _ = x[0, 0].mT


def test_requires_grad_in_place():
    x = Tensor([1.0])
    assert x.requires_grad_() is x
    assert x.requires_grad
    assert not x.requires_grad_(False).requires_grad
    with pytest.raises(GraphError, match="cannot set it to False on the result of an op"):
        (x.requires_grad_() * 2).requires_grad_(False)


FACTORIES = {
    "zeros": lambda **g: Tensor.zeros(2, **g),
    "ones": lambda **g: Tensor.ones(2, **g),
    "empty": lambda **g: Tensor.empty(2, **g),
    "full": lambda **g: Tensor.full((2,), 3.0, **g),
    "eye": lambda **g: Tensor.eye(2, **g),
    "arange": lambda **g: Tensor.arange(2.0, **g),
    "linspace": lambda **g: Tensor.linspace(0, 1, 2, **g),
    "rand": lambda **g: Tensor.rand(2, **g),
    "randn": lambda **g: Tensor.randn(2, **g),
    "uniform": lambda **g: Tensor.uniform(2, **g),
    "normal": lambda **g: Tensor.normal(2, **g),
    "randint": lambda **g: Tensor.randint(2, dtype=np.float32, **g),
    "zeros_like": lambda **g: Tensor([1.0]).zeros_like(**g),
    "ones_like": lambda **g: Tensor([1.0]).ones_like(**g),
    "empty_like": lambda **g: Tensor([1.0]).empty_like(**g),
    "full_like": lambda **g: Tensor([1.0]).full_like(2, **g),
    "rand_like": lambda **g: Tensor([1.0]).rand_like(**g),
    "randn_like": lambda **g: Tensor([1.0]).randn_like(**g),
    "new_zeros": lambda **g: Tensor([1.0]).new_zeros(2, **g),
    "new_ones": lambda **g: Tensor([1.0]).new_ones(2, **g),
    "new_full": lambda **g: Tensor([1.0]).new_full(2, 3, **g),
    "new_tensor": lambda **g: Tensor([1.0]).new_tensor([2], **g),
}


@each("name", FACTORIES)
def test_factories_take_requires_grad(name):
    make = FACTORIES[name]
    assert not make().requires_grad
    x = make(requires_grad=True)
    assert x.requires_grad
    assert x.is_leaf
    assert x.dtype == np.float32


def test_integers_that_require_a_gradient_raise():
    with pytest.raises(DtypeError, match=r"^requires_grad: expected a float dtype, got int64"):
        Tensor.randint(2, requires_grad=True)


def test_factories_of_a_subclass_return_it():
    assert isinstance(nn.Parameter.ones(2), nn.Parameter)
    assert nn.Parameter.ones(2).requires_grad


@each(
    ("made", "expected", "dtype"),
    [
        (Tensor([1, 2]).zeros_like(np.float64), [0.0, 0.0], np.float64),
        (Tensor([1, 2]).new_zeros(1), [0], np.int64),
        (Tensor([1.5]).new_ones((1, 2)), [[1.0, 1.0]], np.float32),
        (Tensor([1.5]).new_ones(1, dtype=np.int32), [1], np.int32),
        (Tensor([1.5]).new_full((2,), 3), [3.0, 3.0], np.float32),
        (Tensor([1.5]).new_tensor([[1, 2]]), [[1.0, 2.0]], np.float32),
        (Tensor([1.5]).new_tensor(2, dtype=np.int64), 2, np.int64),
    ],
)
def test_new_tensors_have_this_dtype_by_default(made, expected, dtype):
    assert (made.tolist(), made.dtype) == (expected, dtype)


def test_a_tensor_is_formatted_like_its_number():
    loss = leaf(1.23456) * 1.0
    assert (f"{loss:.3f}", f"{loss:8.2e}") == ("1.235", "1.23e+00")
    assert f"{loss}" == str(loss)


@each("name", ["values", "indices"])
def test_absent_names_raise_with_a_hint(name):
    x = Tensor([[1.0, 2.0]])
    with pytest.raises(AttributeError, match=rf"no attribute '{name}'\. Use .*tinygrad_np\.max\("):
        getattr(x.max(1), name)
