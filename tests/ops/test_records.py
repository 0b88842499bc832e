"""Check every op against the requirements on all ops, on its samples."""

import re

import numpy as np
import pytest

import tests
from tests.ops.samples import BAD, TABLE, bad_inputs_of, is_plain, samples_of
from tests.tools import each, naming
from tinygrad_np import Tensor, no_grad, ops
from tinygrad_np.autograd.backward import values_of
from tinygrad_np.errors import DtypeError, TinygradNpError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck

OPS = list(ops.table.values())
DIFFERENTIABLE = [op for op in OPS if op.differentiable_inputs]


def for_each_sample(chosen):
    """Turn a check of an op and a sample into one test per op over all its samples.

    The smoke run checks one sample per op.
    """

    def decorate(check):
        @pytest.mark.parametrize("op", chosen, ids=lambda op: op.name)
        def test(op):
            samples = list(enumerate(samples_of(op)))
            for number, sample in samples[3:4] or samples[-1:] if tests.is_smoke_run else samples:
                with naming(f"sample {number} of {op.name}"):
                    check(op, sample)

        test.__doc__ = check.__doc__
        return test

    return decorate


every_sample = for_each_sample(OPS)
differentiable_samples = for_each_sample(DIFFERENTIABLE)


def tensors_of(sample, dtype=np.float64):
    """Return the inputs as read-only Tensors; floats require gradients."""
    found = []
    for value in sample.inputs:
        if isinstance(value, np.ndarray):
            is_float = value.dtype.kind == "f"
            array = value.astype(dtype if is_float else value.dtype, copy=False).view()
            array.flags.writeable = False
            value = Tensor.from_numpy(array)
            value.requires_grad = is_float
        found.append(value)
    return found


def wanted_of(tensors):
    """Return the tensors that require a gradient."""
    return [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]


def vjp_of(op, sample, upstream, dtype=np.float64):
    """Return the gradients of all differentiable inputs as arrays."""
    tensors = tensors_of(sample, dtype)
    out = op(*tensors, **sample.attributes)
    grads = out.gradient(*wanted_of(tensors), gradient=upstream)
    return [grad.data for grad in grads]


def upstream_of(op, sample, seed=0, dtype=np.float64):
    """Return a random read-only upstream gradient."""
    out = op(*sample.inputs, **sample.attributes)
    upstream = np.random.default_rng(seed).standard_normal(out.shape).astype(dtype)
    upstream.flags.writeable = False
    return upstream


def test_every_op_has_samples():
    missing = [op.name for op in OPS if not is_plain(op) and op.name not in TABLE]
    assert not missing
    assert not set(TABLE) - {op.name for op in OPS}


def test_every_op_has_invalid_inputs():
    assert [op.name for op in OPS if not bad_inputs_of(op)] == []


def test_every_op_has_a_formula_and_a_summary():
    assert [op.name for op in OPS if not op.formula or not op.__doc__] == []
    first = {op.name: op.__doc__.split("\n\n")[0].strip() for op in OPS}
    assert [name for name, sentence in first.items() if not sentence.endswith(".")] == []


BAD_INPUTS = {**BAD, **{op.name: bad_inputs_of(op) for op in OPS}}


@each("name", BAD_INPUTS)
def test_invalid_inputs_raise(name):
    for call, error, message in BAD_INPUTS[name]:
        pattern = ".*".join(map(re.escape, message.split("...")))
        with pytest.raises(error, match=pattern) as caught:
            call()
        assert isinstance(caught.value, TinygradNpError)


@differentiable_samples
def test_gradients_match_central_differences(op, sample):
    gradcheck(lambda *xs: op(*xs, **sample.attributes), sample.inputs)


@differentiable_samples
def test_second_gradients_match_central_differences(op, sample):
    gradgradcheck(lambda *xs: op(*xs, **sample.attributes), sample.inputs)


KERNELS = [op for op in OPS if op.backward]
SELECTIONS = [op for op in OPS if op.selection]


@for_each_sample(KERNELS + SELECTIONS)
def test_kernels_match_vjps_or_definitions(op, sample):
    for dtype in (np.float64, np.float32):
        kernel_agrees_with_the_calculus(op, sample, dtype)


def kernel_agrees_with_the_calculus(op, sample, dtype):
    """Compare the kernel with a backward pass with `create_graph=True`, which never calls it."""
    tensors = tensors_of(sample, dtype)
    upstream = upstream_of(op, sample, dtype=dtype)
    wanted = wanted_of(tensors)
    out = op(*tensors, **sample.attributes)
    expected = out.gradient(*wanted, gradient=upstream, create_graph=True)
    out.backward(upstream)
    for tensor, grad in zip(wanted, expected, strict=True):
        assert tensor.grad.dtype == dtype
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        bound = tolerance * max(1.0, float(np.abs(grad.data).max(initial=0)))
        np.testing.assert_allclose(tensor.grad.data, grad.data, rtol=0, atol=bound)


@for_each_sample(KERNELS)
def test_kernels_return_new_memory(op, sample):
    upstream = upstream_of(op, sample)
    node = op(*tensors_of(sample), **sample.attributes).node
    kernel = node.plan.backward
    if kernel is None:  # it needs inputs that the wanted VJPs do not
        return
    _, function, pick = kernel
    grads = function(upstream, *pick(values_of(node, node.saved, node.plan.wanted)))
    held = [upstream, *[a for a in (*sample.inputs, *node.saved) if isinstance(a, np.ndarray)]]
    for grad in grads:
        assert grad is None or not any(np.may_share_memory(grad, other) for other in held)
        held += [] if grad is None else [grad]


@pytest.mark.slow
@every_sample
def test_float32_stays_float32(op, sample):
    if op.name in ("cast", "channel_moments"):  # they change the dtype
        return
    tensors = tensors_of(sample, np.float32)
    out = op(*tensors, **sample.attributes)
    if not out.requires_grad:
        assert out.dtype.kind in "bi"
        return
    assert out.dtype == np.float32
    out.backward(np.ones(out.shape, np.float32))
    for tensor in wanted_of(tensors):
        assert tensor.grad.dtype == np.float32
        assert tensor.grad.shape == tensor.shape


@pytest.mark.slow
@differentiable_samples
def test_float32_gradients_match_float64(op, sample):
    if op.name == "cast":  # cast changes the dtype
        return
    upstream = upstream_of(op, sample)
    exact = vjp_of(op, sample, upstream)
    single = vjp_of(op, sample, upstream.astype(np.float32), np.float32)
    for expected, found in zip(exact, single, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * (1 + _size(expected)))


def _size(array):
    return float(np.abs(array).max(initial=0.0))


@pytest.mark.slow
@differentiable_samples
def test_vjps_are_linear_and_deterministic(op, sample):
    one, other = upstream_of(op, sample, 1), upstream_of(op, sample, 2)
    gradients = [vjp_of(op, sample, up) for up in (one, one, other, 2 * one - 3 * other, 0 * one)]
    for first, again, second, together, none in zip(*gradients, strict=True):
        np.testing.assert_array_equal(first, again, strict=True)
        expected = 2 * first - 3 * second
        atol = 1e-10 * (1 + _size(expected))
        np.testing.assert_allclose(together, expected, rtol=1e-9, atol=atol)
        assert not none.any()


@pytest.mark.slow
@every_sample
def test_recording_does_not_change_values(op, sample):
    recorded = op(*tensors_of(sample), **sample.attributes)
    with no_grad():
        plain = op(*tensors_of(sample), **sample.attributes)
    array = op(*sample.inputs, **sample.attributes)
    assert plain.node is None
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(recorded.data, plain.data, strict=True)
    np.testing.assert_array_equal(recorded.data, array, strict=True)


@pytest.mark.slow
@every_sample
def test_fortran_order_gives_the_same_values(op, sample):
    turned = [
        np.array(value, order="F") if isinstance(value, np.ndarray) else value
        for value in sample.inputs
    ]
    expected = op(*sample.inputs, **sample.attributes)
    np.testing.assert_allclose(op(*turned, **sample.attributes), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@differentiable_samples
def test_leaf_gradients_do_not_share_memory(op, sample):
    tensors = tensors_of(sample)
    out = op(*tensors, **sample.attributes)
    upstream = np.ones(out.shape)
    out.backward(upstream, retain_graph=True)
    leaves = wanted_of(tensors)
    for leaf in leaves:
        assert leaf.grad.data.flags.writeable
        others = [upstream, out.data, *(t.data for t in leaves)]
        others += [t.grad.data for t in leaves if t is not leaf]
        assert not any(np.shares_memory(leaf.grad.data, other) for other in others)


@pytest.mark.slow
@every_sample
def test_only_views_share_memory_and_the_version(op, sample):
    tensors = tensors_of(sample)
    out = op(*tensors, **sample.attributes)
    for tensor in tensors:
        if isinstance(tensor, Tensor) and np.shares_memory(tensor.data, out.data):
            assert op.view
            assert out.version is tensor.version


FUSED = [op for op in OPS if op.definition]


@for_each_sample(FUSED)
def test_fused_ops_match_their_definitions(op, sample):
    upstream = upstream_of(op, sample)
    tensors = tensors_of(sample)
    defined = op.definition(*tensors, **sample.attributes)
    np.testing.assert_allclose(
        op(*sample.inputs, **sample.attributes), defined.data, rtol=1e-12, atol=1e-12
    )
    expected = defined.gradient(*wanted_of(tensors), gradient=upstream)
    for found, grad in zip(vjp_of(op, sample, upstream), expected, strict=True):
        np.testing.assert_allclose(found, grad.data, rtol=1e-10, atol=1e-12)


def test_only_these_ops_are_fused():
    expected = {
        "attend",
        "batch_norm",
        "cofactors",
        "cross_entropy_rows",
        "gelu",
        "group_norm",
        "gru",
        "layer_norm",
        "lstm",
        "rms_norm",
        "rnn",
        "sigmoid_gate",
    }
    assert {op.name for op in FUSED} == expected


def test_gradients_of_unwanted_inputs_are_not_computed():
    op = ops.table["conv2d_input_grad"]
    forward = op.forward
    object.__setattr__(
        op, "forward", lambda *_, **__: pytest.fail("computed the gradient of the image")
    )
    try:
        weight = Tensor.ones(2, 1, 3, 3)
        weight.requires_grad = True
        Tensor.ones(1, 1, 5, 5).conv2d(weight).sum().backward()
    finally:
        object.__setattr__(op, "forward", forward)
    assert weight.grad is not None


def test_only_arrays_named_by_wanted_vjps_are_saved():
    x, y = Tensor.ones(3), Tensor.ones(3)
    y.requires_grad = True
    node = (x * y).node
    assert node.plan.names[0] == "a"
    assert len(node.saved) == 1


def test_gradcheck_without_float64_inputs_raises():
    with pytest.raises(DtypeError, match="at least one float64 input, got none"):
        gradcheck(lambda x: x, [np.ones(3, np.float32)])
