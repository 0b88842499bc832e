"""Modules: parameters, buffers and their paths, state dicts, modes, hooks, containers."""

import copy
import gc
import pickle
import re
import weakref
from collections import OrderedDict

import numpy as np
import pytest

from tests.nn.tools import Stack, assert_same
from tests.tools import each, leaf, rng
from tinygrad_np import Tensor, nn, no_grad, profile, viz
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError


class Block(nn.Module):
    """A parameter, two buffers, two layers, and attributes that are none of these."""

    def __init__(self):
        self.inner = nn.Linear(3, 2, generator=rng(1))
        self.scale = nn.Parameter([1.0, 2.0])
        self.mean = Tensor([3.0, 4.0])
        self.count = Tensor(7)
        self.last = nn.Linear(2, 2, bias=False, generator=rng(2))
        self.size, self.note, self.array = 3, "text", np.ones(3)

    def forward(self, x):
        return self.last(self.inner(x) * self.scale + self.mean)


class Nested(nn.Module):
    """A Block, a Sequential inside a Sequential, and a parameter assigned last."""

    def __init__(self):
        self.block = Block()
        self.tail = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5)))
        self.bias = nn.Parameter([5.0])


class Collected(nn.Module):
    """Layers and tensors in nested lists, tuples and dicts, next to other values."""

    def __init__(self):
        self.layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)]
        self.pair = (nn.Parameter([1.0]), Tensor([2.0]))
        self.heads = {"small": nn.Linear(2, 1, bias=False), "more": [{"deep": Tensor([3.0])}]}
        self.notes = ["text", 1, None, [], {}]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.heads["small"](x) * self.pair[0]


COLLECTED = ["pair.0", *(f"layers.{n}.{kind}" for n in (0, 2) for kind in ("weight", "bias"))]
COLLECTED += ["heads.small.weight"]


class Tied(nn.Module):
    """Two layers that share a weight."""

    def __init__(self):
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


class Circle(nn.Module):
    """A layer that refers back to its parent, by attribute and in a list."""

    def __init__(self):
        self.inner = nn.Linear(2, 2)
        self.inner.parent = self
        self.inner.others = [self, self.inner]

    def forward(self, x):
        return self.inner(x)


class Net(nn.Module):
    """A layer under two names, one in a list, and one in a dict inside the list."""

    def __init__(self):
        self.first = nn.Linear(2, 2)
        self.rest = [nn.Linear(2, 2), {"last": nn.Linear(2, 2)}]
        self.again = self.first

    def forward(self, x):
        x = self.again(self.first(x))
        return self.rest[1]["last"](self.rest[0](x))


def names(module):
    """Return the paths of a module's parameters."""
    return [name for name, _ in module.named_parameters()]


def ids(values):
    """Return the ids of objects, to compare identity instead of values."""
    return list(map(id, values))


def backward(module, width=3):
    """Compute gradients of all parameters of a module."""
    dtype = next(module.parameters()).dtype
    module(Tensor(np.ones((4, width), dtype))).sum().backward()


def without_gradient(module):
    """Return the paths of the parameters without a gradient."""
    return [name for name, parameter in module.named_parameters() if parameter.grad is None]


# Parameters, buffers and children.


def test_own_tensors_precede_those_of_children():
    """A module's own tensors come first, then those of its children, as in PyTorch."""
    block = Block()
    inner, last = block.inner, block.last
    assert names(block) == ["scale", "inner.weight", "inner.bias", "last.weight"]
    assert ids(block.parameters()) == ids([block.scale, inner.weight, inner.bias, last.weight])
    assert ids(block.buffers()) == ids([block.mean, block.count])
    assert [name for name, _ in block.named_children()] == ["inner", "last"]
    own = ["scale", "mean", "count"]
    assert list(block.state_dict()) == [*own, "inner.weight", "inner.bias", "last.weight"]
    within = [f"block.{name}" for name in names(block)]
    assert names(Nested()) == ["bias", *within, "tail.1.0.weight", "tail.1.0.bias"]
    kinds = ["Block", "Linear", "Linear", "Sequential", "ReLU", "Sequential", "Linear", "Dropout"]
    assert [type(module).__name__ for module in Nested().modules()] == ["Nested", *kinds]


def test_parameters_sets_names():
    """`parameters()` sets the names, however the module was filled."""
    block = Block()
    outer = nn.Sequential(nn.ReLU(), block)
    outer.rows = []
    outer.rows.append({"a": nn.Parameter([1.0])})
    outer.tied = block.inner
    block.last.weight = nn.Parameter(block.last.weight.data)
    parameters = outer.parameters()
    assert block.inner.weight.name == "1.inner.weight"
    assert [p.name for p in parameters] == names(outer)
    assert outer.rows[0]["a"].name == "rows.0.a"


def test_shared_layers_and_parameters_are_listed_once():
    """A shared layer or parameter is listed under its first path."""
    block = Block()
    block.again = block.inner
    assert names(block) == names(Block())
    assert len(list(block.modules())) == 3
    block.other = nn.Linear(3, 2)
    block.other.weight = block.inner.weight
    assert names(block) == [*names(Block()), "other.bias"]


def test_walks_over_cyclic_modules_terminate():
    """Walks over modules that refer to their parents terminate."""
    circle, seen = Circle(), []
    assert names(circle) == list(circle.state_dict()) == ["inner.weight", "inner.bias"]
    assert ids(circle.modules()) == ids([circle, circle.inner])
    assert not circle.eval().inner.training
    circle.load_state_dict(circle.state_dict())
    backward(circle, 2)
    circle.zero_grad()
    assert circle.inner.weight.grad is None
    circle.apply(seen.append)
    assert len(seen) == 2
    layer = nn.Sequential(nn.ReLU())
    layer.itself = layer
    assert repr(layer).splitlines() == ["Sequential(", "  (0): ReLU()", "  (itself): ...", ")"]


def test_tensors_and_layers_in_containers_are_found():
    """Tensors and layers in nested lists, tuples and dicts are named by index or key."""
    collected = Collected()
    assert names(collected) == COLLECTED
    assert ids(collected.buffers()) == ids([collected.pair[1], collected.heads["more"][0]["deep"]])
    assert set(collected.state_dict()) == {*COLLECTED, "pair.1", "heads.more.0.deep"}
    children = ["layers.0", "layers.1", "layers.2", "heads.small"]
    assert [name for name, _ in collected.named_children()] == children
    assert not any(module.training for module in collected.eval().modules())
    assert "  (layers.2): Linear(3, 2)" in repr(collected).splitlines()
    # They receive gradients, are saved in the state dict, and are converted.
    backward(collected, 2)
    assert without_gradient(collected) == []
    collected.zero_grad()
    assert without_gradient(collected) == COLLECTED
    other = Collected()
    other.load_state_dict(collected.state_dict())
    assert_same(other.state_dict(), collected.state_dict())
    state = collected.astype(np.float64).state_dict()
    assert {array.dtype.name for array in state.values()} == {"float64"}


def test_stored_results_are_not_buffers():
    """Results that `forward` stores as attributes are neither saved nor expected by a load."""
    layer = nn.Linear(2, 2)
    layer.kept = layer(Tensor.ones(1, 2))
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert list(layer.buffers()) == []
    layer.load_state_dict(nn.Linear(2, 2).state_dict())


def test_replaced_buffers_stay_buffers():
    """A buffer may be replaced by a result computed inside no_grad()."""
    block = Block()
    with no_grad():
        block.mean = block.mean * 0.5 + Tensor([1.0, 1.0])
    assert id(block.mean) in map(id, block.buffers())
    assert block.state_dict()["mean"].tolist() == [2.5, 3.0]


def test_frozen_parameters_are_listed_without_gradient():
    """A frozen parameter is listed and saved, but gets no gradient."""
    block = Block()
    block.inner.weight.requires_grad = False
    assert names(block) == names(Block())
    assert "inner.weight" in block.state_dict()
    backward(block)
    assert without_gradient(block) == ["inner.weight"]


@each("make", ["zeros", "ones", "rand", "randn"])
def test_parameter_constructors_return_parameters(make):
    """Constructors of Tensor, called on Parameter, return Parameters that require gradients."""
    parameter, tensor = getattr(nn.Parameter, make)(2, 3), getattr(Tensor, make)(2, 3)
    assert (type(parameter), type(tensor)) == (nn.Parameter, Tensor)
    assert (parameter.requires_grad, tensor.requires_grad) == (True, False)
    assert (parameter.name, parameter.shape, parameter.dtype) == ("", (2, 3), np.float32)


def test_results_are_not_parameters():
    """`from_numpy()` and ops return plain Tensors, so modules do not list results as parameters."""
    array = np.ones(2)
    tensor = nn.Parameter.from_numpy(array)
    assert (type(tensor), tensor.requires_grad) == (Tensor, False)
    assert tensor.data is array
    assert type(nn.Parameter([1.0]) * 2) is Tensor
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad


def test_missing_forward_raises():

    class Unfinished(nn.Module):
        pass

    for module in (Unfinished(), nn.ModuleList()):
        words = rf"^{type(module).__name__}: forward\(\) is not implemented\.$"
        with pytest.raises(NotImplementedError, match=words):
            module(1)


def test_forward_takes_any_arguments():

    class All(nn.Module):
        def forward(self, *inputs, **options):
            return inputs, options

    assert All()(1, 2, 3, shift=1.0) == ((1, 2, 3), {"shift": 1.0})


@each("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_share_no_memory(copied):
    """Deep copies and unpickled modules have equal weights in memory of their own."""
    block = Block()
    other = copied(block)
    assert_same(other.state_dict(), block.state_dict())
    nn.init.zeros_(other.scale)
    assert block.scale.tolist() == [1.0, 2.0]


# PyTorch's habits.


def test_modules_are_named_by_path():
    named = dict(Nested().named_modules())
    assert list(named)[:4] == ["", "block", "block.inner", "block.last"]
    assert isinstance(named["tail.1.1"], nn.Dropout)
    assert list(dict(Circle().named_modules())) == ["", "inner"]


def test_parameters_and_buffers_of_this_module_alone():
    """`recurse=False` leaves out children; `prefix` is put before each path."""
    block = Block()
    assert ids(block.parameters(recurse=False)) == [id(block.scale)]
    assert ids(block.buffers(recurse=False)) == ids([block.mean, block.count])
    assert [name for name, _ in block.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [name for name, _ in Nested().named_buffers()] == ["block.mean", "block.count"]
    assert [name for name, _ in block.named_buffers("net")] == ["net.mean", "net.count"]
    assert list(Nested().named_buffers(recurse=False)) == []


class Masked(nn.Linear):
    """A layer with a persistent, a temporary and an absent buffer, registered as in PyTorch."""

    def __init__(self):
        self.early = nn.ReLU()
        super().__init__(2, 2, generator=rng(1))
        self.register_buffer("mask", Tensor([[1.0, 0.0], [1.0, 1.0]]))
        self.register_buffer("scratch", Tensor([0.5, 2.0]), persistent=False)
        self.register_buffer("absent", None)

    def forward(self, x):
        return x @ (self.weight * self.mask).T * self.scratch


@each("copied", [lambda m: m, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_registered_buffers(copied):
    """Buffers with persistent=False are converted and copied, but neither saved nor loaded."""
    layer = copied(Masked())
    assert [name for name, _ in layer.named_buffers()] == ["mask", "scratch"]
    state = layer.state_dict()
    assert list(state) == ["weight", "bias", "mask"]
    layer.scratch = Tensor([3.0, 4.0])
    layer.absent = Tensor([1.0])
    assert list(layer.state_dict()) == [*state, "absent"]
    layer.absent = None
    assert repr(layer.load_state_dict(state)) == "<All keys matched successfully>"
    assert layer.scratch.tolist() == [3.0, 4.0]
    assert layer.double().scratch.dtype == np.float64
    assert layer(Tensor(np.ones((1, 2)))).dtype == np.float64
    assert [name for name, _ in layer.named_children()] == ["early"]


@each("copied", [lambda m: m, copy.deepcopy])
def test_a_registered_buffer_is_never_replaced_by_a_result(copied):
    """The state dict would silently lose it."""
    layer = copied(Masked())
    result = layer.weight.mean(0)
    with pytest.raises(GraphError, match=r"^Masked\.mask: expected .* saved\. Use \.detach\(\)\.$"):
        layer.mask = result
    layer.mask = result.detach()
    assert layer.state_dict()["mask"].tolist() == result.tolist()
    del layer.mask
    layer.mask = result  # an ordinary attribute
    assert "mask" not in layer.state_dict()


def test_a_buffer_registered_again_is_saved():
    layer = Masked()
    layer.register_buffer("scratch", Tensor([1.0, 1.0]))
    assert list(layer.state_dict()) == ["weight", "bias", "mask", "scratch"]
    layer.register_buffer("scratch", Tensor([1.0, 1.0]), persistent=False)
    layer.scratch = None
    layer.scratch = nn.Parameter([1.0, 1.0])
    assert list(layer.state_dict()) == ["weight", "bias", "mask", "scratch"]


def test_registered_parameters_and_modules_are_attributes():
    block = Block()
    block.register_parameter("shift", nn.Parameter([1.0]))
    block.register_parameter("none", None)
    block.register_module("more", nn.Linear(2, 2))
    block.add_module("last", nn.ReLU())
    inner = [f"{name}.{kind}" for name in ("inner", "more") for kind in ("weight", "bias")]
    assert names(block) == ["scale", "shift", *inner]
    assert [name for name, _ in block.named_children()] == ["inner", "last", "more"]
    assert block.none is None


@each(
    ("call", "error", "words"),
    [
        (lambda b: b.register_buffer("a.b", None), ArgumentError, "without dots, got 'a.b'."),
        (lambda b: b.register_parameter("", None), ArgumentError, "nonempty string without dots"),
        (lambda b: b.register_module(3, None), ArgumentError, "without dots, got 3."),
        (lambda b: b.register_buffer("inner", Tensor(1)), ArgumentError, "a new name, got 'inner'"),
        (lambda b: b.register_buffer("forward", None), ArgumentError, "new name, got 'forward'"),
        (lambda b: b.register_module("scale", None), ArgumentError, "new name, got 'scale'"),
        (lambda b: b.register_buffer("x", np.ones(2)), DtypeError, "'x' to be a Tensor or None"),
        (lambda b: b.register_parameter("x", Tensor(1)), DtypeError, "to be a Parameter or None"),
        (lambda b: b.register_module("x", nn.ReLU), DtypeError, "'x' to be a Module or None"),
        (lambda b: b.register_buffer("x", b.scale * 2), GraphError, "'x'. Use .detach()."),
    ],
)
def test_invalid_registrations_raise(call, error, words):
    """The module is left unchanged."""
    block = Block()
    with pytest.raises(error, match=rf"^Block\.register_\w+: .*{re.escape(words)}"):
        call(block)
    assert list(block.state_dict()) == list(Block().state_dict())


def test_requires_grad_freezes_all_parameters():
    nested = Nested()
    assert nested.requires_grad_(False) is nested
    assert not any(parameter.requires_grad for parameter in nested.parameters())
    nested.block.requires_grad_()
    assert [p.requires_grad for p in nested.parameters()] == [False, *[True] * 4, False, False]


def test_float_conversions_and_cpu_return_the_module():
    block = Block()
    for convert, name in [(block.half, "float16"), (block.float, "float32")]:
        assert convert() is block
        assert {parameter.dtype.name for parameter in block.parameters()} == {name}
    assert block.cpu() is block


@each(
    ("args", "options", "dtype"),
    [
        (("cpu",), {}, np.float32),
        ((), {"device": "cpu:0", "non_blocking": True}, np.float32),
        ((np.float64,), {}, np.float64),
        ((), {"dtype": "float64"}, np.float64),
        (("cpu", np.float16), {}, np.float16),
        ((Tensor(np.ones(1)),), {}, np.float64),
        ((Tensor(1.0).device,), {}, np.float32),
    ],
)
def test_to_converts_the_module_and_returns_it(args, options, dtype):
    block = Block()
    block.scale.grad = Tensor([1.0, 1.0])
    assert block.to(*args, **options) is block
    assert {p.dtype for p in (*block.parameters(), block.mean)} == {np.dtype(dtype)}
    assert block.count.dtype == np.int64
    assert (block.scale.grad is None) == (dtype != np.float32)


def test_to_another_device_or_kind_of_dtype_raises():
    block = Block()
    for call in (
        lambda: block.to("cuda"),
        lambda: block.to(np.float64, device="cuda:1"),
        block.cuda,
    ):
        with pytest.raises(ArgumentError, match=r"^device: expected 'cpu', got 'cuda"):
            call()
    with pytest.raises(DtypeError, match=r"expected a float dtype, got <class 'numpy.int64'>"):
        block.to(np.int64)
    assert block.scale.dtype == np.float32


def test_zero_grad_may_set_zeros():
    block = Block()
    block.zero_grad(set_to_none=False)
    assert without_gradient(block) == names(block)
    backward(block)
    block.zero_grad(set_to_none=False)
    assert without_gradient(block) == []
    assert not any(parameter.grad.numpy().any() for parameter in block.parameters())


def test_parameters_are_tied_by_assignment():
    """An assigned parameter replaces the old one; a tied one is listed and trained once."""
    embed, head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
    head.weight = embed.weight
    model = nn.ModuleList([embed, head])
    assert names(model) == ["0.weight"]
    assert list(model.state_dict()) == ["0.weight", "1.weight"]
    embed.weight = nn.Parameter(Tensor.zeros(5, 3), False)
    assert names(model) == ["0.weight", "1.weight"]
    assert not embed.weight.requires_grad


def test_parameter_takes_pytorchs_arguments():
    x = Tensor([1.0, 2.0])
    frozen = nn.Parameter(x, False)
    frozen.data[0] = 9
    assert (frozen.requires_grad, x.tolist()) == (False, [1.0, 2.0])
    assert nn.Parameter(x, dtype=np.float64, name="w").dtype == np.float64
    with pytest.raises(DtypeError, match=r"^Parameter: expected `requires_grad` to be a bool, got"):
        nn.Parameter(x, np.float64)


def test_own_extra_repr_is_shown():
    class Scale(nn.Module):
        def extra_repr(self):
            return "by=2"

    assert repr(nn.Sequential(Scale())) == "Sequential(\n  (0): Scale(by=2)\n)"


# State dicts.


def test_tied_parameters_are_saved_under_each_path():
    """A state dict has a tied parameter under each path, as in PyTorch; loading keeps the tie."""
    tied, state = Tied(), Tied().state_dict()
    assert list(state) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    np.testing.assert_array_equal(state["first.weight"], state["second.weight"])
    assert names(tied) == ["first.weight", "first.bias", "second.bias"]
    tied.load_state_dict(state)
    assert_same(tied.state_dict(), state)
    assert tied.second.weight is tied.first.weight


def test_state_dict_shares_no_memory_with_the_model():
    """A state dict and the model share no memory."""
    block = Block()
    state = block.state_dict()
    nn.init.zeros_(block.scale)
    assert state["scale"].tolist() == [1.0, 2.0]
    block.load_state_dict(state)
    for array in state.values():
        array[...] = 0
    assert_same(block.state_dict(), Block().state_dict())


def test_load_state_dict_restores_parameters_and_buffers():
    """Loading restores parameters and buffers."""
    block, other = Block(), Block()
    for parameter in other.parameters():
        nn.init.normal_(parameter, generator=rng(9))
    other.count[...] = 8
    block.load_state_dict(other.state_dict())
    assert_same(block.state_dict(), other.state_dict())


def test_loading_takes_tensors_and_lists():
    """Values may be arrays, lists, Parameters or results of ops; their numbers are copied."""
    block, other = Block(), Block()
    nn.init.zeros_(other.scale)
    values = dict(other.named_parameters()) | {"mean": other.scale + 1.0, "count": Tensor(9)}
    block.load_state_dict(values)
    assert (block.scale.tolist(), block.mean.tolist()) == ([0.0, 0.0], [1.0, 1.0])
    assert block.count.item() == 9
    assert block.mean.is_leaf
    nn.init.ones_(other.scale)
    assert block.scale.tolist() == [0.0, 0.0]
    block.load_state_dict({"scale": [8, 9]}, strict=False)
    assert block.scale.tolist() == [8.0, 9.0]


def test_loading_returns_the_names_that_were_ignored():
    block = Block()
    result = block.load_state_dict({"scale": [1, 2], "extra": [3]}, strict=False)
    missing = ["mean", "count", "inner.weight", "inner.bias", "last.weight"]
    assert result.missing_keys == missing
    assert result.unexpected_keys == ["extra"]
    expected = f"IncompatibleKeys(missing_keys={missing}, unexpected_keys=['extra'])"
    assert repr(result) == expected
    tied = Tied()
    state = tied.state_dict()
    del state["second.weight"]
    assert tied.load_state_dict(state, strict=False) == ([], [])


def test_loading_error_lists_all_mismatches():
    """One error lists all missing, unexpected and mismatched names."""
    state = Block().state_dict()
    del state["inner.bias"], state["mean"]
    state |= {"extra": np.ones(1), "another": np.ones(1), "scale": np.ones(3)}
    state["last.weight"] = np.ones((2, 3))
    with pytest.raises(
        ShapeError, match=r"^Block\.load_state_dict: the state dict does not match the model\. "
    ) as caught:
        Block().load_state_dict(state)
    for part in (
        "Missing: mean, inner.bias.",
        "Unexpected: extra, another.",
        "Mismatched: scale (expected (2,) float32, got (3,) float64), "
        "last.weight (expected (2, 2) float32, got (2, 3) float64). Nothing was loaded.",
    ):
        assert part in str(caught.value)


@each(
    ("name", "value", "words"),
    [
        ("count", np.array(7.5), "Mismatched: count (expected () int64, got () float64)"),
        ("scale", np.ones(2, complex), "scale (expected (2,) float32, got (2,) complex128)"),
        ("scale", np.array(["a", "b"]), "scale (expected (2,) float32, got (2,) <U1)"),
        ("scale", None, "scale (expected (2,) float32, got () object)"),
        ("last.weight", np.ones((2, 3)), "Mismatched: last.weight"),
        ("extra", np.ones(1), "Unexpected: extra"),
    ],
)
def test_failed_loading_changes_nothing(name, value, words):
    state = {own: array + 1 for own, array in Block().state_dict().items()} | {name: value}
    block = Block()
    with pytest.raises(ShapeError, match=re.escape(words)):
        block.load_state_dict(state)
    assert_same(block.state_dict(), Block().state_dict())


@each("dtype", [np.float16, np.float64, np.int64, bool])
def test_loading_casts_in_place(dtype):
    """Floats of other widths and integers are cast into the existing arrays.

    References that optimizers hold stay valid.
    """
    block = Block()
    scale, array = block.scale, block.scale.data
    block.load_state_dict({"scale": np.array([0, 1], dtype)}, strict=False)
    assert block.scale is scale
    assert scale.data is array
    assert scale.requires_grad
    assert (array.dtype, array.tolist()) == (np.float32, [0.0, 1.0])


def test_loading_with_strict_false():
    """With strict=False, missing and unexpected names are ignored, but shapes are checked."""
    block, part = Block(), {"scale": np.array([8.0, 9.0])}
    with pytest.raises(ShapeError, match=r"Missing: mean, count, inner\.weight"):
        block.load_state_dict(part)
    assert block.scale.tolist() == [1.0, 2.0]
    block.load_state_dict(part | {"extra": np.ones(1)}, strict=False)
    assert block.scale.tolist() == [8.0, 9.0]
    words = re.escape("scale (expected (2,) float32, got (3,) float64)")
    with pytest.raises(ShapeError, match=words):
        block.load_state_dict({"mean": np.zeros(2), "scale": np.ones(3)}, strict=False)
    assert block.mean.tolist() == [3.0, 4.0]


def test_loading_invalidates_a_live_graph():
    """A backward pass raises if weights were loaded since the forward pass."""
    block = Block()
    loss = block(Tensor.ones(4, 3)).sum()
    block.load_state_dict(block.state_dict())
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


# Modes, gradients, dtypes, repr.


def test_train_and_eval_reach_all_children():
    """A mode reaches all modules inside; the mode of a single layer can be set alone."""
    nested = Nested()
    assert all(module.training for module in nested.modules())
    assert nested.eval() is nested
    assert not any(module.training for module in nested.modules())
    assert nested.train() is nested
    assert all(module.training for module in nested.modules())
    nested.tail.eval()
    assert (nested.training, nested.block.training, nested.tail.training) == (True, True, False)
    assert not any(module.training for module in nested.train(False).modules())


def test_zero_grad_sets_gradients_to_none():
    """Gradients accumulate until zero_grad() sets them to None."""
    block = Block()
    backward(block)
    once = block.scale.grad.numpy().copy()
    backward(block)
    np.testing.assert_allclose(block.scale.grad.numpy(), 2 * once)
    assert without_gradient(block) == []
    block.zero_grad()
    assert without_gradient(block) == names(block)


def test_astype_converts_floats_in_place():
    """Float parameters and buffers change in place, integers are kept, gradients are reset."""
    block = Block()
    backward(block)
    scale = block.scale
    assert block.astype(np.float64) is block
    assert block.scale is scale
    kinds = {name: array.dtype.name for name, array in block.state_dict().items()}
    assert kinds.pop("count") == "int64"
    assert set(kinds.values()) == {"float64"}
    assert block.scale.tolist() == [1.0, 2.0]
    assert all(parameter.requires_grad for parameter in block.parameters())
    assert without_gradient(block) == names(block)
    assert block(Tensor(np.ones((4, 3)))).dtype == np.float64
    backward(block)
    assert {parameter.grad.dtype.name for parameter in block.parameters()} == {"float64"}


def test_astype_to_the_same_dtype_keeps_gradients_and_arrays():
    block = Block()
    backward(block)
    before = [(value.data, value.grad) for value in block.parameters()]
    for convert in (block.float, lambda: block.to(np.float32), lambda: block.astype("float32")):
        convert()
        for value, (data, grad) in zip(block.parameters(), before, strict=True):
            assert value.data is data
            assert value.grad is grad


def test_the_name_of_a_dtype_is_no_device():
    with pytest.raises(ArgumentError, match=r"got the string 'float64'\. Pass np\.float64\."):
        Block().to("float64")


@each("dtype", [np.int64, "uint8", bool, complex, "half-ish"])
def test_astype_to_other_kinds_raises(dtype):
    block = Block()
    with pytest.raises(DtypeError, match=r"^Block\.astype: expected a float dtype, got .*\.$"):
        block.astype(dtype)
    assert_same(block.state_dict(), Block().state_dict())


def test_repr_is_nested():
    assert repr(Nested()).splitlines() == [
        "Nested(",
        "  (block): Block(",
        "    (inner): Linear(3, 2)",
        "    (last): Linear(2, 2, bias=False)",
        "  )",
        "  (tail): Sequential(",
        "    (0): ReLU()",
        "    (1): Sequential(",
        "      (0): Linear(2, 4)",
        "      (1): Dropout(p=0.5)",
        "    )",
        "  )",
        ")",
    ]


# Sequential.


def test_sequential_chains_its_layers():
    first, second = nn.Linear(3, 2, generator=rng(1)), nn.Linear(2, 4, generator=rng(2))
    x = Tensor.randn(5, 3, generator=rng())
    expected = second(first(x).relu())
    out = nn.Sequential(first, nn.ReLU(), second)(x)
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


def test_sequential_layers_are_attributes():
    """The layers of a Sequential are the attributes "0", "1", ..., as in PyTorch.

    More than ten stay in order, and one can be replaced by its name.
    """
    layers = [nn.Linear(1, 1) for _ in range(12)]
    sequential = nn.Sequential(*layers)
    assert ids(vars(sequential).values()) == ids(layers)
    found = [(str(position), id(layer)) for position, layer in enumerate(layers)]
    assert [(name, id(layer)) for name, layer in sequential.named_children()] == found
    setattr(sequential, "11", nn.Linear(1, 4))
    assert sequential(Tensor.ones(5, 1)).shape == (5, 4)
    assert names(sequential)[-2:] == ["11.weight", "11.bias"]


def test_layer_passed_twice_runs_twice_and_is_listed_once():
    """A layer passed twice runs twice but is listed once; an empty Sequential returns its input."""
    layer = nn.Linear(2, 2, generator=rng())
    sequential = nn.Sequential(layer, layer)
    x = Tensor.ones(1, 2)
    np.testing.assert_array_equal(sequential(x).numpy(), layer(layer(x)).numpy())
    assert names(sequential) == ["0.weight", "0.bias"]
    assert nn.Sequential()(x) is x


class Fork(nn.Module):
    """One module under two names."""

    def __init__(self, inner):
        self.left = self.right = inner


def deep(levels):
    """Return nested Forks, with 2^levels paths to the innermost module."""
    module = nn.Linear(2, 2)
    for _ in range(levels):
        module = Fork(module)
    return module


# Walks.


@each("stored", ["first.weight", "second.weight"])
def test_a_tied_weight_stored_once_loads(stored):
    """Safetensors stores a tensor with two names once, under one of them."""
    state = Tied().state_dict()
    other = next(iter({"first.weight", "second.weight"} - {stored}))
    state[stored] += 1
    once = {name: array for name, array in state.items() if name != other}
    tied = Tied()
    tied.load_state_dict(once)
    assert_same(tied.state_dict(), once | {other: once[stored]})
    del once[stored]
    with pytest.raises(ShapeError, match=r"Missing: first\.weight, second\.weight\. Nothing"):
        tied.load_state_dict(once)


@each("strict", [True, False])
def test_different_values_for_a_tied_weight_raise(strict):
    tied, state = Tied(), Tied().state_dict()
    state["first.weight"][0] = state["second.weight"][0] = np.nan
    tied.load_state_dict(state, strict)
    before = tied.state_dict()
    state["second.weight"][1] = 7
    words = r"Conflicting: first\.weight and second\.weight \(one tensor in the model, different v"
    with pytest.raises(ShapeError, match=words):
        tied.load_state_dict(state, strict)
    assert_same(tied.state_dict(), before)


def test_a_path_in_place_of_a_state_dict_raises():
    with pytest.raises(
        DtypeError, match=r"^Tied\.load_state_dict: expected `state` to be a dict of arrays"
    ):
        Tied().load_state_dict("model.safetensors")


def test_shared_modules_are_walked_once():
    """Walks visit each module once, although 2^60 paths lead to the last one."""
    module, counts = deep(60), []
    assert len(list(module.modules())) == 61
    assert names(module) == ["left." * 60 + "weight", "left." * 60 + "bias"]
    assert not any(inner.training for inner in module.eval().modules())
    module.zero_grad()
    assert list(module.buffers()) == []
    module.apply(counts.append)
    assert len(counts) == 61
    assert module.astype(np.float64).left.training is False


def test_state_dict_lists_shared_modules_under_every_path():
    ways = ["left.left", "left.right", "right.left", "right.right"]
    assert list(deep(2).state_dict()) == [f"{w}.{n}" for w in ways for n in ("weight", "bias")]


def test_apply_visits_children_before_parents():
    """apply() visits children before parents, each once, and returns the module."""
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Tanh()))
    module.again = vars(module)["1"]
    seen = []
    assert module.apply(lambda inner: seen.append(type(inner).__name__)) is module
    assert seen == ["Linear", "ReLU", "Tanh", "Sequential", "Sequential"]


# Hooks.


def test_forward_hook_can_replace_the_output():
    """A hook receives module, inputs and output; a result other than None replaces the output."""
    layer, other, seen = nn.ReLU(), nn.ReLU(), []
    first = layer.register_forward_hook(lambda *call: seen.append(call))
    second = layer.register_forward_hook(lambda module, inputs, output: output * 2)
    third = layer.register_forward_hook(lambda module, inputs, output: output + 1)
    x = leaf(-1.0, 3.0)
    out = layer(x)
    assert out.tolist() == [1.0, 7.0]
    out.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]
    assert other(x).tolist() == [0.0, 3.0]  # hooks belong to one instance
    ((module, inputs, output),) = seen
    assert module is layer
    assert inputs[0] is x
    assert output.tolist() == [0.0, 3.0]
    second.remove()
    assert layer(x).tolist() == [1.0, 4.0]
    first.remove()
    third.remove()
    third.remove()
    assert layer(x).tolist() == [0.0, 3.0]
    assert len(seen) == 2


def test_hooks_receive_tensors():
    """Hooks receive arrays as the Tensors that `forward` receives, also by keyword."""

    class Add(nn.Module):
        def forward(self, x, y):
            assert isinstance(y, Tensor)
            return x + y

    add, seen = Add(), []
    add.register_forward_hook(lambda module, inputs, output: seen.extend(inputs))
    assert add(np.ones(2), y=np.ones(2)).tolist() == [2.0, 2.0]
    assert [type(value) for value in seen] == [Tensor]


def test_module_stays_usable_after_a_hook_raises():
    """The error propagates, and the module and its parents stay usable."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    handle = model[1].register_forward_hook(lambda *_: {}["planned"])
    with pytest.raises(KeyError, match="planned"):
        model(Tensor.ones(1, 2))
    handle.remove()
    out = model(Tensor.ones(1, 2))
    assert out.node.scope.path == "1"
    assert out.node.scope.outer.outer is None


def test_a_hook_may_remove_itself():
    layer, calls = nn.ReLU(), []

    def once(module, inputs, output):
        calls.append(1)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer.register_forward_hook(lambda *_: calls.append(2))
    layer(Tensor.ones(1))
    layer(Tensor.ones(1))
    assert calls == [1, 2, 2]


def test_hooks_are_neither_saved_nor_children():
    layer, hook = nn.Linear(2, 2), nn.Linear(3, 3)
    layer.register_forward_hook(hook)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert list(layer.named_children()) == []
    assert len(list(layer.modules())) == 1


def test_hooks_of_a_deepcopy_are_independent():
    """Hooks of a deep copy are independent of the original's."""
    layer = nn.ReLU()
    handle = layer.register_forward_hook(lambda module, inputs, output: output * 2)
    other = copy.deepcopy(layer)
    handle.remove()
    assert layer(Tensor([1.0])).tolist() == [1.0]
    assert other(Tensor([1.0])).tolist() == [2.0]


def test_module_may_call_itself():
    """The scope of the inner calls is named by the class."""

    class Again(nn.Module):
        def forward(self, x, times):
            """Return x doubled `times` + 1 times."""
            return self(x * 2, times - 1) if times else x * 2

    x = Tensor([1.0], requires_grad=True)
    out = Again()(x, 2)
    assert out.tolist() == [8.0]
    assert out.node.scope.path == "Again.Again"


# ModuleList.


def test_module_list_names_layers_by_position():
    """Layers are named by position, and scopes have the whole path."""
    stack = Stack(2)
    expected = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert list(stack.state_dict()) == expected
    assert stack(Tensor.ones(1, 2)).node.scope.path == "layers.1"
    assert repr(stack).splitlines()[1:3] == ["  (layers): ModuleList(", "    (0): Linear(2, 2)"]


def test_module_list_is_a_list():
    """Length, indexing, slicing, iteration and growth work as for a list."""
    kinds = [nn.ReLU(), nn.Tanh(), nn.Sigmoid()]
    layers = nn.ModuleList(kinds[:1])
    assert layers.append(kinds[2]) is layers
    layers.insert(1, kinds[1])
    assert (len(layers), list(layers)) == (3, kinds)
    assert layers[-1] is layers[2] is kinds[2]
    assert isinstance(layers[1:], nn.ModuleList)
    assert list(layers[1:]) == kinds[1:]
    assert list(layers[::-1]) == kinds[::-1]
    assert layers.extend(kinds) is layers
    assert [name for name, _ in layers.named_children()] == list("012345")
    layers[-1] = kinds[0]
    assert list(layers) == [*kinds, *kinds[:2], kinds[0]]
    assert len(nn.ModuleList()) == 0
    assert kinds[1] in layers


def test_sequential_takes_named_modules():
    """Modules from a dict keep their names; modules added later run too, as in PyTorch."""
    chain = nn.Sequential(OrderedDict(hidden=nn.Linear(2, 3), act=nn.ReLU()))
    chain.add_module("head", nn.Linear(3, 1))
    assert names(chain) == ["hidden.weight", "hidden.bias", "head.weight", "head.bias"]
    assert chain(Tensor.ones(5, 2)).shape == (5, 1)
    assert chain.append(nn.Sigmoid()) is chain
    chain[1] = nn.Tanh()
    assert [name for name, _ in chain.named_children()] == ["hidden", "act", "head", "3"]
    assert isinstance(chain.act, nn.Tanh)
    assert list(chain) == [chain.hidden, chain.act, chain.head, chain[3]]
    with pytest.raises(ArgumentError, match="expected `name` to be a nonempty string without dots"):
        nn.Sequential({"a.b": nn.ReLU()})
    with pytest.raises(DtypeError, match="expected 'a' to be a Module or None, got int"):
        nn.Sequential({"a": 1})


def test_modules_of_a_subclass_of_sequential_run_in_order():
    class Block(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 3), nn.ReLU())
            self.head = nn.Linear(3, 1)

    assert Block()(Tensor.ones(5, 2)).shape == (5, 1)
    assert len(Block()) == 3


def test_module_list_keeps_its_order():
    """More than ten layers stay in order after an insertion at the front."""
    layers = nn.ModuleList(nn.Linear(1, n) for n in range(1, 13)).eval()
    layers.insert(0, nn.Linear(1, 99))
    assert [layer.out_features for layer in layers] == [99, *range(1, 13)]
    assert [name for name, _ in layers.named_children()] == [str(n) for n in range(13)]
    assert not layers.training


@each("index", [2, -3])
def test_module_list_index_out_of_range_raises(index):
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    words = f"ModuleList: index {index} is out of range for 2 modules."
    with pytest.raises(AxisError, match=words):
        layers[index]
    with pytest.raises(AxisError, match=words):
        layers[index] = nn.ReLU()


@each(
    "change",
    [
        lambda layers: layers.append(1),
        lambda layers: layers.insert(0, nn.ReLU),
        lambda layers: layers.extend([nn.ReLU(), abs]),
        lambda layers: nn.ModuleList([None]),
        lambda layers: nn.Sequential(nn.ReLU(), 1),
        lambda layers: nn.Sequential([nn.ReLU()]),
    ],
)
def test_values_that_are_not_modules_raise(change):
    """Containers raise on values that are not modules, and stay unchanged."""
    layers = nn.ModuleList([nn.ReLU()])
    with pytest.raises(ArgumentError, match=r"(ModuleList|Sequential): expected modules, got .*\."):
        change(layers)
    assert len(layers) == 1


@each(
    "change",
    [
        lambda layers: nn.ModuleList({nn.ReLU(), nn.Tanh()}),
        lambda layers: layers.extend({nn.ReLU()}),
        lambda layers: layers.extend(frozenset([nn.ReLU()])),
    ],
)
def test_a_set_of_modules_raises(change):
    """The order of a set, and with it the names of the parameters, differs between processes."""
    layers = nn.ModuleList([nn.ReLU()])
    with pytest.raises(ArgumentError, match=r"^ModuleList: expected modules and .* order, got f?"):
        change(layers)
    assert len(layers) == 1


@each("inner", [nn.Linear(1, 1), nn.Parameter([1.0])])
def test_an_attribute_that_is_a_set_of_modules_or_parameters_raises(inner):
    """They would silently be missing from `parameters()`."""
    module = nn.Module()
    module.names, module.parts = {"a", "b"}, {}
    assert list(module.parameters()) == []
    module.parts["inner"] = {inner}
    message = "attribute 'parts.inner': expected modules and parameters in a fixed order, got set."
    for use in (module.state_dict, lambda: list(module.parameters())):
        with pytest.raises(ArgumentError, match=message):
            use()
    assert repr(module) == f"<Module: cannot be shown (ArgumentError: {message} Use a list.)>"


def test_replacing_a_parameter_by_a_plain_tensor_raises():
    layer = nn.Linear(2, 1)
    with pytest.raises(
        DtypeError,
        match=r"Linear.weight: expected an nn.Parameter, got a plain Tensor.*`weight\[:\]",
    ):
        layer.weight = layer.weight.detach() - 0.1
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    weight, before = layer.weight, layer.weight.numpy().copy()
    with no_grad():
        layer.weight[:] = layer.weight - 0.1
        layer.weight -= 0.1
    assert layer.weight is weight
    np.testing.assert_allclose(weight.numpy(), before - 0.2, rtol=1e-5)
    layer.weight = nn.Parameter(np.zeros((1, 2), np.float32))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


@each("kind", [nn.ModuleList, lambda layers: nn.Sequential(*layers)])
def test_modules_can_be_removed_and_added_as_in_a_list(kind):
    a, b, c, d = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.SiLU()
    layers = kind([a, b, c])
    same = layers
    del layers[-1]
    layers += [c, d]
    assert layers is same
    assert layers.pop() is d
    assert layers.pop(0) is a
    assert list(layers.named_children()) == [("0", b), ("1", c)]
    del layers[:1]
    assert list(layers) == [c]
    for remove in (lambda: layers.pop(1), lambda: layers.__delitem__(-2)):
        with pytest.raises(AxisError, match="is out of range for 1 modules"):
            remove()


def test_appending_never_replaces_a_module():
    """Names after a removal have gaps."""
    a, b, c, d = nn.ReLU(), nn.Tanh(), nn.GELU(), nn.SiLU()
    layers = nn.ModuleList([a, b, c])
    delattr(layers, "0")
    assert list(layers.append(d)) == [b, c, d]


def test_sequential_is_a_list():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert isinstance(model[-1], nn.ReLU)
    assert len(model.append(nn.Linear(3, 1))) == 3
    assert isinstance(model[1:], nn.Sequential)
    assert model[:1](Tensor.ones(1, 2)).shape == (1, 3)
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]
    assert list(model.children()) == list(model)


# Paths of calls.


def paths_of(out):
    """Return the paths of the calls that produced a tensor, last first."""
    paths, node = [], out.node
    while isinstance(node, type(out.node)):
        paths.append(node.scope.path)
        node = node.edges[0]
    return paths


def test_profiles_and_drawings_show_call_paths():
    """Profiles and drawings show each call's path, by the first name of each module."""
    net, x = Net(), Tensor.ones(1, 2)
    paths = ["rest.1.last", "rest.0", "first", "first"]
    assert paths_of(net(x)) == paths
    model = nn.Sequential(net, nn.ReLU())
    with profile() as table:
        model(x)
    assert {"1", *(f"0.{path}" for path in paths)} <= {row.module for row in table.rows()}
    assert "rest.1.last: Linear" in viz.draw(model, x).source


def test_a_graph_keeps_no_module_alive():
    """Reference counting frees the module; paths then show its class instead of its name."""
    gc.disable()
    try:
        model = nn.Sequential(Net())
        model.kept = out = model(Tensor.ones(1, 2))
        gone = weakref.ref(model)
        del model
        assert gone() is None
        assert paths_of(out)[0] == "Net.Linear"
        model = nn.Sequential(nn.Linear(2, 2))
        out = model(Tensor.ones(1, 2))
        model[0] = nn.ReLU()  # the caller still exists
        assert paths_of(out)[0] == "Linear"
    finally:
        gc.enable()


def test_subclasses_of_layers_reject_lists():
    class Doubled(nn.Linear):
        pass

    class Own(nn.Module):
        def forward(self, pair):
            return pair[0] + pair[1]

    with pytest.raises(
        DtypeError, match=r"Doubled: expected Tensors or ndarrays, got list\. Wrap lists"
    ):
        Doubled(2, 2)([[1.0, 2.0]])
    assert Own()([np.float32(1), np.float32(2)]) == 3


def test_loading_is_strict_by_default():
    layer = nn.Linear(2, 2)
    with pytest.raises(ShapeError, match="bias"):
        layer.load_state_dict({"weight": np.ones((2, 2), np.float32)})
    assert layer.weight.tolist() != [[1.0, 1.0]] * 2


class Averaging(nn.Module):
    """A model with a buffer that it changes in place by values of the graph."""

    def __init__(self):
        self.lin = nn.Linear(2, 2)
        self.mean = Tensor.zeros(2)

    def forward(self, x):
        y = self.lin(x)
        self.mean *= 0.9
        self.mean += 0.1 * y.mean(0)
        return y


def test_buffer_changed_in_place_by_the_graph_stays_in_the_state_dict():
    model = Averaging()
    model(Tensor.ones(1, 2)).sum().backward()
    assert sorted(model.state_dict()) == ["lin.bias", "lin.weight", "mean"]
    Averaging().load_state_dict(model.state_dict())
    assert "mean" in copy.deepcopy(model).state_dict()


def test_array_in_place_of_a_parameter_raises():
    layer = nn.Linear(2, 1)
    with pytest.raises(DtypeError, match=r"Linear.weight: expected an nn.Parameter, got numpy.nda"):
        layer.weight = np.zeros((1, 2), np.float32)


def test_attribute_of_a_copied_model_can_become_a_buffer_again():
    model = nn.Linear(2, 1)
    model.kept = model(Tensor.ones(1, 2))
    copied = copy.deepcopy(model)
    for one in (model, copied):
        assert "kept" not in one.state_dict()
        one.kept = Tensor.zeros(1)
        assert "kept" in one.state_dict()


def test_masked_arrays_are_not_loaded():
    masked = np.ma.masked_array(np.ones((1, 2)), [[True, False]])
    with pytest.raises(DtypeError, match="'weight': expected an array without a mask"):
        nn.Linear(2, 1, bias=False).load_state_dict({"weight": masked})
