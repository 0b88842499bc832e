"""Readable text of an op's options and gradients, as a user would write them in code."""

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.kernels.windows import Windows
from tinygrad_np.typing import Options, Shape

# Options whose value is one number per axis; equal numbers are written once.
_PER_AXIS = frozenset({"stride", "padding", "dilation", "kernel_size"})


def describe_options(op: Op, options: Options) -> str:
    """Return the options that differ from their defaults, as code; an index is in brackets.

    >>> from tinygrad_np import ops
    >>> describe_options(ops.conv2d, {"stride": (2, 2), "padding": 0, "dilation": 1, "groups": 1})
    'stride=2'
    >>> describe_options(ops.basic_index, {"key": (Ellipsis, slice(32, 48))})
    '[..., 32:48]'
    """
    parts = []
    for name, value in options.items():
        value = _merge(value) if name in _PER_AXIS and op.name != "pad_constant" else value
        usual = op.options.get(name, inspect.Parameter.empty)
        if usual is not inspect.Parameter.empty and _is_same(value, usual):
            continue
        if name == "key":
            parts.append(f"[{_index(value)}]")
        elif isinstance(value, Windows):
            parts.append(_windows(value))
        else:
            parts.append(f"{name}={_text(value)}")
    return ", ".join(parts)


def _is_same(value: Any, usual: Any) -> bool:
    """Return whether an option has its default value; arrays have no default."""
    return type(value) is not np.ndarray and bool(value == usual)


def _merge(value: Any) -> Any:
    """Return one number for nested tuples of equal numbers; (1, 2) for ((1, 1), (2, 2))."""
    if isinstance(value, tuple | list) and value:
        parts = [_merge(part) for part in value]
        if any(isinstance(part, tuple) for part in parts):
            return value
        return parts[0] if all(part == parts[0] for part in parts) else tuple(parts)
    return value


def _windows(windows: Windows) -> str:
    """Return the arguments of the pooling or convolution that made these windows."""
    parts = [f"kernel_size={_merge(windows.kernel)}"]
    if windows.stride != windows.kernel:
        parts.append(f"stride={_merge(windows.stride)}")
    if any(map(any, windows.padding)):
        parts.append(f"padding={_merge(windows.padding)}")
    if any(step != 1 for step in windows.dilation):
        parts.append(f"dilation={_merge(windows.dilation)}")
    return ", ".join(parts)


def _index(key: Any) -> str:
    """Return an index as it is written between brackets."""
    if isinstance(key, tuple):
        return ", ".join(map(_index, key)) + ("," if len(key) == 1 else "")
    if isinstance(key, slice):
        ends = [_end(key.start), _end(key.stop)]
        return ":".join(ends if key.step is None else [*ends, _end(key.step)])
    return "..." if key is Ellipsis else _text(key)


def _end(bound: Any) -> str:
    return "" if bound is None else _text(bound)


def _text(value: Any) -> str:
    """Return one value as code; arrays and long sequences as their shape or length."""
    if isinstance(value, Variable | np.ndarray):
        if value.shape == ():
            return _text(np.asarray(value.data).item())
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, np.generic):
        return _text(value.item())
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, slice):
        return f"slice({_index(value)})"
    if isinstance(value, tuple | list):
        if len(value) > 8:
            return f"<{len(value)} entries>"
        inner = ", ".join(map(_text, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str | int | None | Ellipsis.__class__):
        return "..." if value is Ellipsis else repr(value)
    name = str(getattr(value, "__name__", repr(value)))
    return name if len(name) < 40 and " at 0x" not in name else type(value).__name__


# Gradients. Rules that call private helpers are written out here.

_BY_CHANNEL = "over all axes except the channel axis"
_OF_SCORES = (
    "where dS = P * (dP - Σ P * dP), P = softmax of the masked scores and "
    "dP = M * (grad_out @ valueᵀ), with M = kept / (1 - dropout_p), or 1 without dropout"
)
_RULES: Mapping[str, Mapping[str, str]] = {
    **{
        name: {"x": "0, since out is piecewise constant"}
        for name in ("sign", "floor", "ceil", "trunc", "round")
    },
    **{
        name: dict.fromkeys("ab", "0, since out is piecewise constant")
        for name in ("floor_div", "trunc_div")
    },
    **{
        name: {"x": f"grad_out at each {which} of x, 0 elsewhere; ties share it evenly"}
        for name, which in (("max", "maximum"), ("min", "minimum"))
    },
    "sum": {"x": "grad_out, repeated for each entry of x that was summed"},
    "mean": {"x": "grad_out / n, repeated for each of the n entries of x that were averaged"},
    "prod": {"x": "grad_out * the product of the other entries of x"},
    "logsumexp": {"x": "grad_out * exp(x - out)"},
    "keep_where": {"x": "grad_out where mask, else 0"},
    "where": {"x": "grad_out where condition, else 0", "y": "0 where condition, else grad_out"},
    "maximum": {
        "a": "grad_out where a > b, half of it where a = b, else 0",
        "b": "grad_out where b > a, half of it where a = b, else 0",
    },
    "minimum": {
        "a": "grad_out where a < b, half of it where a = b, else 0",
        "b": "grad_out where b < a, half of it where a = b, else 0",
    },
    "atan2": {"y": "grad_out * x / (x² + y²)", "x": "-grad_out * y / (x² + y²)"},
    "copysign": {
        "x": "grad_out where out and x have the same sign, else -grad_out",
        "other": "0, since out is piecewise constant in other",
    },
    "pow": {
        "a": "grad_out * exponent * a ** (exponent - 1)",
        "exponent": "grad_out * out * log(a)",
    },
    "power_slope": {
        "a": "grad_out * b * (b - 1) * a ** (b - 2)",
        "b": "grad_out * a ** (b - 1) * (1 + b * log(a))",
    },
    "power_log": {
        "a": "grad_out * a ** (b - 1) * (1 + b * log(a))",
        "b": "grad_out * out * log(a)",
    },
    "exp2": {"x": "grad_out * out * log(2)"},
    "log2": {"x": "grad_out / (x * log(2))"},
    "log10": {"x": "grad_out / (x * log(10))"},
    "asinh": {"x": "grad_out / sqrt(x * x + 1)"},
    "relu": {"x": "grad_out where out > 0, else 0"},
    "gelu": {"x": "grad_out * (Φ(x) + x * Φ'(x))"},
    "sigmoid_gate": {"x": "grad_out * s * (1 + beta * x * (1 - s)) with s = sigmoid(beta * x)"},
    "hardtanh": {"x": "grad_out where min_val < out < max_val, else 0"},
    "dropout_with_mask": {"x": "grad_out * mask / (1 - p)"},
    "softmax": {"x": "out * (grad_out - Σ grad_out * out)"},
    "log_softmax": {"x": "grad_out - exp(out) * Σ grad_out"},
    "permute": {"x": "grad_out with its axes permuted back"},
    "pad_constant": {"x": "grad_out without the border"},
    "cat": {"xs": "the part of grad_out that belongs to this input"},
    "assign": {"x": "grad_out, with 0 at key", "value": "grad_out[key]"},
    "recurrence": {
        "a": "s[k] * out[k-1], where s[k] = grad_out[k] + a[k+1] * s[k+1]",
        "b": "s, where s[k] = grad_out[k] + a[k+1] * s[k+1]",
    },
    "cumsum": {"x": "Σ grad_out[k:] at each k"},
    "cumprod": {"x": "Σ grad_out[j] * out[j] / x[k] over all j >= k"},
    "logcumsumexp": {"x": "Σ grad_out[j] * exp(x[k] - out[j]) over all j >= k"},
    "batched_matmul": {"a": "grad_out @ bᵀ", "b": "aᵀ @ grad_out"},
    "linear": {
        "x": "grad_out @ weight",
        "weight": "grad_outᵀ @ x, over all rows",
        "bias": "grad_out",
    },
    "norm": {"x": "grad_out * sign(x) * (|x| / out) ** (p - 1)"},
    "contract": {"xs": "grad_out contracted with the other inputs"},
    "inv": {"x": "-outᵀ @ grad_out @ outᵀ"},
    "solve": {"x": "-(grad of b) @ outᵀ", "b": "(xᵀ)⁻¹ @ grad_out"},
    "det": {"x": "grad_out * cofactors(x)"},
    "cofactors": {"x": "by definition, the derivative of det(x) * (x⁻¹)ᵀ"},
    "sign_and_logdet": {"x": "grad_out[1] * (x⁻¹)ᵀ"},
    "cholesky": {"x": "see Murray 2016, Differentiation of the Cholesky decomposition"},
    "packed_qr": {
        "x": "see Walter and Lehmann 2018, Algorithmic differentiation of linear algebra functions"
    },
    "packed_svd": {"x": "see Townsend 2016, Differentiating the singular value decomposition"},
    "conv2d": {
        "x": "Σ grad_out[n,k,p,q] * weight[k,c,r,s] at [n,c,p+r,q+s]",
        "weight": "Σ x[n,c,p+r,q+s] * grad_out[n,k,p,q] over n, p, q",
        "bias": "Σ grad_out[n,k,p,q] over n, p, q",
    },
    "conv2d_input_grad": {
        "grad": "conv2d(grad_out, weight)",
        "weight": "Σ grad_out[n,c,p+r,q+s] * grad[n,k,p,q] over n, p, q",
    },
    "conv2d_weight_grad": {
        "x": "Σ grad[n,k,p,q] * grad_out[k,c,r,s] at [n,c,p+r,q+s]",
        "grad": "conv2d(x, grad_out)",
    },
    "channel_sum": {"x": f"grad_out, repeated {_BY_CHANNEL}"},
    "max_pool": {"x": "grad_out at the maximum of each window, 0 elsewhere; overlaps add up"},
    "max_pool_grad": {"grad": "grad_out at the maximum of each window"},
    "max_pool_gather": {
        "x": "grad_out at the maximum of each window, 0 elsewhere; overlaps add up"
    },
    "avg_pool2d": {"x": "grad_out spread evenly over each window; overlaps add up"},
    "avg_pool_grad": {"grad": "mean of each window of grad_out"},
    "cross_entropy_rows": {
        "logits": "grad_out * (softmax(logits) - one_hot(target)), "
        "divided by the number of rows if the loss is their mean"
    },
    "log_odds": {"x": "grad_out / (x * (1 - x))"},
    "binary_crossentropy_entries": {
        "x": "grad_out * (x - target) / (x * (1 - x))",
        "target": "-grad_out * (log(x) - log(1 - x))",
    },
    "binary_crossentropy_logits_entries": {
        "x": "grad_out * (sigmoid(x) - target), divided by the number of entries if the loss is "
        "their mean",
        "target": "-grad_out * x, divided likewise",
    },
    "attend": {
        "query": f"scale * dS @ key, {_OF_SCORES}",
        "key": f"scale * dSᵀ @ query, {_OF_SCORES}",
        "value": "(P * M)ᵀ @ grad_out, where P = softmax of the masked scores and "
        "M = kept / (1 - dropout_p), or 1 without dropout",
        "bias": f"dS, {_OF_SCORES}",
    },
    "channel_moments": {"x": "(grad_out[0] + 2 * (x - out[0]) * grad_out[1]) / n"},
    "batch_norm": {
        "x": "weight / std * (grad_out - mean(grad_out) - z * mean(grad_out * z)), "
        "where z = (x - mean(x)) / std and std = √(variance of x + eps)",
        "weight": f"Σ grad_out * (x - mean(x)) / √(variance of x + eps) {_BY_CHANNEL}",
        "bias": f"Σ grad_out {_BY_CHANNEL}",
    },
    "layer_norm": {
        "x": "(g - mean(g) - z * mean(g * z)) / std, with means over the last axis, where "
        "g = grad_out * weight, z = (x - mean(x)) / std and std = √(variance of x + eps)",
        "weight": "Σ grad_out * (x - mean(x)) / √(variance of x + eps) over all but the last axis",
        "bias": "Σ grad_out over all but the last axis",
    },
    "group_norm": {
        "x": "(g - mean(g) - z * mean(g * z)) / std, with means over each sample and group, where "
        "g = grad_out * weight, z = (x - mean(x)) / std and std = √(variance of x + eps)",
        "weight": f"Σ grad_out * (x - mean(x)) / √(variance of x + eps) {_BY_CHANNEL}",
        "bias": f"Σ grad_out {_BY_CHANNEL}",
    },
    "rms_norm": {
        "x": "(g - z * mean(g * z)) / root, where g = grad_out * weight, z = x / root and "
        "root = √(mean x² + eps)",
        "weight": "Σ grad_out * x / √(mean x² + eps) over all but the last axis",
    },
    **{
        name: dict.fromkeys(inputs.split(), "found by backpropagation through time")
        for name, inputs in {
            "lstm": "x h c weight_ih weight_hh bias_ih bias_hh",
            "gru": "x h weight_ih weight_hh bias_ih bias_hh",
            "rnn": "x h weight_ih weight_hh bias_ih bias_hh",
        }.items()
    },
    "checkpointed_call": {"xs": "found by running the function again"},
}
# Ops that broadcast their inputs, so that the engine sums the VJPs.
_BROADCASTING = frozenset(
    {
        "expand",
        "keep_where",
        "where",
        "maximum",
        "minimum",
        "add",
        "sub",
        "mul",
        "div",
        "floor_div",
        "trunc_div",
        "mod",
        "fmod",
        "copysign",
        "power_slope",
        "power_log",
        "pow",
        "logaddexp",
        "atan2",
    }
)


def describe_vjps(op: Op) -> Mapping[str, str]:
    """Return a readable rule for the gradient of each input, by input name.

    It is the source text of the VJP unless that calls private helpers. The text is empty if Python
    cannot find the source, for example of an op defined at the prompt.

    >>> from tinygrad_np import ops
    >>> dict(describe_vjps(ops.tanh))["x"]
    'grad_out * (1 - out * out)'
    >>> dict(describe_vjps(ops.relu))["x"]
    'grad_out where out > 0, else 0'
    """
    is_ours = op.forward.__module__.startswith("tinygrad_np.")
    return (_RULES.get(op.name) if is_ours else None) or vjp_sources(op)


def describe_sum(op: str, wrt: str, shape: Shape, out_shape: Shape) -> str:
    """Return how the engine sums the VJP of an input that was broadcast, or an empty text.

    >>> describe_sum("linear", "bias", (10,), (8, 10))
    ', summed over the broadcast axis (8 × 10 -> 10)'
    """
    if op == "batched_matmul" and min(len(shape), len(out_shape)) >= 2:
        out_shape = (*out_shape[:-2], *shape[-2:])
    elif op not in _BROADCASTING and (op, wrt) != ("linear", "bias"):
        return ""
    added = max(0, len(out_shape) - len(shape))
    count = added + sum(a != b for a, b in zip(shape, out_shape[added:], strict=False))
    if not count:
        return ""
    before, after = (" × ".join(map(str, sizes)) or "scalar" for sizes in (out_shape, shape))
    return f", summed over the broadcast {'axis' if count == 1 else 'axes'} ({before} -> {after})"


@functools.lru_cache(maxsize=1024)
def vjp_sources(op: Op) -> Mapping[str, str]:
    """Return the source text of the VJP of each input, by input name.

    For an op with a definition, it is that of the definition. The text is empty if Python cannot
    find the source.

    >>> from tinygrad_np import ops
    >>> dict(vjp_sources(ops.relu))["x"]
    'keep_where(grad_out, as_array(out))'
    """
    try:
        if op.definition is not None:
            text = f"by definition: {describe_argument(op, 'definition')}"
            return dict.fromkeys(op.differentiable, text)
        written = _argument(op, "vjps") if op.vjps else ast.Dict([], [])
    except (OSError, TypeError, StopIteration, SyntaxError):
        written = None
    if not isinstance(written, ast.Dict):
        return dict.fromkeys(op.differentiable_inputs, "")
    entries = zip(written.keys, written.values, strict=True)
    return {ast.literal_eval(key): _function_text(op, vjp) for key, vjp in entries if key}


def describe_argument(op: Op, name: str) -> str:
    """Return the source text of a function passed to `@op` by keyword.

    >>> from tinygrad_np import ops
    >>> describe_argument(ops.linear, "flops")
    '2 * out.size * x.shape[-1] + (0 if bias is None else out.size)'
    """
    return _function_text(op, _argument(op, name))


def _argument(op: Op, name: str) -> ast.expr:
    """Return the syntax tree of an argument passed to `@op` by keyword."""
    (decorated,) = ast.parse(textwrap.dedent(inspect.getsource(op.forward))).body
    assert isinstance(decorated, ast.FunctionDef)
    call = next(d for d in decorated.decorator_list if isinstance(d, ast.Call))
    return next(keyword.value for keyword in call.keywords if keyword.arg == name)


def _function_text(op: Op, value: ast.expr) -> str:
    """Return what a lambda or a function with only a return statement computes."""
    if isinstance(value, ast.Lambda):
        return ast.unparse(value.body)
    if isinstance(value, ast.Name):
        function = _functions(op.forward.__module__).get(value.id)
        body = [s for s in function.body if not isinstance(s, ast.Expr)] if function else []
        if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
            return ast.unparse(body[0].value)
        return f"{value.id}(...)"
    return ast.unparse(value)


@functools.cache
def _functions(module: str) -> Mapping[str, ast.FunctionDef]:
    """Return the functions of a module by name; none if it has no source, like a notebook."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):
        return {}
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
