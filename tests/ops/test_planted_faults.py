"""Mutation tests: the gradient checks detect a fault planted in any VJP or kernel."""

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
    """Return a copy of `op` without a kernel and with `fault` applied to its VJP for `wrt`."""
    right = op.vjps[wrt]

    @functools.wraps(right)
    def wrong(grad_out, *saved):
        return fault(right, grad_out, *saved)

    vjps = {**op.vjps, wrt: wrong}
    return dataclasses.replace(op, vjps=vjps, backward=None, backward_flops=None, selection=False)


def with_kernel_fault(op, wrt, fault):
    """Return a copy of `op` with `fault` applied to its kernel's gradient for `wrt`."""
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
    """Return a gradient that is 0.1% too large."""
    return vjp(grad_out, *saved) * 1.001


def sign(vjp, grad_out, *saved):
    """Return a gradient of the opposite sign."""
    return -vjp(grad_out, *saved)


def slope(vjp, grad_out, *saved):
    """Add 0.1% of the upstream gradient, for a gradient that should be 0."""
    return vjp(grad_out, *saved) + grad_out * 0.001


def leak(vjp, grad_out, *saved):
    """Return a float64 gradient for a float32 input."""
    return np.asarray(vjp(grad_out, *saved)).astype(np.float64)


def no_sum(vjp, grad_out, *saved):
    """Return a gradient with an extra axis that broadcasting does not explain."""
    grad = np.asarray(vjp(grad_out, *saved))
    return np.stack([grad, grad], axis=-1)


def overwrite(vjp, grad_out, *saved):
    """Write into the upstream gradient."""
    grad_out *= 2
    return vjp(grad_out, *saved)


def omit(vjp, grad_out, *saved):
    """Return no gradient."""
    vjp(grad_out, *saved)


def share(vjp, grad_out, *saved):
    """Return a gradient that shares memory with the upstream gradient."""
    grad = vjp(grad_out, *saved)
    return np.broadcast_to(grad_out.reshape(-1)[:1].reshape(()), grad.shape)


def is_noticed(op, sample, dtype=np.float64):
    """Return whether the value and dtype checks of `test_records` fail for an op."""
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
    """Return whether the gradient for `wrt` is 0 everywhere, as for `floor`."""
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
    """Return the faults that make this VJP wrong; a factor does not change a gradient of 0."""
    values = (slope,) if is_flat(op, wrt) else (factor, sign)
    # cast is meant to change the dtype.
    return [*values, *([] if op.name == "cast" else [leak]), no_sum, overwrite]


@pytest.mark.slow
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_vjp_faults_are_detected(op):
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
    """Map each input with a kernel gradient to the samples in which the kernel computes it.

    Samples with an empty output are left out.
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
def test_kernel_faults_are_detected(op):
    for wrt, samples in kernel_gradients_of(op).items():
        for fault in (factor, sign, leak, no_sum, overwrite, omit):
            with naming(f"{fault.__name__} for {wrt}"):
                faulty = with_kernel_fault(op, wrt, fault)
                dtype = np.float32 if fault is leak else np.float64
                assert any(is_noticed(faulty, sample, dtype) for sample in samples)


@pytest.mark.parametrize("op", KERNELS, ids=lambda op: op.name)
def test_gradients_that_share_memory_are_copied(op):
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
def test_correct_ops_pass(op):
    for dtype in (np.float64, np.float32):
        if dtype == np.float64 or op.name != "cast":  # cast changes the dtype
            assert not any(is_noticed(op, sample, dtype) for sample in samples_of(op))


def is_broadcast(op, sample):
    """Return whether a differentiable input was broadcast."""
    out = op(*sample.inputs, **sample.attributes)
    return any(
        value.shape != out.shape
        for name, value in zip(op.inputs, sample.inputs, strict=True)
        if name in op.differentiable_inputs
    )


BROADCASTING = [op for op in DIFFERENTIABLE if is_plain(op) and len(op.inputs) > 1]


@pytest.mark.parametrize("op", BROADCASTING, ids=lambda op: op.name)
def test_missing_sum_over_broadcast_axes_is_detected(op, monkeypatch):
    monkeypatch.setattr(autograd, "sum_to", lambda grad, shape: grad[:1] * np.ones(shape))
    samples = [sample for sample in samples_of(op) if is_broadcast(op, sample)]
    assert any(is_noticed(op, sample) for sample in samples)
