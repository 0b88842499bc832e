"""Modules: what they hold and by which names; layers, initial weights, randomness."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

import tinygrad_np
from models import DigitsCNN, LabCNN, MnistCNN, MnistCNNLight
from tinygrad_np import Tensor, data, nn, no_grad
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError


def rng(seed=0):
    """Return a generator."""
    return np.random.default_rng(seed)


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
    """Listing parameters tells each its path, which errors and pictures use."""
    block = Block()
    assert block.inner.weight.name == ""
    list(block.parameters())
    assert block.inner.weight.name == "inner.weight"


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


@pytest.mark.parametrize(
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


# Layers.


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (nn.Linear(3, 2), {"weight": (2, 3), "bias": (2,)}),
        (nn.Linear(3, 2, bias=False), {"weight": (2, 3)}),
        (nn.Conv2d(4, 6, (3, 5)), {"weight": (6, 4, 3, 5), "bias": (6,)}),
        (nn.Conv2d(4, 6, 3, groups=2, bias=False), {"weight": (6, 2, 3, 3)}),
        (nn.Conv1d(4, 6, 5), {"weight": (6, 4, 5), "bias": (6,)}),
        (nn.Conv3d(4, 6, (1, 2, 3)), {"weight": (6, 4, 1, 2, 3), "bias": (6,)}),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), {"weight": (4, 3, 3, 3), "bias": (6,)}),
        (nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout()), {}),
    ],
    ids=[
        "Linear",
        "Linear-no-bias",
        "Conv2d",
        "Conv2d-groups",
        "Conv1d",
        "Conv3d",
        "ConvTranspose2d",
        "without",
    ],
)
def test_layout(layer, shapes):
    """Parameters are float32, with PyTorch's names and layouts."""
    state = layer.state_dict()
    assert {name: array.shape for name, array in state.items()} == shapes
    assert all(array.dtype == np.float32 for array in state.values())


def test_linear():
    """Linear is x @ weight.T + bias over the last axis."""
    layer = nn.Linear(3, 2)
    x = rng().standard_normal((4, 5, 3)).astype(np.float32)  # ..., in
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"kernel_size": 3}, (2, 6, 6, 8)),
        ({"kernel_size": 3, "padding": 1}, (2, 6, 8, 10)),
        ({"kernel_size": (1, 3), "stride": (2, 1)}, (2, 6, 4, 8)),
        ({"kernel_size": 3, "dilation": 2, "groups": 2}, (2, 6, 4, 6)),
    ],
)
def test_conv2d_options(options, shape):
    """Conv2d hands its options on to the op."""
    layer = nn.Conv2d(4, 6, **options)
    x = Tensor.randn(2, 4, 8, 10, generator=rng())
    options = {name: value for name, value in options.items() if name != "kernel_size"}
    expected = x.conv2d(layer.weight, layer.bias, **options)
    assert expected.shape == shape
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [((2,), (1, 2, 4, 5)), ((3, 1), (1, 2, 6, 8)), ((3, 2, 1), (1, 2, 4, 5))],
)
def test_max_pool2d_options(arguments, shape):
    """The stride of MaxPool2d is the window unless given."""
    x = Tensor.randn(1, 2, 8, 10, generator=rng())
    out = nn.MaxPool2d(*arguments)(x)
    assert out.shape == shape
    expected = x.max_pool2d(*arguments[:2], padding=arguments[2] if arguments[2:] else 0)
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (
            nn.Conv1d(4, 6, 3, padding="same", groups=2, generator=rng()),
            lambda x, *w: x.conv2d(*w, padding=1, groups=2),
        ),
        (
            nn.Conv2d(4, 6, (2, 3), padding="same", dilation=2, generator=rng()),
            lambda x, *w: x.conv2d(*w, padding=(2, 2, 1, 1), dilation=2),
        ),
        (
            nn.Conv2d(4, 6, 3, padding=(1, 2, 0, 1), generator=rng()),
            lambda x, *w: x.pad((1, 2, 0, 1)).conv2d(*w),
        ),
        (
            nn.Conv3d(4, 2, (1, 2, 3), stride=(1, 2, 1), generator=rng()),
            lambda x, *w: x.conv2d(*w, stride=(1, 2, 1)),
        ),
        (
            nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, dilation=(2, 1), generator=rng()),
            lambda x, *w: x.conv_transpose2d(
                *w, stride=2, padding=1, output_padding=1, groups=2, dilation=(2, 1)
            ),
        ),
        (nn.MaxPool2d(3, 1, 1, 2), lambda x: x.max_pool2d(3, 1, 2, 1)),
        (nn.MaxPool2d(3, 2, ceil_mode=True), lambda x: x.max_pool2d(3, 2, ceil_mode=True)),
        (
            nn.AvgPool2d(3, 2, 1, True, False),
            lambda x: x.avg_pool2d(3, 2, 1, 1, True, False),
        ),
        (nn.AdaptiveAvgPool2d((None, 3)), lambda x: x.adaptive_avg_pool2d((None, 3))),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_layers_of_images(layer, expected):
    """Layers hand their options on to the ops, in either order of the axes, with gradients."""
    rank = getattr(layer, "rank", 2)
    x = Tensor.randn(2, 4, *(7, 6, 5)[:rank], generator=rng())
    wanted = expected(x, *layer.parameters())
    np.testing.assert_allclose(layer(x).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    layer.data_format = "NHWC"
    last = Tensor(np.moveaxis(x.numpy(), 1, -1), requires_grad=True)
    out = layer(last)
    np.testing.assert_array_equal(np.moveaxis(out.data, -1, 1), layer_first(layer, x))
    out.sum().backward()
    assert last.grad.shape == last.shape


def layer_first(layer, x):
    """Return what a layer makes of channels first."""
    layer.data_format = "NCHW"
    return layer(x).numpy()


def test_max_pool2d_with_indices():
    """MaxPool2d returns where the maxima were, which is enough to put them back."""
    x = Tensor.randn(2, 3, 4, 6, generator=rng())
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    whole = values.max_unpool2d(indices)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(whole.max_pool2d(2).numpy(), np.maximum(values.numpy(), 0))
    last = Tensor(np.moveaxis(x.numpy(), 1, -1))
    found = nn.MaxPool2d(2, return_indices=True, data_format="NHWC")(last)
    for array, expected in zip(found, (values, indices), strict=True):
        np.testing.assert_array_equal(np.moveaxis(array.numpy(), -1, 1), expected.numpy())


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [((), (2, 60)), ((0,), (120,)), ((2,), (2, 3, 20)), ((1, 2), (2, 12, 5))],
)
def test_flatten(arguments, shape):
    """Flatten leaves the batch axis alone unless told otherwise."""
    assert nn.Flatten(*arguments)(Tensor.ones(2, 3, 4, 5)).shape == shape


def test_relu():
    """ReLU is max(x, 0)."""
    assert nn.ReLU()(Tensor([-1.0, 0.0, 2.0])).tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(0, 2), "Linear in_features: got 0"),
        (lambda: nn.Linear(3, -1), "Linear out_features: got -1"),
        (lambda: nn.Linear(3.0, 2), "Linear in_features: got 3.0"),
        (lambda: nn.Conv2d(0, 1, 3), "Conv2d in_channels: got 0"),
        (lambda: nn.Conv2d(1, 0, 3), "Conv2d out_channels: got 0"),
        (lambda: nn.Conv2d(1, "8", 3), "Conv2d out_channels: got '8'"),
        (lambda: nn.Conv2d(1, 1, 0), "Conv2d kernel_size: got 0"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), "Conv2d kernel_size: got (3, 3, 3)"),
        (lambda: nn.Conv2d(1, 1, (3, 2.5)), "Conv2d kernel_size: got (3, 2.5)"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "Conv2d stride: got 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d padding: got -1"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=0), "Conv2d dilation: got 0"),
        (lambda: nn.Conv2d(1, 1, 3, groups=0), "Conv2d groups: got 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d groups: got 2, expected a divisor of in_ch"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "Conv2d groups: got 2, expected a divisor of in_ch"),
        (lambda: nn.Conv1d(1, 1, (3, 3)), "Conv1d kernel_size: got (3, 3)"),
        (
            lambda: nn.Conv2d(1, 1, 3, 2, "same"),
            "Conv2d padding: got 'same' with stride (2, 2), expected numbers, or 'same' with str",
        ),
        (lambda: nn.Conv2d(1, 1, 3, padding="valid"), "Conv2d padding: got 'valid'"),
        (
            lambda: nn.Conv2d(1, 1, 3, data_format="CHWN"),
            "Conv2d data_format: got 'CHWN', expected NCHW or NHWC",
        ),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"), "ConvTranspose2d padding: got 'sam"),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=-1),
            "ConvTranspose2d output_padding: got -1",
        ),
        (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d dilation: got 0"),
        (lambda: nn.MaxPool2d(2, data_format=None), "MaxPool2d data_format: got None"),
        (lambda: nn.AvgPool2d(0), "AvgPool2d kernel_size: got 0"),
        (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d output_size: got 0"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d output_size: got (1, 2, 3)"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d kernel_size: got 0"),
        (lambda: nn.MaxPool2d(2, 0), "MaxPool2d stride: got 0"),
        (lambda: nn.MaxPool2d(2, padding=-1), "MaxPool2d padding: got -1"),
        (lambda: nn.Dropout(1.1), "Dropout p: got 1.1, expected a probability from 0 to 1"),
        (lambda: nn.Dropout(-0.1), "Dropout p: got -0.1, expected a probability from 0 to 1"),
        (lambda: nn.Dropout(math.nan), "Dropout p: got nan, expected a probability from 0 to 1"),
    ],
)
def test_arguments_are_checked(make, words):
    """A layer refuses at once what it could not run with: its name, the argument, the value."""
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (nn.Linear, (3, 2)),
        (nn.Conv2d, (4, 6, 3, 2, 1, 1, 2)),
        (nn.Conv2d, (4, 6, (5, 3), (2, 1), (1, 0))),
        (nn.MaxPool2d, (3, 2, 1)),
        (nn.MaxPool2d, ((3, 2),)),
    ],
)
def test_sizes_of_numpys_kinds(make, sizes):
    """NumPy integers are sizes too, alone or in a tuple."""

    def of_numpy(size):
        return tuple(map(np.int64, size)) if isinstance(size, tuple) else np.int32(size)

    usual, layer = make(*sizes), make(*map(of_numpy, sizes))
    assert repr(layer) == repr(usual)
    shapes = {name: array.shape for name, array in usual.state_dict().items()}
    assert {name: array.shape for name, array in layer.state_dict().items()} == shapes
    x = Tensor.ones(2, 4, 9, 3)
    assert layer(x).shape == usual(x).shape


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.Linear(3, 2), (5, 4), "got input (5, 4) and weight (2, 3)"),
        (nn.Linear(3, 2), (5, 1, 1, 3, 1), "flatten images first"),
        (nn.Conv2d(3, 2, 3), (5, 4, 8, 8), "got input (5, 4, 8, 8) with 4 channels"),
        (nn.Conv2d(1, 2, 3), (8, 8), "a single image needs a batch axis"),
        (nn.Conv2d(1, 2, 3), (5, 1, 2, 8), "does not fit into an image of (2, 8)"),
        (nn.MaxPool2d(3), (5, 1, 2, 8), "does not fit into an image of (2, 8)"),
    ],
)
def test_inputs_are_checked(layer, shape, words):
    """A layer refuses an input that does not fit, with the shapes and what to try."""
    with pytest.raises(ShapeError, match=re.escape(words)):
        layer(Tensor.ones(*shape))


# The models.

MODELS = {MnistCNN: 421_642, MnistCNNLight: 26_698, LabCNN: 402_986, DigitsCNN: 1_370}
TWO_CONV = ["conv1", "conv2", "fc1", "fc2"]
LAYERS = {
    MnistCNN: TWO_CONV,
    MnistCNNLight: TWO_CONV,
    LabCNN: ["conv", "fc1", "fc2"],
    DigitsCNN: ["conv", "fc"],
}
EACH_MODEL = pytest.mark.parametrize("model", list(MODELS), ids=lambda model: model.__name__)


@EACH_MODEL
def test_number_of_parameters(model):
    """Each model has as many parameters as its docstring says."""
    assert sum(parameter.numel() for parameter in model().parameters()) == MODELS[model]


def test_number_of_parameters_of_the_wide_lab_cnn():
    """LabCNN's wider form has twice the features to flatten."""
    expected = 32 * 10 + 32 * 14 * 14 * 128 + 128 + 1290
    assert sum(p.numel() for p in LabCNN(channels=32).parameters()) == expected


@EACH_MODEL
def test_names_of_parameters(model):
    """Parameters are named, and listed, as by a PyTorch model with the same attributes."""
    expected = [f"{layer}.{kind}" for layer in LAYERS[model] for kind in ("weight", "bias")]
    assert names(model()) == list(model().state_dict()) == expected


@EACH_MODEL
def test_logits(model):
    """Each model gives ten float32 logits an image."""
    side = 8 if model is DigitsCNN else 28
    out = model()(Tensor.ones(2, 1, side, side))
    assert out.shape == (2, 10)
    assert out.dtype == np.float32


@EACH_MODEL
def test_weights_follow_from_the_generator(model):
    """One seed gives the same weights, bit for bit; another seed others."""
    one, same, other = (model(rng(seed)).state_dict() for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], strict=True)
    assert any((array != other[name]).any() for name, array in one.items())


def test_digits_cnn_starts_after_he():
    """DigitsCNN's biases are 0 and its weights have the variance 2 / fan_in."""
    state = DigitsCNN(rng()).state_dict()
    assert not state["conv.bias"].any()
    assert not state["fc.bias"].any()
    assert state["fc.weight"].std() == pytest.approx(math.sqrt(2 / 128), rel=0.1)


# Dropout.


def test_dropout_in_evaluation():
    """In evaluation dropout is the identity: the very tensor comes back."""
    x = Tensor.randn(20, 30, generator=rng())
    assert nn.Dropout(0.9).eval()(x) is x


def test_dropout_zero():
    """With p=0 nothing is dropped."""
    x = Tensor.randn(20, 30, generator=rng())
    np.testing.assert_array_equal(nn.Dropout(0.0)(x).numpy(), x.numpy())


def test_dropout_one():
    """With p=1 all is dropped: zeros, not nan, and a gradient of zeros."""
    x = Tensor.ones(20, 30)
    x.requires_grad = True
    out = nn.Dropout(1.0)(x)
    out.sum().backward()
    assert not out.numpy().any()
    assert not x.grad.numpy().any()


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_drops_or_scales(p):
    """Each entry is 0 or divided by 1 - p, and so is its gradient."""
    x = Tensor.randn(50, 40, generator=rng())
    x.requires_grad = True
    out = nn.Dropout(p, generator=rng())(x)
    out.sum().backward()
    kept = out.numpy() != 0
    np.testing.assert_allclose(out.numpy(), np.where(kept, x.numpy() / (1 - p), 0), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), kept / (1 - p), rtol=1e-6)


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_keeps_the_mean(p):
    """The mean over many entries is kept, within five standard errors."""
    count = 100_000
    out = nn.Dropout(p, generator=rng(4))(Tensor.ones(count)).numpy()
    assert abs(out.mean() - 1) < 5 * math.sqrt(p / (1 - p) / count)


def test_dropout_by_seed():
    """Generators of one seed give one mask; a second call draws another."""
    x = Tensor.ones(50, 40)
    one, same = nn.Dropout(0.5, generator=rng(3)), nn.Dropout(0.5, generator=rng(3))
    first = one(x).numpy()
    np.testing.assert_array_equal(first, same(x).numpy())
    assert (first != one(x).numpy()).any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dropout_keeps_the_dtype(dtype):
    """Dropout gives the dtype that it is given."""
    assert nn.Dropout(0.5)(Tensor(np.ones(4, dtype))).dtype == dtype


# Initial weights.

LINEAR, CONV = (300, 200), (64, 32, 3, 3)
FANS = {LINEAR: (200, 300), CONV: (32 * 9, 64 * 9)}
EACH_SHAPE = pytest.mark.parametrize("shape", [LINEAR, CONV], ids=["linear", "conv"])
GAINS = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2)}
EACH_GAIN = pytest.mark.parametrize("nonlinearity", list(GAINS))


def is_normal(array, mean, std):
    """Assert moments, and tails, of normal numbers, within five standard errors."""
    count = array.size
    values = (array.astype(np.float64) - mean) / std
    assert abs(values.mean()) < 5 / math.sqrt(count)
    assert abs(values.var() - 1) < 5 * math.sqrt(2 / count)
    assert abs(np.mean(np.abs(values) > 1) - 0.3173) < 5 * math.sqrt(0.25 / count)
    assert np.abs(values).max() > 3


def is_uniform(array, low, high):
    """Assert bounds, that they are nearly reached, and moments within five standard errors."""
    count = array.size
    values = (array.astype(np.float64) - low) / (high - low)
    assert values.min() > -1e-6
    assert values.max() < 1 + 1e-6
    assert values.min() < 20 / count
    assert values.max() > 1 - 20 / count
    assert abs(values.mean() - 1 / 2) < 5 * math.sqrt(1 / 12 / count)
    assert abs(values.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / count)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (3.0, 0.5)])
def test_normal(mean, std):
    """Normal has the mean and deviation that are asked for."""
    is_normal(nn.init.normal(Tensor.zeros(LINEAR), mean, std, rng()).numpy(), mean, std)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 5.0)])
def test_uniform(low, high):
    """Uniform lies between the bounds that are asked for."""
    is_uniform(nn.init.uniform(Tensor.zeros(LINEAR), low, high, rng()).numpy(), low, high)


def test_zeros_and_ones():
    """zeros and ones fill with 0 and with 1."""
    assert not nn.init.zeros(Tensor.ones(2, 3)).numpy().any()
    assert nn.init.ones(Tensor.zeros(2, 3)).tolist() == [[1.0] * 3] * 2


@EACH_SHAPE
@EACH_GAIN
def test_kaiming_normal(shape, nonlinearity):
    """The variance is gain² / fan_in."""
    std = GAINS[nonlinearity] / math.sqrt(FANS[shape][0])
    weight = nn.init.kaiming_normal(Tensor.zeros(shape), nonlinearity, rng(1))
    is_normal(weight.numpy(), 0, std)


@EACH_SHAPE
@EACH_GAIN
def test_kaiming_uniform(shape, nonlinearity):
    """The variance is gain² / fan_in."""
    bound = GAINS[nonlinearity] * math.sqrt(3 / FANS[shape][0])
    weight = nn.init.kaiming_uniform(Tensor.zeros(shape), nonlinearity, rng(1))
    is_uniform(weight.numpy(), -bound, bound)


@EACH_SHAPE
@pytest.mark.parametrize("gain", [1.0, 5 / 3])
def test_xavier_normal(shape, gain):
    """The variance is 2 gain² / (fan_in + fan_out)."""
    std = gain * math.sqrt(2 / sum(FANS[shape]))
    is_normal(nn.init.xavier_normal(Tensor.zeros(shape), gain, rng(1)).numpy(), 0, std)


@EACH_SHAPE
@pytest.mark.parametrize("gain", [1.0, 5 / 3])
def test_xavier_uniform(shape, gain):
    """The variance is 2 gain² / (fan_in + fan_out)."""
    bound = gain * math.sqrt(6 / sum(FANS[shape]))
    weight = nn.init.xavier_uniform(Tensor.zeros(shape), gain, rng(1))
    is_uniform(weight.numpy(), -bound, bound)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (nn.Linear(200, 300, generator=rng()), 200),
        (nn.Conv2d(64, 96, 3, groups=2, generator=rng()), 32 * 9),
        (nn.ConvTranspose2d(96, 64, 3, groups=2, generator=rng()), 32 * 9),
    ],
    ids=["Linear", "Conv2d", "ConvTranspose2d"],
)
def test_default_weights(layer, fan_in):
    """Linear and convolutions begin within ±1 / sqrt(fan_in), weights and biases, as in PyTorch."""
    bound = 1 / math.sqrt(fan_in)
    is_uniform(layer.weight.numpy(), -bound, bound)
    assert bound / 2 < np.abs(layer.bias.numpy()).max() <= bound


RANDOM = [
    nn.init.normal,
    nn.init.uniform,
    nn.init.kaiming_normal,
    nn.init.kaiming_uniform,
    nn.init.xavier_normal,
    nn.init.xavier_uniform,
]
EACH_RANDOM = pytest.mark.parametrize("fill", RANDOM, ids=lambda fill: fill.__name__)


@EACH_RANDOM
def test_init_by_seed(fill):
    """One seed gives the same numbers, bit for bit; another seed others."""
    one, same, other = (fill(Tensor.zeros(4, 5), generator=rng(n)).tolist() for n in (1, 1, 2))
    assert one == same != other


@pytest.mark.parametrize("fill", [*RANDOM, nn.init.zeros, nn.init.ones], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_init_in_place(fill, dtype):
    """The very tensor is filled, and returned; it keeps its dtype and its requires_grad."""
    weight = nn.Parameter(np.full((4, 5), 7, dtype))
    array = weight.data
    assert fill(weight) is weight
    assert weight.data is array
    assert weight.dtype == dtype
    assert weight.requires_grad
    assert (array != 7).all()


@pytest.mark.parametrize("fill", RANDOM[2:], ids=lambda fill: fill.__name__)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_init_needs_two_axes(fill, shape):
    """A bias has no fan_in: He and Xavier refuse it."""
    with pytest.raises(ShapeError, match=re.escape(f"init: got shape {shape}, but fan_in")):
        fill(Tensor.ones(shape))


@pytest.mark.parametrize("fill", RANDOM[2:], ids=lambda fill: fill.__name__)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 2, 0, 3)])
def test_init_needs_an_entry(fill, shape):
    """Nor has a weight without entries: it is refused, with no warning of a division by 0."""
    with pytest.raises(ShapeError, match=re.escape(f"init: got shape {shape}, but fan_in")):
        fill(Tensor.ones(shape))


@pytest.mark.parametrize("fill", [*RANDOM, nn.init.zeros, nn.init.ones], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_init_refuses_integers(fill, dtype):
    """Only floats are filled: integers would round, and are left as they are."""
    tensor = Tensor(np.ones((3, 4), dtype))
    words = f"init: got a tensor of dtype {np.dtype(dtype)}, expected floats"
    with pytest.raises(DtypeError, match=words):
        fill(tensor)
    assert (tensor.numpy() == 1).all()


@pytest.mark.parametrize("fill", RANDOM[2:4], ids=lambda fill: fill.__name__)
def test_init_unknown_nonlinearity(fill):
    """An unknown nonlinearity is refused with the known ones."""
    with pytest.raises(ArgumentError, match=r"got 'rleu', expected one of linear, .*relu"):
        fill(Tensor.ones(3, 3), "rleu")


def test_init_in_a_live_graph():
    """A backward through weights that were initialised anew since its forward refuses."""
    layer = nn.Linear(3, 2)
    x = Tensor.ones(4, 3)
    x.requires_grad = True
    loss = layer(x).sum()
    nn.init.normal(layer.weight)
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


# Randomness.


def draw_everything(generator=None):
    """Use all that is random; return the numbers."""
    layers = [
        nn.Linear(3, 2, generator=generator),
        nn.Conv2d(1, 2, 3, generator=generator),
        DigitsCNN(generator),
        MnistCNNLight(generator),
    ]
    arrays = [array for layer in layers for array in layer.state_dict().values()]
    arrays += [fill(Tensor.zeros(4, 5), generator=generator).numpy() for fill in RANDOM]
    arrays.append(nn.Dropout(0.5, generator=generator)(Tensor.ones(40)).numpy())
    arrays.append(Tensor.ones(40).dropout(0.5, generator=generator).numpy())
    arrays.append(layers[-1](Tensor.ones(2, 1, 28, 28)).numpy())
    arrays.append(Tensor.rand(4, generator=generator).numpy())
    arrays.append(Tensor.randn(4, generator=generator).numpy())
    return arrays


def are_equal(some, others):
    """Return whether two lists hold the same arrays."""
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_manual_seed():
    """After one seed everything random is the same, bit for bit; after another it is not."""
    drawn = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        drawn.append(draw_everything())
    assert are_equal(drawn[0], drawn[1])
    assert not are_equal(drawn[0], drawn[2])


def test_manual_seed_draws_on():
    """Draws after one manual_seed differ from each other."""
    tinygrad_np.manual_seed(1)
    assert not are_equal(draw_everything(), draw_everything())


def test_own_generator_gives_all():
    """What is given a generator depends on nothing else."""
    drawn = []
    for seed in (1, 2):
        tinygrad_np.manual_seed(seed)
        drawn.append(draw_everything(rng(5)))
    assert are_equal(*drawn)


def test_own_generator_leaves_the_default_alone():
    """What is given a generator draws nothing from the package's."""
    tinygrad_np.manual_seed(1)
    expected = Tensor.rand(4).tolist()
    tinygrad_np.manual_seed(1)
    draw_everything(rng(5))
    list(data.DataLoader(data.digits()[1], shuffle=True, seed=0))
    assert Tensor.rand(4).tolist() == expected


def test_numpys_global_state_stays():
    """Nothing is drawn from NumPy's global random state."""
    state = np.random.get_state
    before = state()[1].tolist(), state()[2]
    draw_everything()
    assert (state()[1].tolist(), state()[2]) == before
