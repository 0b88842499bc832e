"""Layers: repr, options, errors, dropout, embeddings."""

import copy
import math
import pickle
import re

import numpy as np
import pytest

from tests.nn.tools import assert_same
from tests.tools import each, normal, rng
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
    (nn.RNNCell(4, 2, nonlinearity="relu"), "RNNCell(4, 2, nonlinearity='relu')"),
    (nn.GRUCell(4, 2), "GRUCell(4, 2)"),
    (nn.RNN(4, 2), "RNN(4, 2)"),
    (
        nn.RNN(4, 2, 2, "relu", False, True, 0.1, True),
        "RNN(4, 2, num_layers=2, bias=False, batch_first=True, dropout=0.1, bidirectional=True, "
        "nonlinearity='relu')",
    ),
    (nn.LSTM(4, 2, 3), "LSTM(4, 2, num_layers=3)"),
    (nn.GRU(4, 2, batch_first=True), "GRU(4, 2, batch_first=True)"),
    (nn.MultiheadAttention(4, 2), "MultiheadAttention(\n  4, 2\n  (out_proj): Linear(4, 4)\n)"),
    (
        nn.MultiheadAttention(4, 2, 0.1, False, 3, 5, True),
        "MultiheadAttention(\n  4, 2, dropout=0.1, bias=False, kdim=3, vdim=5, batch_first=True\n"
        "  (out_proj): Linear(4, 4, bias=False)\n)",
    ),
    (nn.PReLU(3), "PReLU(num_parameters=3)"),
    (nn.Unflatten(1, (2, 3)), "Unflatten(dim=1, unflattened_size=(2, 3))"),
    (nn.Upsample(scale_factor=2), "Upsample(scale_factor=2, mode='nearest')"),
    (
        nn.Upsample((4, 6), mode="bilinear", align_corners=True),
        "Upsample(size=(4, 6), mode='bilinear', align_corners=True)",
    ),
    (nn.ModuleDict({"a": nn.ReLU()}), "ModuleDict(\n  (a): ReLU()\n)"),
    (
        nn.ParameterList([Tensor.ones(2), Tensor.ones(3, 4)]),
        "ParameterList((2,), (3, 4))",
    ),
    (nn.Identity(54, unused=True), "Identity()"),
    (nn.Dropout(0.25, True), "Dropout(p=0.25)"),
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
    (
        nn.Conv2d(1, 8, 3, padding=1, padding_mode="reflect"),
        "Conv2d(1, 8, kernel_size=3, padding=1, padding_mode='reflect')",
    ),
    (nn.MaxPool1d(2, 1), "MaxPool1d(kernel_size=2, stride=1)"),
    (nn.AvgPool1d(2), "AvgPool1d(kernel_size=2)"),
    (nn.ConvTranspose1d(4, 2, 3, 2), "ConvTranspose1d(4, 2, kernel_size=3, stride=2)"),
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
def test_repr_shows_sizes_and_changed_options(layer, text):
    """`repr` shows the sizes and the options that differ from their defaults."""
    assert repr(layer) == text


@pytest.mark.slow
@each("layer", [layer for layer, _ in LAYERS])
@each("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_have_equal_weights(layer, copied):
    assert_same(copied(layer).state_dict(), layer.state_dict())


@each(
    ("make", "words"),
    [
        (
            lambda: nn.BatchNorm1d(0),
            "BatchNorm1d: expected `num_features` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.BatchNorm2d(2.0),
            "BatchNorm2d: expected `num_features` to be an integer >= 1, got 2.0.",
        ),
        (
            lambda: nn.InstanceNorm2d(-1),
            "InstanceNorm2d: expected `num_features` to be an integer >= 1, got -1.",
        ),
        (
            lambda: nn.GroupNorm(2, 3),
            "GroupNorm: expected `num_groups` to divide num_channels=3, got 2.",
        ),
        (
            lambda: nn.GroupNorm(0, 3),
            "GroupNorm: expected `num_groups` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.LayerNorm(()),
            "LayerNorm: expected `normalized_shape` to have at least one size, got ().",
        ),
        (
            lambda: nn.LayerNorm((3, 0)),
            "LayerNorm: expected `normalized_shape[1]` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.RMSNorm(2.5),
            "RMSNorm: expected `normalized_shape[0]` to be an integer >= 1, got 2.5.",
        ),
        (
            lambda: nn.Embedding(0, 3),
            "Embedding: expected `num_embeddings` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.Embedding(5, 3, 5),
            "Embedding: expected `padding_idx` to be an integer from -5 to 4, got 5.",
        ),
        (
            lambda: nn.Embedding(5, 3, 1.0),
            "Embedding: expected `padding_idx` to be an integer from -5 to 4, got 1.0.",
        ),
        (
            lambda: nn.Embedding(5, 3, -6),
            "Embedding: expected `padding_idx` to be an integer from -5 to 4, got -6.",
        ),
        (
            lambda: nn.LSTMCell(0, 3),
            "LSTMCell: expected `input_size` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.LSTMCell(3, None),
            "LSTMCell: expected `hidden_size` to be an integer >= 1, got None.",
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="zero"),
            "Conv2d: expected `padding_mode` to be one of zeros, reflect, replicate, circular, got "
            "'zero'.",
        ),
        (lambda: nn.MultiheadAttention(5, 2), "expected `num_heads` to divide embed_dim=5, got 2."),
        (
            lambda: nn.MultiheadAttention(4, 2, kdim=0),
            "MultiheadAttention: expected `kdim` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2, 1.5),
            "MultiheadAttention: expected `dropout` to be a number from 0 to 1, got 1.5.",
        ),
        (
            lambda: nn.Dropout2d(-0.5),
            "Dropout2d: expected `p` to be a number from 0 to 1, got -0.5.",
        ),
        (lambda: nn.Linear(0, 2), "Linear: expected `in_features` to be an integer >= 1, got 0."),
        (
            lambda: nn.Linear(3, -1),
            "Linear: expected `out_features` to be an integer >= 1, got -1.",
        ),
        (
            lambda: nn.Linear(3.0, 2),
            "Linear: expected `in_features` to be an integer >= 1, got 3.0.",
        ),
        (
            lambda: nn.Conv2d(0, 1, 3),
            "Conv2d: expected `in_channels` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.Conv2d(1, 0, 3),
            "Conv2d: expected `out_channels` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.Conv2d(1, "8", 3),
            "Conv2d: expected `out_channels` to be an integer >= 1, got '8'.",
        ),
        (lambda: nn.Conv2d(1, 1, 0), "Conv2d: expected `kernel_size` to be"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), "Conv2d: expected `kernel_size` to be"),
        (lambda: nn.Conv2d(1, 1, (3, 2.5)), "Conv2d: expected `kernel_size` to be"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "Conv2d: expected `stride` to be"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "Conv2d: expected `padding` to be"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=0), "Conv2d: expected `dilation` to be"),
        (
            lambda: nn.Conv2d(1, 1, 3, groups=0),
            "Conv2d: expected `groups` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.Conv2d(3, 4, 3, groups=2),
            "Conv2d: expected `groups` to divide in_channels=3 and out_channels=4, got 2.",
        ),
        (
            lambda: nn.Conv2d(4, 3, 3, groups=2),
            "Conv2d: expected `groups` to divide in_channels=4 and out_channels=3, got 2.",
        ),
        (lambda: nn.Conv1d(1, 1, (3, 3)), "Conv1d: expected `kernel_size` to be"),
        (
            lambda: nn.Conv2d(1, 1, 3, 2, "same"),
            "Conv2d: expected `padding` to be integers, or 'same'",
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, padding="valid"),
            "Conv2d: expected `padding` to be integers, or 'same'",
        ),
        (
            lambda: nn.Conv2d(1, 1, 3, data_format="CHWN"),
            "Conv2d: expected `data_format` to be 'NCHW' or 'NHWC', got 'CHWN'.",
        ),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, padding="same"),
            "ConvTranspose2d: expected `padding` to be",
        ),
        (
            lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=-1),
            "ConvTranspose2d: expected `output_padding` to be",
        ),
        (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d: expected `dilation` to be"),
        (
            lambda: nn.MaxPool2d(2, data_format=None),
            "MaxPool2d: expected `data_format` to be 'NCHW' or 'NHWC', got None.",
        ),
        (lambda: nn.AvgPool2d(0), "AvgPool2d: expected `kernel_size` to be"),
        (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: expected `output_size`"),
        (
            lambda: nn.AdaptiveAvgPool2d((1, 2, 3)),
            "AdaptiveAvgPool2d: expected `output_size` to be an integer or a pair, got (1, 2, 3).",
        ),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: expected `kernel_size` to be"),
        (lambda: nn.MaxPool2d(2, 0), "MaxPool2d: expected `stride` to be"),
        (lambda: nn.MaxPool2d(2, padding=-1), "MaxPool2d: expected `padding` to be"),
        (lambda: nn.Dropout(None), "Dropout: expected `p` to be a number from 0 to 1, got None."),
        (lambda: nn.Dropout(1.1), "Dropout: expected `p` to be a number from 0 to 1, got 1.1."),
        (lambda: nn.Dropout(-0.1), "Dropout: expected `p` to be a number from 0 to 1, got -0.1."),
        (
            lambda: nn.Dropout(math.nan),
            "Dropout: expected `p` to be a number from 0 to 1, got nan.",
        ),
    ],
)
def test_invalid_arguments_raise(make, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()


X = Tensor.ones(3, 2, 4)
MHA = nn.MultiheadAttention(4, 2)
BATCH_FIRST = nn.MultiheadAttention(4, 2, kdim=3, batch_first=True)


@each(
    ("layer", "shapes", "words"),
    [
        (
            nn.BatchNorm1d(3),
            [(1, 3)],
            "BatchNorm1d: expected a batch with more than one value per channel, got (1, 3). ",
        ),
        (
            nn.BatchNorm1d(3),
            [(2, 4)],
            "BatchNorm1d: expected input of shape (N, C) or (N, C, L) with C = 3, got (2, 4).",
        ),
        (
            nn.InstanceNorm2d(3),
            [(2, 4, 2, 2)],
            "expected input of shape (N, C, H, W) or (C, H, W) with C = 3, got (2, 4, 2, 2).",
        ),
        (nn.LayerNorm((2, 3)), [(3,)], "LayerNorm: expected input of shape (..., 2, 3), got (3,)."),
        (nn.Dropout2d(), [(2, 3)], "Dropout2d: expected input of shape (N, C, H, W), got (2, 3)."),
        (
            nn.LSTMCell(4, 2),
            [(2, 3)],
            "LSTMCell: expected input of shape (N, 4) or (4,), got (2, 3).",
        ),
        (
            MHA,
            [(2, 3, 5), (2, 3, 4), (2, 3, 4)],
            "got query (2, 3, 5), key (2, 3, 4) and value (2, 3, 4).",
        ),
        (
            MHA,
            [(2, 3, 4), (5, 2, 4), (5, 2, 4)],
            "key (S, N, 4) and value (S, N, 4), or all without N, got query (2, 3, 4), key (5, 2, ",
        ),
        (
            BATCH_FIRST,
            [(2, 3, 4), (2, 3, 3), (2, 5, 4)],
            "expected query (N, L, 4), key (N, S, 3) and value (N, S, 4), or all without N, got",
        ),
        (nn.Linear(3, 2), [(5, 4)], "Linear: expected input of shape (..., 3), got (5, 4)."),
        (nn.Linear(3, 2), [()], "Linear: expected input of shape (..., 3), got ()."),
        (
            nn.Linear(784, 2),
            [(5, 1, 28, 28)],
            "Linear: expected input of shape (..., 784), got (5, 1, 28, 28). Merge the last axes "
            "with x.flatten(1) or nn.Flatten().",
        ),
        (
            nn.Conv2d(3, 2, 3),
            [(5, 4, 8, 8)],
            "Conv2d: expected input of shape (N, 3, H, W) or (3, H, W), got (5, 4, 8, 8).",
        ),
        (
            nn.Conv2d(1, 2, 3),
            [(64, 28, 28)],
            "Conv2d: expected input of shape (N, 1, H, W) or (1, H, W), got (64, 28, 28). Add the "
            "channel axis with x.unsqueeze(1), which gives (N, 1, 28, 28).",
        ),
        (
            nn.Conv2d(1, 2, 3),
            [(28, 28)],
            "got (28, 28). Add the channel axis with x.unsqueeze(0), which gives (1, 28, 28).",
        ),
        (
            nn.Conv2d(1, 2, 3, data_format="NHWC"),
            [(64, 28, 28)],
            "(N, H, W, 1) or (H, W, 1), got (64, 28, 28). Add the channel axis with "
            "x.unsqueeze(-1), which gives (N, 28, 28, 1).",
        ),
        (
            nn.Conv2d(1, 2, 3, data_format="NHWC"),
            [(28, 28)],
            "Add the channel axis with x.unsqueeze(-1), which gives (28, 28, 1).",
        ),
        (
            nn.Conv2d(3, 2, 3),
            [(5, 8, 8, 3)],
            "got (5, 8, 8, 3). For channels in axis -1, pass data_format='NHWC'.",
        ),
        (
            nn.Conv2d(3, 2, 3, data_format="NHWC"),
            [(5, 3, 8, 8)],
            "got (5, 3, 8, 8). For channels in axis 1, pass data_format='NCHW'.",
        ),
        (
            nn.Conv1d(1, 2, 3),
            [(64, 100)],
            "Conv1d: expected input of shape (N, 1, L) or (1, L), got (64, 100). Add the channel "
            "axis with x.unsqueeze(1), which gives (N, 1, 100).",
        ),
        (
            nn.Conv3d(1, 2, 3),
            [(2, 5, 6, 7)],
            "(N, 1, D, H, W) or (1, D, H, W), got (2, 5, 6, 7). Add the channel axis with "
            "x.unsqueeze(1), which gives (N, 1, 5, 6, 7).",
        ),
        (
            nn.ConvTranspose2d(1, 2, 3),
            [(64, 28, 28)],
            "ConvTranspose2d: expected input of shape (N, 1, H, W) or (1, H, W), got (64, 28, 28).",
        ),
        (
            nn.Conv2d(1, 2, 3),
            [(64, 784)],
            "got (64, 784). Restore flattened images with x.reshape(-1, 1, 28, 28).",
        ),
        (nn.Conv2d(1, 2, 3), [()], "(N, 1, H, W) or (1, H, W), got ()."),
        (nn.Conv2d(1, 2, 3), [(5, 1, 2, 8)], "(1, 1) for an image of (2, 8)"),
        (nn.MaxPool2d(3), [(5, 1, 2, 8)], "(1, 1) for an image of (2, 8)"),
        (
            nn.init.orthogonal_,
            [(3,)],
            "nn.init.orthogonal_: expected at least two axes (out, in, ...), got shape (3,).",
        ),
    ],
)
def test_invalid_input_shapes_raise(layer, shapes, words):
    with pytest.raises(ShapeError, match=re.escape(words)):
        layer(*(Tensor.ones(*shape) for shape in shapes))


@each(
    ("call", "error", "words"),
    [
        (
            lambda: nn.Embedding(5, 3)(np.array([[0, 1], [7, 2]])),
            AxisError,
            "Embedding: expected indices from 0 to 4, got 7 at position (1, 0).",
        ),
        (
            lambda: nn.Embedding(5, 3)(Tensor(-1)),
            AxisError,
            "Embedding: expected indices from 0 to 4, got -1 at position ().",
        ),
        (
            lambda: nn.Embedding(5, 3)(Tensor(1.0)),
            DtypeError,
            "expected integer indices, got dtype float32.",
        ),
        (
            lambda: nn.Embedding(5, 3)(Tensor(True)),
            DtypeError,
            "expected integer indices, got dtype bool.",
        ),
        (
            lambda: nn.LSTMCell(4, 2)(X[0], (Tensor.ones(2, 2), Tensor.ones(3, 2))),
            ShapeError,
            "LSTMCell: expected a state of two tensors of shape (2, 2) for input (2, 4), got "
            "(2, 2) and (3, 2).",
        ),
        (
            lambda: MHA(X, X, X, attn_mask=np.ones((2, 2), bool)),
            ShapeError,
            "expected `attn_mask` of shape (3, 3) or (4, 3, 3), got (2, 2).",
        ),
        (
            lambda: MHA(X, X, X, np.ones((3, 2), bool)),
            ShapeError,
            "expected `key_padding_mask` of shape (2, 3), got (3, 2).",
        ),
        (
            lambda: MHA(X, X, X, attn_mask=np.ones((3, 3), np.int64)),
            DtypeError,
            "expected `attn_mask` to be a bool array, True where a query may not attend, or a "
            "float array to add to the scores, got int64.",
        ),
        (
            lambda: nn.init.calculate_gain("rleu"),
            ArgumentError,
            "sigmoid, tanh, relu, leaky_relu, selu, got 'rleu'.",
        ),
    ],
)
def test_invalid_indices_states_and_masks_raise(call, error, words):
    with pytest.raises(error, match=re.escape(words)):
        call()


def test_dropout2d_drops_channels():
    """All entries of a channel, and their gradients, are multiplied by the same factor."""
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
def test_dropout_drops_nothing_at_p_0_and_everything_at_p_1(kind):
    """Evaluation returns the input itself, p=0 its values, and p=1 zeros with zero gradients."""
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


def test_embedding_accepts_any_integers():
    """Indices may have any integer dtype and be 0-d."""
    layer = nn.Embedding(5, 3, generator=rng())
    for dtype in (np.int8, np.int32, np.uint8, np.int64):
        found = layer(np.array([4, 0], dtype)).data
        np.testing.assert_array_equal(found, layer.weight.data[[4, 0]])
    assert layer(np.array(2)).shape == (3,)


def test_embedding_padding_row_gets_no_gradient():
    """The padding row starts at 0, can be set, and gets no gradient."""
    layer = nn.Embedding(4, 2, padding_idx=1)
    assert layer.weight.data[1].tolist() == [0.0, 0.0]
    layer.weight.data[1] = 7.0
    out = layer(np.array([1, 2, 1]))
    assert out.data[0].tolist() == [7.0, 7.0]
    out.sum().backward()
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


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
def test_parameters_have_pytorch_names_and_layouts(layer, shapes):
    """Parameters are float32 and have PyTorch's names and layouts."""
    state = layer.state_dict()
    assert {name: array.shape for name, array in state.items()} == shapes
    assert all(array.dtype == np.float32 for array in state.values())


def test_linear_matches_its_formula():
    layer = nn.Linear(3, 2)
    x = rng().standard_normal((4, 5, 3)).astype(np.float32)  # ..., in
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)


@each(
    ("arguments", "shape"),
    [((), (2, 60)), ((0,), (120,)), ((2,), (2, 3, 20)), ((1, 2), (2, 12, 5))],
)
def test_flatten_keeps_the_batch_axis_by_default(arguments, shape):
    """Flatten keeps the batch axis by default."""
    assert nn.Flatten(*arguments)(Tensor.ones(2, 3, 4, 5)).shape == shape


def test_unflatten_inverts_flatten():
    x = Tensor.arange(24).reshape(2, 3, 4)
    assert nn.Unflatten(1, (3, -1))(nn.Flatten()(x)).tolist() == x.tolist()


@each(
    ("layer", "error", "message"),
    [
        (nn.Unflatten(2, (3, 4)), AxisError, "unflatten: "),
        (nn.Unflatten(1, 12), DtypeError, "unflatten: expected a tuple of sizes"),
        (nn.Unflatten(1, (5, 4)), ShapeError, "reshape: "),
    ],
)
def test_unflatten_checks_its_arguments_in_a_call(layer, error, message):
    with pytest.raises(error, match=message):
        layer(Tensor.ones(2, 12))


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
def test_sizes_may_be_numpy_integers(make, sizes):
    of_numpy = [tuple(map(np.int64, s)) if isinstance(s, tuple) else np.int32(s) for s in sizes]
    usual, layer = make(*sizes), make(*of_numpy)
    assert repr(layer) == repr(usual)
    usual.load_state_dict(layer.state_dict())  # checks the shapes
    x = Tensor.ones(2, 4, 9, 3)
    np.testing.assert_array_equal(layer(x).data, usual(x).data)


@each("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_zeroes_or_scales_entries(p):
    """Entries and gradients are 0 or divided by 1 - p, and the mean is kept."""
    x = Tensor.randn(500, 200, generator=rng())
    x.requires_grad = True
    out = nn.Dropout(p, generator=rng(4))(x)
    out.sum().backward()
    kept = out.numpy() != 0
    np.testing.assert_allclose(out.numpy(), np.where(kept, x.numpy() / (1 - p), 0), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), kept / (1 - p), rtol=1e-6)
    assert abs(kept.mean() / (1 - p) - 1) < 5 * math.sqrt(p / (1 - p) / kept.size)


def test_seed_decides_the_dropout_mask():
    """The same seed gives the same mask; a second call draws another."""
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
def test_batch_axis_is_optional(layer, shape):
    x = Tensor.randn(*shape, generator=np.random.default_rng(0))
    one, batch = layer(x), layer(x.unsqueeze(0))
    pairs = zip(one, batch, strict=True) if isinstance(one, tuple) else [(one, batch)]
    for found, expected in pairs:
        np.testing.assert_array_equal(found.data, expected.data[0])


def test_dropout_probability_defaults_to_one_half():
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
        lambda size: nn.ConvTranspose1d(size, 1, 1),
        lambda size: nn.MaxPool1d(size),
        lambda size: nn.AvgPool1d(1, size),
        nn.PReLU,
        lambda size: nn.RNNCell(size, 1),
        lambda size: nn.GRU(1, size),
        lambda size: nn.TransformerEncoderLayer(size, 1, 1),
        lambda size: nn.TransformerEncoderLayer(1, size, 1),
        lambda size: nn.TransformerEncoderLayer(1, 1, size),
        lambda size: nn.TransformerEncoder(nn.Identity(), size),
    ],
)
def test_sizes_below_1_raise(make):
    make(1)
    with pytest.raises(ArgumentError, match=r"to be an integer >= 1.*, got 0\.$"):
        make(0)


def test_index_equal_to_num_embeddings_raises():
    with pytest.raises(
        AxisError, match=r"expected indices from 0 to 2, got 3 at position \(1,\)\.$"
    ):
        nn.Embedding(3, 2)(Tensor([2, 3]))


FLOAT_LAYERS = [
    (nn.Linear(3, 2), (4, 3)),
    (nn.Linear(3, 2, bias=False), (3,)),
    (nn.Conv1d(3, 2, 1), (4, 3, 5)),
    (nn.Conv2d(3, 2, 1), (4, 3, 5, 5)),
    (nn.Conv2d(3, 2, 1), (3, 5, 5)),
    (nn.Conv2d(3, 2, 1, data_format="NHWC"), (4, 5, 5, 3)),
    (nn.Conv3d(3, 2, 1), (4, 3, 2, 2, 2)),
    (nn.ConvTranspose2d(3, 2, 1), (4, 3, 5, 5)),
    (nn.BatchNorm1d(3), (4, 3)),
    (nn.BatchNorm2d(3).eval(), (4, 3, 2, 2)),
    (nn.BatchNorm1d(3, affine=False), (4, 3)),
    (nn.InstanceNorm2d(3, affine=True), (4, 3, 2, 2)),
    (nn.InstanceNorm2d(3, track_running_stats=True).eval(), (3, 2, 2)),
    (nn.GroupNorm(3, 3), (4, 3, 2)),
    (nn.LayerNorm(3), (4, 3)),
    (nn.RMSNorm(3), (4, 3)),
    (nn.LSTMCell(3, 2), (4, 3)),
    (nn.GRU(3, 2), (4, 3)),
    (nn.PReLU(3), (4, 3)),
]


@each(
    ("given", "other"), [(np.float64, "float32"), (np.float16, "float32"), (np.float32, "float64")]
)
@each(("layer", "shape"), FLOAT_LAYERS)
def test_input_of_another_float_dtype_raises(layer, shape, given, other):
    """As in PyTorch, nothing is converted to the wider dtype, and buffers do not change."""
    layer = copy.deepcopy(layer).astype(other)
    buffers = [buffer.tolist() for buffer in layer.buffers()]
    name = np.dtype(given).name
    message = (
        f"{type(layer).__name__}: expected input of dtype {other}, like the layer's weights, got "
        f"{name}. Convert the input with x.cast(np.{other}), or x.astype(np.{other}) for an "
        f"ndarray, or the model with model.astype(np.{name})."
    )
    array = np.ones(shape, given)
    for x in (array, Tensor(array), Tensor(array, requires_grad=True)):
        with pytest.raises(DtypeError, match=f"^{re.escape(message)}$"):
            layer(x)
    assert [buffer.tolist() for buffer in layer.buffers()] == buffers
    out = layer.astype(given)(array)
    assert (out[0] if isinstance(out, tuple) else out).dtype == given


@each("layer", [nn.GroupNorm(3, 3, affine=False), nn.LayerNorm(3, elementwise_affine=False)])
def test_layer_without_weights_accepts_all_float_dtypes(layer):
    for dtype in (np.float16, np.float32, np.float64):
        assert layer(normal(4, 3).astype(dtype)).dtype == dtype


@each("value", [(Tensor.ones(2, 3),), {"x": Tensor.ones(2, 3)}, None, 2.0, np.float32(2)])
@each("layer", [nn.Linear(3, 2), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(3), nn.MaxPool2d(2)])
def test_non_array_input_raises(layer, value):
    """For example the pair that an LSTMCell returns."""
    words = r"expected Tensors or ndarrays, got (tuple|dict|NoneType|float|numpy.float32)\. Pass a "
    with pytest.raises(DtypeError, match=f"^{type(layer).__name__} '1': {words}"):
        nn.Sequential(Returns(value), layer)(Tensor.ones(2, 3))


class Returns(nn.Module):
    """A module that returns a constant."""

    def __init__(self, value):
        self.value = value

    def forward(self, x):
        return self.value


def test_integer_input_is_converted():
    assert nn.Linear(3, 2)(np.ones((4, 3), np.int64)).dtype == np.float32
    assert nn.Conv2d(1, 2, 1)(np.ones((1, 1, 2, 2), np.uint8)).dtype == np.float32


def test_dtype_error_names_the_path_of_the_layer():
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    with pytest.raises(DtypeError, match=r"^Linear '1\.1': expected input of dtype float32"):
        model(np.ones((4, 3)))


def test_state_of_another_float_dtype_raises():
    cell, x, wide = nn.LSTMCell(3, 2), Tensor.ones(4, 3), Tensor.ones(4, 2, dtype=np.float64)
    for state in ((wide, Tensor.ones(4, 2)), (Tensor.ones(4, 2), wide)):
        with pytest.raises(DtypeError, match=r"^LSTMCell: expected input of dtype float32"):
            cell(x, state)


@each("position", [0, 1, 2])
def test_attention_input_of_another_float_dtype_raises(position):
    inputs = [Tensor.ones(2, 3, 4) for _ in range(3)]
    inputs[position] = Tensor.ones(2, 3, 4, dtype=np.float64)
    with pytest.raises(DtypeError, match=r"^MultiheadAttention: expected input of dtype float32"):
        nn.MultiheadAttention(4, 2)(*inputs)


def test_attention_mask_does_not_widen_the_output():
    x = Tensor(normal(2, 1, 4).astype(np.float32))
    layer = nn.MultiheadAttention(4, 2)
    out, weights = layer(x, x, x, attn_mask=np.array([[0.0, -1.5], [0.0, 0.0]]))
    expected, _ = layer(x, x, x, attn_mask=np.array([[0, -1.5], [0, 0]], np.float32))
    assert out.dtype == weights.dtype == np.float32
    assert out.tolist() == expected.tolist()


def test_last_batch_of_one_names_layer_batch_and_remedy():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4)))
    message = (
        "BatchNorm1d '1.0': expected a batch with more than one value per channel, got (1, 4). The "
        "variance would be 0. Skip a last batch of one with DataLoader(..., drop_last=True) or "
        "choose another batch size; to use the running statistics, call eval()."
    )
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        model(Tensor.ones(1, 3))
