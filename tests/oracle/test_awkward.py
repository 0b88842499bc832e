"""Composite methods compared with PyTorch at numbers where formulas break.

These are kinks, ties, zeros, infinities, nan, sums of no entries and variances of one entry.
`test_records` does the same for the op records.
"""

import operator
import warnings

import numpy as np
import pytest

from tests.oracle.compare import compare
from tests.oracle.pytorch import F, torch
from tinygrad_np import Tensor
from tinygrad_np.errors import DtypeError

INF, NAN = np.inf, np.nan
LINE = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 6.0, -6.0, 20.0, -20.0, 90.0, -90.0])
WIDE = np.array([*LINE, 800.0, -800.0, INF, -INF, NAN])
# Rows with ties, zeros of either sign, infinities and nan.
ROWS = np.array(
    [
        [1.0, 2.0, 2.0, -1.0],
        [0.0, -0.0, 0.0, 0.0],
        [3.0, INF, INF, 1.0],
        [-INF, -INF, 2.0, -INF],
        [-INF, -INF, -INF, -INF],
        [1.0, NAN, 2.0, NAN],
        [NAN, INF, -INF, 0.0],
    ]
)
FINITE = ROWS[:2]
ZEROS = np.array([[2.0, 0.0, 3.0, -1.0], [0.0, 4.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0], [1, 2, 3, 4]])
ONE = np.array([[2.0], [0.0], [-3.0]])
SAME = np.full((2, 4), 1.5)


def alike(function):
    """Return an expression that is written the same way on both sides."""
    return function, function


ACTIVATIONS = {
    "relu6": (Tensor.relu6, F.relu6),
    "hardtanh": (Tensor.hardtanh, F.hardtanh),
    "hardtanh with bounds": (lambda x: x.hardtanh(-3, 6), lambda x: F.hardtanh(x, -3, 6)),
    "hardsigmoid": (Tensor.hardsigmoid, lambda x: F.relu6(x + 3) / 6),
    "quick_gelu": (Tensor.quick_gelu, lambda x: x * torch.sigmoid(1.702 * x)),
    "hardswish": (Tensor.hardswish, F.hardswish),
    "leaky_relu": (Tensor.leaky_relu, F.leaky_relu),
    "elu": (Tensor.elu, F.elu),
    "elu with alpha": (lambda x: x.elu(0.5), lambda x: F.elu(x, 0.5)),
    "celu": (lambda x: x.celu(2.0), lambda x: F.celu(x, 2.0)),
    "gelu": (Tensor.gelu, F.gelu),
    "tanh gelu": (lambda x: x.gelu("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "silu": (Tensor.silu, F.silu),
    "mish": (Tensor.mish, F.mish),
    "softplus": (Tensor.softplus, lambda x: F.softplus(x, threshold=80)),
    "softplus with beta": (lambda x: x.softplus(2.0), lambda x: F.softplus(x, 2.0, threshold=80)),
    "softsign": (Tensor.softsign, F.softsign),
    "logsigmoid": (Tensor.logsigmoid, F.logsigmoid),
    "square": alike(lambda x: x.square()),
}

POINTS = {
    "clip": (lambda x: x.clip(-1, 3), lambda x: x.clamp(-1, 3)),
    "clip without max_": (lambda x: x.clip(min_=-0.5), lambda x: x.clamp(min=-0.5)),
    "clip without min_": (lambda x: x.clip(max_=0.5), lambda x: x.clamp(max=0.5)),
    "clip with crossed bounds": (lambda x: x.clip(3, -1), lambda x: x.clamp(3, -1)),
    **{f"x ** {p}": alike(lambda x, p=p: x**p) for p in (0, 1, 2, 3.0, 0.5, -1)},
    "2 ** x": alike(lambda x: 2.0**x),
    "0 ** x": alike(lambda x: 0.0**x),
    "nan_to_num": alike(lambda x: x.nan_to_num()),
    "nan_to_num with numbers": alike(lambda x: x.nan_to_num(1.0, 2.0, -3.0)),
    "nan_to_num of None": alike(lambda x: x.nan_to_num(None)),
    "nan_to_num to nan": alike(lambda x: x.nan_to_num(7.0, float("nan"), float("nan"))),
    "reciprocal": alike(lambda x: x.reciprocal()),
    "1 / x": alike(lambda x: 1 / x),
    "x % 1": alike(lambda x: x % 1),
    "x // 0.5": (lambda x: x // 0.5, lambda x: torch.div(x, 0.5, rounding_mode="floor")),
    "lerp": alike(lambda x: x.lerp(x * 0 + 1, 0.25)),
    "where drops nan": (
        lambda x: (x > 0).where(x.log(), x * 2),
        lambda x: torch.where(x > 0, x.log(), x * 2),
    ),
    "masked_fill of nan": alike(lambda x: x.masked_fill(x != x, 0.0) * x),
    "isinf for +inf only": (lambda x: x.isinf(detect_negative=False), torch.isposinf),
}

# Methods along axis 1 with the same name and arguments on both sides.
ROW_METHODS = [
    *("sum", "mean", "prod", "logsumexp", "softmax", "log_softmax", "cumsum", "cumprod"),
    *("logcumsumexp", "argmax", "argmin", "var", "std", "all", "any"),
    "diff",
]
BY_ROW = {
    **{name: alike(operator.methodcaller(name, 1)) for name in ROW_METHODS},
    "max": (lambda x: x.max(1), lambda x: x.amax(1)),
    "min": (lambda x: x.min(1), lambda x: x.amin(1)),
    "max of all": alike(lambda x: x.max()),
    "min of all": alike(lambda x: x.min()),
    "softmin": (lambda x: x.softmin(1), lambda x: F.softmin(x, 1)),
    "cummax": alike(lambda x: x.cummax(1)[0]),
    "cummin": alike(lambda x: x.cummin(1)[0]),
    "indices of cummax": alike(lambda x: x.cummax(1)[1]),
    "indices of cummin": alike(lambda x: x.cummin(1)[1]),
    "sort": alike(lambda x: x.sort(1)[0]),
    "descending sort": alike(lambda x: x.sort(1, True)[0]),
    "indices of sort": (lambda x: x.sort(1)[1], lambda x: x.sort(dim=1, stable=True)[1]),
    "indices of descending sort": (
        lambda x: x.sort(1, True)[1],
        lambda x: x.sort(dim=1, descending=True, stable=True)[1],
    ),
    "topk": alike(lambda x: x.detach().topk(1, 1)[0]),
    "topk of smallest": alike(lambda x: x.detach().topk(1, 1, largest=False)[0]),
    "var without correction": alike(lambda x: x.var(1, correction=0)),
    "median": (lambda x: x.detach().median(1), lambda x: x.detach().median(1).values),
    "median of all": alike(lambda x: x.detach().median()),
    "std_mean": (lambda x: x.std_mean(1)[0], lambda x: torch.std_mean(x, 1)[0]),
}

POOLS = {
    "max_pool2d": (lambda x: x.max_pool2d(2), lambda x: F.max_pool2d(x, 2)),
    "avg_pool2d": (lambda x: x.avg_pool2d(2), lambda x: F.avg_pool2d(x, 2)),
    "padded max_pool2d": (
        lambda x: x.max_pool2d(2, 2, padding=1),
        lambda x: F.max_pool2d(x, 2, 2, 1),
    ),
}
IMAGES = np.stack([ROWS[:6].reshape(4, 6), np.zeros((4, 6))])[None]

TARGET = np.array([0, 1, 2, 3, 0, 1, 2])
LOSSES = {
    "cross_entropy": (
        lambda x: x.cross_entropy(TARGET, reduction="none"),
        lambda x: F.cross_entropy(x, torch.tensor(TARGET), reduction="none"),
    ),
    "nll_loss": (
        lambda x: x.nll_loss(TARGET, reduction="none"),
        lambda x: F.nll_loss(x, torch.tensor(TARGET), reduction="none"),
    ),
    "binary_crossentropy_logits": (
        lambda x: x.binary_crossentropy_logits(x.detach().isnan().cast(x.dtype)),
        lambda x: F.binary_cross_entropy_with_logits(x, x.detach().isnan().to(x.dtype)),
    ),
}

# Both sides clamp 1 / (x (1 - x)), but the bounds differ by float32 rounding. At 0 and 1, gradients
# are therefore compared only for targets of 0 and 1.
PROBABILITIES = np.array([0.0, 1.0, 1e-9, 1 - 1e-9, 0.5])
TARGETS = np.array([0.0, 1.0, 0.3, 0.3, 0.0])

INPUTS_BY_ROW = {"rows": ROWS, "ties": FINITE, "zeros": ZEROS, "one": ONE, "equals": SAME}
CASES = {
    **{name: (*case, WIDE) for name, case in {**ACTIVATIONS, **POINTS}.items()},
    # PyTorch's float32 kernel gives nan for gelu(inf).
    "gelu": (*ACTIVATIONS["gelu"], WIDE[WIDE != INF]),
    **{
        f"{name} of {what}": (*case, rows)
        for what, rows in INPUTS_BY_ROW.items()
        for name, case in BY_ROW.items()
    },
    **{name: (*case, IMAGES) for name, case in POOLS.items()},
    **{name: (*case, ROWS) for name, case in LOSSES.items()},
    "binary_crossentropy": (
        lambda x, t: x.binary_crossentropy(t.detach(), reduction="none") + t * 0,
        lambda x, t: F.binary_cross_entropy(x, t.detach(), reduction="none") + t * 0,
        PROBABILITIES,
        TARGETS,
    ),
}


# Gradients that differ from PyTorch's on purpose: at which entries or rows, and why.
NONE_PASSES = "nan; PyTorch passes the upstream gradient through a nan"
DIFFERENT = {
    "hardswish": (lambda x: np.isnan(x) | (x == -INF), "0 at -inf; PyTorch computes -inf times 0"),
    "tanh gelu": (np.isinf, "the limits, 0 and 1; PyTorch computes inf times 0"),
    "elu": (np.isnan, NONE_PASSES),
    "elu with alpha": (np.isnan, NONE_PASSES),
    "celu": (np.isnan, NONE_PASSES),
    **{
        name: (np.isnan, "passed through nan, as in relu; PyTorch's clamp stops it")
        for name in POINTS
        if name.startswith("clip")
    },
    "x ** 0.5": (
        lambda x: np.signbit(x) & ((x == 0) | np.isinf(x)),
        "the power function; PyTorch computes the square root",
    ),
    "max of rows": (np.isnan, "goes to the nan, as in PyTorch's full max; its amax gives nan"),
    "min of rows": (np.isnan, "goes to the nan, as in PyTorch's full min; its amin gives nan"),
    "logsumexp of rows": (
        lambda x: np.all(x == -INF, axis=1, keepdims=True),
        "0 for a row of -inf, for example a fully masked one; PyTorch gives nan",
    ),
    "logcumsumexp of rows": (np.isinf, "0 at -inf, for example a masked entry; PyTorch gives nan"),
    "cumprod of rows": (
        np.isinf,
        "computed without division, so no nan; PyTorch divides by entries",
    ),
    "var of rows": (np.isinf, "nan for the whole row; PyTorch gives ±inf at some entries"),
    "var without correction of rows": (np.isinf, "nan for the whole row; PyTorch gives ±inf"),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_functions_of_awkward_numbers_match_pytorch(name, dtype):
    ours, theirs, *arrays = CASES[name]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # PyTorch warns about variances of one entry.
        warnings.filterwarnings("ignore", "(var|std|std_mean).*degrees of freedom is <= 0")
        if name in DIFFERENT:
            is_different, reason = DIFFERENT[name]
            assert reason
            if name != "hardswish":  # its value at -inf differs as well
                compare(ours, theirs, arrays, dtype, order=0, each=True)
            kept = ~is_different(arrays[0])
            arrays = [array[kept.all(axis=1) if array.ndim == 2 else kept] for array in arrays]
        compare(ours, theirs, arrays, dtype, order=1, each=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int32, torch.bool])
def test_tensors_of_pytorch_are_converted_with_their_dtype(dtype):
    values = torch.tensor([[0, 1], [1, 0]], dtype=dtype)
    converted = Tensor(values)
    assert converted.dtype == values.numpy().dtype
    assert converted.tolist() == values.tolist()
    assert not np.may_share_memory(converted.data, values.numpy())


def test_tensor_of_pytorch_that_requires_a_gradient_raises():
    with pytest.raises(DtypeError, match=r"convert this torch\.Tensor .* Use tensor\.detach\(\)"):
        Tensor(torch.ones(2, requires_grad=True))
