"""nn.functional: what the functions share with the layers, in-place forms, and refused options."""

import inspect

import numpy as np
import pytest

import tinygrad_np
import tinygrad_np.nn.functional as functional
from tests.tools import each, leaf, normal
from tinygrad_np import Tensor, manual_seed, nn
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError


def test_module_is_an_attribute_of_nn():
    assert tinygrad_np.nn.functional is functional


def test_every_public_function_is_listed_and_has_an_example():
    own = {
        name
        for name, value in vars(functional).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__ in (functional.__name__, "tinygrad_np.ops.losses")
    }
    assert own == set(functional.__all__)
    assert [n for n in sorted(own) if ">>>" not in getattr(functional, n).__doc__] == []


# The same numbers as the layers.

IMAGES = normal(2, 4, 6, 6).astype(np.float32)
ROWS = normal(5, 4).astype(np.float32)


@each(
    ("layer", "function", "x"),
    [
        (nn.ReLU(), functional.relu, ROWS),
        (nn.GELU(), functional.gelu, ROWS),
        (nn.GELU("tanh"), lambda x: functional.gelu(x, "tanh"), ROWS),
        (nn.SELU(), functional.selu, ROWS),
        (nn.Softmax(1), lambda x: functional.softmax(x, 1), ROWS),
        (nn.MaxPool2d(2), lambda x: functional.max_pool2d(x, 2), IMAGES),
        (nn.AvgPool2d(3, 1, 1), lambda x: functional.avg_pool2d(x, 3, 1, 1), IMAGES),
        (nn.AdaptiveAvgPool2d(2), lambda x: functional.adaptive_avg_pool2d(x, 2), IMAGES),
        (nn.LayerNorm(4), lambda x: functional.layer_norm(x, (4,)), ROWS),
        (nn.RMSNorm(4), lambda x: functional.rms_norm(x, (4,)), ROWS),
        (nn.GroupNorm(2, 4), lambda x: functional.group_norm(x, 2), IMAGES),
        (nn.InstanceNorm2d(4), functional.instance_norm, IMAGES),
        (
            nn.BatchNorm2d(4, affine=False),
            lambda x: functional.batch_norm(x, None, None, training=True),
            IMAGES,
        ),
        (
            nn.BatchNorm1d(4).eval(),
            lambda x: functional.batch_norm(x, Tensor.zeros(4), Tensor.ones(4)),
            ROWS,
        ),
    ],
)
def test_functions_and_layers_agree(layer, function, x):
    assert function(Tensor(x)).tolist() == layer(Tensor(x)).tolist()


def test_layers_with_weights_and_functions_agree():
    x, index = Tensor(IMAGES), Tensor([[3, 0], [1, 1]])
    conv, norm = nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(4)
    linear, embedding = nn.Linear(6, 2), nn.Embedding(5, 3, padding_idx=1)
    pairs = [
        (conv(x), functional.conv2d(x, conv.weight, conv.bias, padding=1)),
        (linear(x), functional.linear(x, linear.weight, linear.bias)),
        (embedding(index), functional.embedding(index, embedding.weight, 1)),
        (
            norm(x),
            functional.batch_norm(x, None, None, norm.weight, norm.bias, training=True),
        ),
    ]
    for expected, found in pairs:
        assert found.tolist() == expected.tolist()


def test_batch_norm_updates_the_running_statistics_like_the_layer():
    layer = nn.BatchNorm2d(4, momentum=0.3)
    mean, variance = Tensor.zeros(4), Tensor.ones(4)
    for scale in (1.0, 2.0):
        layer(Tensor(IMAGES * scale))
        functional.batch_norm(Tensor(IMAGES * scale), mean, variance, training=True, momentum=0.3)
    assert mean.tolist() == layer.running_mean.tolist()
    assert variance.tolist() == layer.running_var.tolist()
    functional.batch_norm(Tensor(IMAGES), mean, variance)
    assert mean.tolist() == layer.running_mean.tolist()


@each("name", ["cross_entropy", "nll_loss"])
def test_losses_of_classes_and_tensor_methods_agree(name):
    x, target = Tensor(ROWS).log_softmax(), Tensor([0, 3, 1, 1, 2])
    found = getattr(functional, name)(x, target)
    assert found.item() == getattr(x, name)(target).item()


# Dropout and sampling.


def test_dropout_is_on_by_default():
    manual_seed(0)
    x = Tensor.ones(40, 50)
    out = functional.dropout(x, 0.25).data
    assert set(np.unique(out)) == {np.float32(0), np.float32(4 / 3)}
    assert 0.2 < (out == 0).mean() < 0.3
    assert functional.dropout(x, training=False) is x


def test_dropout2d_drops_whole_channels():
    manual_seed(0)
    x = Tensor.ones(8, 16, 2, 2)
    out = functional.dropout2d(x, 0.5).data.reshape(128, 4)
    assert (out == out[:, :1]).all()
    assert 0.2 < (out == 0).mean() < 0.8
    assert functional.dropout2d(x, training=False) is x


def test_gumbel_softmax_samples_in_proportion_to_the_probabilities():
    manual_seed(0)
    logits = Tensor(np.log(np.tile([0.7, 0.2, 0.1], (4000, 1))))
    soft = functional.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(soft.data.sum(axis=1), 1)
    manual_seed(0)
    odds = functional.gumbel_softmax(logits, tau=1.0).data ** 2  # tau=0.5 squares the odds
    np.testing.assert_allclose(soft.data, odds / odds.sum(axis=1, keepdims=True), rtol=1e-4)
    hard = functional.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(hard.data.mean(axis=0), [0.7, 0.2, 0.1], atol=0.04)
    assert hard.dtype == logits.dtype


def test_hard_gumbel_softmax_has_the_gradient_of_the_soft_samples():
    grads = []
    for hard in (False, True):
        manual_seed(3)
        x = leaf(normal(4, 3))
        (functional.gumbel_softmax(x, hard=hard) * Tensor(normal(4, 3, seed=1))).sum().backward()
        grads.append(x.grad.data)
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12)
    assert grads[0].any()


def test_threshold_keeps_nan():
    x = Tensor([np.nan, 0.5, 2.0])
    np.testing.assert_array_equal(functional.threshold(x, 1.0, -1.0).data, [np.nan, -1.0, 2.0])


# In place.


def test_inplace_changes_the_memory_of_the_input():
    x = Tensor([-1.0, 2.0])
    assert functional.relu(x, inplace=True) is x
    assert x.tolist() == [0.0, 2.0]
    assert functional.dropout(x, 1.0, inplace=True) is x
    assert x.tolist() == [0.0, 0.0]
    y = Tensor([[[[1.0]]]])
    assert functional.dropout2d(y, 1.0, inplace=True) is y
    assert y.item() == 0.0


def test_inplace_in_a_graph_is_recorded():
    x = leaf(-1.0, 2.0)
    h = x * 3
    functional.leaky_relu(h, 0.5, inplace=True)
    h.sum().backward()
    assert x.grad.tolist() == [1.5, 3.0]


def test_inplace_on_a_leaf_raises():
    with pytest.raises(GraphError, match="leaf"):
        functional.relu(leaf(1.0, -1.0), inplace=True)


# Refused arguments.

X = Tensor.ones(2, 4, 6, 6)
LINE = Tensor.ones(2, 3)
REFUSED = [
    (lambda: functional.relu(np.ones(2)), DtypeError, "relu: expected `input` to be a Tensor"),
    (lambda: functional.conv2d([1.0], X), DtypeError, "conv2d: expected `input` to be a Tensor, g"),
    (lambda: functional.linear(LINE, None), DtypeError, "`weight` to be a Tensor, got None."),
    (lambda: functional.linear(LINE, LINE, bias=[1.0]), DtypeError, "Wrap it in Tensor(...)."),
    (
        lambda: functional.embedding(np.array([1]), LINE),
        DtypeError,
        "`input` to be a Tensor, got n",
    ),
    (lambda: functional.embedding(Tensor([1]), np.ones((2, 3))), DtypeError, "`weight` to be a Te"),
    (lambda: functional.embedding(Tensor([1]), LINE, 1.0), DtypeError, "`padding_idx` to be an i"),
    (lambda: functional.dropout(LINE, None), DtypeError, "`p` to be a number, got None."),
    (lambda: functional.leaky_relu(LINE, "0.1"), DtypeError, "to be a number, got '0.1'."),
    (lambda: functional.layer_norm(LINE, 3), DtypeError, "to be a list or tuple, got 3."),
    (lambda: functional.rms_norm(LINE, None), DtypeError, "to be a list or tuple, got NoneType."),
    (lambda: functional.pad(LINE, 1), DtypeError, "pad: expected `pad` to be a list or tuple of"),
    (lambda: functional.huber_loss(LINE, LINE, delta="1"), ArgumentError, "above 0, got '1'."),
    (lambda: functional.smooth_l1_loss(LINE, LINE, beta=None), ArgumentError, ">= 0, got None."),
    (lambda: functional.cosine_similarity([1.0], LINE), DtypeError, "cosine_similarity: expected"),
    (lambda: functional.softmax(LINE), ArgumentError, "softmax: expected `dim` to be an integer"),
    (lambda: functional.softmin(LINE), ArgumentError, "softmin: expected `dim`"),
    (lambda: functional.log_softmax(LINE), ArgumentError, "log_softmax: expected `dim`"),
    (lambda: functional.softmax(LINE, 2), AxisError, "softmax"),
    (lambda: functional.glu(LINE), ShapeError, "glu: expected an even length along axis -1"),
    (lambda: functional.prelu(LINE, LINE), ShapeError, "prelu: expected `weight` of shape (1,)"),
    (lambda: functional.gumbel_softmax(LINE, 0), ArgumentError, "`tau` to be above 0, got 0"),
    (
        lambda: functional.conv1d(X, Tensor.ones(1, 4, 3)),
        ShapeError,
        "conv1d: expected `input` with 2 or 3 axes and `weight` with 3, got shapes (2, 4, 6, 6)",
    ),
    (
        lambda: functional.avg_pool2d(X, 2, divisor_override=3),
        ArgumentError,
        "avg_pool2d: expected `divisor_override` to be left out, since it is not supported, got 3.",
    ),
    (lambda: functional.max_pool1d(LINE, (2, 2)), ArgumentError, "max_pool1d: expected `kernel"),
    (lambda: functional.adaptive_avg_pool2d(X, (1, 1, 1)), ArgumentError, "integer or a pair"),
    (lambda: functional.interpolate(LINE, 4), ShapeError, "with 3 to 5 axes, got (2, 3)"),
    (lambda: functional.interpolate(X), ArgumentError, "either `size` or `scale_factor`"),
    (lambda: functional.interpolate(X, 3, 2), ArgumentError, "either `size` or `scale_factor`"),
    (lambda: functional.interpolate(X, 3, mode="bicubic"), ArgumentError, "got 'bicubic'"),
    (
        lambda: functional.interpolate(X, 3, mode="linear"),
        ArgumentError,
        "expected input with 3 axes for mode='linear', got (2, 4, 6, 6)",
    ),
    (
        lambda: functional.interpolate(X, 3, align_corners=False),
        ArgumentError,
        "expected a linear mode with `align_corners`",
    ),
    (
        lambda: functional.interpolate(X, scale_factor=1.3),
        ArgumentError,
        "to give whole lengths, got 1.3 for lengths (6, 6)",
    ),
    (lambda: functional.interpolate(X, scale_factor=(2, 2, 2)), ArgumentError, "or 2 of them"),
    (lambda: functional.interpolate(X, scale_factor=-1), ArgumentError, "a number above 0"),
    (lambda: functional.interpolate(X, scale_factor=np.inf), ArgumentError, "a number above 0"),
    (
        lambda: functional.interpolate(X, 3, mode="bilinear", antialias=True),
        ArgumentError,
        "interpolate: expected `antialias` to be left out",
    ),
    (
        lambda: functional.pad(LINE, (1, 1), "reflect", 2.0),
        ArgumentError,
        "pad: expected no `value` in mode 'reflect', got 2.0",
    ),
    (
        lambda: functional.batch_norm(LINE, None, None),
        ArgumentError,
        "expected `running_mean` and `running_var` outside training",
    ),
    (
        lambda: functional.batch_norm(LINE[:1], None, None, training=True),
        ShapeError,
        "more than one value per channel in training, got (1, 3)",
    ),
    (
        lambda: functional.batch_norm(LINE, Tensor.ones(2), Tensor.ones(3)),
        ShapeError,
        "expected `running_mean` of shape (3,) for input (2, 3), got (2,)",
    ),
    (lambda: functional.batch_norm(LINE[0], None, None), ShapeError, "input of shape (N, C, ...)"),
    (
        lambda: functional.instance_norm(X, use_input_stats=False),
        ArgumentError,
        "with use_input_stats=False",
    ),
    (lambda: functional.instance_norm(LINE), ShapeError, "more than one value per channel"),
    (lambda: functional.group_norm(LINE, 2), ArgumentError, "the number of channels, 3, got 2"),
    (lambda: functional.layer_norm(LINE, (2,)), ShapeError, "last axes of input (2, 3), got (2,)"),
    (
        lambda: functional.layer_norm(LINE, (3,), Tensor.ones(2)),
        ShapeError,
        "expected `weight` of shape (3,), got (2,)",
    ),
    (lambda: functional.rms_norm(LINE, ()), ShapeError, "rms_norm: expected `normalized_shape`"),
    (
        lambda: functional.normalize(LINE, out=LINE),
        ArgumentError,
        "normalize: expected `out` to be left out",
    ),
    (lambda: functional.dropout(LINE, 1.5), ArgumentError, "dropout: expected `p`"),
    (lambda: functional.dropout2d(X, 1.5), ArgumentError, "dropout2d: expected `p`"),
    (lambda: functional.dropout2d(LINE), ShapeError, "dropout2d: expected input of shape (N, C"),
    (
        lambda: functional.embedding(Tensor([3]), LINE),
        AxisError,
        "embedding: expected indices from 0 to 1, got 3 at position (0,)",
    ),
    (lambda: functional.embedding(LINE, LINE), DtypeError, "embedding: expected integer indices"),
    (lambda: functional.embedding(Tensor([0]), X), ShapeError, "`weight` of shape (V, D)"),
    (lambda: functional.embedding(Tensor([0]), LINE, 2), ArgumentError, "`padding_idx` to be from"),
    (
        lambda: functional.embedding(Tensor([0]), LINE, max_norm=1.0),
        ArgumentError,
        "expected `max_norm` to be left out, since it is not supported, got 1.0",
    ),
    (
        lambda: functional.one_hot(Tensor(np.zeros(0, np.int64))),
        ArgumentError,
        "one_hot: expected `num_classes` for an empty input",
    ),
    (lambda: functional.one_hot(Tensor([0, 3]), 3), ArgumentError, "from 0 to 2, got 3"),
]


@each("name", functional.__all__)
def test_every_function_refuses_lists_and_none(name):
    """No AttributeError of a list, and nothing computed from a nested list."""
    function = getattr(functional, name)
    needed = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    for value in ([1.0], None, "text"):
        with pytest.raises(DtypeError, match=rf"^{name}: "):
            function(value, *[X] * (len(needed) - 1))


@each(("call", "error", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
