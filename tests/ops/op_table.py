"""The table of all ops, from their records and their source: `python -m tests.ops.op_table` writes
it to tinygrad_np/ops/README.md."""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from tinygrad_np import ops
from tinygrad_np.autograd.op import Op

PATH = Path(ops.__file__).with_name("README.md")

HEAD = """# The ops

Every op is one record: its formula, a VJP (vector-Jacobian product) for each input that has a
gradient, and what is saved for it. A VJP takes `grad_out`, the gradient of the output; it is
written in ops itself, so that it can be differentiated again. Composite methods, such as `mish` or
`normalize`, are written in these ops and are not listed.

This table is made from the records: `python -m tests.ops.op_table` writes it, a test keeps it
current. "Saved" is what an input's gradient needs beside shapes and options; `out` is the output.
"FLOPs" are those that `profile()` counts for the forward; a number is for each entry of `out`.
"""


def table() -> str:
    """Return the page: a table for each family."""
    parts = [HEAD]
    families: dict[str, list[Op]] = {}
    for op in ops.table.values():
        families.setdefault(op.forward.__module__, []).append(op)
    for module, members in families.items():
        title = module.rpartition(".")[2]
        link = "../record.py" if title == "record" else f"{title}.py"
        parts.append(f"## [{title}]({link})\n\n{_summary(module)}\n")
        parts.append(
            "| op | formula | VJP | saved | at kinks and ties | FLOPs |\n"
            "| --- | --- | --- | --- | --- | --- |"
        )
        parts += [_row(op) for op in members]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _summary(module: str) -> str:
    return " ".join((inspect.getdoc(sys.modules[module]) or "").split("\n\n")[0].split())


def _row(op: Op) -> str:
    texts = dict(_vjp_texts(op))
    vjps = "<br>".join(f"{wrt}: `{text}`" for wrt, text in texts.items()) or "none"
    saved = "<br>".join(f"{wrt}: {_saved(op, wrt)}" for wrt in op.vjps) or ""
    cells = [f"`{op.name}`", op.formula, vjps, saved, op.subgradient, _flops(op)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _saved(op: Op, wrt: str) -> str:
    if op.definition is not None:
        return ", ".join([*op.inputs, *op.caches])
    vjp = op.vjps[wrt]
    names = list(inspect.signature(vjp).parameters)[1:] if vjp else []
    kept = [*op.inputs, *op.keeps, *op.caches, "out"]
    return ", ".join(name for name in names if name in kept) or "nothing"


def _vjp_texts(op: Op) -> Iterator[tuple[str, str]]:
    """Yield for each input the text of its VJP, from the source of the record."""
    source = _source(op.forward.__module__)
    value = _argument(op, "vjps") if op.vjps else None
    if not isinstance(value, ast.Dict):
        return
    for key, vjp in zip(value.keys, value.values, strict=True):
        assert isinstance(key, ast.Constant)
        yield str(key.value), _text(source, vjp)


def _flops(op: Op) -> str:
    if callable(op.flops):
        return f"`{_text(_source(op.forward.__module__), _argument(op, 'flops'))}`"
    return str(int(not op.view) if op.flops is None else op.flops)


def _argument(op: Op, name: str) -> ast.expr:
    """Return what the record was given by a keyword, as it stands in the source."""
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
    return "that of the definition" if isinstance(value, ast.Constant) else ast.unparse(value)


class Source:
    """The functions of a module, parsed."""

    def __init__(self, module: str) -> None:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
        self.functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}


_source = functools.cache(Source)


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
    print(PATH)
