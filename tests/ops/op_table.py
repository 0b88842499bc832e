"""Generate the table of all ops from their definitions.

`python -m tests.ops.op_table` writes it to tinygrad_np/ops/README.md.
"""

import ast
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygrad_np import ops
from tinygrad_np.autograd.op import Op, parameter_names

PATH = Path(ops.__file__).with_name("README.md")

HEAD = """# The ops

An op has a forward function, a formula and, if it is differentiable, gradients: either one VJP
(vector-Jacobian product) per differentiable input, a function of the upstream gradient `grad_out`,
or a definition in terms of other ops, which is differentiated instead. VJPs are written with ops,
so they can be differentiated again. A kernel, if any, computes the first-order gradients of all
inputs at once. Composite methods such as `mish` and `normalize` are written with these ops and are
not listed.

`python -m tests.ops.op_table` generates this table from the definitions, and a test checks that it
is current. "saved" lists the arrays that a gradient needs in addition to shapes and options; `out`
is the output. "kernel" gives the function and the arrays it reads. "FLOPs" is what `profile()`
counts for the forward pass; a number is per entry of `out`.
"""


def table() -> str:
    """Return the page, with one table per family."""
    parts = [HEAD]
    families: dict[str, list[Op]] = {}
    for op in ops.table.values():
        families.setdefault(op.forward.__module__, []).append(op)
    for module, members in families.items():
        title = module.rpartition(".")[2]
        link = "../autograd/primitives.py" if title == "primitives" else f"{title}.py"
        parts.append(f"## [{title}]({link})\n\n{_summary(module)}\n")
        parts.append(
            "| op | formula | gradients | saved | kernel | at kinks and ties | FLOPs |\n"
            "| --- | --- | --- | --- | --- | --- | --- |"
        )
        parts += [_row(op) for op in members]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _summary(module: str) -> str:
    return " ".join((inspect.getdoc(sys.modules[module]) or "").split("\n\n")[0].split())


def _row(op: Op) -> str:
    gradients = "<br>".join(f"{wrt}: `{text}`" for wrt, text in _vjp_texts(op))
    saved = "<br>".join(f"{wrt}: {_saved(op, vjp)}" for wrt, vjp in op.vjps.items())
    if op.definition is not None:
        gradients = f"{', '.join(op.differentiable)}: by definition, `{_written(op, 'definition')}`"
        saved = ", ".join(op.inputs)
    kernel = f"`{_written(op, 'backward')}`; reads {_saved(op, op.backward)}" if op.backward else ""
    cells = [f"`{op.name}`", op.formula, gradients or "none", saved, kernel, op.subgradient]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in [*cells, _flops(op)]) + " |"


def _saved(op: Op, function: Callable[..., Any]) -> str:
    """Return the names of the arrays that a VJP or kernel saves."""
    kept = [*op.inputs, *op.extra_results, "out"]
    return ", ".join(name for name in parameter_names(function) if name in kept) or "nothing"


def _vjp_texts(op: Op) -> Iterator[tuple[str, str]]:
    """Yield the name and the VJP source of each differentiable input."""
    source = _source(op.forward.__module__)
    value = _argument(op, "vjps") if op.vjps else None
    if not isinstance(value, ast.Dict):
        return
    for key, vjp in zip(value.keys, value.values, strict=True):
        assert isinstance(key, ast.Constant)
        yield str(key.value), _text(source, vjp)


def _flops(op: Op) -> str:
    if callable(op.flops):
        return f"`{_written(op, 'flops')}`"
    return str(int(not op.view) if op.flops is None else op.flops)


def _written(op: Op, name: str) -> str:
    """Return the source of a function passed to `@op` by keyword."""
    return _text(_source(op.forward.__module__), _argument(op, name))


def _argument(op: Op, name: str) -> ast.expr:
    """Return the syntax tree of an argument passed to `@op` by keyword."""
    decorated = _source(op.forward.__module__).functions[op.forward.__name__]
    call = next(d for d in decorated.decorator_list if isinstance(d, ast.Call))
    return next(keyword.value for keyword in call.keywords if keyword.arg == name)


def _text(source: "Source", value: ast.expr) -> str:
    if isinstance(value, ast.Lambda):
        return ast.unparse(value.body)
    if isinstance(value, ast.Name):
        function = source.functions.get(value.id)
        body = [s for s in function.body if not isinstance(s, ast.Expr)] if function else []
        if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value is not None:
            return ast.unparse(body[0].value)
        return f"{value.id}(...)"
    return ast.unparse(value)


class Source:
    """The parsed functions of a module."""

    def __init__(self, module: str) -> None:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
        self.functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}


_source = functools.cache(Source)


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
    print(PATH)
