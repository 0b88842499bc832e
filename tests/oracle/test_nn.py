"""Layers compared with PyTorch's: values, gradients, buffers and initialization."""

import inspect
import re

import numpy as np
import pytest

import tinygrad_np
from tests.nn.test_activation import ACTIVATIONS
from tests.oracle.compare import agree, agree_to_second_order, compare, leaf_pair
from tests.oracle.pytorch import torch
from tests.tools import rng
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ShapeError

pytestmark = pytest.mark.slow

EACH_DTYPE = pytest.mark.parametrize(
    "dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__
)

BATCH_OPTIONS = [
    {},
    {"affine": False},
    {"track_running_stats": False},
    {"momentum": None},
    {"momentum": 0.3, "eps": 0.01, "affine": False},
]
LAYERS = [
    *[("BatchNorm1d", (3,), options, (5, 3)) for options in BATCH_OPTIONS],
    ("BatchNorm1d", (3,), {}, (2, 3, 4)),
    ("BatchNorm1d", (3,), {}, (1, 3, 2)),
    ("BatchNorm1d", (3,), {}, (0, 3)),
    *[("BatchNorm2d", (3,), options, (2, 3, 4, 5)) for options in BATCH_OPTIONS],
    ("BatchNorm2d", (1,), {}, (1, 1, 1, 2)),
    ("InstanceNorm2d", (3,), {}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {"affine": True}, (3, 4, 5)),
    ("InstanceNorm2d", (3,), {"track_running_stats": True, "affine": True}, (2, 3, 4, 5)),
    ("InstanceNorm2d", (3,), {"track_running_stats": True, "momentum": 0.5}, (3, 4, 5)),
    ("InstanceNorm2d", (3,), {"track_running_stats": True, "momentum": None}, (2, 3, 4, 5)),
    ("GroupNorm", (2, 6), {}, (3, 6)),
    ("GroupNorm", (3, 6), {"eps": 0.01}, (2, 6, 4)),
    ("GroupNorm", (6, 6), {"affine": False}, (2, 6, 2, 3)),
    ("GroupNorm", (2, 2), {"eps": 0.1}, (2, 2, 1, 1)),
    ("GroupNorm", (2, 4), {}, (0, 4, 3)),
    ("LayerNorm", (4,), {}, (4,)),
    ("LayerNorm", (4,), {"eps": 0.01}, (2, 3, 4)),
    ("LayerNorm", ((3, 4),), {"bias": False}, (2, 3, 4)),
    ("LayerNorm", ([3, 4],), {"elementwise_affine": False}, (3, 4)),
    ("LayerNorm", (1,), {"eps": 0.1}, (2, 1)),
    ("LayerNorm", (4,), {}, (0, 4)),
    ("RMSNorm", (4,), {}, (2, 3, 4)),
    ("RMSNorm", ((3, 4),), {"eps": 0.01}, (2, 3, 4)),
    ("RMSNorm", (4,), {"elementwise_affine": False}, (4,)),
    ("Linear", (4, 3), {}, (2, 5, 4)),
    ("Linear", (4, 3), {"bias": False}, (4,)),
    ("Identity", (), {}, (2, 3)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Unflatten", (1, (3, -1)), {}, (2, 6)),
    ("PReLU", (), {}, (2, 3, 4)),
    ("PReLU", (), {}, ()),
    ("PReLU", (3, 0.1), {}, (2, 3)),
    ("PReLU", (3,), {}, (2, 3, 4, 2)),
    ("Upsample", (5,), {}, (2, 3, 4)),
    ("Upsample", (None, 2), {}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": (1.5, 2), "mode": "nearest-exact"}, (2, 3, 4, 5)),
    ("Upsample", (), {"scale_factor": 3, "mode": "linear"}, (2, 3, 4)),
    ("Upsample", (), {"scale_factor": (0.5, 1.5), "mode": "bilinear"}, (2, 3, 4, 4)),
    ("Upsample", (None, 1.3, "bilinear", True), {}, (2, 3, 4, 5)),
    ("Upsample", ((3, 4, 5),), {"mode": "trilinear"}, (1, 2, 2, 2, 3)),
    ("Upsample", (), {"scale_factor": 1.3, "recompute_scale_factor": True}, (2, 3, 4, 5)),
]
EACH_LAYER = pytest.mark.parametrize(
    ("name", "arguments", "options", "shape"), LAYERS, ids=lambda value: str(value)
)


def pair(name, arguments, options, dtype=np.float64, seed=0):
    """Return our layer and PyTorch's, with the same random weights and buffers.

    Both load the same state dict, with PyTorch's names.
    """
    generator = np.random.default_rng(seed)
    ours = getattr(nn, name)(*arguments, **options).astype(dtype)
    theirs = getattr(torch.nn, name)(*arguments, **options).to(getattr(torch, dtype.__name__))
    state = {
        key: torch.tensor(generator.uniform(0.5, 1.5, tuple(value.shape))).to(value.dtype)
        for key, value in theirs.state_dict().items()
    }
    theirs.load_state_dict(state)
    ours.load_state_dict({key: value.numpy() for key, value in state.items()})
    return ours, theirs


def compare_layers(ours, theirs, found, expected, leaves, dtype=np.float64, seed=0, order=1):
    """Compare outputs, buffers, and gradients of parameters and leaves with PyTorch's.

    With `order` 2, second gradients are compared as well.
    """
    generator = np.random.default_rng(seed)
    agree(found, expected, dtype, cancels=True)
    ups = [np.asarray(generator.standard_normal(out.shape), out.dtype) for out in found]
    own = [*[a for a, _ in leaves], *sorted_parameters(ours)]
    other = [*[b for _, b in leaves], *sorted_parameters(theirs)]
    loss, expected_loss = (
        sum((out * make(up)).sum() for out, up in zip(outs, ups, strict=True))
        for outs, make in ((found, Tensor), (expected, torch.tensor))
    )
    grads = loss.gradient(*own, create_graph=order > 1)
    expected_grads = torch.autograd.grad(expected_loss, other, create_graph=order > 1)
    agree(grads, expected_grads, dtype, cancels=True)
    if order > 1:
        agree_to_second_order(grads, expected_grads, own, other, dtype)
    same_state(ours, theirs, 1e-9 if dtype == np.float64 else 1e-5)


def sorted_parameters(module):
    """Return the parameters, sorted by name."""
    return [p for _, p in sorted(module.named_parameters(), key=lambda item: item[0])]


def same_state(ours, theirs, rtol):
    """Compare state dicts: order of names, shapes, dtypes and values."""
    state, reference = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(reference)
    for name, value in reference.items():
        assert (state[name].shape, state[name].dtype) == (tuple(value.shape), value.numpy().dtype)
        np.testing.assert_allclose(state[name], value.numpy(), rtol=rtol, atol=rtol * 0.01)


# Layers with one input.


@EACH_DTYPE
@EACH_LAYER
def test_layers_match_pytorch(name, arguments, options, shape, dtype):
    """Values, gradients and buffers over four training steps and two evaluations."""
    ours, theirs = pair(name, arguments, options, dtype)
    generator = np.random.default_rng(1)
    for step in range(6):
        ours.train(step < 4)
        theirs.train(step < 4)
        x, reference = leaf_pair(3 * generator.standard_normal(shape) + 1, dtype)
        compare_layers(ours, theirs, [ours(x)], [theirs(reference)], [(x, reference)], dtype, step)


@EACH_LAYER
@pytest.mark.parametrize("training", [True, False])
def test_second_gradients_match_pytorch(name, arguments, options, shape, training):
    """Gradients of the sum of squared gradients, with respect to input and parameters."""
    ours, theirs = (layer.train(training) for layer in pair(name, arguments, options))
    x, same = leaf_pair(np.random.default_rng(2).standard_normal(shape))
    compare_layers(ours, theirs, [ours(x) ** 2], [theirs(same) ** 2], [(x, same)], order=2)


def test_second_gradients_through_batch_norm_match_pytorch():
    """Gradients of squared gradients, as in a gradient penalty."""
    layers = [
        ("Conv2d", (2, 3, 3)),
        ("BatchNorm2d", (3,)),
        ("Flatten", ()),
        ("BatchNorm1d", (12,)),
    ]
    pairs = [pair(name, given, {}, seed=seed) for seed, (name, given) in enumerate(layers)]
    ours = nn.Sequential(*[layer for layer, _ in pairs])
    theirs = torch.nn.Sequential(*[layer for _, layer in pairs])
    x, same = leaf_pair(np.random.default_rng(2).standard_normal((5, 2, 4, 4)))
    compare_layers(
        ours, theirs, [ours(x).tanh() ** 2], [theirs(same).tanh() ** 2], [(x, same)], order=2
    )


@EACH_DTYPE
@pytest.mark.parametrize("options", [{}, {"eps": 1e-6}])
def test_rms_norm_of_small_numbers_matches_pytorch(options, dtype):
    """Squares as small as eps: the default eps of each dtype equals PyTorch's."""
    ours, theirs = pair("RMSNorm", (4,), options, dtype)
    size = np.sqrt(np.finfo(dtype).eps)
    x, reference = leaf_pair(size * np.random.default_rng(0).standard_normal((3, 4)), dtype)
    compare_layers(ours, theirs, [ours(x)], [theirs(reference)], [(x, reference)], dtype)


@pytest.mark.parametrize(
    ("name", "arguments", "options", "shape", "training"),
    [
        ("BatchNorm1d", (3,), {}, (1, 3), True),
        ("BatchNorm1d", (3,), {}, (1, 3, 1), True),
        ("BatchNorm1d", (3,), {"track_running_stats": False}, (1, 3), False),
        ("BatchNorm1d", (3,), {}, (2, 4), True),
        ("BatchNorm1d", (3,), {}, (2, 4), False),
        ("BatchNorm1d", (3,), {}, (3,), True),
        ("BatchNorm1d", (3,), {}, (2, 3, 4, 4), True),
        ("BatchNorm2d", (3,), {}, (1, 3, 1, 1), True),
        ("BatchNorm2d", (3,), {}, (2, 3, 4), True),
        ("InstanceNorm2d", (3,), {}, (2, 3, 1, 1), True),
        ("InstanceNorm2d", (3,), {}, (2, 3, 1, 1), False),
        ("InstanceNorm2d", (3,), {}, (2, 3), True),
        ("InstanceNorm2d", (3,), {"affine": True}, (2, 4, 2, 2), True),
        ("GroupNorm", (2, 2), {}, (1, 2, 1, 1), True),
        ("GroupNorm", (2, 4), {}, (2, 3), True),
        ("GroupNorm", (2, 4), {}, (4,), True),
        ("LayerNorm", (3,), {}, (2, 4), True),
        ("LayerNorm", ((2, 3),), {}, (3,), True),
        ("RMSNorm", (3,), {}, (2, 4), True),
        ("Linear", (4, 3), {}, (2, 3), True),
    ],
)
def test_invalid_inputs_raise_as_in_pytorch(name, arguments, options, shape, training):
    """The error is an instance of the class that PyTorch raises."""
    ours, theirs = pair(name, arguments, options)
    with pytest.raises((ValueError, RuntimeError)) as caught:
        theirs.train(training)(torch.ones(shape, dtype=torch.float64))
    with pytest.raises(caught.type, match=f"(?i){name}.*{re.escape(str(shape))}"):
        ours.train(training)(Tensor(np.ones(shape)))


@pytest.mark.parametrize(
    ("name", "arguments", "options", "training"),
    [
        ("BatchNorm2d", (3,), {}, True),
        ("BatchNorm2d", (3,), {}, False),
        ("InstanceNorm2d", (3,), {"track_running_stats": True}, True),
    ],
)
def test_running_statistics_are_outside_the_graph(name, arguments, options, training):
    """They require no gradient, stay the same objects, and change only in training mode."""
    ours, _ = pair(name, arguments, options)
    buffers, before = list(ours.buffers()), ours.state_dict()
    x = Tensor(np.random.default_rng(4).standard_normal((2, 3, 4, 4)), requires_grad=True)
    out = ours.train(training)(x)
    assert list(map(id, ours.buffers())) == list(map(id, buffers))
    assert not any(buffer.requires_grad for buffer in buffers)
    assert (ours.running_mean.data != before["running_mean"]).any() == training
    out.sum().backward()


# Embedding.


@EACH_DTYPE
@pytest.mark.parametrize("padding_idx", [None, 0, 2, -1])
@pytest.mark.parametrize(
    "index",
    [np.array(3), np.array([0, 2, 2, 4]), np.array([[2, 2], [4, 0]]), np.zeros((0, 2), int)],
)
def test_embedding_matches_pytorch(index, padding_idx, dtype):
    """Any index shape; repeated rows accumulate gradients, the padding row gets none."""
    ours, theirs = pair("Embedding", (5, 3), {"padding_idx": padding_idx}, dtype)
    order = 2 if index.size else 1  # PyTorch has no second gradients of empty outputs
    found, expected = ours(index) ** 2, theirs(torch.tensor(index)) ** 2
    compare_layers(ours, theirs, [found], [expected], [], dtype, order=order)


# Recurrent cells and layers.


def as_tuple(value):
    """Return the tensors of a result that may contain a state (h, c), in a flat tuple."""
    if not isinstance(value, tuple):
        return (value,)
    return tuple(part for entry in value for part in as_tuple(entry))


@EACH_DTYPE
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNNCell", {}),
        ("RNNCell", {"bias": False, "nonlinearity": "relu"}),
        ("LSTMCell", {}),
        ("LSTMCell", {"bias": False}),
        ("GRUCell", {}),
        ("GRUCell", {"bias": False}),
    ],
    ids=str,
)
@pytest.mark.parametrize("batch", [(3,), (1,), (0,), ()])
@pytest.mark.parametrize("with_state", [True, False])
def test_recurrent_cells_match_pytorch(batch, kind, options, with_state, dtype):
    """Three time steps, all gradients, with and without an initial state."""
    ours, theirs = pair(kind, (4, 2), options, dtype)
    generator = np.random.default_rng(0)
    parts = 2 if kind == "LSTMCell" else 1
    sizes = [4, 4, 4, *[2] * parts * with_state]
    leaves = [leaf_pair(generator.standard_normal((*batch, n)), dtype) for n in sizes]
    state, reference = (
        None if not side else side if parts == 2 else side[0]
        for side in (tuple(leaf[i] for leaf in leaves[3:]) for i in (0, 1))
    )
    for x, same in leaves[:3]:
        state, reference = ours(x, state), theirs(same, reference)
    compare_layers(ours, theirs, as_tuple(state), as_tuple(reference), leaves, dtype, order=2)


RECURRENT_OPTIONS = [
    {},
    {"bias": False, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "bidirectional": True, "batch_first": True, "bias": False},
]


@EACH_DTYPE
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("options", RECURRENT_OPTIONS, ids=str)
@pytest.mark.parametrize("batch", [3, 0, None])
@pytest.mark.parametrize("with_state", [True, False])
def test_recurrent_layers_match_pytorch(kind, options, batch, with_state, dtype):
    """Output and final state, all gradients, and the state dict, which goes both ways."""
    ours, theirs = pair(kind, (4, 2), options, dtype)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    generator = np.random.default_rng(0)
    length, middle = 5, () if batch is None else (batch,)
    lead = (*middle, length) if options.get("batch_first") else (length, *middle)
    chains = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    leaves = [leaf_pair(generator.standard_normal((*lead, 4)), dtype)]
    if with_state:
        parts = 2 if kind == "LSTM" else 1
        shape = (chains, *middle, 2)
        leaves += [leaf_pair(generator.standard_normal(shape), dtype) for _ in range(parts)]
    (x, *state), (same, *reference) = zip(*leaves, strict=True)
    given = {0: (None, None), 1: (*state, *reference), 2: (tuple(state), tuple(reference))}
    own, other = given[len(state)]
    found, expected = as_tuple(ours(x, own)), as_tuple(theirs(same, other))
    compare_layers(ours, theirs, found, expected, leaves, dtype)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_second_gradients_of_recurrent_layers_match_pytorch(kind):
    ours, theirs = pair(kind, (3, 2), {"num_layers": 2, "bidirectional": True})
    x, same = leaf_pair(np.random.default_rng(0).standard_normal((3, 2, 3)))
    compare_layers(ours, theirs, as_tuple(ours(x)), as_tuple(theirs(same)), [(x, same)], order=2)


def test_relu_rnn_matches_pytorch():
    """`nonlinearity` is the fourth argument, before `bias`."""
    ours, theirs = pair("RNN", (3, 4, 2, "relu", False, True), {})
    x, same = leaf_pair(np.random.default_rng(0).standard_normal((2, 6, 3)))
    compare_layers(ours, theirs, ours(x), theirs(same), [(x, same)])


@pytest.mark.parametrize(
    ("kind", "shape", "state"),
    [
        ("RNN", (0, 2, 3), None),
        ("LSTM", (4, 2, 5), None),
        ("GRU", (3,), None),
        ("RNN", (4, 2, 3), [(2, 2, 2)]),
        ("LSTM", (4, 2, 3), [(1, 2, 2), (1, 3, 2)]),
        ("LSTM", (4, 3), [(1, 2), (1, 1, 2)]),
    ],
)
def test_invalid_sequences_and_states_raise_as_in_pytorch(kind, shape, state):
    ours, theirs = getattr(nn, kind)(3, 2), getattr(torch.nn, kind)(3, 2)
    for layer, make, error in ((ours, Tensor.ones, ShapeError), (theirs, torch.ones, Exception)):
        parts = None if state is None else tuple(make(*part) for part in state)
        with pytest.raises(error) as caught:
            layer(make(*shape), parts if parts is None or len(parts) > 1 else parts[0])
        assert isinstance(caught.value, RuntimeError | ValueError)


# MultiheadAttention.


def masks_of(kind, length, keys, batch, heads, generator):
    """Return masks as keywords, where True means masked; no row is all True."""
    free = generator.random((length, keys)) < 0.4
    free[:, 0] = False
    padding = np.zeros((batch, keys), bool)
    padding[:, -1] = True
    return {
        "none": {},
        "bool": {"attn_mask": free},
        "float": {"attn_mask": generator.standard_normal((length, keys))},
        "heads": {"attn_mask": np.broadcast_to(free, (batch * heads, length, keys)).copy()},
        "padding": {"key_padding_mask": padding},
        "both": {"key_padding_mask": padding, "attn_mask": free},
    }[kind]


@EACH_DTYPE
@pytest.mark.parametrize("mask", ["none", "bool", "float", "heads", "padding", "both"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"bias": False},
        {"kdim": 5, "vdim": 7},
        {"kdim": 5, "batch_first": True, "bias": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("average", [True, False])
def test_multihead_attention_matches_pytorch(options, mask, average, dtype):
    """Output, attention weights, and gradients of inputs, parameters and a float mask."""
    generator = np.random.default_rng(5)
    batch, length, keys, heads = 2, 3, 4, 2
    ours, theirs = pair("MultiheadAttention", (6, heads), options, dtype)
    sizes = [(length, 6), (keys, options.get("kdim", 6)), (keys, options.get("vdim", 6))]
    first = options.get("batch_first")
    shapes = [(batch, n, size) if first else (n, batch, size) for n, size in sizes]
    leaves = [leaf_pair(generator.standard_normal(shape), dtype) for shape in shapes]
    made = masks_of(mask, length, keys, batch, heads, generator)
    masks = {name: leaf_pair(array, dtype) for name, array in made.items()}
    own, other = ({name: leaf[side] for name, leaf in masks.items()} for side in (0, 1))
    inputs, same = zip(*leaves, strict=True)
    found = ours(*inputs, average_attn_weights=average, **own)
    expected = theirs(*same, average_attn_weights=average, **other)
    leaves += [leaf for leaf in masks.values() if leaf[0].requires_grad]
    compare_layers(ours, theirs, found, expected, leaves, dtype)
    out, weights = ours(*inputs, need_weights=False, **own)
    assert weights is None
    agree([out], [expected[0]], dtype)


@pytest.mark.parametrize("average", [True, False])
def test_multihead_attention_without_a_batch_matches_pytorch(average):
    """Inputs of shape (L, E), with a padding mask of shape (L,)."""
    ours, theirs = pair("MultiheadAttention", (4, 2), {"batch_first": True})
    leaves = [leaf_pair(np.random.default_rng(n).standard_normal((n, 4))) for n in (3, 5, 5)]
    padding = np.array([False, True, False, False, True])
    inputs, same = zip(*leaves, strict=True)
    options = {"average_attn_weights": average}
    found = ours(*inputs, key_padding_mask=padding, **options)
    expected = theirs(*same, key_padding_mask=torch.tensor(padding), **options)
    compare_layers(ours, theirs, found, expected, leaves, order=2)


@pytest.mark.parametrize("need_weights", [True, False])
def test_fully_masked_query_matches_pytorch_without_weights(need_weights):
    """The reference is PyTorch's output with need_weights=False; otherwise PyTorch gives nan."""
    ours, theirs = pair("MultiheadAttention", (4, 2), {"batch_first": True})
    mask = np.zeros((3, 3), bool)
    mask[1] = True
    x, reference = leaf_pair(np.random.default_rng(0).standard_normal((2, 3, 4)))
    found, weights = ours(x, x, x, attn_mask=mask, need_weights=need_weights)
    expected, _ = theirs(*[reference] * 3, attn_mask=torch.tensor(mask), need_weights=False)
    compare_layers(ours, theirs, [found], [expected], [(x, reference)])
    if need_weights:
        assert not weights.data[:, 1].any()


def test_is_causal_matches_pytorch_without_a_mask():
    """is_causal alone masks later keys; PyTorch needs the mask as well."""
    ours, theirs = pair("MultiheadAttention", (4, 2), {})
    x, reference = leaf_pair(np.random.default_rng(0).standard_normal((5, 2, 4)))
    after = torch.ones(5, 5, dtype=torch.bool).triu(1)
    expected = theirs(*[reference] * 3, attn_mask=after, is_causal=True)
    compare_layers(ours, theirs, ours(x, x, x, is_causal=True), expected, [(x, reference)])
    agree(ours(x, x, x, attn_mask=after.numpy(), is_causal=True), expected)


# Transformer encoders.

TRANSFORMER_OPTIONS = [
    {},
    {"norm_first": True, "batch_first": True},
    {"activation": "gelu", "layer_norm_eps": 0.01},
    {"bias": False, "batch_first": True},
]
ENCODER_MASKS = ["none", "bool", "float", "heads", "padding", "both"]


def both_masks(kind, length, batch, heads, name="src_mask", dtype=np.float64):
    """Return masks for our encoder and for PyTorch's, as keywords."""
    made = masks_of(kind, length, length, batch, heads, np.random.default_rng(7))
    names = {"attn_mask": name, "key_padding_mask": "src_key_padding_mask"}
    own = {names[key]: mask for key, mask in made.items()}
    own = {key: mask if mask.dtype == bool else mask.astype(dtype) for key, mask in own.items()}
    return own, {key: torch.tensor(mask) for key, mask in own.items()}


@EACH_DTYPE
@pytest.mark.parametrize("options", TRANSFORMER_OPTIONS, ids=str)
@pytest.mark.parametrize("mask", ENCODER_MASKS)
def test_transformer_encoder_layer_matches_pytorch(options, mask, dtype):
    ours, theirs = pair("TransformerEncoderLayer", (6, 2, 5, 0.0), options, dtype)
    # Weights of one sign would give norms of large means, whose gradients lose digits.
    generator = np.random.default_rng(3)
    for value in ours.parameters():
        value.data[...] = generator.uniform(-0.5, 1.0, value.shape)
    theirs.load_state_dict({key: torch.tensor(v) for key, v in ours.state_dict().items()})
    length, batch = 4, 3
    shape = (batch, length, 6) if options.get("batch_first") else (length, batch, 6)
    x, same = leaf_pair(np.random.default_rng(0).standard_normal(shape), dtype)
    own, other = both_masks(mask, length, batch, 2, dtype=dtype)
    compare_layers(ours, theirs, [ours(x, **own)], [theirs(same, **other)], [(x, same)], dtype)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_function_as_activation_matches_pytorch(activation):
    """An input without a batch axis, and second gradients."""
    ours = nn.TransformerEncoderLayer(4, 2, 5, 0.0, getattr(Tensor, activation)).astype(np.float64)
    theirs = torch.nn.TransformerEncoderLayer(4, 2, 5, 0.0, getattr(torch, activation)).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x, same = leaf_pair(np.random.default_rng(0).standard_normal((3, 4)))
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # has second ones
        expected = theirs(same)
    compare_layers(ours, theirs, [ours(x)], [expected], [(x, same)], order=2)


@pytest.mark.parametrize("mask", ENCODER_MASKS)
@pytest.mark.parametrize("with_norm", [True, False])
def test_transformer_encoder_matches_pytorch(mask, with_norm):
    """Copies of the layer, the norm at the end, and state dicts that go both ways."""
    found, expected = (
        side.TransformerEncoder(
            side.TransformerEncoderLayer(6, 2, 5, 0.0, norm_first=True, batch_first=True),
            2,
            side.LayerNorm(6) if with_norm else None,
            **options,
        )
        for side, options in ((nn, {}), (torch.nn, {"enable_nested_tensor": False}))
    )
    ours, theirs = found.astype(np.float64), expected.double()
    generator = np.random.default_rng(3)
    for value in ours.parameters():
        value.data[...] = generator.uniform(-0.5, 1.0, value.shape)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    x, same = leaf_pair(generator.standard_normal((3, 4, 6)))
    own, other = both_masks(mask, 4, 3, 2, "mask")
    compare_layers(ours, theirs, [ours(x, **own)], [theirs(same, **other)], [(x, same)])


def test_causal_transformer_encoder_matches_pytorch():
    """is_causal alone masks later positions; PyTorch needs the mask as well."""
    ours, theirs = pair("TransformerEncoderLayer", (4, 2, 5, 0.0), {})
    x, same = leaf_pair(np.random.default_rng(0).standard_normal((5, 3, 4)))
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    expected = theirs(same, mask, is_causal=True)
    compare_layers(ours, theirs, [ours(x, is_causal=True)], [expected], [(x, same)])
    agree([ours(x, mask.numpy(), is_causal=True)], [expected])


# Containers.


def test_containers_have_the_state_dicts_of_pytorch():
    """The same changes give the same names in the same order; weights can be loaded."""

    def build(side, make):
        layers = side.ModuleDict({"b": side.Linear(2, 3), "a": side.PReLU()})
        layers["c"] = side.ModuleDict([("d", side.Linear(3, 1))])
        layers.update({"b": side.Linear(2, 4)})
        layers.pop("a")
        layers["a"] = side.ParameterList([make(2), make(3)])
        layers["a"].append(make(4))
        return layers

    ours, theirs = build(nn, Tensor.ones), build(torch.nn, torch.ones)
    state = {name: value.numpy() for name, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    same_state(ours, theirs, 1e-6)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert list(ours) == list(theirs)


# Initialization.

BEGINNINGS = [
    ("Linear", (50, 40), {}),
    ("BatchNorm1d", (4,), {}),
    ("BatchNorm2d", (4,), {"affine": False}),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}),
    ("GroupNorm", (2, 4), {}),
    ("LayerNorm", ((2, 3),), {}),
    ("RMSNorm", (4,), {}),
    ("Embedding", (60, 50), {}),
    ("Embedding", (60, 50), {"padding_idx": -2}),
    ("LSTMCell", (30, 40), {}),
    ("LSTMCell", (30, 40), {"bias": False}),
    ("RNNCell", (30, 40), {}),
    ("GRUCell", (30, 40), {}),
    ("RNN", (30, 40), {"num_layers": 2, "nonlinearity": "relu"}),
    ("LSTM", (30, 40), {"num_layers": 2, "bidirectional": True}),
    ("GRU", (30, 40), {"bias": False, "bidirectional": True}),
    ("PReLU", (4, 0.1), {}),
    ("ConvTranspose1d", (20, 30, 3), {}),
    ("TransformerEncoderLayer", (32, 4, 40), {}),
    ("TransformerEncoderLayer", (32, 4, 40), {"bias": False, "norm_first": True}),
    ("MultiheadAttention", (32, 4), {}),
    ("MultiheadAttention", (32, 4), {"kdim": 20, "vdim": 40}),
    ("MultiheadAttention", (32, 4), {"bias": False}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), BEGINNINGS, ids=str)
def test_initial_parameters_match_pytorch(name, arguments, options):
    """Parameters and buffers have PyTorch's names, order, shapes, dtypes and distributions.

    Constants are equal; random values have a similar mean, standard deviation and bound.
    """
    torch.manual_seed(0)
    ours = getattr(nn, name)(*arguments, **options)
    theirs = getattr(torch.nn, name)(*arguments, **options)
    state, reference = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(reference)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for key, value in reference.items():
        found, expected = state[key], value.numpy()
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        if expected.size == 1 or expected.std() == 0:
            np.testing.assert_array_equal(found, expected)
        else:
            spread = float(expected.std())
            assert abs(found.mean() - expected.mean()) < 8 * spread / np.sqrt(found.size)
            assert found.std() == pytest.approx(spread, rel=8 / np.sqrt(found.size))
            assert np.abs(found).max() < 1.5 * np.abs(expected).max()
        zero_rows = expected.ndim == 2 and np.flatnonzero(~expected.any(axis=1))
        if zero_rows is not False:
            assert np.flatnonzero(~found.any(axis=1)).tolist() == zero_rows.tolist()


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (4, 3, 2, 2), (1, 5)])
def test_orthogonal_matches_pytorch(shape):
    """Rows or columns are orthonormal as in PyTorch, times the gain."""
    ours = nn.init.orthogonal_(Tensor(np.zeros(shape)), 2.0, np.random.default_rng(0)).data
    theirs = torch.nn.init.orthogonal_(torch.zeros(shape, dtype=torch.float64), 2.0).numpy()
    flat, reference = ours.reshape(shape[0], -1), theirs.reshape(shape[0], -1)
    rows = shape[0] <= flat.shape[1]
    gram, expected = (m @ m.T if rows else m.T @ m for m in (flat, reference))
    np.testing.assert_allclose(gram, expected, atol=1e-12)


@pytest.mark.parametrize("name", nn.utils.__all__)
def test_utils_have_pytorchs_signatures(name):
    """Names, order and defaults are PyTorch's, but for its implementation switch `foreach`."""
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(where, name)).parameters.values()]
        for where in (nn.utils, torch.nn.utils)
    )
    assert ours == [pair for pair in theirs if pair[0] != "foreach"]


def test_vectors_of_parameters_match_pytorch():
    layer, their_layer = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    vector = np.arange(8, dtype=np.float32)
    nn.utils.vector_to_parameters(Tensor(vector), layer.parameters())
    torch.nn.utils.vector_to_parameters(torch.tensor(vector), their_layer.parameters())
    np.testing.assert_array_equal(layer.weight.numpy(), their_layer.weight.detach().numpy())
    found = nn.utils.parameters_to_vector(layer.parameters()).numpy()
    expected = torch.nn.utils.parameters_to_vector(their_layer.parameters()).detach().numpy()
    np.testing.assert_array_equal(found, expected)


FILLS = [name for name in vars(nn.init) if name.endswith("_") and not name.startswith("_")]


@pytest.mark.parametrize("name", FILLS)
def test_initializers_have_pytorchs_signatures(name):
    """Names, order and defaults of the arguments are PyTorch's."""
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(getattr(where, name)).parameters.values()]
        for where in (nn.init, torch.nn.init)
    )
    assert ours == theirs


@pytest.mark.parametrize("kind", ["kaiming_normal_", "kaiming_uniform_", "trunc_normal_"])
@pytest.mark.parametrize(
    "options", [{}, {"a": 0.5}, {"mode": "fan_out"}, {"nonlinearity": "tanh"}, {"a": -0.5}]
)
def test_initializers_draw_from_pytorchs_distributions(kind, options):
    if kind == "trunc_normal_":
        options = {name: value for name, value in options.items() if name == "a"}
    torch.manual_seed(0)
    shape = (256, 64, 3, 3)
    found = getattr(nn.init, kind)(Tensor.zeros(shape), **options, generator=rng(0)).numpy()
    expected = getattr(torch.nn.init, kind)(torch.zeros(shape), **options).numpy()
    for share in (0.05, 0.5, 0.95):
        difference = np.quantile(found, share) - np.quantile(expected, share)
        assert abs(difference) < 0.03 * expected.std()


@pytest.mark.parametrize(
    ("name", "param"),
    [*[(name, None) for name in nn.init._GAINS], ("leaky_relu", 0.2), ("tanh", 3.0)],
)
def test_calculate_gain_matches_pytorch(name, param):
    expected = torch.nn.init.calculate_gain(name, param)
    assert nn.init.calculate_gain(name, param) == pytest.approx(expected, rel=1e-12)


def test_parameters_of_a_pytorch_model_can_be_loaded():
    """Its parameters, unlike the values of its state dict, need gradients."""
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    ours.load_state_dict(dict(theirs.named_parameters()))
    assert ours.weight.tolist() == theirs.weight.tolist()
    assert ours.bias.tolist() == theirs.bias.tolist()


# Activations.


@EACH_DTYPE
@pytest.mark.parametrize(("name", "options"), ACTIVATIONS, ids=str)
def test_activations_match_pytorch(name, options, dtype):
    """Values and gradients at random points (also second ones) and at integers, with kinks."""
    layer, reference = (getattr(side, name)(**options) for side in (nn, torch.nn))
    if name == "Hardsigmoid":  # PyTorch's gradient is in float32, without a second one

        def reference(x):
            return torch.nn.functional.relu6(x + 3) / 6

    generator = np.random.default_rng(6)
    compare(layer, reference, [3 * generator.standard_normal((4, 6))], dtype)
    whole = generator.integers(-7, 8, (4, 6)).astype(float)
    compare(layer, reference, [whole], dtype, order=1)


@pytest.mark.parametrize(
    ("kind", "args", "shape"),
    [
        ("Linear", (3, 2), (4, 3)),
        ("Conv1d", (3, 2, 1), (4, 3, 5)),
        ("Conv2d", (3, 2, 1), (4, 3, 5, 5)),
        ("ConvTranspose2d", (3, 2, 1), (4, 3, 5, 5)),
        ("BatchNorm1d", (3,), (4, 3)),
        ("GroupNorm", (3, 3), (4, 3, 2)),
        ("LayerNorm", (3,), (4, 3)),
        ("LSTMCell", (3, 2), (4, 3)),
        ("GRU", (3, 2), (4, 3)),
    ],
)
def test_both_refuse_float64_input_of_a_float32_layer(kind, args, shape):
    array = np.ones(shape)
    errors = (RuntimeError, ValueError)
    with pytest.raises(errors, match=r"(?i)dtype|expected.*(scalar )?type|double"):
        getattr(torch.nn, kind)(*args)(torch.tensor(array))
    with pytest.raises(TypeError, match="expected input of dtype float32"):
        getattr(nn, kind)(*args)(array)


# Module habits.


def habits(torch):
    """Return what the methods of a module written for PyTorch give, run with `torch` or ours."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.norm = nn.BatchNorm1d(3)
            self.tail = nn.Sequential(nn.ReLU(), nn.Linear(3, 2, bias=False))
            self.scale = nn.Parameter(torch.ones(3), requires_grad=False)
            self.register_buffer("mask", torch.ones(3))
            self.register_buffer("scratch", torch.zeros(2), persistent=False)
            self.register_buffer("nothing", None)
            self.register_parameter("shift", nn.Parameter(torch.zeros(3)))
            self.register_parameter("none", None)
            self.add_module("last", nn.Linear(3, 2))
            self.last.weight = self.tail[1].weight

        def extra_repr(self):
            return "by=2"

    block = Block()
    found = {
        "modules": [(name, type(module).__name__) for name, module in block.named_modules()],
        "children": [name for name, _ in block.named_children()],
        "parameters": [name for name, _ in block.named_parameters()],
        "own": [name for name, _ in block.named_parameters("net", recurse=False)],
        "count": (len(list(block.parameters())), len(list(block.parameters(recurse=False)))),
        "buffers": [name for name, _ in block.named_buffers()],
        "own buffers": [name for name, _ in block.named_buffers("net", False)],
        "state": sorted(block.state_dict()),
        "repr": repr(block).splitlines()[:2],
        "same": block.to("cpu") is block is block.cpu() is block.float() is block.apply(id),
        "trained": [p.requires_grad for p in block.parameters()],
        "frozen": [p.requires_grad for p in block.requires_grad_(False).parameters()],
        "thawed": [p.requires_grad for p in block.requires_grad_().parameters()],
    }
    seen = []
    block.apply(lambda module: seen.append(type(module).__name__))
    found["applied"] = seen
    state = block.state_dict()
    found["all"] = repr(block.load_state_dict(state))
    del state["mask"]
    state["other"] = state["scale"]
    result = block.load_state_dict(state, strict=False)
    found["keys"] = (result.missing_keys, result.unexpected_keys)
    (block.scale * block.shift).sum().backward()
    block.zero_grad(set_to_none=False)
    found["zeros"] = block.shift.grad.tolist(), block.layer.weight.grad
    block.zero_grad()
    found["none"] = block.shift.grad
    kinds = {str(p.dtype).removeprefix("torch.") for p in block.double().parameters()}
    found["double"] = kinds | {str(block.scratch.dtype).removeprefix("torch.")}
    return found


def test_module_habits_match_pytorch():
    ours, theirs = habits(tinygrad_np), habits(torch)
    for name, expected in theirs.items():
        assert ours[name] == expected, name
