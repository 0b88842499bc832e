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
from tinygrad_np.typing import Options

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


# The source text of gradients.


@functools.lru_cache(maxsize=1024)
def describe_vjps(op: Op) -> Mapping[str, str]:
    """Return the source text of the VJP of each input, by input name.

    For an op with a definition, it is that of the definition. The text is empty if Python cannot
    find the source, for example of an op defined at the prompt.

    >>> from tinygrad_np import ops
    >>> dict(describe_vjps(ops.tanh))["x"]
    'grad_out * (1 - out * out)'
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
