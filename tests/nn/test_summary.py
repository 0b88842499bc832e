"""Module.summary: shapes, parameters, FLOPs and bytes, each counted by hand."""

import re

import numpy as np
import pytest

from models import FashionCNN, LeNet, MnistCNNLight
from tests.nn.tools import Stack, assert_same
from tests.tools import each
from tinygrad_np import Tensor, nn, no_grad
from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn.summary import _size


def numbers_of(text):
    """Return parameters, FLOPs and bytes by path; the model's own are under ''."""
    lines = text.splitlines()
    start, end = (i for i, line in enumerate(lines) if set(line) == {"-"})
    table = {}
    for line in lines[start + 1 : end]:
        path = "" if line.startswith(" ") else line.split()[0]
        table[path] = tuple(int(cell.replace(",", "")) for cell in line.split()[-3:])
    return table


def test_summary_has_a_line_per_layer():
    """Each layer has a line with path, class, output shape for a batch of one, and numbers."""
    lines = str(MnistCNNLight().summary((1, 28, 28))).splitlines()
    assert lines[0].split() == ["layer", "class", "output", "shape", "parameters", "FLOPs", "bytes"]
    rows = {line.split()[0]: line for line in lines}
    assert re.fullmatch(r"conv1 +Conv2d +\(1, 8, 28, 28\) +80 +119,168 +25,088", rows["conv1"])
    assert re.fullmatch(r"fc1 +Linear +\(1, 32\) +25,120 +50,208 +128", rows["fc1"])
    assert lines[-2] == "26,698 parameters: 26,698 trainable, 0 frozen; 104.3 KiB"
    assert len(set(map(len, lines[:-2]))) == 1


@each(
    ("model", "parameters", "size"),
    [(LeNet, "61,750", "241.2 KiB"), (FashionCNN, "1,630,282", "6.22 MiB")],
)
def test_totals_are_the_sums_of_the_columns(model, parameters, size):
    """The totals are the sums of the columns."""
    text = str(model().summary((1, 28, 28)))
    parameter_line, forward_line = text.splitlines()[-2:]
    assert parameter_line == f"{parameters} parameters: {parameters} trainable, 0 frozen; {size}"
    counts, flops, nbytes = map(sum, zip(*numbers_of(text).values(), strict=True))
    assert f"{counts:,}" == parameters
    assert forward_line == (
        f"forward pass of one sample: {flops:,} FLOPs; {nbytes / 1024:.1f} KiB of activations "
        "(layers' outputs)"
    )


@each(
    ("layer", "shape", "flops", "entries"),
    [
        (nn.Conv2d(3, 5, (3, 2), bias=False), (3, 7, 6), 2 * 5 * 3 * 3 * 2 * 5 * 5, 5 * 5 * 5),
        (nn.Conv2d(3, 5, (3, 2)), (3, 7, 6), 2 * 5 * 3 * 3 * 2 * 5 * 5 + 5 * 5 * 5, 5 * 5 * 5),
        (nn.Conv2d(4, 6, 1, stride=2, groups=2), (4, 5, 5), 2 * 6 * 2 * 9 + 6 * 9, 6 * 9),
        (nn.Linear(7, 3), (7,), 2 * 7 * 3 + 3, 3),
        (nn.Linear(7, 3, bias=False), (4, 7), 4 * 2 * 7 * 3, 4 * 3),
        (nn.ReLU(), (2, 3), 6, 6),
        (nn.MaxPool2d(2), (3, 6, 4), 3 * 6 * 4, 3 * 3 * 2),
        (nn.Flatten(), (2, 3), 0, 0),
        (nn.Identity(), (2, 3), 0, 0),
        (nn.Dropout(0.5), (2, 3), 0, 0),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
@each("dtype", [np.float32, np.float64])
def test_flops_and_bytes_match_hand_counts(layer, shape, flops, entries, dtype):
    """Each product and each sum is one FLOP; views and returned inputs take no memory."""
    text = str(layer.astype(dtype).summary(shape, dtype=dtype))
    assert numbers_of(text)[""][1:] == (flops, entries * np.dtype(dtype).itemsize)


def test_container_excludes_its_children():
    """A container counts its own ops and outputs, not those of modules inside it."""

    class Residual(nn.Module):
        def __init__(self):
            self.body = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))

        def forward(self, x):
            return self.body(x) + x

    assert numbers_of(str(nn.Sequential(Residual()).summary((4,)))) == {
        "": (0, 0, 0),
        "0": (0, 4, 16),
        "0.body": (0, 0, 0),
        "0.body.0": (40, 72, 32),
        "0.body.1": (36, 68, 16),
    }


def test_calls_of_a_shared_layer_add_up():
    """A layer with two names and three calls has one line; its parameters count once."""

    class Shared(nn.Module):
        """Calls one layer under two names and through a module that does not hold it."""

        def __init__(self):
            self.first = self.second = nn.Linear(2, 2)
            self.borrower = Borrower(self.first)

        def forward(self, x):
            return self.borrower(self.second(self.first(x)))

    class Borrower(nn.Module):
        """A module that calls layers held elsewhere and one that no module holds."""

        def __init__(self, layer):
            self.layer = lambda x: nn.ReLU()(layer(x))

        def forward(self, x):
            return self.layer(x)

    assert numbers_of(str(Shared().summary((2,)))) == {
        "": (0, 0, 0),
        "first": (6, 3 * 10, 3 * 8),
        "borrower": (0, 2, 8),
    }


def test_frozen_parameters_are_counted_apart_and_shared_ones_once():
    """Frozen parameters are counted separately, shared ones once; uncalled layers are marked."""
    model = Stack(2)
    model.layers[0].weight.requires_grad = False
    model.layers[1].weight = model.layers[0].weight
    model.spare = nn.ReLU()
    lines = str(model.summary((2,))).splitlines()
    assert lines[-2] == "8 parameters: 4 trainable, 4 frozen; 32 bytes"
    assert [line.split()[-3:] for line in lines[4:6]] == [["6", "10", "8"], ["2", "10", "8"]]
    assert re.fullmatch(r"spare +ReLU +not called +0 +0 +0", lines[6])
    assert re.search(r"layers +ModuleList +not called +0 +0 +0", lines[3])


def test_summary_shows_all_outputs_and_all_calls():
    """Tuples of outputs are shown in full, and different shapes of several calls side by side."""

    class Twice(nn.Module):
        def __init__(self):
            self.flat, self.cell = nn.Flatten(0), nn.LSTMCell(4, 2)

        def forward(self, x):
            self.flat(self.flat(x)[:2])
            return self.cell(x), "text"

    text = str(Twice().summary((4,)))
    lines = text.splitlines()
    assert "((1, 2), (1, 2))" in lines[4]
    assert "(4,) (2,)" in lines[3]
    assert "(((1, 2), (1, 2)), str)" in lines[2]
    assert numbers_of(text)["cell"][2] == 2 * 2 * 4
    assert numbers_of(text)[""][2] == 0


def test_summary_leaves_the_model_unchanged():
    """Modes, running statistics, hooks and generators are unchanged."""
    generator = np.random.default_rng(0)
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5, generator=generator), nn.Flatten())
    list(model)[1].eval()
    before, state = model.state_dict(), generator.bit_generator.state
    model.summary((1, 2, 2))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert_same(model.state_dict(), before)
    assert generator.bit_generator.state == state
    assert not any(module._forward_hooks for module in model.modules())


def test_failed_summary_leaves_the_model_unchanged():
    """A wrong input shape raises the layer's error and leaves no hook behind."""
    model = Stack(2)
    with pytest.raises(ValueError, match=r"layers\.0.*, got \(1, 3\)"):
        model.summary((3,))
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_summary_works_inside_a_forward_pass():
    model, told = nn.Sequential(nn.Linear(2, 2)), []

    class Outer(nn.Module):
        def __init__(self):
            self.inner = model

        def forward(self, x):
            told.append(str(self.inner.summary((2,))))
            return x

    Outer()(Tensor.ones(1, 2))
    assert told == [str(model.summary((2,)))]


def test_dtype_sets_the_dtype_of_the_input():
    """`dtype` sets the dtype of the input for models that take indices."""
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
    text = str(model.summary((5,), dtype=np.int64))
    assert "(1, 5, 2)" in text
    assert numbers_of(text)["0"] == (40, 0, 5 * 4 * 4)
    with no_grad():
        assert "(1, 5, 2)" in str(model.summary([5], dtype=np.int64))


def test_integer_as_input_shape_raises():
    with pytest.raises(
        ArgumentError, match=r"Stack.summary: expected `input_shape` to be a tuple .*, got 784\."
    ):
        Stack().summary(784)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((9, 1, 2, 2)), r"got numpy\.ndarray of shape \(9, 1, 2, 2\)\."),
        (Tensor([1.0]), r"got tinygrad_np\.Tensor of shape \(1,\)\."),
        ("text", r"got str\."),
    ],
)
def test_images_as_input_shape_are_named_by_type_and_shape(images, text):
    with pytest.raises(ArgumentError, match=text):
        Stack().summary(images)


def test_sizes_are_shown_in_bytes_kib_or_mib():
    sizes = {1023: "1023 bytes", 1024: "1.0 KiB", 2**20 - 1: "1024.0 KiB", 2**20: "1.00 MiB"}
    assert {nbytes: _size(nbytes) for nbytes in sizes} == sizes


class Heads(nn.Module):
    """A model that returns a dict of Tensors and a list."""

    def __init__(self):
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return {"logits": self.layer(x), "parts": [self.layer(x) * 2, None]}


def test_outputs_in_a_dict_are_shown_and_counted():
    """The two calls of the layer make 8 bytes each, and the product 8."""
    text = str(Heads().summary((3,)))
    assert "{logits: (1, 2), parts: ((1, 2), NoneType)}" in text
    assert numbers_of(text)[""] == (0, 2, 8)
    assert numbers_of(text)["layer"] == (8, 2 * (2 * 6 + 2), 16)


def test_model_with_several_inputs_raises():
    message = (
        r"^MultiheadAttention.summary: expected a model with one input, got forward\(query: .*, "
        r"key: .*\. Wrap it in a module that takes one input\.$"
    )
    with pytest.raises(ArgumentError, match=message):
        nn.MultiheadAttention(4, 2).summary((5, 4))
    assert "((1, 5), (1, 5))" in str(nn.LSTMCell(3, 5).summary((3,)))
