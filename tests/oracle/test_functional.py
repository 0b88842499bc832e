"""nn.functional compared with torch.nn.functional: signatures, values, gradients, calls."""

import inspect
import re

import numpy as np
import pytest

import tinygrad_np.nn.functional as ours
from tests.oracle.compare import agree, compare
from tests.oracle.pytorch import F, torch
from tests.tools import each, naming
from tinygrad_np import Tensor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss"),  # kl_div
]

# Signatures.

DEPRECATED = {"size_average", "reduce", "_stacklevel"}
# Parameters that torch documents under another name than it accepts.
EXCEPTIONS = {("one_hot", "tensor"): "input"}


def documented(name):
    """Return (name, default) of each parameter, from torch's signature or its docstring."""
    function = getattr(F, name)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        parameters = ()
    if not parameters or any(p.kind is p.VAR_POSITIONAL for p in parameters):
        text = re.search(rf"{name}\((.*?)\)\s*(->|$)", function.__doc__, re.DOTALL)[1]
        text = re.sub(r"\s+", " ", text.replace("*,", ""))
        parameters = inspect.signature(eval(f"lambda {text}: 0")).parameters.values()
    return [
        (EXCEPTIONS.get((name, p.name), p.name), p.default)
        for p in parameters
        if p.name not in DEPRECATED
    ]


MAX_POOL = ["input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"]
POOL_DEFAULTS = [inspect.Parameter.empty, inspect.Parameter.empty, None, 0, 1, False, False]


@each("name", ours.__all__)
def test_signature_matches_pytorch(name):
    """Torch writes two functions of max pooling as one `(*args, **kwargs)`."""
    if name.startswith("max_pool"):
        expected = list(zip(MAX_POOL, POOL_DEFAULTS, strict=True))
    else:
        expected = documented(name)
    found = inspect.signature(getattr(ours, name)).parameters.values()
    assert [p.name for p in found] == [each for each, _ in expected]
    assert [p.default for p in found] == [default for _, default in expected]


# Values and gradients. Each case: name, shapes of the inputs that have gradients, arguments.

X = (4, 6)
PLAIN = ["relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"]
PLAIN += ["softsign", "sigmoid", "tanh", "logsigmoid", "hardsigmoid", "hardswish"]
ELEMENTWISE = [
    *[(name, {}) for name in PLAIN],
    ("hardtanh", {}),
    ("hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("elu", {"alpha": 0.5}),
    ("celu", {"alpha": 2.0}),
    ("gelu", {"approximate": "tanh"}),
    ("softplus", {"beta": 2.0}),
    ("softplus", {"beta": 0.5, "threshold": 1.0}),
    ("threshold", {"threshold": 0.5, "value": -3.0}),
    ("glu", {}),
    ("glu", {"dim": 0}),
    *[(name, {"dim": dim}) for name in ("softmax", "softmin", "log_softmax") for dim in (0, -1)],
]
OTHERS = [
    ("prelu", [X, (6,)], {}),
    ("prelu", [(2, 3, 4), (3,)], {}),
    ("prelu", [X, (1,)], {}),
    ("linear", [(2, 3, 4), (5, 4), (5,)], {}),
    ("linear", [(4,), (5, 4)], {}),
    ("conv1d", [(2, 4, 9), (6, 2, 3), (6,)], {"stride": 2, "padding": 1, "groups": 2}),
    ("conv1d", [(4, 9), (6, 4, 3)], {"dilation": (2,)}),
    ("conv1d", [(2, 4, 9), (6, 4, 3)], {"padding": "same"}),
    ("conv2d", [(2, 4, 6, 7), (6, 2, 3, 2), (6,)], {"padding": (1, 0), "groups": 2}),
    ("conv2d", [(2, 4, 6, 7), (3, 4, 3, 2)], {"padding": "same", "dilation": 2}),
    ("conv2d", [(4, 6, 7), (3, 4, 3, 2), (3,)], {"padding": "valid", "stride": (2, 1)}),
    ("conv3d", [(2, 2, 4, 4, 5), (3, 2, 2, 3, 2), (3,)], {"padding": 1, "stride": 2}),
    ("conv3d", [(2, 4, 4, 5), (3, 2, 2, 3, 2)], {}),
    ("conv_transpose1d", [(2, 3, 5), (3, 4, 3), (4,)], {"stride": 2, "output_padding": 1}),
    ("conv_transpose1d", [(4, 5), (4, 2, 3)], {"groups": 2, "dilation": 2, "padding": 1}),
    ("conv_transpose2d", [(2, 3, 4, 5), (3, 4, 3, 2), (4,)], {"stride": (2, 1), "padding": 1}),
    ("conv_transpose2d", [(4, 4, 5), (4, 2, 2, 2)], {"groups": 2, "stride": 2}),
    ("max_pool1d", [(2, 3, 9)], {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool1d", [(3, 9)], {"kernel_size": (2,), "ceil_mode": True, "dilation": 2}),
    ("max_pool2d", [(2, 3, 6, 7)], {"kernel_size": 2}),
    ("max_pool2d", [(3, 6, 7)], {"kernel_size": (3, 2), "stride": 1, "padding": 1}),
    ("avg_pool1d", [(2, 3, 9)], {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    ("avg_pool2d", [(2, 3, 6, 7)], {"kernel_size": 2, "ceil_mode": True}),
    ("avg_pool2d", [(3, 6, 7)], {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1}),
    ("adaptive_avg_pool1d", [(2, 3, 7)], {"output_size": 3}),
    ("adaptive_avg_pool2d", [(2, 3, 6, 7)], {"output_size": 1}),
    ("adaptive_avg_pool2d", [(3, 6, 7)], {"output_size": (4, None)}),
    ("layer_norm", [(2, 3, 4), (4,), (4,)], {}),
    ("layer_norm", [(2, 3, 4), (3, 4)], {"eps": 0.1}),
    ("group_norm", [(2, 6, 5), (6,), (6,)], {"num_groups": 3}),
    ("group_norm", [(3, 4)], {"num_groups": 2, "eps": 0.1}),
    ("rms_norm", [(2, 3, 4), (4,)], {"eps": 0.1}),
    ("rms_norm", [(2, 3, 4)], {}),
    ("instance_norm", [(2, 3, 4)], {}),
    ("instance_norm", [(2, 3, 4, 5)], {"eps": 0.1}),
    ("normalize", [X], {}),
    ("normalize", [X], {"p": 1.0, "dim": 0}),
    ("dropout", [X], {"training": False}),
    ("dropout2d", [(2, 3, 4, 5)], {"training": False}),
    ("dropout", [X], {"p": 1.0}),
    ("pad", [X], {"pad": (1, 2)}),
    ("pad", [(2, 3, 4)], {"pad": (1, -1, 0, 2), "value": 3.0}),
    *[("pad", [(2, 3, 4)], {"pad": (1, 2), "mode": m}) for m in ("reflect", "replicate")],
    ("pad", [(2, 3, 4)], {"pad": [2, 1], "mode": "circular"}),
    ("interpolate", [(2, 3, 4)], {"scale_factor": 2.0}),
    ("interpolate", [(2, 3, 4)], {"size": 7, "mode": "linear"}),
    ("interpolate", [(2, 3, 4, 5)], {"size": (7, 3), "mode": "bilinear", "align_corners": True}),
    ("interpolate", [(2, 3, 4, 6)], {"scale_factor": (2, 0.5), "mode": "bilinear"}),
    (
        "interpolate",
        [(2, 3, 4, 5)],
        {"scale_factor": 1.3, "mode": "bilinear", "align_corners": True},
    ),
    ("interpolate", [(2, 3, 4, 5)], {"scale_factor": 1.3, "recompute_scale_factor": True}),
    ("interpolate", [(2, 3, 4, 5)], {"size": 3, "mode": "area"}),
    ("interpolate", [(2, 3, 4, 5)], {"size": 7, "mode": "nearest-exact"}),
    ("interpolate", [(1, 2, 2, 3, 4)], {"scale_factor": 2, "mode": "trilinear"}),
    ("scaled_dot_product_attention", [(2, 3, 4), (2, 5, 4), (2, 5, 6)], {}),
    ("scaled_dot_product_attention", [(2, 3, 4)] * 3, {"is_causal": True, "scale": 0.3}),
    ("cosine_similarity", [X, X], {}),
    ("cosine_similarity", [(2, 3, 4), (3, 4)], {"dim": 2}),
    ("cosine_similarity", [(2, 3, 4), (3, 4)], {"dim": 0}),
    ("pairwise_distance", [X, X], {}),
    ("pairwise_distance", [X, (6,)], {"p": 1.0, "keepdim": True}),
]


def with_shape(name, shapes, options):
    """Return the options with the normalized shape, which follows the input's shape."""
    if name in ("layer_norm", "rms_norm"):
        last = shapes[1] if len(shapes) > 1 else shapes[0][-1:]
        return {"normalized_shape": last, **options}
    return options


def named_inputs(name, count):
    """Return the names of the first inputs that are tensors."""
    found = [
        p
        for p in inspect.signature(getattr(ours, name)).parameters
        if p not in ("normalized_shape", "num_groups")
    ]
    return found[:count]


CASES = [*((name, [X], options) for name, options in ELEMENTWISE), *OTHERS]
INPUT_NAMES = {"input", "weight", "bias", "query", "key", "value", "x1", "x2", "target"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_functions_match_pytorch(dtype):
    """Values, gradients and second gradients, with all arguments passed by name."""
    for number, (name, shapes, options) in enumerate(CASES):
        generator = np.random.default_rng(number)
        arrays = [2 * generator.standard_normal(shape) for shape in shapes]
        with naming(f"{name} {shapes} {options}"):
            names = named_inputs(name, len(shapes))
            assert set(names) <= INPUT_NAMES
            options = with_shape(name, shapes, options)

            def call(side, names=names, options=options, name=name):
                function = getattr(side, name)
                return lambda *inputs: function(**dict(zip(names, inputs, strict=True)), **options)

            order = 2 if dtype == np.float64 else 1
            if name == "hardsigmoid" and dtype == np.float64:
                order = 0  # in its gradient, PyTorch rounds 1/6 to float32
            compare(call(ours), call(F), arrays, dtype, order=order)


def test_positional_arguments_match_pytorch():
    """The options in their order, as a user may pass them."""
    x, w = np.random.default_rng(0).standard_normal((2, 2, 3, 6, 7))
    kernels = np.random.default_rng(1).standard_normal((4, 3, 2, 2))
    transposed = np.random.default_rng(2).standard_normal((3, 4, 2, 2))
    inputs = [x, w, kernels, transposed, np.random.default_rng(3).standard_normal(4)]
    calls = [
        lambda f, x, w, k, t, b: f.conv2d(x, k, b, 2, 1, 1, 1),
        lambda f, x, w, k, t, b: f.conv_transpose2d(x, t, b, 2, 1, 1, 1, 1),
        lambda f, x, w, k, t, b: f.max_pool2d(x, 2, 2, 1, 1, True),
        lambda f, x, w, k, t, b: f.max_pool2d(x, 2, 2, 1, 1, True, True)[0],
        lambda f, x, w, k, t, b: f.avg_pool2d(x, 2, 2, 1, True, False),
        lambda f, x, w, k, t, b: f.relu(x, False),
        lambda f, x, w, k, t, b: f.hardtanh(x, -0.5, 0.5, False),
        lambda f, x, w, k, t, b: f.softmax(x, 1),
        lambda f, x, w, k, t, b: f.batch_norm(x, None, None, b[:3], b[1:], True, 0.1, 0.01),
        lambda f, x, w, k, t, b: f.group_norm(x, 3, b[:3], b[1:], 0.01),
        lambda f, x, w, k, t, b: f.layer_norm(x, (7,), x[0, 0, 0], x[0, 0, 1], 0.01),
        lambda f, x, w, k, t, b: f.normalize(x, 3.0, 2),
        lambda f, x, w, k, t, b: f.dropout(x, 0.5, False, False),
        lambda f, x, w, k, t, b: f.interpolate(x, (3, 4), None, "bilinear", False),
        lambda f, x, w, k, t, b: f.pad(x, (1, 1), "constant", 2.0),
        lambda f, x, w, k, t, b: f.scaled_dot_product_attention(x, w, w, None, 0.0, True),
        lambda f, x, w, k, t, b: f.cosine_similarity(x, w, 3, 0.5),
        lambda f, x, w, k, t, b: f.pairwise_distance(x, w, 2.0, 0.1, True),
        lambda f, x, w, k, t, b: f.huber_loss(x, w, "sum", 0.5),
        lambda f, x, w, k, t, b: f.smooth_l1_loss(x, w, reduction="sum", beta=0.5),
    ]
    for place, call in enumerate(calls):
        with naming(f"call {place}"):
            compare(
                lambda *args, call=call: call(ours, *args),
                lambda *args, call=call: call(F, *args),
                inputs,
                order=0,
            )


# Functions with integers or state.


@pytest.mark.parametrize("padding_idx", [None, 1, -1])
def test_embedding_matches_pytorch(padding_idx):
    index = np.array([[0, 1, 4], [4, 4, 2]])
    weight = np.random.default_rng(0).standard_normal((5, 3))
    compare(
        lambda w: ours.embedding(Tensor(index), w, padding_idx),
        lambda w: F.embedding(torch.tensor(index), w, padding_idx),
        [weight],
    )


def test_one_hot_matches_pytorch():
    index = np.array([[0, 2], [1, 0]])
    for classes in (-1, 3, 5):
        found, expected = (
            ours.one_hot(Tensor(index), classes),
            F.one_hot(torch.tensor(index), num_classes=classes),
        )
        agree([found], [expected])


@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_matches_pytorch(shape, training, affine):
    """Values, gradients, and the running statistics after the call."""
    generator = np.random.default_rng(1)
    mean, var = generator.standard_normal(3), generator.uniform(0.5, 2, 3)
    state = {ours: (Tensor(mean), Tensor(var)), F: (torch.tensor(mean), torch.tensor(var))}
    scales = [generator.standard_normal(3) if affine else None for _ in range(2)]

    def call(side):
        return lambda x, w, b: side.batch_norm(x, *state[side], w, b, training, momentum=0.3)

    compare(call(ours), call(F), [generator.standard_normal(shape), *scales])
    agree(state[ours], state[F])
    assert (state[ours][0].tolist() == mean.tolist()) is not training


@pytest.mark.parametrize("use_input_stats", [True, False])
def test_instance_norm_with_running_statistics_matches_pytorch(use_input_stats):
    generator = np.random.default_rng(1)
    mean, var = generator.standard_normal(3), generator.uniform(0.5, 2, 3)
    state = {ours: (Tensor(mean), Tensor(var)), F: (torch.tensor(mean), torch.tensor(var))}

    def call(side):
        return lambda x, w, b: side.instance_norm(x, *state[side], w, b, use_input_stats)

    arrays = [generator.standard_normal(shape) for shape in [(2, 3, 4, 5), (3,), (3,)]]
    compare(call(ours), call(F), arrays)
    agree(state[ours], state[F])


INPLACE = [*PLAIN[:6], "silu", "mish", "hardswish", "hardtanh"]


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_matches_pytorch(name):
    """The input, a result in a graph, holds the new values; the gradient is the same."""

    def call(side):
        def function(x):
            y = x * 2
            out = getattr(side, name)(y, inplace=True)
            assert out is y
            return y + 0 * out

        return function

    compare(call(ours), call(F), [np.random.default_rng(0).standard_normal((3, 4))], order=1)


# Losses.

REDUCTIONS = ["mean", "sum", "none"]


def pair_losses():
    """Yield (name, options, whether the target is a probability)."""
    for reduction in REDUCTIONS:
        yield from [(name, {"reduction": reduction}) for name in ("mse_loss", "l1_loss")]
        yield from [("huber_loss", {"reduction": reduction, "delta": d}) for d in (1.0, 0.3)]
        yield from [("smooth_l1_loss", {"reduction": reduction, "beta": b}) for b in (1.0, 0.3, 0)]
        yield "binary_cross_entropy_with_logits", {"reduction": reduction}
    for reduction in [*REDUCTIONS, "batchmean"]:
        for log in (False, True):
            yield "kl_div", {"reduction": reduction, "log_target": log}


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (5,), ()], ids=str)
def test_losses_of_pairs_match_pytorch(shape):
    generator = np.random.default_rng(4)
    arrays = [generator.standard_normal(shape), generator.uniform(0.1, 0.9, shape)]
    for name, options in pair_losses():
        with naming(f"{name} {options}"):
            compare(
                lambda x, y, n=name, o=options: getattr(ours, n)(input=x, target=y, **o),
                lambda x, y, n=name, o=options: getattr(F, n)(input=x, target=y, **o),
                arrays,
            )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weighted_losses_match_pytorch(reduction):
    generator = np.random.default_rng(4)
    x, y, w = (np.asarray(generator.uniform(0.1, 0.9, (4, 3))) for _ in range(3))
    for name in ["mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy"]:
        with naming(name):
            compare(
                lambda x, y, n=name: getattr(ours, n)(x, y, reduction=reduction, weight=Tensor(w)),
                lambda x, y, n=name: getattr(F, n)(
                    x, y, reduction=reduction, weight=torch.tensor(w)
                ),
                [x, y],
            )
    for weight in (w, w[0], w[:, :1]):
        for positive in (None, w[1]):
            own = {"weight": weight, "pos_weight": positive}
            theirs = {k: None if v is None else torch.tensor(v) for k, v in own.items()}
            compare(
                lambda x, y, o=own: ours.binary_cross_entropy_with_logits(
                    x, y, reduction=reduction, **o
                ),
                lambda x, y, o=theirs: F.binary_cross_entropy_with_logits(
                    x, y, reduction=reduction, **o
                ),
                [x, y],
            )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_classification_losses_match_pytorch(reduction, smoothing, weighted):
    """Class indices (some or all ignored) and probabilities, with up to two more axes."""
    generator = np.random.default_rng(5)
    weight = generator.uniform(0.5, 2, 4) if weighted else None
    own = {"weight": weight, "reduction": reduction}
    theirs = {**own, "weight": None if weight is None else torch.tensor(weight)}
    more = {"label_smoothing": smoothing}
    for shape in [(5, 4), (2, 4, 3), (2, 4, 3, 2), (4,)]:
        x = generator.standard_normal(shape)
        others = shape[:1] + shape[2:] if len(shape) > 1 else ()
        target = generator.integers(0, 4, others)
        for ignored in (-100, 1, int(target.ravel()[0])):
            with naming(f"{shape} ignoring {ignored}"):
                compare(
                    lambda x, t=target, i=ignored: ours.cross_entropy(
                        x, Tensor(t), ignore_index=i, **own, **more
                    ),
                    lambda x, t=target, i=ignored: F.cross_entropy(
                        x, torch.tensor(t), ignore_index=i, **theirs, **more
                    ),
                    [x],
                )
                compare(
                    lambda x, t=target, i=ignored: ours.nll_loss(x, t, ignore_index=i, **own),
                    lambda x, t=target, i=ignored: F.nll_loss(
                        x, torch.tensor(t), ignore_index=i, **theirs
                    ),
                    [x],
                    order=1,
                )
        compare(
            lambda x, q: ours.cross_entropy(x, q, **own, **more),
            lambda x, q: F.cross_entropy(x, q, **theirs, **more),
            [x, generator.uniform(0, 1, shape)],
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0])
def test_triplet_margin_loss_matches_pytorch(reduction, swap, p):
    generator = np.random.default_rng(6)
    options = {"margin": 0.7, "p": p, "eps": 1e-3, "swap": swap, "reduction": reduction}
    for shapes in ([(5, 3)] * 3, [(3,)] * 3, [(2, 5, 3)] * 3, [(5, 3), (1, 3), (5, 3)]):
        compare(
            lambda *xs: ours.triplet_margin_loss(*xs, **options),
            lambda *xs: F.triplet_margin_loss(*xs, **options),
            [generator.standard_normal(shape) for shape in shapes],
        )


def test_losses_at_their_kinks_match_pytorch():
    """Errors of 0 and of exactly the threshold."""
    x, zeros = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.zeros(5)
    for name, options in pair_losses():
        if name in ("mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss"):
            compare(
                lambda x, y, n=name, o=options: getattr(ours, n)(x, y, **o),
                lambda x, y, n=name, o=options: getattr(F, n)(x, y, **o),
                [x, zeros],
                order=1,
            )
    probabilities = np.array([0.0, 0.0, 1.0, 0.5, 0.25])
    compare(
        lambda x: ours.kl_div(x, probabilities, reduction="none"),
        lambda x: F.kl_div(x, torch.tensor(probabilities), reduction="none"),
        [x],
    )
