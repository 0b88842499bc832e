"""Models for text: sizes, shapes, initial weights, causality, carried state, and a few steps."""

import numpy as np
import pytest

from models.char_gpt import CharGPT
from models.char_rnn import CharRNN
from tests.models.test_models import is_drawn_with, size_of
from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, nn, no_grad, optim
from tinygrad_np.errors import ArgumentError

TOKENS = np.random.default_rng(7).integers(0, 11, (3, 8))


def small_gpt(generator=None, **options):
    return CharGPT(generator, vocabulary=11, context=8, width=12, heads=3, depth=2, **options)


def small_rnn(generator=None, **options):
    return CharRNN(generator, vocabulary=11, width=6, hidden=10, **options)


def logits_of(model, tokens):
    """Return the logits (N, T, vocabulary) as an array."""
    out = model(Tensor(tokens))
    return (out[0] if isinstance(out, tuple) else out).numpy()


BOTH = each("make", [small_gpt, small_rnn])


@each(
    ("vocabulary", "context", "width", "heads", "depth"), [(67, 64, 128, 4, 3), (11, 8, 12, 3, 2)]
)
def test_gpt_has_the_number_of_parameters_of_the_formula(vocabulary, context, width, heads, depth):
    model = CharGPT(None, vocabulary, context, width, heads, depth)
    linear = 4 * width**2 + 4 * width + 8 * width**2 + 5 * width  # attention, then MLP
    norms = 4 * width
    ends = vocabulary * width + context * width + 2 * width + width * vocabulary + vocabulary
    assert size_of(model) == depth * (linear + norms) + ends


@each(("vocabulary", "width", "hidden", "depth"), [(67, 64, 384, 1), (11, 6, 10, 2)])
def test_rnn_has_the_number_of_parameters_of_the_formula(vocabulary, width, hidden, depth):
    model = CharRNN(None, vocabulary, width, hidden, depth)
    layers = sum(4 * hidden * (size + hidden + 2) for size in [width, *[hidden] * (depth - 1)])
    assert size_of(model) == vocabulary * width + layers + hidden * vocabulary + vocabulary


@each(("model", "text"), [(CharGPT, "620,483 parameters"), (CharRNN, "721,283 parameters")])
def test_docstrings_state_the_number_of_parameters(model, text):
    assert text in model.__doc__
    assert f"{size_of(model()):,} parameters" == text


@BOTH
def test_logits_have_one_row_per_character(make):
    logits = logits_of(make(), TOKENS)
    assert (logits.shape, logits.dtype) == ((3, 8, 11), np.float32)
    assert logits_of(make(), TOKENS[:, :5]).shape == (3, 5, 11)


@BOTH
@each("position", [0, 3, 7])
def test_later_characters_do_not_change_earlier_logits(make, position):
    model = make(rng())
    changed = TOKENS.copy()
    changed[:, position] = (changed[:, position] + 1) % 11
    before, after = logits_of(model, TOKENS), logits_of(model, changed)
    np.testing.assert_allclose(after[:, :position], before[:, :position], atol=1e-6)
    for later in range(position, 8):
        assert np.abs(after[:, later] - before[:, later]).max() > 1e-5


def test_gpt_attends_with_one_distribution_per_head():
    """The fused projection has query, key and value in this order, each divided into heads."""
    attention = small_gpt(rng()).astype(np.float64).blocks[0].attention
    x = rng().standard_normal((2, 5, 12))
    projected = x @ attention.project.weight.numpy().T + attention.project.bias.numpy()
    query, key, value = np.split(projected, 3, axis=-1)
    parts = []
    for head in range(3):
        own = slice(4 * head, 4 * head + 4)
        scores = query[..., own] @ np.swapaxes(key[..., own], 1, 2) / np.sqrt(4)
        weights = np.exp(scores) * np.tri(5)
        parts.append(weights / weights.sum(-1, keepdims=True) @ value[..., own])
    joined = np.concatenate(parts, axis=-1)
    expected = joined @ attention.out.weight.numpy().T + attention.out.bias.numpy()
    np.testing.assert_allclose(attention(Tensor(x, np.float64)).numpy(), expected, atol=1e-12)


def test_gpt_blocks_are_residual_and_normalize_first():
    block = small_gpt(rng()).blocks[1]
    x = Tensor(rng().standard_normal((2, 5, 12)), np.float32)
    middle = x + block.attention(block.norm1(x))
    np.testing.assert_array_equal(
        block(x).numpy(), (middle + block.mlp(block.norm2(middle))).numpy()
    )
    for last in (block.attention.out, block.mlp[2]):
        nn.init.zeros_(last.weight)
    np.testing.assert_array_equal(block(x).numpy(), x.numpy())


def test_gpt_weights_are_drawn_as_in_gpt_2():
    """At width 768, the standard deviation is 0.02; at width 128, it is √6 times as large."""
    model, std = CharGPT(rng()), 0.02 * np.sqrt(6)
    for path, parameter in model.named_parameters():
        if parameter.ndim > 1:
            ends_branch = "attention.out" in path or "mlp.2" in path
            assert is_drawn_with(parameter.data, std / np.sqrt(6) if ends_branch else std), path
        elif "norm" in path and path.endswith("weight"):
            assert (parameter.data == 1).all(), path
        else:
            assert not parameter.data.any(), path


def test_rnn_continues_from_a_state():
    model = small_rnn(rng(), depth=2)
    first, state = model(Tensor(TOKENS[:, :3]))
    second, _ = model(Tensor(TOKENS[:, 3:]), state)
    joined = np.concatenate([first.numpy(), second.numpy()], axis=1)
    np.testing.assert_allclose(joined, logits_of(model, TOKENS), atol=1e-6)


@BOTH
def test_steps_lower_the_loss(make):
    model = make(rng())
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(6):
        out = model(Tensor(TOKENS[:, :-1]))
        logits = out[0] if isinstance(out, tuple) else out
        loss = logits.flatten(0, 1).cross_entropy(TOKENS[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad.any() for parameter in model.parameters())
    assert losses[-1] < losses[0] - 0.1


@BOTH
def test_state_dict_round_trip(make):
    model, other = make(rng()), make(np.random.default_rng(1))
    assert (logits_of(model, TOKENS) != logits_of(other, TOKENS)).any()
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(logits_of(other, TOKENS), logits_of(model, TOKENS))


@BOTH
def test_generator_determines_weights_and_dropout(make):
    one, same = make(rng(), dropout=0.5), make(rng(), dropout=0.5)
    assert_same(one.state_dict(), same.state_dict())
    first = logits_of(one, TOKENS)
    np.testing.assert_array_equal(first, logits_of(same, TOKENS))
    assert (first != logits_of(one, TOKENS)).any()
    one.eval()
    np.testing.assert_array_equal(logits_of(one, TOKENS), logits_of(one, TOKENS))


@each(
    ("make", "message"),
    [
        (lambda: CharGPT(width=0), "CharGPT: expected `width` to be an integer >= 1, got 0"),
        (
            lambda: CharGPT(context=2.5),
            "CharGPT: expected `context` to be an integer >= 1, got 2.5",
        ),
        (lambda: CharGPT(width=10), "CharGPT: expected `heads` to divide `width`, got 4 for width"),
        (lambda: CharRNN(hidden=0), "CharRNN: expected `hidden` to be an integer >= 1, got 0"),
        (lambda: CharRNN(depth=0), "CharRNN: expected `depth` to be an integer >= 1, got 0"),
    ],
)
def test_invalid_sizes_are_errors(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_gpt_refuses_more_characters_than_its_context():
    with no_grad(), pytest.raises(IndexError):
        small_gpt()(Tensor(np.zeros((1, 9), np.int64)))
