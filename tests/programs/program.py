"""Straight-line programs: their steps, their printed form, and runs on arrays and on Tensors.

The same steps run in PyTorch in `tests/oracle/test_random_programs.py`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_np import Tensor, no_grad, ops
from tinygrad_np.errors import GraphError

# A value is identified by its position among all values, leaves first. The inputs of a step are
# values (ints), constant arrays, or None for an omitted input.
Input = int | np.ndarray | None


@dataclass
class Step:
    """One op with its inputs and attributes, or a change in place (one of `CHANGES`)."""

    name: str
    inputs: tuple[Input, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def makes_a_value(self) -> bool:
        """Whether the step adds a value, unlike changes in place and attempts at them."""
        return self.name not in CHANGES

    def __str__(self) -> str:
        inputs = [f"v{value}" if isinstance(value, int) else _brief(value) for value in self.inputs]
        options = [f"{name}={_brief(value)}" for name, value in self.attributes.items()]
        return f"{self.name}({', '.join(inputs + options)})"


def _brief(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    entries = np.array2string(value, precision=17, separator=", ", threshold=8, edgeitems=2)
    return f"{value.dtype}{list(value.shape)}{' '.join(entries.split())}"


# Write `to` to the value at `key`, inside no_grad() or through a detached view.
WRITE = "write"
# The same while recording; `to` may depend on another value.
STORE = "store"
# Apply an in-place operator to the value while recording.
UPDATE = "update"
# Write to a leaf that requires a gradient while recording, which must raise.
ATTEMPT = "attempt to write"
CHANGES = (WRITE, STORE, UPDATE, ATTEMPT)
OPERATORS = {"+=": operator.iadd, "-=": operator.isub, "*=": operator.imul}


@dataclass
class Program:
    """A program: its leaves, which of them require gradients, and its steps."""

    seed: int
    leaves: list[np.ndarray]
    wanted: list[bool]
    steps: list[Step] = field(default_factory=list)

    @property
    def results(self) -> list[int]:
        """Values that no later step uses; the result of the program joins all of them."""
        makers = [step for step in self.steps if step.makes_a_value]
        used = {value for step in makers for value in step.inputs if isinstance(value, int)}
        first, end = len(self.leaves), len(self.leaves) + len(makers)
        return [value for value in range(first, end) if value not in used]

    @property
    def writes(self) -> bool:
        """Whether any value is changed in place."""
        return any(step.name in (WRITE, STORE, UPDATE) for step in self.steps)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}"]
        for place, (leaf, wanted) in enumerate(zip(self.leaves, self.wanted, strict=True)):
            kind = "leaf" if wanted else "constant"
            lines.append(f"v{place} = {kind} {_brief(leaf)}")
        place = len(self.leaves)
        for step in self.steps:
            lines.append(f"v{place} = {step}" if step.makes_a_value else f"{step}")
            place += step.makes_a_value
        lines.append(f"result: {', '.join(f'v{value}' for value in self.results)}")
        return "\n".join(lines)


def squash(x: Any, scale: float, shift: float, low: float, high: float) -> Any:
    """Map x smoothly into (low, high)."""
    unit = ops.tanh(ops.add(ops.mul(x, scale), shift))
    return ops.add(ops.mul(unit, (high - low) / 2), (high + low) / 2)


def near(x: Any, array: np.ndarray) -> Any:
    """Return `array`, perturbed by entries of x."""
    places = np.arange(array.size) % math.prod(x.shape) if array.size else np.zeros(0, int)
    entries = ops.getitem(ops.reshape(x, (-1,)), places)
    return ops.add(ops.mul(ops.tanh(ops.reshape(entries, array.shape)), 0.1), array)


def detach(x: Any) -> Any:
    """Return x detached from its graph; an array is returned as it is."""
    return x.detach() if isinstance(x, Tensor) else x


# Functions composed of several ops.
COMPOSED: dict[str, Callable[..., Any]] = {
    "squash": squash,
    "near": near,
    "sort": lambda x, dim: ops.sort(x, dim)[0],
    "cummax": lambda x, axis: ops.cummax(x, axis)[0],
    "var": lambda x, axis: ops.var(x, axis),
    "mish": lambda x: ops.mish(x),
    "clip": lambda x, low, high: ops.clip(x, low, high),
    "stack": lambda *xs, dim: ops.stack(*xs, dim=dim),
    "where above": lambda x, y, bound: ops.where(ops.gt(x, bound), x, y),
    "flip": lambda x, axis: ops.flip(x, axis),
    "unfold": lambda x, dim, size, step: ops.unfold(x, dim, size, step),
}


def function_of(step: Step) -> Callable[..., Any]:
    """Return the function that runs a step on arrays or Tensors."""
    return COMPOSED.get(step.name) or ops.table[step.name]


def joined(parts: Sequence[Any]) -> Any:
    """Concatenate the entries of all parts."""
    return ops.cat(*[ops.reshape(part, (-1,)) for part in parts])


class Base:
    """The values that the writes of an unperturbed run replaced."""

    def __init__(self) -> None:
        self.before: list[np.ndarray] = []


def run_on_arrays(
    program: Program, leaves: Sequence[np.ndarray], base: Base | None = None
) -> tuple[np.ndarray, Base]:
    """Run on copies of the leaves; return the result and the values that writes replaced.

    A write replaces a value, but not its dependence on the leaves. In a run with perturbed leaves,
    the difference between the old value and the one in `base` is therefore kept.
    """
    record = Base()
    values = [np.array(leaf) for leaf in leaves]
    for step in program.steps:
        if step.name == WRITE:
            target, key, to = values[_place(step)], step.attributes["key"], step.attributes["to"]
            old = target[key].copy()
            moved = old - base.before[len(record.before)] if base else 0.0
            record.before.append(old)
            target[key] = to + moved
        elif step.name in (STORE, UPDATE):
            change_recorded(step, values)
        elif step.makes_a_value:
            value = function_of(step)(*given(step, values), **step.attributes)
            # NumPy's operators return scalars for 0-d arrays.
            values.append(np.asarray(value))
    return joined([values[v] for v in program.results]), record


def given(step: Step, values: Sequence[Any]) -> list[Any]:
    """Return the inputs of a step, with values looked up."""
    return [values[v] if isinstance(v, int) else v for v in step.inputs]


def _place(step: Step) -> int:
    place = step.inputs[0]
    if not isinstance(place, int):
        raise TypeError(f"{step}: expected to change a value, got {place!r}.")
    return place


def change_recorded(step: Step, values: Sequence[Any]) -> None:
    """Carry out a `STORE` or `UPDATE` step on arrays or Tensors."""
    target, source = given(step, values)
    to = step.attributes["to"]
    to = to if source is None else near(source, to)
    if step.name == STORE:
        target[step.attributes["key"]] = to
    else:
        OPERATORS[step.attributes["symbol"]](target, to)


class NotRefusedError(AssertionError):
    """A change in place that must raise did not."""


def run_on_tensors(program: Program, dtype: Any = np.float64) -> tuple[Tensor, list[Tensor]]:
    """Run on new Tensors; return the result and the leaves that require gradients."""
    values = [
        Tensor(leaf.astype(dtype), requires_grad=wanted)
        for leaf, wanted in zip(program.leaves, program.wanted, strict=True)
    ]
    leaves = [value for value in values if value.requires_grad]
    for step in program.steps:
        if step.makes_a_value:
            inputs = [_constant(value, dtype) for value in given(step, values)]
            attributes = {name: _constant(v, dtype) for name, v in step.attributes.items()}
            values.append(function_of(step)(*inputs, **attributes))
        elif step.name in (STORE, UPDATE):
            to = _constant(step.attributes["to"], dtype)
            change_recorded(replace(step, attributes={**step.attributes, "to": to}), values)
        else:
            _change(step, values[_place(step)], dtype)
    return joined([values[v] for v in program.results]), leaves


def _constant(value: Any, dtype: Any) -> Any:
    """Convert a float array to `dtype`; return anything else unchanged."""
    is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return value.astype(dtype) if is_float else value


def _change(step: Step, target: Tensor, dtype: Any) -> None:
    key, to = step.attributes["key"], _constant(step.attributes["to"], dtype)
    if step.name == ATTEMPT:
        try:
            target[key] = to
        except GraphError:
            return
        raise NotRefusedError(str(step))
    if step.attributes["through"] == "detach":
        detach(target)[key] = to
    else:
        with no_grad():
            target[key] = to
