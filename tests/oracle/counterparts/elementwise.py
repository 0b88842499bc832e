"""Elementwise ops: comparison, bits, selection, arithmetic, functions in PyTorch."""

from tests.oracle.pytorch import F, torch


def _dropout(x, mask, p):
    return torch.where(mask, x, 0) * (1 / (1 - p) if p < 1 else 0)


def _floor_div(a, b):
    return torch.div(a, b, rounding_mode="floor")


def _trunc_div(a, b):
    return torch.div(a, b, rounding_mode="trunc")


def _is_inf(x, detect_positive=True, detect_negative=True):
    return (torch.isposinf(x) & detect_positive) | (torch.isneginf(x) & detect_negative)


def _is_close(a, b, rtol, atol, equal_nan):
    return torch.isclose(*torch.broadcast_tensors(a, b), rtol, atol, equal_nan)


def _same_names(*names):
    return {name: getattr(torch, name) for name in names}


TABLE = {
    **_same_names("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isfinite"),
    "isinf": _is_inf,
    "gelu": lambda x, approximate: torch.nn.functional.gelu(x, approximate=approximate),
    "sigmoid_gate": lambda x, beta: x * torch.sigmoid(beta * x),
    **_same_names("logical_not", "logical_and", "logical_or", "logical_xor"),
    **_same_names("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
    "lshift": torch.bitwise_left_shift,
    "rshift": torch.bitwise_right_shift,
    "isclose": _is_close,
    "keep_where": lambda x, mask: torch.where(mask, x, 0),
    "where": torch.where,
    "dropout_with_mask": _dropout,
    **_same_names("maximum", "minimum", "add", "sub", "mul", "div", "fmod", "neg", "copysign"),
    "floor_div": _floor_div,
    "trunc_div": _trunc_div,
    "mod": torch.remainder,
    "power_slope": lambda a, b: b * a ** torch.where((b == 0) & ((a == 0) | a.isnan()), b, b - 1),
    "power_log": lambda a, b: a**b * torch.log(torch.where((a == 0) & (b >= 0), 1.0, a)),
    **_same_names("sign", "floor", "ceil", "trunc", "round", "abs"),
    **_same_names("pow", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "rsqrt"),
    **_same_names("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    **_same_names("asinh", "acosh", "atanh", "logaddexp", "atan2", "erf", "sigmoid", "relu"),
    "hardtanh": lambda x, min_val, max_val: F.hardtanh(x, min_val, max_val),
}
