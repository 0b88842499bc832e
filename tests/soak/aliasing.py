"""Memory that is shared by mistake: every op on its samples, in several memory layouts."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples import Sample, samples_of
from tests.soak.rows import Attempt, row
from tinygrad_np import Tensor, no_grad, ops
from tinygrad_np.autograd.op import Op
from tinygrad_np.errors import GraphError, TinygradNpError

CASES = 1300
"""At least the number of samples of all ops; further attempts start over, in other layouts."""


@functools.cache
def cases() -> list[tuple[Op, int]]:
    """Return all ops and the numbers of their samples."""
    return [(op, number) for op in ops.table.values() for number in range(len(samples_of(op)))]


def _as_is(array: np.ndarray) -> np.ndarray:
    return array.copy(order="K")


def _fortran(array: np.ndarray) -> np.ndarray:
    return np.asfortranarray(array)


def _strided(array: np.ndarray) -> np.ndarray:
    """Every second entry of a larger array, along each axis."""
    larger = np.full(tuple(2 * side + 1 for side in array.shape), 7, array.dtype)
    inner = larger[tuple(slice(1, 2 * side + 1, 2) for side in array.shape)]
    inner[...] = array
    return inner


def _reversed(array: np.ndarray) -> np.ndarray:
    """Negative strides along all axes."""
    backward = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[backward]).reshape(array.shape)[backward]


def _unaligned(array: np.ndarray) -> np.ndarray:
    """Entries at an odd address, as in a buffer from a file."""
    raw = np.zeros(array.nbytes + 1, np.uint8)
    odd = raw[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    return odd


LAYOUTS: list[Callable[[np.ndarray], np.ndarray]] = [
    _as_is,
    _fortran,
    _strided,
    _reversed,
    _unaligned,
]


class Case:
    """A call of an op on one sample, with tensors that share memory with `arrays`."""

    def __init__(self, op: Op, sample: Sample, layout: Callable[[np.ndarray], np.ndarray]) -> None:
        self.op = op
        self.options = sample.attributes
        self.arrays: list[np.ndarray] = []
        self.tensors: list[Any] = []
        for value in sample.inputs:
            if isinstance(value, np.ndarray):
                array = layout(value) if value.ndim else value.copy()
                self.arrays.append(array)
                value = Tensor.from_numpy(array)
                value.requires_grad = array.dtype.kind == "f"
            self.tensors.append(value)

    @property
    def wanted(self) -> list[Tensor]:
        """The inputs that require a gradient."""
        return [t for t in self.tensors if isinstance(t, Tensor) and t.requires_grad]

    def call(self) -> Tensor:
        out: Tensor = self.op(*self.tensors, **self.options)
        return out


def _bits(arrays: list[np.ndarray]) -> list[bytes]:
    return [array.tobytes() for array in arrays]


def _case_of(attempt: Attempt) -> tuple[Case, Op, Sample, str]:
    op, number = cases()[attempt.index % len(cases())]
    sample = samples_of(op)[number]
    rounds = attempt.index // len(cases()) if not attempt.is_short else attempt.index
    layout = LAYOUTS[rounds % len(LAYOUTS)]
    name = f"{op.name}, sample {number} {sample}, {layout.__name__.strip('_')}"
    return Case(op, sample, layout), op, sample, name


def _upstream(out: Tensor, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(rng.standard_normal(out.shape), out.dtype)


def _do_not_overlap(name: str, one: np.ndarray, others: list[np.ndarray], what: str) -> None:
    for other in others:
        assert not np.may_share_memory(one, other) or not np.shares_memory(one, other), (
            f"{name}: {what}"
        )


@row(
    "aliasing: every op on its samples in five memory layouts",
    full=len(LAYOUTS) * CASES,
    short=500,
    catches="inputs, saved values or upstream gradients overwritten; gradients that share memory; "
    "results that depend on strides",
)
def shared_memory(attempt: Attempt) -> None:
    case, op, sample, name = _case_of(attempt)
    plain = Case(op, sample, _as_is)
    before = _bits(case.arrays)
    with np.errstate(all="ignore"):
        out = case.call()
        assert _bits(case.arrays) == before, f"{name}: an input changed in the forward pass"
        if not op.view:
            _do_not_overlap(name, out.data, case.arrays, "the output shares memory with an input")
        kept = out.data.tobytes()
        expected = plain.call()
        assert out.shape == expected.shape, f"{name}: wrong shape"
        assert out.dtype == expected.dtype, f"{name}: wrong dtype"
        np.testing.assert_allclose(
            out.data, expected.data, 1e-9, 1e-11, equal_nan=True, err_msg=name
        )
        if not out.requires_grad:
            return
        upstream = _upstream(out, attempt.rng)
        sent = upstream.tobytes()
        passes = []
        for _ in range(2):
            out.backward(Tensor.from_numpy(upstream), retain_graph=True)
            grads = [one.grad for one in case.wanted]
            passes.append(grads)
            for one in case.wanted:
                one.grad = None
        assert upstream.tobytes() == sent, f"{name}: the upstream gradient changed"
        assert _bits(case.arrays) == before, f"{name}: an input changed in the backward pass"
        assert out.data.tobytes() == kept, f"{name}: the output changed in the backward pass"
        first, second = ([g.data for g in grads if g is not None] for grads in passes)
        assert _bits(first) == _bits(second), f"{name}: a second backward pass differs"
        others = [*case.arrays, upstream, out.data, *second]
        for position, grad in enumerate(first):
            _do_not_overlap(name, grad, others, "a gradient shares memory with another array")
            _do_not_overlap(name, grad, first[position + 1 :], "two gradients share memory")
        grads = plain.call().gradient(*plain.wanted, gradient=upstream)
        for grad, other in zip(first, grads, strict=True):
            np.testing.assert_allclose(grad, other.data, 1e-8, 1e-10, equal_nan=True, err_msg=name)
        # Overwriting a gradient must not reach the graph.
        for grad in first:
            grad[...] = 1
        out.backward(Tensor.from_numpy(upstream))
        again = [one.grad.data for one in case.wanted if one.grad is not None]
        assert _bits(again) == _bits(second), f"{name}: writing to a gradient changed the graph"


@row(
    "aliasing: an in-place change between forward and backward, every op",
    full=2 * CASES,
    short=350,
    catches="a gradient computed from overwritten values",
)
def changed_in_between(attempt: Attempt) -> None:
    op, number = cases()[attempt.index % len(cases())]
    sample = samples_of(op)[number]
    name = f"{op.name}, sample {number} {sample}"
    case, plain = Case(op, sample, _as_is), Case(op, sample, _as_is)
    with np.errstate(all="ignore"):
        out = case.call()
        if not out.requires_grad:
            return
        upstream = _upstream(out, attempt.rng)
        expected = plain.call().gradient(*plain.wanted, gradient=upstream)
        places = [t for t in case.tensors if isinstance(t, Tensor) and t.numel()]
        chosen = [*places, out][attempt.index % (len(places) + 1)]
        what = "its output" if chosen is out else f"an input of shape {chosen.shape}"
        # A view of the whole tensor is changed half of the time, the tensor itself otherwise.
        target = chosen.detach()
        if attempt.rng.random() < 0.5 and target.ndim:
            target = target[:]
        try:
            with no_grad():
                target[...] = _other_values(target)
        except TinygradNpError:
            return  # read-only, as a broadcast view is
        try:
            grads = out.gradient(*case.wanted, gradient=upstream)
        except GraphError:
            return
    for grad, other in zip(grads, expected, strict=True):
        assert grad.data.tobytes() == other.data.tobytes(), (
            f"{name}: {what} was changed, and the gradient differs without an error"
        )


def _other_values(target: Tensor) -> Tensor:
    if target.dtype == np.bool_:
        return target.logical_not()
    return target * 0 + (1 if target.dtype.kind in "iu" else 0.75)


@row(
    "aliasing: writing into the array of `Tensor(array)` and reading `.numpy()`",
    full=60,
    short=12,
    catches="a tensor that shares the caller's memory where a copy is promised, a writable view",
)
def copies(attempt: Attempt) -> None:
    rng = attempt.rng
    shape = tuple(int(side) for side in rng.integers(1, 5, int(rng.integers(0, 4))))
    dtype = (np.float32, np.float64, np.float16, np.int64, np.bool_)[rng.integers(5)]
    array = np.asarray(rng.standard_normal(shape)).astype(dtype)
    if array.ndim:
        array = LAYOUTS[rng.integers(len(LAYOUTS))](array)
    tensor, shared = Tensor(array), Tensor.from_numpy(array)
    kept = tensor.data.tobytes()
    array[...] = 1 - array if dtype != np.bool_ else ~array
    assert tensor.data.tobytes() == kept, "Tensor(array) shares memory"
    assert shared.data.tobytes() == array.tobytes(), "from_numpy does not share memory"
    assert not tensor.numpy().flags.writeable, "numpy() returns a writable view"
    for other in (tensor.cast(dtype), tensor + 0 if dtype != np.bool_ else tensor):
        if other is not tensor:
            _do_not_overlap("copy", other.data, [tensor.data], "a result shares memory")
