"""Layers: text, options, errors, dropout, embeddings."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError

LAYERS = [
    (nn.Flatten(), "Flatten()"),
    (nn.Flatten(0, 2), "Flatten(start_dim=0, end_dim=2)"),
    (nn.BatchNorm1d(3), "BatchNorm1d(3)"),
    (nn.BatchNorm2d(3, momentum=None), "BatchNorm2d(3, momentum=None)"),
    (
        nn.BatchNorm2d(3, 0.1, affine=False, track_running_stats=False),
        "BatchNorm2d(3, eps=0.1, affine=False, track_running_stats=False)",
    ),
    (nn.InstanceNorm2d(3), "InstanceNorm2d(3)"),
    (nn.InstanceNorm2d(3, affine=True), "InstanceNorm2d(3, affine=True)"),
    (nn.GroupNorm(2, 4), "GroupNorm(2, 4)"),
    (nn.GroupNorm(2, 4, affine=False), "GroupNorm(2, 4, affine=False)"),
    (nn.LayerNorm(3), "LayerNorm((3,))"),
    (nn.LayerNorm([3, 4], bias=False), "LayerNorm((3, 4), bias=False)"),
    (nn.LayerNorm(3, elementwise_affine=False), "LayerNorm((3,), elementwise_affine=False)"),
    (nn.RMSNorm(3, 0.1), "RMSNorm((3,), eps=0.1)"),
    (nn.Embedding(5, 3), "Embedding(5, 3)"),
    (nn.Embedding(5, 3, -1), "Embedding(5, 3, padding_idx=4)"),
    (nn.LSTMCell(4, 2, bias=False), "LSTMCell(4, 2, bias=False)"),
    (nn.MultiheadAttention(4, 2), "MultiheadAttention(\n  4, 2\n  (out_proj): Linear(4, 4)\n)"),
    (
        nn.MultiheadAttention(4, 2, 0.1, False, 3, 5, True),
        "MultiheadAttention(\n  4, 2, dropout=0.1, bias=False, kdim=3, vdim=5, batch_first=True\n"
        "  (out_proj): Linear(4, 4, bias=False)\n)",
    ),
    (nn.Dropout2d(0.25), "Dropout2d(p=0.25)"),
    (nn.Identity(), "Identity()"),
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
]


@each(("layer", "text"), LAYERS)
def test_repr(layer, text):
    """A layer shows its sizes and what is not at its default."""
    assert repr(layer) == text


@pytest.mark.slow
@each("layer", [layer for layer, _ in LAYERS])
@each("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(layer, copied):
    """A copy has equal weights of its own."""
    assert_same(copied(layer).state_dict(), layer.state_dict())


@each(
    ("make", "words"),
    [
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d num_features: got 0"),
        (lambda: nn.BatchNorm2d(2.0), "BatchNorm2d num_features: got 2.0"),
        (lambda: nn.InstanceNorm2d(-1), "InstanceNorm2d num_features: got -1"),
        (lambda: nn.GroupNorm(2, 3), "GroupNorm num_groups: got 2, expected a divisor of num_ch"),
        (lambda: nn.GroupNorm(0, 3), "GroupNorm num_groups: got 0"),
        (lambda: nn.LayerNorm(()), "LayerNorm normalized_shape: got ()"),
        (lambda: nn.LayerNorm((3, 0)), "LayerNorm normalized_shape[1]: got 0"),
        (lambda: nn.RMSNorm(2.5), "RMSNorm normalized_shape[0]: got 2.5"),
        (lambda: nn.Embedding(0, 3), "Embedding num_embeddings: got 0"),
        (lambda: nn.Embedding(5, 3, 5), "Embedding padding_idx: got 5, expected one of the 5 rows"),
        (lambda: nn.Embedding(5, 3, -6), "Embedding padding_idx: got -6"),
        (lambda: nn.LSTMCell(0, 3), "LSTMCell input_size: got 0"),
        (lambda: nn.LSTMCell(3, None), "LSTMCell hidden_size: got None"),
        (lambda: nn.MultiheadAttention(5, 2), "num_heads: got 2, expected a divisor of embed_dim"),
        (lambda: nn.MultiheadAttention(4, 2, kdim=0), "MultiheadAttention kdim: got 0"),
        (lambda: nn.MultiheadAttention(4, 2, 1.5), "MultiheadAttention dropout: got 1.5"),
        (lambda: nn.Dropout2d(-0.5), "Dropout2d p: got -0.5"),
        (lambda: nn.Linear(0, 2), "Linear in_features: got 0"),
        (lambda: nn.Linear(3, -1), "Linear out_features: got -1"),
        (lambda: nn.Linear(3.0, 2), "Linear in_features: got 3.0"),
        (lambda: nn.Conv2d(0, 1, 3), "Conv2d in_channels: got 0"),
        (lambda: nn.Conv2d(1, 0, 3), "Conv2d out_channels: got 0"),
        (lambda: nn.Conv2d(1, "8", 3), "Conv2d out_channels: got '8'"),
        (lambda: nn.Conv2d(1, 1, 0), "Conv2d kernel_size: expected"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), "Conv2d kernel_size: expected"),
        (lambda: nn.Conv2d(1, 1, (3, 2.5)), "Conv2d kernel_size: expected"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "Conv2d stride: expected"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d padding: expected"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=0), "Conv2d dilation: expected"),
        (lambda: nn.Conv2d(1, 1, 3, groups=0), "Conv2d groups: got 0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d groups: got 2, expected a divisor of in_ch"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "Conv2d groups: got 2, expected a divisor of in_ch"),
        (lambda: nn.Conv1d(1, 1, (3, 3)), "Conv1d kernel_size: expected"),
        (lambda: nn.Conv2d(1, 1, 3, 2, "same"), "Conv2d padding: expected"),
        (lambda: nn.Conv2d(1, 1, 3, padding="valid"), "Conv2d padding: expected"),
        (lambda: nn.Conv2d(1, 1, 3, data_format="CHWN"), "Conv2d data_format: got 'CHWN', expecte"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"), "ConvTranspose2d padding: expected"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=-1), "2d output_padding: expected"),
        (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d dilation: expected"),
        (lambda: nn.MaxPool2d(2, data_format=None), "MaxPool2d data_format: got None"),
        (lambda: nn.AvgPool2d(0), "AvgPool2d kernel_size: expected"),
        (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: expected `output_size`"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), "AdaptiveAvgPool2d output_size: got (1, 2, 3)"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d kernel_size: expected"),
        (lambda: nn.MaxPool2d(2, 0), "MaxPool2d stride: expected"),
        (lambda: nn.MaxPool2d(2, padding=-1), "MaxPool2d padding: expected"),
        (lambda: nn.Dropout(1.1), "Dropout p: got 1.1, expected a probability from 0 to 1"),
        (lambda: nn.Dropout(-0.1), "Dropout p: got -0.1, expected a probability from 0 to 1"),
        (lambda: nn.Dropout(math.nan), "Dropout p: got nan, expected a probability from 0 to 1"),
    ],
)
def test_arguments_are_checked(make, words):
    """A layer refuses at once what it could not run with: its name, the argument, the value."""
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()


X = Tensor.ones(3, 2, 4)
MHA = nn.MultiheadAttention(4, 2)
BATCH_FIRST = nn.MultiheadAttention(4, 2, kdim=3, batch_first=True)


@each(
    ("layer", "shapes", "words"),
    [
        (nn.BatchNorm1d(3), [(1, 3)], "one value a channel"),
        (nn.BatchNorm1d(3), [(2, 4)], "BatchNorm1d: got input (2, 4), expected (N, C) or (N, C"),
        (nn.InstanceNorm2d(3), [(2, 4, 2, 2)], "got input (2, 4, 2, 2), expected (N, C, H, W)"),
        (nn.LayerNorm((2, 3)), [(3,)], "LayerNorm: got input (3,), expected (..., 2, 3)"),
        (nn.Dropout2d(), [(2, 3)], "Dropout2d: got input (2, 3)"),
        (nn.LSTMCell(4, 2), [(2, 3)], "LSTMCell: got input (2, 3), expected (N, 4)"),
        (MHA, [(2, 3, 5), (2, 3, 4), (2, 3, 4)], "got query (2, 3, 5), key (2, 3, 4), value ("),
        (MHA, [(2, 3, 4), (5, 2, 4), (5, 2, 4)], "got query (2, 3, 4), key (5, 2, 4)"),
        (
            BATCH_FIRST,
            [(2, 3, 4), (2, 3, 3), (2, 5, 4)],
            "expected (N, L, 4) and twice the like with S for L, last 3 and 4",
        ),
        (nn.Linear(3, 2), [(5, 4)], "got input (5, 4) and weight (2, 3)"),
        (nn.Linear(3, 2), [(5, 1, 1, 3, 1)], "Try .flatten(1) for a batch of images"),
        (nn.Conv2d(3, 2, 3), [(5, 4, 8, 8)], "expected input with 3 channels"),
        (nn.Conv2d(1, 2, 3), [(8, 8)], "Add a batch axis to a single image"),
        (nn.Conv2d(1, 2, 3), [(5, 1, 2, 8)], "(1, 1) for an image of (2, 8)"),
        (nn.MaxPool2d(3), [(5, 1, 2, 8)], "(1, 1) for an image of (2, 8)"),
        (nn.init.orthogonal, [(3,)], "init orthogonal: got shape (3,), expected at least two axes"),
    ],
)
def test_shapes_of_inputs_are_checked(layer, shapes, words):
    """A layer refuses an input that does not fit, with the shapes and what to try."""
    with pytest.raises(ShapeError, match=re.escape(words)):
        layer(*(Tensor.ones(*shape) for shape in shapes))


@each(
    ("call", "error", "words"),
    [
        (
            lambda: nn.Embedding(5, 3)(np.array([[0, 1], [7, 2]])),
            AxisError,
            "Embedding: index 7 at position (1, 0) is outside the 5 rows, 0..4",
        ),
        (lambda: nn.Embedding(5, 3)(Tensor(-1)), AxisError, "Embedding: index -1 at position ()"),
        (lambda: nn.Embedding(5, 3)(Tensor(1.0)), DtypeError, "indices of dtype float32"),
        (lambda: nn.Embedding(5, 3)(Tensor(True)), DtypeError, "indices of dtype bool"),
        (
            lambda: nn.LSTMCell(4, 2)(X[0], (Tensor.ones(2, 2), Tensor.ones(3, 2))),
            ShapeError,
            "LSTMCell: got state (2, 2), (3, 2) with input (2, 4), expected (2, 2) twice",
        ),
        (
            lambda: MHA(X, X, X, attn_mask=np.ones((2, 2), bool)),
            ShapeError,
            "attn_mask: got shape (2, 2), expected (3, 3) or (4, 3, 3)",
        ),
        (
            lambda: MHA(X, X, X, np.ones((3, 2), bool)),
            ShapeError,
            "key_padding_mask: got shape (3, 2), expected (2, 3)",
        ),
        (
            lambda: MHA(X, X, X, attn_mask=np.ones((3, 3), np.int64)),
            DtypeError,
            "attn_mask: got int64, expected bools, True where a query may not attend",
        ),
        (lambda: nn.init.calculate_gain("rleu"), ArgumentError, "got 'rleu', expected one of"),
    ],
)
def test_inputs_are_checked(call, error, words):
    """So it does with indices, states and masks."""
    with pytest.raises(error, match=re.escape(words)):
        call()


# Dropout2d.


def test_dropout2d_drops_channels():
    """Each channel is 0 throughout or scaled throughout, and so is its gradient."""
    x = Tensor(1 + rng().random((40, 30, 2, 3), np.float32), requires_grad=True)
    out = nn.Dropout2d(0.25, generator=rng(1))(x)
    out.sum().backward()
    factor = out.numpy() / x.numpy()
    np.testing.assert_allclose(x.grad.numpy(), factor, rtol=1e-6)
    first = factor[:, :, :1, :1]
    np.testing.assert_allclose(factor, np.broadcast_to(first, factor.shape), rtol=1e-6)
    dropped = (first == 0).mean()
    np.testing.assert_allclose(first[first != 0], 4 / 3, rtol=1e-6)
    assert abs(dropped - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1200)


@each("kind", [nn.Dropout, nn.Dropout2d])
def test_dropout_of_none_and_all(kind):
    """In evaluation the very tensor comes back; with p=0 its numbers; with p=1 zeros, not nan, and
    a gradient of zeros. The dtype stays, and p is 0.5 by default.
    """
    assert kind().p == 0.5
    for dtype in (np.float16, np.float32, np.float64):
        x = Tensor(rng().standard_normal((2, 3, 20, 30)).astype(dtype), requires_grad=True)
        assert kind(0.9).eval()(x) is x
        np.testing.assert_array_equal(kind(0.0)(x).data, x.data, strict=True)
        out = kind(1.0)(x)
        out.sum().backward()
        assert not out.data.any()
        assert not x.grad.data.any()
        assert out.dtype == kind()(x).dtype == dtype


# Embedding.


def test_embedding_takes_any_integers():
    """Indices of any integer dtype, 0-d too."""
    layer = nn.Embedding(5, 3, generator=rng())
    for dtype in (np.int8, np.int32, np.uint8, np.int64):
        found = layer(np.array([4, 0], dtype)).data
        np.testing.assert_array_equal(found, layer.weight.data[[4, 0]])
    assert layer(np.array(2)).shape == (3,)


def test_padding_row_is_what_it_is_set_to():
    """The padding's row begins at 0; set to something else it is looked up, without gradient."""
    layer = nn.Embedding(4, 2, padding_idx=1)
    assert layer.weight.data[1].tolist() == [0.0, 0.0]
    layer.weight.data[1] = 7.0
    out = layer(np.array([1, 2, 1]))
    assert out.data[0].tolist() == [7.0, 7.0]
    out.sum().backward()
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


# Layers.


@each(
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


@each(
    ("arguments", "shape"),
    [((), (2, 60)), ((0,), (120,)), ((2,), (2, 3, 20)), ((1, 2), (2, 12, 5))],
)
def test_flatten(arguments, shape):
    """Flatten leaves the batch axis alone unless told otherwise."""
    assert nn.Flatten(*arguments)(Tensor.ones(2, 3, 4, 5)).shape == shape


@each(
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
    of_numpy = [tuple(map(np.int64, s)) if isinstance(s, tuple) else np.int32(s) for s in sizes]
    usual, layer = make(*sizes), make(*of_numpy)
    assert repr(layer) == repr(usual)
    usual.load_state_dict(layer.state_dict())  # of the same shapes
    x = Tensor.ones(2, 4, 9, 3)
    np.testing.assert_array_equal(layer(x).data, usual(x).data)


# Dropout.


@each("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_drops_or_scales(p):
    """Each entry is 0 or divided by 1 - p, and so is its gradient; the mean over many is kept,
    within five standard errors.
    """
    x = Tensor.randn(500, 200, generator=rng())
    x.requires_grad = True
    out = nn.Dropout(p, generator=rng(4))(x)
    out.sum().backward()
    kept = out.numpy() != 0
    np.testing.assert_allclose(out.numpy(), np.where(kept, x.numpy() / (1 - p), 0), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), kept / (1 - p), rtol=1e-6)
    assert abs(kept.mean() / (1 - p) - 1) < 5 * math.sqrt(p / (1 - p) / kept.size)


def test_dropout_by_seed():
    """Generators of one seed give one mask; a second call draws another."""
    x = Tensor.ones(50, 40)
    one, same = nn.Dropout(0.5, generator=rng(3)), nn.Dropout(0.5, generator=rng(3))
    first = one(x).numpy()
    np.testing.assert_array_equal(first, same(x).numpy())
    assert (first != one(x).numpy()).any()


@each(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 5, 3), (3, 9)),
        (nn.Conv2d(3, 5, 3), (3, 8, 9)),
        (nn.ConvTranspose2d(3, 5, 3), (3, 8, 9)),
        (nn.MaxPool2d(2), (3, 8, 9)),
        (nn.MaxPool2d(2, return_indices=True), (3, 8, 9)),
        (nn.AvgPool2d(2), (3, 8, 9)),
        (nn.AdaptiveAvgPool2d(2), (3, 8, 9)),
        (nn.Conv2d(3, 5, 3, data_format="NHWC"), (8, 9, 3)),
    ],
)
def test_a_single_image_needs_no_batch_axis(layer, shape):
    x = Tensor.randn(*shape, generator=np.random.default_rng(0))
    one, batch = layer(x), layer(x.unsqueeze(0))
    pairs = zip(one, batch, strict=True) if isinstance(one, tuple) else [(one, batch)]
    for found, expected in pairs:
        np.testing.assert_array_equal(found.data, expected.data[0])


def test_dropout_drops_half_by_default():
    assert nn.Dropout().p == 0.5


@each(
    "make",
    [
        lambda size: nn.Linear(size, 1),
        lambda size: nn.Linear(1, size),
        lambda size: nn.Embedding(1, size),
        lambda size: nn.Embedding(size, 1),
        lambda size: nn.Conv1d(size, 1, 1),
        lambda size: nn.Conv2d(1, size, 1),
        lambda size: nn.Conv2d(1, 1, size),
        lambda size: nn.Conv2d(1, 1, 1, stride=size),
        lambda size: nn.Conv2d(1, 1, 1, dilation=size),
        lambda size: nn.Conv2d(1, 1, 1, groups=size),
        lambda size: nn.ConvTranspose2d(size, 1, 1),
        lambda size: nn.MaxPool2d(size),
        lambda size: nn.MaxPool2d(2, stride=size),
        lambda size: nn.MaxPool2d(2, dilation=size),
        lambda size: nn.AvgPool2d(1, size),
        nn.BatchNorm2d,
        nn.LayerNorm,
        lambda size: nn.GroupNorm(1, size),
        lambda size: nn.GroupNorm(size, 1),
        lambda size: nn.LSTMCell(size, 1),
        lambda size: nn.LSTMCell(1, size),
        lambda size: nn.MultiheadAttention(size, 1),
        lambda size: nn.MultiheadAttention(1, size),
    ],
)
def test_the_smallest_size_is_1(make):
    make(1)
    with pytest.raises(ArgumentError, match="expected an integer of at least 1"):
        make(0)


def test_an_index_just_behind_the_rows_is_outside():
    with pytest.raises(AxisError, match=r"index 3 at position .* outside the 3 rows"):
        nn.Embedding(3, 2)(Tensor([2, 3]))
