"""Receptive fields: against the formula of stacked layers, and against gradients."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, nn
from tinygrad_np.cli.models import built_in_models
from tinygrad_np.errors import ArgumentError
from tinygrad_np.playground.fields import ReceptiveFields

pytestmark = pytest.mark.slow


def conv(kernel, stride=1, padding=0, dilation=1, channels=(1, 1)):
    return nn.Conv2d(*channels, kernel, stride=stride, padding=padding, dilation=dilation)


# Each layer: kind, kernel, stride, padding.


STACKS = [
    [("conv", 3, 1, 1), ("max", 2, 2, 0), ("conv", 3, 1, 1), ("max", 2, 2, 0)],
    [("conv", 5, 1, 0), ("avg", 2, 2, 0), ("conv", 5, 1, 2), ("max", 3, 2, 1)],
    [("conv", 7, 2, 3), ("max", 3, 2, 1), ("conv", 3, 2, 1)],
    [("conv", 4, 3, 2), ("conv", 2, 1, 0)],
]


@each("stack", STACKS)
def test_fields_match_the_formula(stack):
    """The size, jump and start of a field after each layer (Araujo et al. 2019, Distill)."""
    kinds = {"conv": nn.Conv2d, "max": nn.MaxPool2d, "avg": nn.AvgPool2d}
    layers = [
        kinds[kind](*(1, 1)[: 2 * (kind == "conv")], kernel, stride=stride, padding=padding)
        for kind, kernel, stride, padding in stack
    ]
    fields = ReceptiveFields(nn.Sequential(*layers))
    size, jump, start = 1, 1, 0
    for position, (_, kernel, stride, padding) in enumerate(stack):
        size, start, jump = (
            size + (kernel - 1) * jump,
            start - padding * jump,
            jump * stride,
        )
        layer = fields.layers[1 + position]
        cells = {(0, 0), (layer.height - 1, 1), (layer.height // 2, layer.width // 2)}
        for row, column in cells:
            found = fields.find(layer.name, row, column)
            expected = np.zeros((28, 28), bool)
            top, left = start + row * jump, start + column * jump
            expected[max(0, top) : top + size, max(0, left) : left + size] = True
            np.testing.assert_array_equal(found.cone[0], expected)
            assert found.jump == (jump, jump)


def test_a_dilated_kernel_leaves_gaps():
    field = ReceptiveFields(nn.Sequential(conv((2, 3), dilation=(4, 2)))).find("0", 1, 5)
    rows, columns = np.nonzero(field.cone[0])
    assert {*zip(rows.tolist(), columns.tolist(), strict=True)} == {
        (row, column) for row in (1, 5) for column in (5, 7, 9)
    }


def test_cone_contains_only_cells_that_are_read():
    """Cell 11 reads no pixel that cell 12 or 14 does not, but the dilated kernel skips it."""
    field = ReceptiveFields(nn.Sequential(conv((1, 3)), conv((1, 3), dilation=2))).find("1", 0, 10)
    assert np.flatnonzero(field.cone[1][0]).tolist() == [10, 12, 14]
    assert np.flatnonzero(field.cone[0][0]).tolist() == list(range(10, 17))
    assert np.argwhere(field.cone[2]).tolist() == [[0, 10]]


class Residual(nn.Module):
    """The input plus two convolutions, one of them with stride 2, dilation 2 and groups."""

    def __init__(self):
        generator = rng(1)
        self.conv1 = nn.Conv2d(1, 4, 3, stride=2, padding=1, generator=generator)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, generator=generator)
        self.around = nn.Conv2d(1, 4, 1, stride=2, generator=generator)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        inner = self.conv2(self.conv1(x).relu())
        return self.pool(inner + self.around(x)).relu()


@pytest.mark.parametrize("cell", [(0, 0), (3, 2), (6, 6)])
def test_fields_match_gradients(cell):
    """A pixel is in the field if the gradient of the cell is not 0 there for some image."""
    fields = ReceptiveFields(model := Residual())
    kept = []
    model.pool.register_forward_hook(lambda module, inputs, out: kept.append(out))
    x = Tensor(rng().random((64, 1, 28, 28), np.float32), requires_grad=True)
    model(x)
    kept[0][:, :, cell[0], cell[1]].sum().backward()
    expected = (x.grad.data != 0).any(axis=(0, 1))
    np.testing.assert_array_equal(fields.find("pool", *cell).cone[0], expected)


def test_fields_of_the_resnet_match_gradients():
    model = built_in_models()["ResNet"](generator=rng()).eval()
    x = Tensor(rng().random((32, 1, 28, 28), np.float32), requires_grad=True)
    kept = []
    handle = model.blocks.register_forward_hook(lambda module, inputs, out: kept.append(out))
    model(x)
    handle.remove()
    kept[0][:, :, 1, 5].sum().backward()
    expected = (x.grad.data != 0).any(axis=(0, 1))
    field = ReceptiveFields(model).find("blocks.2", 1, 5)
    np.testing.assert_array_equal(field.cone[0], expected)


ACTIVATIONS = [
    kind
    for kind in vars(nn).values()
    if isinstance(kind, type) and issubclass(kind, nn.Activation) and kind is not nn.Activation
]


def test_activations_are_found():
    assert {nn.ReLU, nn.GELU, nn.Softplus, nn.Softmax} < set(ACTIVATIONS)


@each("kind", [nn.BatchNorm2d, nn.Dropout, *ACTIVATIONS], ids=lambda kind: kind.__name__)
def test_layers_that_work_cell_by_cell_change_no_field(kind):
    # Of two channels, or over the channels.
    first = {nn.BatchNorm2d: [2], nn.Softmax: [1], nn.Softmin: [1], nn.LogSoftmax: [1]}
    layer = kind(*first.get(kind, []))
    fields = ReceptiveFields(nn.Sequential(conv(3, channels=(1, 2)), layer, nn.MaxPool2d(2)))
    assert [one.name for one in fields.layers] == ["input", "0", "2"]
    assert fields.find("2", 4, 4).cone[0].sum() == 16


def test_a_norm_over_the_image_reads_every_pixel():
    model = nn.Sequential(conv(3, channels=(1, 2)), nn.GroupNorm(1, 2), nn.MaxPool2d(2))
    field = ReceptiveFields(model).find("1", 0, 0)
    assert field.cone[0].all()
    assert field.cone[1].all()
    assert field.jump == (0, 0)


class Repeated(nn.Module):
    """The same layer, called twice."""

    def __init__(self):
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        return self.pool(self.pool(x))


def test_later_calls_of_a_layer_are_named():
    fields = ReceptiveFields(Repeated())
    assert [one.name for one in fields.layers] == ["input", "pool", "pool (call 2)"]
    assert [int(fields.find(name, 1, 1).cone[0].sum()) for name in ("pool", "pool (call 2)")] == [
        4,
        16,
    ]


def test_a_model_runs_on_the_first_size_that_it_accepts():
    small = nn.Sequential(conv(3), nn.Flatten(), nn.Linear(36, 10))
    assert ReceptiveFields(small).layers[0].height == 8
    assert ReceptiveFields(nn.Sequential(conv(3))).layers[0].height == 28


def test_the_model_is_in_evaluation_mode_and_keeps_no_hook():
    model = nn.Sequential(conv(3), nn.BatchNorm2d(1))
    mean = model[1].running_mean.data.copy()
    ReceptiveFields(model).find("0", 0, 0)
    assert not model.training
    assert not any(module._forward_hooks for module in model.modules())
    np.testing.assert_array_equal(model[1].running_mean.data, mean)


def test_threads_get_the_same_fields():
    fields = ReceptiveFields(nn.Sequential(conv(3), nn.MaxPool2d(2), conv(3)))
    cells = [(row, column) for row in range(2) for column in range(2)] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda cell: fields.find("2", *cell), cells))
    for (row, column), field in zip(cells, found, strict=True):
        expected = np.zeros((28, 28), bool)
        expected[2 * row : 2 * row + 8, 2 * column : 2 * column + 8] = True
        np.testing.assert_array_equal(field.cone[0], expected)


class Refuses(nn.Module):
    """A model that fails for nan."""

    def __init__(self):
        self.conv = conv(3)

    def forward(self, x):
        if np.isnan(x.data).any():
            raise ValueError("nan in the input")
        return self.conv(x)


class Branches(nn.Module):
    """A model that skips a layer for nan."""

    def __init__(self):
        self.conv = conv(3)

    def forward(self, x):
        return x if np.isnan(x.data).any() else self.conv(x)


@each(
    ("model", "place", "words"),
    [
        (
            nn.Sequential(conv(3)),
            ("1", 0, 0),
            "Sequential: expected `layer` to be one of 0, got '1'",
        ),
        (nn.Sequential(conv(3)), ("input", 0, 0), "got 'input'"),
        (
            nn.Sequential(conv(3)),
            ("0", 26, 0),
            "expected `row` to be an integer from 0 to 25 for the 26x26 cells of '0', got 26",
        ),
        (nn.Sequential(conv(3)), ("0", 0, -1), "expected `column` to be an integer from 0 to 25"),
        (nn.Sequential(conv(3)), ("0", True, 0), "expected `row`"),
        (
            Refuses(),
            ("conv", 0, 0),
            "runs on images with nan, got one that fails. The error is Val",
        ),
        (Branches(), ("conv", 0, 0), "expected a model that calls the same layers for every image"),
    ],
)
def test_places_outside_the_model_are_refused(model, place, words):
    with pytest.raises(ArgumentError) as caught:
        ReceptiveFields(model).find(*place)
    assert words in str(caught.value)


@each(
    ("model", "words"),
    [
        (nn.Sequential(nn.Linear(2, 3)), "Net: expected a model for images of shape (1, 28, 28)"),
        (nn.Sequential(nn.Flatten()), "Net: expected a layer that returns feature maps"),
    ],
)
def test_models_without_maps_are_refused(model, words):
    with pytest.raises(ArgumentError) as caught:
        ReceptiveFields(model, "Net")
    assert words in str(caught.value)
