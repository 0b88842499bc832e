"""Transformer encoders: structure, dropout and errors."""

import re

import numpy as np
import pytest

from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, manual_seed, nn
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

X = Tensor.randn(5, 3, 8, generator=rng())


def layer_of(**options):
    return nn.TransformerEncoderLayer(8, 2, 12, generator=rng(1), **options)


@each("norm_first", [False, True])
@each("activation", ["relu", "gelu", Tensor.tanh, nn.Sigmoid()])
def test_layer_matches_its_formula(norm_first, activation):
    layer = layer_of(norm_first=norm_first, activation=activation).eval()
    act = {"relu": Tensor.relu, "gelu": Tensor.gelu}.get(activation, activation)

    def attend(x):
        return layer.self_attn(x, x, x)[0]

    def feed(x):
        return layer.linear2(act(layer.linear1(x)))

    if norm_first:
        y = X + attend(layer.norm1(X))
        expected = y + feed(layer.norm2(y))
    else:
        y = layer.norm1(X + attend(X))
        expected = layer.norm2(y + feed(y))
    np.testing.assert_allclose(layer(X).data, expected.data, rtol=1e-5, atol=1e-6)


def test_encoder_copies_the_layer():
    layer = layer_of()
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8)).eval()
    first, second = encoder.layers
    assert first is not layer is not second
    assert_same(first.state_dict(), layer.state_dict())
    layer.linear1.weight.data[:] = 0
    assert first.linear1.weight.data.all()
    expected = encoder.norm(second(first(X)))
    assert encoder(X).tolist() == expected.tolist()


def test_dropout_differs_between_layers_with_one_generator():
    """The copies share the generator; copies of it would drop the same entries in each layer."""
    encoder = nn.TransformerEncoder(layer_of(dropout=0.5), 2)
    generators = {id(layer.dropout1.generator) for layer in encoder.layers}
    assert len(generators) == 1
    first, second = (layer.dropout1(Tensor.ones(100)).tolist() for layer in encoder.layers)
    assert first != second


def test_generator_determines_the_weights_and_dropout():
    outputs = []
    for seed in (0, 1):
        manual_seed(seed)
        outputs.append(layer_of(dropout=0.5)(X).tolist())
    assert outputs[0] == outputs[1]


def test_dropout_is_off_in_evaluation():
    layer = layer_of(dropout=0.5)
    assert layer(X).tolist() != layer(X).tolist()
    layer.eval()
    assert layer(X).tolist() == layer(X).tolist()


def test_later_positions_do_not_influence_earlier_ones_with_is_causal():
    encoder = nn.TransformerEncoder(layer_of(), 2).eval()
    changed = X.numpy().copy()
    changed[3:] += 1
    whole = encoder(X, is_causal=True).data
    other = encoder(Tensor(changed), is_causal=True).data
    np.testing.assert_allclose(whole[:3], other[:3], rtol=1e-5, atol=1e-6)
    assert np.abs(whole[3:] - other[3:]).max() > 0.01
    mask = ~np.tri(5, dtype=bool)
    np.testing.assert_array_equal(encoder(X, mask).data, whole)


LAYER = layer_of()


@each(
    ("run", "error", "words"),
    [
        (
            lambda: nn.TransformerEncoderLayer(8, 3),
            ArgumentError,
            "TransformerEncoderLayer: expected `nhead` to divide d_model=8, got 3.",
        ),
        (
            lambda: nn.TransformerEncoderLayer(8, 2, 4, 1.5),
            ArgumentError,
            "TransformerEncoderLayer: expected `dropout` to be a number from 0 to 1, got 1.5.",
        ),
        (
            lambda: nn.TransformerEncoderLayer(8, 2, 4, activation="silu"),
            ArgumentError,
            "expected `activation` to be 'relu', 'gelu' or a function, got 'silu'.",
        ),
        (
            lambda: nn.TransformerEncoder(3, LAYER),
            ArgumentError,
            "TransformerEncoder: expected `num_layers` to be an integer >= 1, got Trans",
        ),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer, 3),
            ArgumentError,
            "TransformerEncoder: expected `encoder_layer` to be a module, got type.",
        ),
        (
            lambda: LAYER(Tensor.ones(5, 3, 4)),
            ShapeError,
            "TransformerEncoderLayer: expected input of shape (L, N, 8) or (L, 8), got (5, 3, 4).",
        ),
        (
            lambda: nn.TransformerEncoder(layer_of(batch_first=True), 1)(Tensor.ones(8)),
            ShapeError,
            "TransformerEncoderLayer 'layers.0': expected input of shape (N, L, 8) or (L, 8), got ",
        ),
        (
            lambda: LAYER(X, np.zeros((4, 4), bool)),
            ShapeError,
            "expected `attn_mask` of shape (5, 5) or (6, 5, 5), got (4, 4).",
        ),
        (
            lambda: LAYER(X, None, np.zeros((5, 3), bool)),
            ShapeError,
            "expected `key_padding_mask` of shape (3, 5), got (5, 3).",
        ),
        (lambda: LAYER(X.cast(np.float64)), DtypeError, "expected input of dtype float32"),
    ],
)
def test_invalid_arguments_raise(run, error, words):
    with pytest.raises(error, match=re.escape(words)):
        run()
