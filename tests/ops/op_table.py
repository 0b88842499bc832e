"""Generate the table of all ops from their definitions.

`python -m tests.ops.op_table` writes it to tinygrad_np/ops/README.md.
"""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_np import ops
from tinygrad_np.autograd.op import Op, parameter_names
from tinygrad_np.viz.formulas import describe_argument, vjp_sources

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
    gradients = "<br>".join(f"{wrt}: `{text}`" for wrt, text in vjp_sources(op).items())
    saved = "<br>".join(f"{wrt}: {_saved(op, vjp)}" for wrt, vjp in op.vjps.items())
    if op.definition is not None:
        definition = describe_argument(op, "definition")
        gradients = f"{', '.join(op.differentiable)}: by definition, `{definition}`"
        saved = ", ".join(op.inputs)
    kernel = (
        f"`{describe_argument(op, 'backward')}`; reads {_saved(op, op.backward)}"
        if op.backward
        else ""
    )
    cells = [f"`{op.name}`", op.formula, gradients or "none", saved, kernel, op.subgradient]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in [*cells, _flops(op)]) + " |"


def _saved(op: Op, function: Callable[..., Any]) -> str:
    """Return the names of the arrays that a VJP or kernel saves."""
    kept = [*op.inputs, *op.extra_results, "out"]
    return ", ".join(name for name in parameter_names(function) if name in kept) or "nothing"


def _flops(op: Op) -> str:
    if callable(op.flops):
        return f"`{describe_argument(op, 'flops')}`"
    return str(int(not op.view) if op.flops is None else op.flops)


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
    print(PATH)
