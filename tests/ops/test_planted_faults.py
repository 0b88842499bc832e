"""The checker checked: each VJP and each kernel is made wrong, and each time it is noticed."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from tests.ops.samples import is_plain, samples_of
from tests.ops.test_records import tensors_of, upstream_of, wanted_of
from tests.tools import naming
from tinygrad_np import ops
from tinygrad_np.autograd import backward as autograd
from tinygrad_np.errors import GraphError
from tinygrad_np.gradcheck import GradientError, gradcheck

DIFFERENTIABLE = [op for op in ops.table.values() if op.differentiable_inputs]


def with_fault(op, wrt, fault):
    """Return a copy of `op` whose VJP for `wrt` is what `fault` makes of it, without a kernel."""
    right = op.vjps[wrt]

    @functools.wraps(right)
    def wrong(grad_out, *saved):
        return fault(right, grad_out, *saved)

    return dataclasses.replace(op, vjps={**op.vjps, wrt: wrong}, backward=None, backward_flops=None)


def with_kernel_fault(op, wrt, fault):
    """Return a copy of `op` whose kernel's gradient for `wrt` is what `fault` makes of it."""
    right, place = op.backward, op.inputs.index(wrt)

    @functools.wraps(right)
    def wrong(grad_out, *saved, **overwrite):
        grads = list(right(grad_out.copy(), *saved, **overwrite))
        if grads[place] is not None:
            grads[place] = fault(
                lambda grad_out, *saved: right(grad_out, *saved, **overwrite)[place],
                grad_out,
                *saved,
            )
        return grads

    return dataclasses.replace(op, backward=wrong)


def factor(vjp, grad_out, *saved):
    """0.1 % too large."""
    return vjp(grad_out, *saved) * 1.001


def sign(vjp, grad_out, *saved):
    """The other sign."""
    return -vjp(grad_out, *saved)


def slope(vjp, grad_out, *saved):
    """A slope of 0.1 % where there is none."""
    return vjp(grad_out, *saved) + grad_out * 0.001


def leak(vjp, grad_out, *saved):
    """Another dtype than the input's: a float64 leak, given float32."""
    return np.asarray(vjp(grad_out, *saved)).astype(np.float64)


def no_sum(vjp, grad_out, *saved):
    """An axis more than the input has, at a length that no broadcasting explains away."""
    grad = np.asarray(vjp(grad_out, *saved))
    return np.stack([grad, grad], axis=-1)


def overwrite(vjp, grad_out, *saved):
    """Writes into what it was lent."""
    grad_out *= 2
    return vjp(grad_out, *saved)


def omit(vjp, grad_out, *saved):
    """No gradient where one is wanted."""
    vjp(grad_out, *saved)


def share(vjp, grad_out, *saved):
    """Memory of what it was lent."""
    grad = vjp(grad_out, *saved)
    return np.broadcast_to(grad_out.reshape(-1)[:1].reshape(()), grad.shape)


def is_noticed(op, sample, dtype=np.float64):
    """Whether the checks of `test_records` fail on an op, as far as values and dtypes go."""
    try:
        if dtype == np.float64:
            gradcheck(lambda *xs: op(*xs, **sample.attributes), sample.inputs)
        tensors = tensors_of(sample, dtype)
        upstream = upstream_of(op, sample, dtype=dtype)
        out = op(*tensors, **sample.attributes)
        out.gradient(*wanted_of(tensors), gradient=upstream)
    except (GradientError, GraphError):
        return True
    except ValueError as error:
        return "read-only" in str(error)
    return False


@functools.cache
def is_flat(op, wrt):
    """Whether the gradient for `wrt` is 0 everywhere, as that of floor is."""
    place = op.inputs.index(wrt)
    for sample in samples_of(op):
        tensors = tensors_of(sample)
        if tensors[place] is not None and tensors[place].requires_grad:
            out = op(*tensors, **sample.attributes)
            (grad,) = out.gradient(tensors[place], gradient=upstream_of(op, sample))
            if grad.data.any():
                return False
    return True


def faults_of(op, wrt):
    """Return the faults that make this VJP wrong: no factor does so where it is 0 everywhere."""
    values = (slope,) if is_flat(op, wrt) else (factor, sign)
    # A cast to another dtype is its own business.
    return [*values, *([] if op.name == "cast" else [leak]), no_sum, overwrite]


@pytest.mark.slow
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_a_planted_fault_is_noticed(op):
    for wrt in op.vjps:
        for fault in faults_of(op, wrt):
            with naming(f"{fault.__name__} for {wrt}"):
                faulty = with_fault(op, wrt, fault)
                assert any(
                    is_noticed(faulty, sample, np.float32 if fault is leak else np.float64)
                    for sample in samples_of(op)
                    if sample.inputs[op.inputs.index(wrt)] is not None
                )


KERNELS = [op for op in DIFFERENTIABLE if op.backward]


def kernel_gradients_of(op):
    """Return the inputs whose gradients a kernel computes, each with the samples in which it does,
    for some entries.
    """
    found = {}
    for place, wrt in enumerate(op.inputs):
        if wrt in op.differentiable_inputs:
            for sample in samples_of(op):
                out = op(*tensors_of(sample), **sample.attributes)
                plan, size = out.node.plan, out.data.size
                if plan.backward and place < len(plan.wanted) and plan.wanted[place] and size:
                    found.setdefault(wrt, []).append(sample)
            assert wrt in found
    return found


@pytest.mark.slow
@pytest.mark.parametrize("op", KERNELS, ids=lambda op: op.name)
def test_a_fault_planted_in_a_kernel_is_noticed(op):
    for wrt, samples in kernel_gradients_of(op).items():
        for fault in (factor, sign, leak, no_sum, overwrite, omit):
            with naming(f"{fault.__name__} for {wrt}"):
                faulty = with_kernel_fault(op, wrt, fault)
                dtype = np.float32 if fault is leak else np.float64
                assert any(is_noticed(faulty, sample, dtype) for sample in samples)


@pytest.mark.parametrize("op", KERNELS, ids=lambda op: op.name)
def test_a_gradient_that_shares_memory_is_copied(op):
    for wrt, (sample, *_) in kernel_gradients_of(op).items():
        with naming(wrt):
            tensors, upstream = tensors_of(sample), upstream_of(op, sample)
            with_kernel_fault(op, wrt, share)(*tensors, **sample.attributes).backward(upstream)
            grads = [t.grad.data for t in tensors if t is not None and t.grad is not None]
            arrays = [upstream, *sample.inputs, *grads]
            held = [array for array in arrays if isinstance(array, np.ndarray) and array.size]
            assert not any(np.may_share_memory(*two) for two in itertools.combinations(held, 2))


@pytest.mark.slow
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_nothing_is_noticed_where_there_is_no_fault(op):
    for dtype in (np.float64, np.float32):
        if dtype == np.float64 or op.name != "cast":  # whose own business is another dtype
            assert not any(is_noticed(op, sample, dtype) for sample in samples_of(op))


def is_broadcast(op, sample):
    """Whether an input that has a gradient is shorter than the output that it was broadcast to."""
    out = op(*sample.inputs, **sample.attributes)
    return any(
        value.shape != out.shape
        for name, value in zip(op.inputs, sample.inputs, strict=True)
        if name in op.differentiable_inputs
    )


BROADCASTING = [op for op in DIFFERENTIABLE if is_plain(op) and len(op.inputs) > 1]


@pytest.mark.parametrize("op", BROADCASTING, ids=lambda op: op.name)
def test_a_missing_unbroadcast_is_noticed(op, monkeypatch):
    """The engine's own sum over broadcast axes, taken from it."""
    monkeypatch.setattr(autograd, "sum_to", lambda grad, shape: grad[:1] * np.ones(shape))
    samples = [sample for sample in samples_of(op) if is_broadcast(op, sample)]
    assert any(is_noticed(op, sample) for sample in samples)
