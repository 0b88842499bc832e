"""Modules: what they hold and under which names, state dicts, hooks, lists."""

import copy
import pickle
import re

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, nn, no_grad
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError


class Block(nn.Module):
    """A parameter, a buffer, two layers and some attributes that are none of these."""

    def __init__(self):
        self.inner = nn.Linear(3, 2, generator=rng(1))
        self.scale = nn.Parameter([1.0, 2.0])
        self.mean = Tensor([3.0, 4.0])
        self.count = Tensor(7)
        self.last = nn.Linear(2, 2, bias=False, generator=rng(2))
        self.size, self.note, self.array = 3, "text", np.ones(3)

    def forward(self, x):
        """Return (N, 2)."""
        return self.last(self.inner(x) * self.scale + self.mean)


class Nested(nn.Module):
    """A Block, a Sequential within a Sequential, and last a parameter."""

    def __init__(self):
        self.block = Block()
        self.tail = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5)))
        self.bias = nn.Parameter([5.0])


class Collected(nn.Module):
    """Layers and tensors in a list, a tuple and a dict, one within another, beside other things."""

    def __init__(self):
        self.layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)]
        self.pair = (nn.Parameter([1.0]), Tensor([2.0]))
        self.heads = {"small": nn.Linear(2, 1, bias=False), "more": [{"deep": Tensor([3.0])}]}
        self.notes = ["text", 1, None, [], {}]

    def forward(self, x):
        """Return (N, 1)."""
        for layer in self.layers:
            x = layer(x)
        return self.heads["small"](x) * self.pair[0]


COLLECTED = [
    "pair.0",
    "layers.0.weight",
    "layers.0.bias",
    "layers.2.weight",
    "layers.2.bias",
    "heads.small.weight",
]


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self):
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight

    def forward(self, x):
        """Return (N, 2)."""
        return self.second(self.first(x))


class Circle(nn.Module):
    """A layer that refers back to the module that holds it, by an attribute and in a list."""

    def __init__(self):
        self.inner = nn.Linear(2, 2)
        self.inner.parent = self
        self.inner.others = [self, self.inner]

    def forward(self, x):
        """Return (N, 2)."""
        return self.inner(x)


class Keeping(nn.Module):
    """Keeps what it computed last."""

    def __init__(self):
        self.layer = nn.Linear(2, 2)
        self.last = None

    def forward(self, x):
        """Return (N, 2)."""
        self.last = self.layer(x)
        return self.last


def names(module):
    """Return the names of a module's parameters."""
    return [name for name, _ in module.named_parameters()]


# What a module holds.


def test_parameters_in_order():
    """A module's own parameters come first, then those of its layers, as in PyTorch."""
    assert names(Block()) == ["scale", "inner.weight", "inner.bias", "last.weight"]


def test_nested_names():
    """Paths are joined by dots; layers of a Sequential are numbered."""
    assert names(Nested()) == [
        "bias",
        "block.scale",
        "block.inner.weight",
        "block.inner.bias",
        "block.last.weight",
        "tail.1.0.weight",
        "tail.1.0.bias",
    ]


def test_parameters_are_the_attributes():
    """parameters() yields the very objects, in the order of their names."""
    block = Block()
    expected = [block.scale, block.inner.weight, block.inner.bias, block.last.weight]
    found = list(block.parameters())
    assert list(map(id, found)) == list(map(id, expected))


def test_parameters_know_their_names():
    """What an optimizer is given has names, however the module was filled; errors use them."""
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


def test_shared_module_counts_once():
    """A layer under two names is listed under the first."""
    block = Block()
    block.again = block.inner
    assert names(block) == names(Block())
    assert len(list(block.modules())) == 3


def test_shared_parameter_counts_once():
    """A parameter in two layers is listed, and so trained, once."""
    block = Block()
    block.other = nn.Linear(3, 2)
    block.other.weight = block.inner.weight
    assert names(block) == [*names(Block()), "other.bias"]


def test_modules_in_a_circle():
    """A layer may refer back to the module that holds it: every walk ends."""
    circle = Circle()
    assert names(circle) == list(circle.state_dict()) == ["inner.weight", "inner.bias"]
    assert list(map(id, circle.modules())) == [id(circle), id(circle.inner)]
    assert not circle.eval().inner.training
    circle.load_state_dict(circle.state_dict())
    circle(Tensor.ones(1, 2)).sum().backward()
    circle.zero_grad()
    assert circle.inner.weight.grad is None


def test_collected_parameters():
    """What is in lists, tuples and dicts is found, at any depth, named by index or key."""
    collected = Collected()
    assert names(collected) == COLLECTED
    buffers = [id(collected.pair[1]), id(collected.heads["more"][0]["deep"])]
    assert [id(buffer) for buffer in collected.buffers()] == buffers
    assert set(collected.state_dict()) == {*COLLECTED, "pair.1", "heads.more.0.deep"}


def test_collected_modules():
    """Modules in lists and dicts are children, by index and key."""
    collected = Collected()
    children = ["layers.0", "layers.1", "layers.2", "heads.small"]
    assert [name for name, _ in collected.named_children()] == children
    assert not any(module.training for module in collected.eval().modules())
    assert "  (layers.2): Linear(3, 2)" in repr(collected).splitlines()


def test_collected_parameters_are_trained_and_loaded():
    """They get gradients, are converted, and travel with the state dict."""
    one, other = Collected(), Collected()
    one(Tensor.ones(4, 2)).sum().backward()
    assert all(parameter.grad is not None for parameter in one.parameters())
    one.zero_grad()
    assert all(parameter.grad is None for parameter in one.parameters())
    other.load_state_dict(one.state_dict())
    x = Tensor.randn(3, 2, generator=rng())
    np.testing.assert_array_equal(one(x).numpy(), other(x).numpy())
    state = one.astype(np.float64).state_dict()
    assert {array.dtype.name for array in state.values()} == {"float64"}


def test_results_that_are_kept_are_no_buffers():
    """What was computed in forward and kept as an attribute is not saved, nor asked for."""
    module = Keeping()
    module(Tensor.ones(1, 2))
    assert list(module.state_dict()) == ["layer.weight", "layer.bias"]
    assert list(module.buffers()) == []
    module.load_state_dict(Keeping().state_dict())


def test_running_means_are_buffers():
    """A buffer may be replaced by what was computed from it without being recorded."""
    block = Block()
    with no_grad():
        block.mean = block.mean * 0.5 + Tensor([1.0, 1.0])
    assert id(block.mean) in map(id, block.buffers())
    assert block.state_dict()["mean"].tolist() == [2.5, 3.0]


def test_buffers_are_plain_tensors():
    """A Tensor that is no Parameter is kept with the weights but not trained."""
    block = Block()
    assert [id(buffer) for buffer in block.buffers()] == [id(block.mean), id(block.count)]


def test_children():
    """children() yields the modules among the attributes, with their names."""
    assert [name for name, _ in Block().named_children()] == ["inner", "last"]


def test_modules():
    """modules() yields the module itself and all within it."""
    found = [type(module).__name__ for module in Nested().modules()]
    within = ["Block", "Linear", "Linear", "Sequential", "ReLU", "Sequential", "Linear", "Dropout"]
    assert found == ["Nested", *within]


def test_frozen_parameters_stay():
    """A frozen parameter is still one, and still saved."""
    block = Block()
    block.inner.weight.requires_grad = False
    assert names(block) == names(Block())
    assert "inner.weight" in block.state_dict()


def test_frozen_parameters_get_no_gradient():
    """No gradient is computed for a frozen parameter; the others get theirs."""
    block = Block()
    block.inner.weight.requires_grad = False
    block(Tensor.ones(4, 3)).sum().backward()
    without = [name for name, parameter in block.named_parameters() if parameter.grad is None]
    assert without == ["inner.weight"]


def test_parameter_is_trained():
    """A Parameter asks for a gradient unless told otherwise."""
    assert nn.Parameter([1.0]).requires_grad
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad


@pytest.mark.parametrize("make", ["zeros", "ones", "rand", "randn"])
def test_made_parameters_are_trained(make):
    """What the constructors of a Tensor make is, of Parameter, a whole Parameter."""
    parameter = getattr(nn.Parameter, make)(2, 3)
    assert type(parameter) is nn.Parameter
    assert parameter.requires_grad
    assert parameter.name == ""
    assert (parameter.shape, parameter.dtype) == ((2, 3), np.float32)
    block = Block()
    block.made = parameter
    assert "made" in names(block)


def test_made_tensors_are_not_trained():
    """Of Tensor they are plain, and ask for no gradient."""
    for made in (Tensor.zeros(2), Tensor.ones(2), Tensor.rand(2), Tensor.randn(2)):
        assert type(made) is Tensor
        assert not made.requires_grad


def test_from_numpy_is_plain():
    """from_numpy() gives a Tensor over the array, of Parameter too."""
    array = np.ones(2)
    tensor = nn.Parameter.from_numpy(array)
    assert type(tensor) is Tensor
    assert tensor.data is array
    assert not tensor.requires_grad


def test_results_are_tensors():
    """What is computed from a Parameter is a Tensor: a module does not take it for its own."""
    result = nn.Parameter([1.0]) * 2
    assert type(result) is Tensor


def test_no_forward():
    """A module that cannot be called says so by name."""

    class Unfinished(nn.Module):
        """Has nothing."""

    with pytest.raises(NotImplementedError, match=r"Unfinished has no forward\(\)"):
        Unfinished()(1)


def test_forward_takes_any_number():
    """forward may take several inputs and return anything."""

    class Both(nn.Module):
        """Returns its inputs."""

        def forward(self, *inputs):
            """Return them."""
            return inputs

    assert Both()(1, 2, 3) == (1, 2, 3)


def test_forward_takes_options():
    """What a call gives by keyword reaches forward."""

    class Scaled(nn.Module):
        """Scales."""

        def forward(self, x, factor=1.0, *, shift=0.0):
            """Return x scaled and shifted."""
            return x * factor + shift

    scaled = Scaled()
    assert scaled(Tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert scaled(Tensor([1.0, 2.0]), factor=2.0, shift=1.0).tolist() == [3.0, 5.0]


def test_forward_takes_arrays():
    """An ndarray may be given for a Tensor; forward sees a Tensor."""
    x = rng().standard_normal((4, 3)).astype(np.float32)
    block = Block()
    np.testing.assert_array_equal(block(x).numpy(), block(Tensor(x)).numpy(), strict=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied):
    """A deep copy and an unpickled module have equal weights of their own."""
    block = Block()
    other = copied(block)
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, block.state_dict()[name], strict=True)
    nn.init.zeros(other.scale)
    assert block.scale.tolist() == [1.0, 2.0]


# State dicts.


def test_state_dict_names():
    """A state dict holds parameters and buffers, of one module after the other."""
    expected = ["scale", "mean", "count", "inner.weight", "inner.bias", "last.weight"]
    assert list(Block().state_dict()) == expected


def test_tied_parameters_are_saved_by_each_name():
    """A state dict has a shared parameter under each of its names, as in PyTorch."""
    tied = Tied()
    state = tied.state_dict()
    assert list(state) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    np.testing.assert_array_equal(state["first.weight"], state["second.weight"])
    assert names(tied) == ["first.weight", "first.bias", "second.bias"]
    assert len(list(tied.parameters())) == 3


def test_tied_parameters_can_be_loaded():
    """A model with tied parameters loads its own state, and they stay tied."""
    tied, other = Tied(), Tied()
    tied.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(tied.first.weight.numpy(), other.first.weight.numpy())
    assert tied.second.weight is tied.first.weight


def test_modules_under_two_names_are_saved_by_each():
    """So has it the parameters of a shared layer, which untied models can load."""
    one, untied = Block(), Block()
    one.again = one.inner
    untied.again = nn.Linear(3, 2)
    assert {"inner.weight", "again.weight"} < set(one.state_dict())
    untied.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(untied.again.weight.numpy(), one.inner.weight.numpy())


def test_state_dict_copies():
    """A state dict is a snapshot: later changes of the model do not reach it, nor the reverse."""
    block = Block()
    state = block.state_dict()
    nn.init.zeros(block.scale)
    assert state["scale"].tolist() == [1.0, 2.0]
    state["mean"][...] = 0
    assert block.mean.tolist() == [3.0, 4.0]


def test_load_state_dict():
    """Loading makes parameters and buffers those of the other model."""
    block, other = Block(), Block()
    for parameter in other.parameters():
        nn.init.normal(parameter, generator=rng(9))
    other.count[...] = 8
    block.load_state_dict(other.state_dict())
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(block.state_dict()[name], array, strict=True)


def test_loading_copies():
    """A model does not share memory with what it was loaded from."""
    block = Block()
    state = block.state_dict()
    block.load_state_dict(state)
    state["scale"][...] = 0
    assert block.scale.tolist() == [1.0, 2.0]


def test_loading_keeps_objects_and_dtype():
    """Loading fills the arrays there are, so that an optimizer's references stay good."""
    block = Block()
    scale, array = block.scale, block.scale.data
    block.load_state_dict(block.state_dict() | {"scale": np.array([8.0, 9.0], np.float64)})
    assert block.scale is scale
    assert scale.data is array
    assert array.dtype == np.float32
    assert scale.requires_grad


def test_loading_takes_tensors_and_lists():
    """Whatever NumPy makes an array of can be loaded."""
    block = Block()
    block.load_state_dict(block.state_dict() | {"scale": [8, 9], "mean": Tensor([1.0, 2.0])})
    assert block.scale.tolist() == [8.0, 9.0]
    assert block.mean.tolist() == [1.0, 2.0]


def test_loading_takes_tensors_of_a_graph():
    """Values may be Parameters, and results of ops: their numbers are copied."""
    block, other = Block(), Block()
    nn.init.zeros(other.scale)
    values = dict(other.named_parameters()) | {"mean": other.scale + 1.0, "count": Tensor(9)}
    block.load_state_dict(values)
    assert (block.scale.tolist(), block.mean.tolist()) == ([0.0, 0.0], [1.0, 1.0])
    assert block.count.item() == 9
    assert block.mean.is_leaf
    nn.init.ones(other.scale)
    assert block.scale.tolist() == [0.0, 0.0]


def test_loading_lists_all_that_does_not_fit():
    """One error lists all missing, unexpected and mismatched names, with both shapes and dtypes."""
    state = Block().state_dict()
    del state["inner.bias"], state["mean"]
    state |= {"extra": np.ones(1), "another": np.ones(1), "scale": np.ones(3)}
    state["last.weight"] = np.ones((2, 3))
    with pytest.raises(ShapeError) as caught:
        Block().load_state_dict(state)
    message = str(caught.value)
    assert message.startswith("Block.load_state_dict: ")
    for part in (
        "missing: mean, inner.bias;",
        "unexpected: extra, another;",
        "mismatched: scale (got (3,) float64, expected (2,) float32), "
        "last.weight (got (2, 3) float64, expected (2, 2) float32)",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("count", np.array(7.5), "count (got () float64, expected () int64)"),
        ("scale", np.ones(2, complex), "scale (got (2,) complex128, expected (2,) float32)"),
        ("scale", np.array(["a", "b"]), "scale (got (2,) <U1, expected (2,) float32)"),
        ("scale", None, "scale (got () object, expected (2,) float32)"),
    ],
    ids=["float-for-int", "complex", "text", "none"],
)
def test_loading_lists_dtypes_that_do_not_fit(name, value, words):
    """What would lose its kind of number is listed like a shape, and nothing is loaded."""
    state = {own: array + 1 for own, array in Block().state_dict().items()} | {name: value}
    block = Block()
    with pytest.raises(ShapeError, match=f"mismatched: {re.escape(words)}"):
        block.load_state_dict(state)
    for own, array in Block().state_dict().items():
        np.testing.assert_array_equal(block.state_dict()[own], array, strict=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64, bool])
def test_loading_converts(dtype):
    """Floats of other widths, and integers for floats, are converted."""
    block = Block()
    block.load_state_dict({"scale": np.array([0, 1], dtype)}, strict=False)
    assert block.scale.dtype == np.float32
    assert block.scale.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("problem", ["missing", "unexpected", "mismatched"])
def test_failed_loading_changes_nothing(problem):
    """Where one name does not fit, no other is loaded either."""
    state = {name: array + 1 for name, array in Block().state_dict().items()}
    if problem == "missing":
        del state["last.weight"]
    elif problem == "unexpected":
        state["extra"] = np.ones(1)
    else:
        state["last.weight"] = np.ones((2, 3))
    block = Block()
    with pytest.raises(ShapeError, match=problem):
        block.load_state_dict(state)
    for name, array in Block().state_dict().items():
        np.testing.assert_array_equal(block.state_dict()[name], array)


def test_loading_not_strictly():
    """With strict=False names that only one side has are passed over."""
    block = Block()
    block.load_state_dict({"scale": np.array([8.0, 9.0]), "extra": np.ones(1)}, strict=False)
    assert block.scale.tolist() == [8.0, 9.0]
    assert block.mean.tolist() == [3.0, 4.0]


def test_loading_not_strictly_checks_shapes():
    """With strict=False a shape that does not fit is still refused."""
    block = Block()
    state = {"mean": np.zeros(2), "scale": np.ones(3)}
    words = re.escape("scale (got (3,) float64, expected (2,) float32)")
    with pytest.raises(ShapeError, match=words):
        block.load_state_dict(state, strict=False)
    assert block.mean.tolist() == [3.0, 4.0]


def test_loading_into_a_live_graph():
    """A backward through weights that were loaded anew since its forward refuses."""
    block = Block()
    loss = block(Tensor.ones(4, 3)).sum()
    block.load_state_dict(block.state_dict())
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


# Modes, gradients, dtypes, text.


def test_training_at_first():
    """A new module is in training, and so is all within it."""
    assert all(module.training for module in Nested().modules())


def test_train_and_eval():
    """eval() and train() reach every module within, and return the module."""
    nested = Nested()
    assert nested.eval() is nested
    assert not any(module.training for module in nested.modules())
    assert nested.train() is nested
    assert all(module.training for module in nested.modules())
    assert not any(module.training for module in nested.train(False).modules())


def test_mode_of_one_layer():
    """A layer's mode can be set alone."""
    nested = Nested()
    nested.tail.eval()
    assert nested.training
    assert nested.block.training
    assert not nested.tail.training


def test_zero_grad():
    """zero_grad() forgets the gradient of every parameter."""
    block = Block()
    block(Tensor.ones(4, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    block.zero_grad()
    assert all(parameter.grad is None for parameter in block.parameters())


def test_gradients_add_up():
    """Without zero_grad() a second backward adds to the first's gradients."""
    block = Block()
    block(Tensor.ones(4, 3)).sum().backward()
    once = block.scale.grad.numpy().copy()
    block(Tensor.ones(4, 3)).sum().backward()
    np.testing.assert_allclose(block.scale.grad.numpy(), 2 * once)


def test_astype():
    """astype() converts floats, parameters and buffers, in place; integers stay as they are."""
    block = Block()
    scale = block.scale
    assert block.astype(np.float64) is block
    assert block.scale is scale
    kinds = {name: array.dtype.name for name, array in block.state_dict().items()}
    assert kinds.pop("count") == "int64"
    assert set(kinds.values()) == {"float64"}
    assert block.scale.tolist() == [1.0, 2.0]
    assert all(parameter.requires_grad for parameter in block.parameters())


@pytest.mark.parametrize("dtype", [np.int64, "uint8", bool, complex])
def test_astype_refuses(dtype):
    """Weights are floats: another kind of dtype is refused, and nothing is converted."""
    block = Block()
    with pytest.raises(DtypeError, match=r"^Block\.astype: got .*, expected a float dtype"):
        block.astype(dtype)
    for name, array in Block().state_dict().items():
        np.testing.assert_array_equal(block.state_dict()[name], array, strict=True)


def test_astype_computes_in_that_dtype():
    """A model in float64 gives float64, and gradients of that dtype."""
    block = Block().astype(np.float64)
    out = block(Tensor(np.ones((4, 3))))
    assert out.dtype == np.float64
    out.sum().backward()
    assert {parameter.grad.dtype.name for parameter in block.parameters()} == {"float64"}


def test_astype_forgets_gradients():
    """A gradient of the old dtype does not stay behind."""
    block = Block()
    block(Tensor.ones(4, 3)).sum().backward()
    block.astype(np.float64)
    assert all(parameter.grad is None for parameter in block.parameters())


@each(
    ("layer", "text"),
    [
        (nn.Linear(3, 2), "Linear(3, 2)"),
        (nn.Linear(3, 2, bias=False), "Linear(3, 2, bias=False)"),
        (nn.Conv2d(1, 8, 3), "Conv2d(1, 8, kernel_size=3)"),
        (nn.Conv2d(2, 4, (3, 1), bias=False), "Conv2d(2, 4, kernel_size=(3, 1), bias=False)"),
        (
            nn.Conv2d(2, 4, 3, stride=2, padding=(1, 0), dilation=3, groups=2),
            "Conv2d(2, 4, kernel_size=3, stride=2, padding=(1, 0), dilation=3, groups=2)",
        ),
        (nn.MaxPool2d(2), "MaxPool2d(kernel_size=2)"),
        (nn.MaxPool2d(3, 2, 1), "MaxPool2d(kernel_size=3, stride=2, padding=1)"),
        (nn.Conv1d(1, 8, 3, padding="same"), "Conv1d(1, 8, kernel_size=3, padding='same')"),
        (
            nn.Conv2d(1, 8, 3, padding=(1, 0, 1, 0), data_format="NHWC"),
            "Conv2d(1, 8, kernel_size=3, padding=(1, 0, 1, 0), data_format='NHWC')",
        ),
        (nn.Conv3d(1, 8, (1, 3, 3)), "Conv3d(1, 8, kernel_size=(1, 3, 3))"),
        (
            nn.ConvTranspose2d(4, 2, 3, 2, 1, 1),
            "ConvTranspose2d(4, 2, kernel_size=3, stride=2, padding=1, output_padding=1)",
        ),
        (
            nn.MaxPool2d((3, 2), dilation=2, return_indices=True, ceil_mode=True),
            "MaxPool2d(kernel_size=(3, 2), dilation=2, return_indices=True, ceil_mode=True)",
        ),
        (
            nn.AvgPool2d(2, padding=1, count_include_pad=False, data_format="NHWC"),
            "AvgPool2d(kernel_size=2, padding=1, count_include_pad=False, data_format='NHWC')",
        ),
        (nn.AdaptiveAvgPool2d(1), "AdaptiveAvgPool2d(output_size=1)"),
        (nn.AdaptiveAvgPool2d((None, 7)), "AdaptiveAvgPool2d(output_size=(None, 7))"),
        (nn.Dropout(0.25), "Dropout(p=0.25)"),
        (nn.ReLU(), "ReLU()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_repr_of_layers(layer, text):
    """A layer shows its sizes and what is not at its default."""
    assert repr(layer) == text


def test_repr_is_nested():
    """A module shows its layers, each indented under its name."""
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


def test_sequential():
    """Each layer gets what the one before returned."""
    first, second = nn.Linear(3, 2, generator=rng(1)), nn.Linear(2, 4, generator=rng(2))
    x = Tensor.randn(5, 3, generator=rng())
    expected = second(first(x).relu())
    out = nn.Sequential(first, nn.ReLU(), second)(x)
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


def test_sequentials_layers_are_attributes():
    """A Sequential's layers are its attributes "0", "1", ...: more than ten stay in order."""
    layers = [nn.Linear(1, 1) for _ in range(12)]
    sequential = nn.Sequential(*layers)
    assert list(map(id, vars(sequential).values())) == list(map(id, layers))
    found = [(str(position), id(layer)) for position, layer in enumerate(layers)]
    assert [(name, id(layer)) for name, layer in sequential.named_children()] == found


def test_sequentials_layers_can_be_replaced():
    """A layer can be replaced by its name, as in PyTorch."""
    sequential = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    setattr(sequential, "1", nn.Linear(2, 4))
    assert sequential(Tensor.ones(5, 3)).shape == (5, 4)
    assert names(sequential) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_one_layer_twice_in_a_sequential():
    """A layer may be passed twice: it is run twice, and trained once."""
    layer = nn.Linear(2, 2, generator=rng())
    sequential = nn.Sequential(layer, layer)
    x = Tensor.ones(1, 2)
    np.testing.assert_array_equal(sequential(x).numpy(), layer(layer(x)).numpy())
    assert names(sequential) == ["0.weight", "0.bias"]


def test_empty_sequential():
    """A Sequential of nothing returns its input."""
    x = Tensor.ones(2)
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("layers", [(nn.ReLU(), 1), ([nn.ReLU()],), (nn.ReLU,), (abs,)])
def test_sequential_refuses(layers):
    """What is no module is refused when the Sequential is made."""
    with pytest.raises(ArgumentError, match=r"Sequential: got .*, expected modules"):
        nn.Sequential(*layers)


# Randomness.


class Stack(nn.Module):
    """A ModuleList that forward calls in turn."""

    def __init__(self, count=3):
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(count))

    def forward(self, x):
        """Return (N, 2)."""
        for layer in self.layers:
            x = layer(x)
        return x


class Fork(nn.Module):
    """One module under two names."""

    def __init__(self, inner):
        self.left = self.right = inner


def deep(levels):
    """Return modules each of which has the next under two names: 2^levels ways to the last."""
    module = nn.Linear(2, 2)
    for _ in range(levels):
        module = Fork(module)
    return module


# Walks.


def test_shared_modules_are_walked_once():
    """Lists, modes and gradients of 2^60 ways to one layer are found at once."""
    module = deep(60)
    assert len(list(module.modules())) == 61
    assert [name for name, _ in module.named_parameters()] == [
        "left." * 60 + "weight",
        "left." * 60 + "bias",
    ]
    assert not any(inner.training for inner in module.eval().modules())
    module.zero_grad()
    assert list(module.buffers()) == []
    counts = []
    module.apply(counts.append)
    assert len(counts) == 61
    assert module.astype(np.float64).left.training is False


def test_a_state_dict_has_each_way():
    """A state dict has a shared layer under each of its names."""
    ways = ["left.left", "left.right", "right.left", "right.right"]
    assert list(deep(2).state_dict()) == [f"{w}.{n}" for w in ways for n in ("weight", "bias")]


def test_repr_of_a_circle():
    """A module that contains itself shows so, and ends."""
    layer = nn.Sequential(nn.ReLU())
    layer.itself = layer
    assert repr(layer).splitlines() == ["Sequential(", "  (0): ReLU()", "  (itself): ...", ")"]


def test_apply():
    """apply() calls with those within first, each once, and returns the module."""
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), nn.Tanh()))
    module.again = vars(module)["1"]
    seen = []
    assert module.apply(lambda inner: seen.append(type(inner).__name__)) is module
    assert seen == ["Linear", "ReLU", "Tanh", "Sequential", "Sequential"]


def test_apply_in_a_circle():
    """A circle ends."""
    module = nn.Sequential(nn.ReLU())
    module.itself = module
    seen = []
    module.apply(seen.append)
    assert len(seen) == 2


# Hooks.


def test_forward_hook():
    """A hook sees module, inputs and output; what it returns, unless None, is the output."""
    layer, seen = nn.ReLU(), []
    first = layer.register_forward_hook(lambda *call: seen.append(call))
    second = layer.register_forward_hook(lambda module, inputs, output: output * 2)
    third = layer.register_forward_hook(lambda module, inputs, output: output + 1)
    x = Tensor([-1.0, 3.0])
    assert layer(x).tolist() == [1.0, 7.0]
    ((module, inputs, output),) = seen
    assert module is layer
    assert inputs == (x,) or inputs[0] is x
    assert output.tolist() == [0.0, 3.0]
    second.remove()
    assert layer(x).tolist() == [1.0, 4.0]
    first.remove()
    third.remove()
    third.remove()
    assert layer(x).tolist() == [0.0, 3.0]
    assert len(seen) == 2


def test_hooks_get_tensors():
    """An array that is given reaches the hook as the Tensor that forward sees, also by keyword."""

    class Add(nn.Module):
        """Adds."""

        def forward(self, x, y):
            """Return x + y."""
            assert isinstance(y, Tensor)
            return x + y

    add, seen = Add(), []
    add.register_forward_hook(lambda module, inputs, output: seen.extend(inputs))
    assert add(np.ones(2), y=np.ones(2)).tolist() == [2.0, 2.0]
    assert [type(value) for value in seen] == [Tensor]


def test_a_hooks_gradient():
    """What a hook makes of the output is part of the graph."""
    layer = nn.ReLU()
    layer.register_forward_hook(lambda module, inputs, output: output * 3)
    x = Tensor([2.0], requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.tolist() == [3.0]


def test_hooks_are_the_modules_own():
    """A hook on one layer is not on another of its class."""
    one, other = nn.ReLU(), nn.ReLU()
    one.register_forward_hook(lambda *_: Tensor(7.0))
    assert other(Tensor([1.0])).tolist() == [1.0]


def test_a_hook_that_raises():
    """The error passes, and the module and those around it stay usable."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    inner = next(child for name, child in model.named_children() if name == "1")

    def fail(module, inputs, output):
        raise KeyError("planned")

    handle = inner.register_forward_hook(fail)
    with pytest.raises(KeyError, match="planned"):
        model(Tensor.ones(1, 2))
    handle.remove()
    out = model(Tensor.ones(1, 2))
    assert out.node.scope.path == "1"
    assert out.node.scope.outer.outer is None


def test_a_hook_may_remove_itself():
    """The hooks may change while they run."""
    layer, calls = nn.ReLU(), []

    def once(module, inputs, output):
        calls.append(1)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer.register_forward_hook(lambda *_: calls.append(2))
    layer(Tensor.ones(1))
    layer(Tensor.ones(1))
    assert calls == [1, 2, 2]


def test_hooks_are_not_saved_nor_children():
    """A hook is no part of the module, even where it is a module."""
    layer, hook = nn.Linear(2, 2), nn.Linear(3, 3)
    layer.register_forward_hook(hook)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert list(layer.named_children()) == []
    assert len(list(layer.modules())) == 1


def test_hooks_are_copied():
    """A deep copy has hooks of its own."""
    layer = nn.ReLU()
    handle = layer.register_forward_hook(_double)
    other = copy.deepcopy(layer)
    handle.remove()
    assert layer(Tensor([1.0])).tolist() == [1.0]
    assert other(Tensor([1.0])).tolist() == [2.0]


def _double(module, inputs, output):
    return output * 2


def test_a_module_that_calls_itself():
    """Its scope within itself is named by its class."""

    class Again(nn.Module):
        """Calls itself as often as it is told."""

        def forward(self, x, times):
            """Return x doubled that often."""
            return self(x * 2, times - 1) if times else x * 2

    x = Tensor([1.0], requires_grad=True)
    out = Again()(x, 2)
    assert out.tolist() == [8.0]
    assert out.node.scope.path == "Again.Again"


# ModuleList.


def test_module_list_names():
    """Layers are named by position; scopes have the whole path."""
    stack = Stack(2)
    expected = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    assert list(stack.state_dict()) == expected
    assert stack(Tensor.ones(1, 2)).node.scope.path == "layers.1"
    assert repr(stack).splitlines()[1:3] == ["  (layers): ModuleList(", "    (0): Linear(2, 2)"]


def test_module_list_is_a_list():
    """Length, indexing, iteration and growth are a list's."""
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


def test_module_list_keeps_its_order():
    """More than ten layers stay in order when one is put in front, in evaluation too."""
    layers = nn.ModuleList(nn.Linear(1, n) for n in range(1, 13)).eval()
    layers.insert(0, nn.Linear(1, 99))
    assert [layer.out_features for layer in layers] == [99, *range(1, 13)]
    assert [name for name, _ in layers.named_children()] == [str(n) for n in range(13)]
    assert not layers.training


@pytest.mark.parametrize("index", [2, -3])
def test_module_list_outside(index):
    """An index outside is refused, on reading and on assigning."""
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    words = f"ModuleList: index {index} is outside a list of 2"
    with pytest.raises(AxisError, match=words):
        layers[index]
    with pytest.raises(AxisError, match=words):
        layers[index] = nn.ReLU()


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.append(1),
        lambda layers: layers.insert(0, nn.ReLU),
        lambda layers: layers.extend([nn.ReLU(), abs]),
        lambda layers: nn.ModuleList([None]),
    ],
)
def test_module_list_refuses(change):
    """What is no module is refused, and the list stays as it was."""
    layers = nn.ModuleList([nn.ReLU()])
    with pytest.raises(ArgumentError, match=r"ModuleList: got .*, expected modules"):
        change(layers)
    assert len(layers) == 1


def test_module_list_is_not_called():
    """It has no forward of its own."""
    with pytest.raises(NotImplementedError, match=r"ModuleList has no forward\(\)"):
        nn.ModuleList()(1)


def test_a_parameter_is_not_replaced_by_a_plain_tensor():
    layer = nn.Linear(2, 1)
    with (
        no_grad(),
        pytest.raises(DtypeError, match=r"Linear.weight: a plain Tensor .* weight\[:\]"),
    ):
        layer.weight -= 0.1
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    with no_grad():
        layer.weight[:] = layer.weight - 0.1
    layer.weight = nn.Parameter(np.zeros((1, 2), np.float32))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_the_update_of_the_tutorials_in_place():
    w = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        w.grad = None
        (w * w).sum().backward()
        with no_grad():
            w[:] = w - 0.25 * w.grad
    assert w.tolist() == [0.25, 0.5]


def test_sequential_is_a_list_too():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert isinstance(model[-1], nn.ReLU)
    assert len(model.append(nn.Linear(3, 1))) == 3
    assert isinstance(model[1:], nn.Sequential)
    assert model[:1](Tensor.ones(1, 2)).shape == (1, 3)
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]
    assert list(model.children()) == list(model)
