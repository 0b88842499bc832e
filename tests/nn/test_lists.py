"""Modules: hooks, lists of modules, and walks over modules that are shared."""

import copy

import numpy as np
import pytest

from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, AxisError


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
