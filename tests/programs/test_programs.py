"""Random programs: gradients compared with central differences, and invariants of backward."""

import collections
import dataclasses
import functools

import numpy as np
import pytest

from tests.ops.test_planted_faults import factor, faults_of, with_fault, with_kernel_fault
from tests.programs.grow import WITHOUT, differentiable, grow
from tests.programs.program import Program, run_on_arrays, run_on_tensors
from tinygrad_np import Tensor, ops
from tinygrad_np.autograd import backward as autograd
from tinygrad_np.autograd.dispatch import Primitive
from tinygrad_np.errors import GraphError

# A failure prints the program; `grow(seed)` reproduces it.
SMOKE = range(15)
BLOCK = 300
FULL = [range(start, start + BLOCK) for start in range(0, 3000, BLOCK)]

# Fraction of checks that may lie at a kink, where differences mean nothing. It is small because
# programs are generated away from kinks.
AT_KINKS = 0.01


class WrongError(AssertionError):
    """A check failed; the message contains the failure and the program."""

    def __init__(self, program: Program, what: object) -> None:
        super().__init__(f"{what}\n{program}")


def zero_or(grad, leaf):
    """Return a gradient as an array; the gradient of an unused leaf is 0."""
    return np.zeros(leaf.shape, leaf.dtype) if grad is None else grad.data


def gradients(out, leaves, upstream):
    """Return the gradient of each leaf as an array, computed by `gradient()`."""
    found = autograd.gradient(out, leaves, upstream, allow_unused=True)
    return [zero_or(*pair) for pair in zip(found, leaves, strict=True)]


def check(program, tally):
    """Run all checks on a program; count in `tally` which ones applied."""
    try:
        out, leaves = run_on_tensors(program)
    except GraphError as error:
        if not program.writes or "in-place" not in str(error):
            raise WrongError(program, error) from error
        tally["refused while recording"] += 1
        return
    plain, base = run_on_arrays(program, program.leaves)
    if not np.array_equal(out.data, plain, equal_nan=True):
        raise WrongError(program, "the values differ from a run without recording")
    if not out.requires_grad:
        tally["constant"] += 1
        return
    rng = np.random.default_rng(program.seed)
    upstream = rng.standard_normal(out.shape)
    try:
        out.backward(upstream, retain_graph=True)
    except GraphError as error:
        if not program.writes or "changed in place" not in str(error):
            raise WrongError(program, error) from error
        tally["refused"] += 1
        return
    grads = [zero_or(leaf.grad, leaf) for leaf in leaves]
    tally["written"] += program.writes
    check_repeats(program, out, leaves, upstream, grads)
    check_differences(program, base, upstream, grads, rng, tally)
    check_float32(program, upstream, grads, tally)
    if program.seed % 4 == 0 and not program.writes:
        check_second(program, upstream, rng, tally)
    tally["checked"] += 1


def check_repeats(program, out, leaves, upstream, grads):
    """Check that a second backward doubles gradients and a rerun reproduces them exactly."""
    out.backward(upstream)
    for leaf, grad in zip(leaves, grads, strict=True):
        if not np.array_equal(zero_or(leaf.grad, leaf), 2 * grad):
            raise WrongError(program, f"a second backward gave {leaf.grad}, the first {grad}")
    again, new_leaves = run_on_tensors(program)
    for found, grad in zip(gradients(again, new_leaves, upstream), grads, strict=True):
        if not np.array_equal(found, grad):
            raise WrongError(program, f"gradient() gave {found}, backward() {grad}")


def moved(program, directions, step):
    """Return the leaves; those that require gradients are moved along `directions`."""
    directions = iter(directions)
    return [
        leaf + step * next(directions) if wanted else leaf
        for leaf, wanted in zip(program.leaves, program.wanted, strict=True)
    ]


def check_differences(program, base, upstream, grads, rng, tally):
    """Compare gradients with central differences in a random direction."""
    directions = [rng.standard_normal(grad.shape) for grad in grads]

    def weighted(step):
        out, _ = run_on_arrays(program, moved(program, directions, step), base)
        return float(np.sum(upstream * out))

    agree(program, "first derivative", grads, directions, weighted, tally)


def agree(program, what, grads, directions, function, tally):
    """Compare gradients with central differences of two step sizes.

    If the two differences disagree, the program is at a kink, which is only counted.
    """
    terms = [grad * d for grad, d in zip(grads, directions, strict=True)]
    analytic = sum(float(np.sum(term)) for term in terms)
    size = 1 + sum(float(np.sum(np.abs(term))) for term in terms)
    coarse, fine = ((function(h) - function(-h)) / (2 * h) for h in (1e-5, 2e-6))
    tally[what] += 1
    if not abs(coarse - fine) <= 2e-7 * size:
        tally[f"{what} at a kink"] += 1
    elif not abs(fine - analytic) <= 1e-6 * size:
        raise WrongError(program, f"{what}: {analytic}, central differences: {coarse}, {fine}")


def check_float32(program, upstream, grads, tally):
    """Check that float32 gradients are close to float64, except next to a kink."""
    out, leaves = run_on_tensors(program, np.float32)
    if out.dtype != np.float32:
        raise WrongError(program, f"float32 leaves gave {out.dtype}")
    tally["float32"] += 1
    size = 1 + max(float(np.abs(grad).max(initial=0)) for grad in grads)
    for found, grad in zip(gradients(out, leaves, np.float32(upstream)), grads, strict=True):
        if found.dtype != np.float32:
            raise WrongError(program, f"a gradient of a float32 leaf has dtype {found.dtype}")
        if not np.abs(found - grad).max(initial=0) <= 1e-2 * size:
            tally["float32 at a kink"] += 1
            return


def check_second(program, upstream, rng, tally):
    """Compare second derivatives with central differences of gradients."""
    out, leaves = run_on_tensors(program)
    directions, weights = ([rng.standard_normal(leaf.shape) for leaf in leaves] for _ in range(2))
    products = hessian_products(out, leaves, upstream, weights)

    def weighted(step):
        there = dataclasses.replace(program, leaves=moved(program, directions, step))
        out, leaves = run_on_tensors(there)
        found = gradients(out, leaves, upstream)
        return sum(float(np.sum(g * w)) for g, w in zip(found, weights, strict=True))

    agree(program, "second derivative", products, directions, weighted, tally)


def hessian_products(out, leaves, upstream, weights):
    """Return the gradients of the weighted sum of gradients; 0 if it is constant."""
    grads = autograd.gradient(out, leaves, upstream, create_graph=True, allow_unused=True)
    parts = [(g * w).sum() for g, w in zip(grads, weights, strict=True) if g is not None]
    if any(part.requires_grad for part in parts):
        return gradients(sum(parts), leaves, np.ones(()))
    return [np.zeros(leaf.shape) for leaf in leaves]


def run(seeds):
    """Check the programs of the seeds; return the tally."""
    tally = collections.Counter()
    for seed in seeds:
        check(grow(seed), tally)
    return tally


def hold(tally):
    """Assert that few checks were at kinks."""
    for what in ("first derivative", "second derivative", "float32"):
        assert tally[f"{what} at a kink"] <= max(2, AT_KINKS * tally[what]), tally


def test_random_programs_have_correct_gradients():
    hold(run(SMOKE))


def test_ops_without_programs_have_a_reason():
    assert all(name in ops.table and reason for name, reason in WITHOUT.items())


@pytest.mark.slow
@pytest.mark.parametrize("seeds", FULL, ids=lambda seeds: f"{seeds.start}")
def test_many_random_programs_have_correct_gradients(seeds):
    tally = run(seeds)
    hold(tally)
    assert tally["refused"]
    assert tally["refused while recording"]
    assert tally["written"]
    assert tally["checked"] > 0.75 * len(seeds)


# The programs must detect planted faults.


def noticed_after(programs):
    """Return the number of programs until one fails, or None."""
    tally = collections.Counter()
    for count, program in enumerate(programs, start=1):
        try:
            check(program, tally)
        except (AssertionError, GraphError, RuntimeWarning):
            return count
    return None


@functools.cache
def grown():
    """Return the programs of the full run."""
    return [grow(seed) for seeds in FULL for seed in seeds]


def change(patch, op, **fields):
    """Change fields of an op, although it is frozen."""
    patch.setattr(Primitive, "__setattr__", object.__setattr__)
    for name, value in fields.items():
        patch.setattr(op, name, value)


@pytest.mark.slow
@pytest.mark.parametrize("op", differentiable(), ids=lambda op: op.name)
def test_wrong_gradients_are_detected(op, monkeypatch):
    """A VJP or kernel that is 0.1% too large fails one of the first programs with the op."""
    programs = [p for p in grown() if any(step.name == op.name for step in p.steps)]
    assert len(programs) >= 5
    faults = [(f"VJP, {wrt}", with_fault(op, wrt, faults_of(op, wrt)[0])) for wrt in op.vjps]
    if op.backward is not None:
        wanted = sorted(op.differentiable_inputs)
        faults += [(f"kernel, {wrt}", with_kernel_fault(op, wrt, factor)) for wrt in wanted]
    for name, faulty in faults:
        with monkeypatch.context() as patch:
            change(patch, op, vjps=faulty.vjps, backward=faulty.backward, plans={})
            assert noticed_after(programs[:100]), name


class Forgetful:
    """NumPy with an `add` that returns the second operand."""

    def __getattr__(self, name):
        return getattr(np, name)

    def add(self, total, grad, out):
        """Return the later of two gradients."""
        np.copyto(out, grad)
        return out


def forget(patch):
    """Drop the first of two accumulated gradients."""
    patch.setattr(autograd, "np", Forgetful())


def unshared(name):
    """Give a view its own version counter."""

    def plant(patch):
        change(patch, ops.table[name], view=False)

    return plant


def unshared_detach(patch):
    """Give detached Tensors their own version counter."""
    patch.setattr(Tensor, "detach", lambda self: Tensor.wrap(self.data))


def unmarked(patch):
    """Do not bump the version on changes in place."""
    patch.setattr(Tensor, "mark_changed", lambda self: None)


def unrefused(patch):
    """Allow changes of leaves while recording."""
    patch.setattr("tinygrad_np.engine_checks.check_changeable", lambda who, target: None)


def always_current(patch):
    """Allow the use of tensors whose memory was changed through another one."""
    patch.setattr(Tensor, "is_current", lambda self, changes=1: True)


def not_rebased(patch):
    """Record in-place changes without making their nodes the origin of the tensor."""
    patch.setattr(Tensor, "rebase", lambda self, node: self.mark_changed())


def old_values_lost(patch):
    """Let an in-place operator overwrite the values that its gradient needs."""
    patch.setattr("tinygrad_np.autograd.inplace._keep_old_values", lambda out, target: None)
    patch.setattr(Tensor, "mark_changed", lambda self: None)


ENGINE = {
    "a gradient lost in a diamond": forget,
    **{
        f"{name} with its own version": unshared(name)
        for name in ("basic_index", "reshape", "permute", "transpose", "expand")
    },
    "detach with its own version": unshared_detach,
    "changes that are not marked": unmarked,
    "a write that does not raise": unrefused,
    "views that are out of date": always_current,
    "changes that are not recorded": not_rebased,
    "operators that lose the old values": old_values_lost,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ENGINE)
def test_engine_faults_are_detected(fault, monkeypatch):
    ENGINE[fault](monkeypatch)
    assert noticed_after(grown())
