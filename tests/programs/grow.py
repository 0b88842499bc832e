"""Generate random programs.

Each step is run on arrays when it is added, so that values stay small and away from kinks.

The steps come from the op records themselves. Plain ops are applied to earlier values, reductions
and scans along any axis, and every other differentiable op to one of its own samples, perturbed by
earlier values. A new op is therefore part of the programs as soon as it is in `ops.table`.
"""

import collections
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples import is_plain, samples_of
from tests.programs.program import (
    ATTEMPT,
    OPERATORS,
    STORE,
    UPDATE,
    WRITE,
    Input,
    Program,
    Step,
    change_recorded,
    function_of,
)
from tinygrad_np import ops
from tinygrad_np.autograd.op import Op
from tinygrad_np.errors import MatrixError

# Ops that programs do not contain, and why.
ONE_DTYPE = "changes the dtype, but a program has a single dtype"
WITHOUT = {"cast": ONE_DTYPE, "channel_moments": ONE_DTYPE}

LARGEST = 160
SHAPES = [(), (1,), (3,), (4,), (2, 3), (1, 3), (2, 1), (3, 2), (2, 3, 2), (2, 1, 3), (1, 2, 4, 4)]


def grow(seed: int, changes: bool = True) -> Program:
    """Return the program of a seed; with `changes`, some programs change values in place."""
    return Grower(seed, changes).program


class Grower:
    """A program under construction, with its values so far."""

    def __init__(self, seed: int, changes: bool) -> None:
        self.rng = np.random.default_rng(seed)
        shapes = [SHAPES[i] for i in self.rng.integers(0, len(SHAPES), self.rng.integers(2, 5))]
        leaves = [np.asarray(self.rng.uniform(-1.5, 1.5, shape)) for shape in shapes]
        wanted = [True, *(bool(self.rng.random() < 0.85) for _ in leaves[1:])]
        self.program = Program(seed, leaves, wanted)
        self.values: list[np.ndarray] = [leaf.copy() for leaf in leaves]
        self.tame = list(range(len(leaves)))
        self.may_change = changes and self.rng.random() < 0.3
        length = int(self.rng.integers(5, 31))
        while len(self.program.steps) < length:
            if self.rng.random() < (0.2 if self.may_change else 0.05):
                self.change()
            else:
                FAMILIES[int(self.rng.choice(len(FAMILIES), p=CHANCES))](self)

    def pick(self, fits: Callable[[np.ndarray], bool] = lambda value: True) -> int | None:
        """Return a small nonempty value for which `fits` is true, preferably a recent one."""
        found = [i for i in self.tame if fits(self.values[i])]
        if not found:
            return None
        if self.rng.random() < 0.5:
            found = found[-4:]
        return int(self.rng.choice(found))

    def add(self, name: str, *inputs: Input, **attributes: Any) -> int | None:
        """Add a step and return its value, or return None if it would be large or not finite."""
        step = Step(name, inputs, attributes)
        given = [self.values[v] if isinstance(v, int) else v for v in inputs]
        try:
            with np.errstate(all="ignore"):
                value = np.asarray(function_of(step)(*given, **attributes))
        except MatrixError:
            # The sample was perturbed too far, for example no longer positive definite.
            return None
        if value.size > LARGEST or not np.isfinite(value).all():
            return None
        self.program.steps.append(step)
        self.values.append(value)
        place = len(self.values) - 1
        if np.abs(value).max(initial=0) > 5:
            return self.squashed(place, -2.0, 2.0)
        if value.size:
            self.tame.append(place)
        return place

    def squashed(self, place: int, low: float, high: float) -> int | None:
        """Add a step that squashes a value into (low, high)."""
        largest = max(1.0, float(np.abs(self.values[place]).max(initial=0)))
        scale = float(self.rng.uniform(0.5, 1.2)) / largest
        shift = float(self.rng.uniform(-0.3, 0.3))
        return self.add("squash", place, scale=scale, shift=shift, low=low, high=high)

    def ready(self, place: int, op: Op) -> int | None:
        """Squash a value, if necessary, into the op's domain and away from its kinks."""
        low, high = op.samples.domain
        for _ in range(3):
            value = self.values[place]
            distances = [np.abs(value - kink).min(initial=1.0) for kink in op.samples.kinks]
            is_inside = (low, high) == (-2.0, 2.0) or (low <= value.min() and value.max() <= high)
            if is_inside and min(distances, default=1.0) > 1e-3:
                return place
            squashed = self.squashed(place, low, high)
            if squashed is None:
                return None
            place = squashed
        return None

    def axis(self, value: np.ndarray) -> int:
        """Return a random axis of a value, possibly negative."""
        return int(self.rng.integers(-value.ndim, value.ndim))

    def change(self) -> None:
        """Add a write to a value, or an attempt; preferably to one that shares memory."""
        owners = collections.Counter(map(_owner, self.values))
        is_rather_shared = self.rng.random() < 0.7
        place = self.pick(
            lambda value: (
                value.flags.writeable and (not is_rather_shared or owners[_owner(value)] > 1)
            )
        )
        if place is None:
            return
        value = self.values[place]
        key: Any = ...
        if value.ndim and self.rng.random() < 0.7:
            start = int(self.rng.integers(0, value.shape[0]))
            key = (slice(start, start + 1),)
        to = np.asarray(self.rng.uniform(-1.5, 1.5, value[key].shape))
        if place < len(self.program.leaves) and self.program.wanted[place]:
            if not self.may_change or self.rng.random() < 0.2:
                self.program.steps.append(Step(ATTEMPT, (place,), {"key": key, "to": to}))
                return
        elif self.may_change and self.rng.random() < 0.7:
            self.change_recorded(place, key, to)
            return
        if not self.may_change:
            return
        through = str(self.rng.choice(["no_grad", "detach"]))
        self.program.steps.append(Step(WRITE, (place,), {"key": key, "to": to, "through": through}))
        value[key] = to

    def change_recorded(self, place: int, key: Any, to: np.ndarray) -> None:
        """Add an assignment or an in-place operator to a value that is not a leaf."""
        source = self.pick(lambda value: value.size > 0) if self.rng.random() < 0.6 else None
        if self.rng.random() < 0.5:
            step = Step(STORE, (place, source), {"key": key, "to": to})
        else:
            to = np.asarray(self.rng.uniform(0.5, 1.5, self.values[place].shape))
            symbol = str(self.rng.choice(list(OPERATORS)))
            step = Step(UPDATE, (place, source), {"symbol": symbol, "to": to})
        self.program.steps.append(step)
        change_recorded(step, self.values)


def _owner(value: np.ndarray) -> int:
    """Return an identifier of the memory that a value uses."""
    return id(value if value.base is None else value.base)


def _chosen(family: list[Op], grower: Grower) -> Op:
    return family[int(grower.rng.integers(len(family)))]


@functools.cache
def differentiable() -> list[Op]:
    """Return the ops that programs consist of."""
    return [op for op in ops.table.values() if op.differentiable_inputs and op.name not in WITHOUT]


def _named(names: set[str]) -> list[Op]:
    return [op for op in differentiable() if set(op.options) == names and op.inputs == ["x"]]


@functools.cache
def _families() -> dict[str, list[Op]]:
    plain = [op for op in differentiable() if is_plain(op)]
    return {
        "others": [op for op in differentiable() if op not in plain],
        "unary": [op for op in plain if len(op.inputs) == 1],
        "binary": [op for op in plain if len(op.inputs) == 2],
        "reductions": _named({"axis", "keepdim"}),
        "scans": [*_named({"axis"}), *_named({"dim"})],
    }


def unary(grower: Grower) -> None:
    """Add a plain op with one input."""
    op = _chosen(_families()["unary"], grower)
    place = grower.pick()
    ready = None if place is None else grower.ready(place, op)
    if ready is not None:
        grower.add(op.name, ready)


def binary(grower: Grower) -> None:
    """Add a plain op with two inputs that broadcast, sometimes the same value twice."""
    op = _chosen(_families()["binary"], grower)
    first = grower.pick()
    if first is None:
        return
    shape = grower.values[first].shape
    second = grower.pick(lambda value: _broadcast(shape, value.shape))
    places = [None if place is None else grower.ready(place, op) for place in (first, second)]
    if None not in places:
        grower.add(op.name, *places)


def _broadcast(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(n == m or 1 in (n, m) for n, m in pairs)


def arithmetic(grower: Grower) -> None:
    """Add a sum, difference or product, the most frequent ops of networks."""
    first = grower.pick()
    if first is not None:
        shape = grower.values[first].shape
        second = grower.pick(lambda value: _broadcast(shape, value.shape))
        grower.add(str(grower.rng.choice(["add", "sub", "mul"])), first, second)


def reduction(grower: Grower) -> None:
    """Add a reduction over one axis, several or all."""
    op = _chosen(_families()["reductions"], grower)
    place = grower.pick(lambda value: value.ndim > 0)
    if place is None:
        return
    value = grower.values[place]
    axes = grower.rng.permutation(value.ndim)[: grower.rng.integers(1, value.ndim + 1)]
    axis = None if grower.rng.random() < 0.2 else tuple(int(a) for a in axes)
    grower.add(op.name, place, axis=axis, keepdim=bool(grower.rng.random() < 0.5))


def scan(grower: Grower) -> None:
    """Add a scan along an axis."""
    op = _chosen(_families()["scans"], grower)
    place = grower.pick(lambda value: value.ndim > 0)
    if place is not None:
        (name,) = op.options
        grower.add(op.name, place, **{name: grower.axis(grower.values[place])})


def sampled(grower: Grower) -> None:
    """Add an op that is not plain, on one of its samples perturbed by earlier values."""
    op = _chosen(_families()["others"], grower)
    fitting = _small_samples(op)
    if not fitting:
        return
    sample = fitting[int(grower.rng.integers(len(fitting)))]
    inputs: list[Input] = []
    for position, array in enumerate(sample.inputs):
        is_moved = array is not None and op.input_name(position) in op.differentiable_inputs
        place = grower.pick() if is_moved and grower.rng.random() < 0.85 else None
        moved = None if place is None else grower.add("near", place, array=np.array(array))
        inputs.append(moved if moved is not None else array)
    if any(isinstance(value, int) for value in inputs):
        attributes = {n: sample.attributes.get(n, op.options[n]) for n in op.options}
        grower.add(op.name, *inputs, **attributes)


@functools.cache
def _small_samples(op: Op) -> list[Any]:
    return [
        sample
        for sample in samples_of(op)
        if sum(array.size for array in sample.inputs if array is not None) <= LARGEST
        and sample.inputs[0].size
    ]


def view(grower: Grower) -> None:
    """Add a reshape, permutation, transpose, flip or slice, which share memory."""
    place = grower.pick(lambda value: value.ndim > 0)
    if place is None:
        return
    value, rng = grower.values[place], grower.rng
    kind = rng.integers(6)
    if kind == 0:
        shapes = [(-1,), (1, *value.shape), (*value.shape, 1), value.shape[::-1]]
        grower.add("reshape", place, shape=shapes[rng.integers(len(shapes))])
    elif kind == 1:
        grower.add("permute", place, order=tuple(int(a) for a in rng.permutation(value.ndim)))
    elif kind == 2:
        grower.add("transpose", place, dim0=grower.axis(value), dim1=grower.axis(value))
    elif kind == 3:
        grower.add("flip", place, axis=grower.axis(value))
    else:
        grower.add("basic_index", place, key=_basic_key(value.shape, rng))


def _basic_key(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    key: list[Any] = []
    for length in shape:
        start = int(rng.integers(length))
        parts = [slice(None), slice(start, None), slice(None, None, -1), slice(0, None, 2), start]
        key.append(parts[int(rng.integers(len(parts)))])
    if rng.random() < 0.2:
        key.insert(int(rng.integers(len(key) + 1)), None)
    return tuple(key)


def index(grower: Grower) -> None:
    """Add indexing by an array with repeats, by a mask or along an axis, or an assignment."""
    place = grower.pick(lambda value: value.ndim > 0)
    if place is None:
        return
    value, rng = grower.values[place], grower.rng
    axis = int(rng.integers(value.ndim))
    length = value.shape[axis]
    kind = rng.integers(4)
    if kind == 3:
        key = (*[slice(None)] * axis, rng.integers(-length, length, int(rng.integers(1, 5))))
        source = grower.pick(lambda value: value.size > 0)
        other = value if source is None else grower.values[source]
        part = grower.add(
            "near", place if source is None else source, array=np.resize(other, value[key].shape)
        )
        if part is not None:
            grower.add("assign", place, part, key=key)
    elif kind == 0:
        names = rng.integers(-length, length, int(rng.integers(1, 5)))
        grower.add("advanced_index", place, key=(*[slice(None)] * axis, names))
    elif kind == 1:
        mask = rng.random(value.shape[: axis + 1]) < 0.6
        grower.add("advanced_index", place, key=mask)
    else:
        names = rng.integers(0, length, value.shape)
        grower.add("take_along_axis", place, names, dim=axis)


def widening(grower: Grower) -> None:
    """Add an expansion, padding or windows."""
    place = grower.pick(lambda value: value.size <= LARGEST // 4)
    if place is None:
        return
    value, rng = grower.values[place], grower.rng
    kind = rng.integers(4) if value.ndim else 0
    if kind < 2:
        shape = tuple(int(rng.integers(1, 4)) if n == 1 else n for n in value.shape)
        lead = tuple(int(n) for n in rng.integers(1, 3, rng.integers(0, 2)))
        grower.add("expand", place, shape=(*lead, *shape))
    elif kind == 2:
        pairs = tuple((int(b), int(a)) for b, a in rng.integers(-1, 3, (value.ndim, 2)))
        if all(n + b + a > 0 for n, (b, a) in zip(value.shape, pairs, strict=True)):
            grower.add("pad_constant", place, padding=pairs, value=float(rng.uniform(-1, 1)))
    else:
        dim = grower.axis(value)
        size = int(rng.integers(1, value.shape[dim] + 1))
        grower.add("unfold", place, dim=dim, size=size, step=int(rng.integers(1, 3)))


def joining(grower: Grower) -> None:
    """Join two values of one shape, sometimes a value with itself."""
    first = grower.pick(lambda value: value.ndim > 0)
    if first is None:
        return
    shape = grower.values[first].shape
    second = grower.pick(lambda value: value.shape == shape)
    name = str(grower.rng.choice(["cat", "stack"]))
    grower.add(name, first, second, dim=int(grower.rng.integers(len(shape))))


def product(grower: Grower) -> None:
    """Add a matrix product, of a value with its own transpose if no other fits."""
    first = grower.pick(lambda value: value.ndim > 1)
    if first is None:
        return
    shape = grower.values[first].shape
    second = grower.pick(
        lambda value: (
            value.ndim > 1
            and value.shape[-2] == shape[-1]
            and _broadcast(value.shape[:-2], shape[:-2])
        )
    )
    if second is None or grower.rng.random() < 0.2:
        second = grower.add("transpose", first, dim0=-2, dim1=-1)
    grower.add("batched_matmul", first, second)


def choice(grower: Grower) -> None:
    """Add where, clip, sort, or another composite method."""
    place = grower.pick(lambda value: value.ndim > 0)
    if place is None:
        return
    value, rng = grower.values[place], grower.rng
    axis = grower.axis(value)
    bound = float(rng.uniform(-0.5, 0.5))
    kind = rng.integers(6)
    if kind == 0:
        other = grower.pick(lambda other: _broadcast(value.shape, other.shape))
        if np.abs(value - bound).min() > 1e-3:
            grower.add("where above", place, other, bound=bound)
    elif kind == 1:
        if min(np.abs(value - bound).min(), np.abs(value - bound - 1).min()) > 1e-3:
            grower.add("clip", place, low=bound, high=bound + 1)
    elif kind == 2:
        grower.add("sort", place, dim=axis)
    elif kind == 3:
        grower.add("cummax", place, axis=axis)
    elif kind == 4 and value.shape[axis] > 1:
        grower.add("var", place, axis=axis)
    else:
        grower.add("mish", place)


WEIGHTS: dict[Callable[[Grower], None], float] = {
    unary: 4,
    binary: 3,
    arithmetic: 4,
    reduction: 3,
    scan: 2,
    sampled: 4,
    view: 4,
    index: 2,
    widening: 2,
    joining: 2,
    product: 2,
    choice: 2,
}
FAMILIES = list(WEIGHTS)
CHANCES = np.array(list(WEIGHTS.values())) / sum(WEIGHTS.values())
