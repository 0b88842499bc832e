"""Compare a function with PyTorch's: values, gradients and second gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.oracle.pytorch import torch
from tinygrad_np import Tensor
from tinygrad_np.autograd import backward as autograd

Arrays = Sequence[Any]

# Relative, absolute, and absolute for sums of terms that cancel.
TOLERANCE = {np.float64: (1e-9, 1e-11, 1e-11), np.float32: (2e-4, 2e-6, 2e-5)}


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: Arrays,
    dtype: Any = np.float64,
    seed: int = 0,
    order: int = 2,
    each: bool = False,
) -> None:
    """Compare `ours` with `theirs` at the same inputs, including derivatives.

    Args:
        ours: function of Tensors.
        theirs: function of PyTorch tensors.
        arrays: inputs, arrays or None; floats are converted to `dtype`.
        dtype: float32 or float64.
        seed: seed of the upstream gradient.
        order: highest order of derivatives; the second ones are gradients of the sum of squared
            first ones, with respect to the inputs and the upstream gradient.
        each: apply the tolerance to each entry, instead of scaling it by the largest entry.
    """
    here, there = zip(*(leaf_pair(array, dtype) for array in arrays), strict=True)
    out, expected = ours(*here), theirs(*there)
    agree([out], [expected], dtype, each, "value")
    if not order or not (out.requires_grad and expected.requires_grad):
        # If one side has no gradient, the other's must be 0.
        for side in (out, expected):
            if order and side.requires_grad:
                for grad in _gradients_of_sum(side, here if side is out else there):
                    assert not np.asarray(grad.detach()).any()
        return

    upstream = np.random.default_rng(seed).standard_normal(out.shape)
    up, their_up = leaf_pair(np.asarray(upstream, out.dtype), out.dtype)
    here, there = ([x for x in xs if x is not None and x.requires_grad] for xs in (here, there))
    is_twice = order > 1
    grads = autograd.gradient(out, here, up, create_graph=is_twice)
    expected_grads = torch.autograd.grad(
        expected, there, their_up, create_graph=is_twice, materialize_grads=True
    )
    agree(grads, expected_grads, dtype, each, "gradient")
    if is_twice:
        agree_to_second_order(grads, expected_grads, [*here, up], [*there, their_up], dtype, each)


def agree_to_second_order(
    grads: Arrays,
    expected_grads: Arrays,
    here: Arrays,
    there: Arrays,
    dtype: Any = np.float64,
    each: bool = False,
) -> None:
    """Compare the gradients of the sum of squared gradients with PyTorch's."""
    squares, expected = (sum((g * g).sum() for g in side) for side in (grads, expected_grads))
    seconds = [None] * len(here)
    if squares.requires_grad:
        seconds = autograd.gradient(squares, here, allow_unused=True)
    expected_seconds = [torch.zeros_like(x) for x in there]
    if expected.requires_grad:
        expected_seconds = torch.autograd.grad(expected, there, materialize_grads=True)
    pairs = zip(seconds, here, strict=True)
    found = [Tensor(np.zeros(x.shape, dtype)) if grad is None else grad for grad, x in pairs]
    agree(found, expected_seconds, dtype, each, "second gradient", cancels=True)


def agree(
    found: Arrays,
    expected: Arrays,
    dtype: Any = np.float64,
    each: bool = False,
    what: str = "",
    cancels: bool = False,
) -> None:
    """Compare Tensors with PyTorch's: values, shapes and dtypes."""
    rtol, *bounds = TOLERANCE[dtype]
    for place, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        reference = theirs.detach().numpy(force=True)
        message = f"{what} {place}"
        assert (ours.shape, ours.dtype) == (reference.shape, reference.dtype), message
        largest = float(np.abs(reference[np.isfinite(reference)]).max(initial=0))
        atol = bounds[cancels] * (1 if each else 1 + largest)
        np.testing.assert_allclose(ours.data, reference, rtol, atol, err_msg=message)


def leaf_pair(array: Any, dtype: Any = np.float64) -> Any:
    """Return the array as a leaf of each side, with floats in `dtype`; None becomes two None."""
    if array is None:
        return None, None
    is_float = array.dtype.kind == "f"
    array = np.array(array, dtype if is_float else None)
    return Tensor(array, requires_grad=is_float), torch.tensor(array, requires_grad=is_float)


def _gradients_of_sum(out: Any, inputs: Arrays) -> Any:
    wanted = [x for x in inputs if x is not None and x.requires_grad]
    if isinstance(out, Tensor):
        return out.sum().gradient(*wanted)
    return torch.autograd.grad(out.sum(), wanted, materialize_grads=True)
