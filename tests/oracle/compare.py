"""One function on both sides: values, gradients from a random upstream, gradients of gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tinygrad_np import Tensor
from tinygrad_np.autograd import backward as autograd

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

Arrays = Sequence[Any]

# Relative, and absolute.
TOLERANCE = {np.dtype(np.float64): (1e-9, 1e-11), np.dtype(np.float32): (3e-4, 3e-5)}


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: Arrays,
    dtype: Any = np.float64,
    seed: int = 0,
    order: int = 2,
    each: bool = False,
) -> None:
    """Hold `ours` against `theirs` at arrays (or None), floats in `dtype`, to derivatives of
    `order`. The second ones are of the squared first ones, by the inputs and by the upstream.

    With `each` the tolerance is for each entry by itself, not for an array by its largest."""
    arrays = [_in_dtype(array, dtype) for array in arrays]
    here = [_ours(array) for array in arrays]
    there = [_theirs(array) for array in arrays]
    out, expected = ours(*here), theirs(*there)
    agree(out.data, expected, dtype, "value", each)
    if not order or not (out.requires_grad and expected.requires_grad):
        # Where one side has no gradient, the other's must be 0.
        for side in (out, expected):
            if order and side.requires_grad:
                for grad in _gradients_of_sum(side, here if side is out else there):
                    assert not np.asarray(grad.detach()).any()
        return

    upstream = np.random.default_rng(seed).standard_normal(out.shape)
    upstream = np.asarray(upstream, out.dtype)
    here = [x for x in here if x is not None and x.requires_grad]
    there = [x for x in there if x is not None and x.requires_grad]
    here.append(Tensor(upstream, requires_grad=True))
    there.append(torch.tensor(upstream, requires_grad=True))
    is_twice = order > 1
    grads = autograd.gradient(out, here[:-1], here[-1], create_graph=is_twice)
    expected_grads = torch.autograd.grad(
        expected, there[:-1], there[-1], create_graph=is_twice, materialize_grads=True
    )
    for position, pair in enumerate(zip(grads, expected_grads, strict=True)):
        agree(pair[0].data, pair[1], dtype, f"gradient {position}", each)
    if not is_twice:
        return

    squares = sum((grad * grad).sum() for grad in grads)
    expected_squares = sum((grad * grad).sum() for grad in expected_grads)
    seconds = [None] * len(here)
    if squares.requires_grad:
        seconds = autograd.gradient(squares, here, allow_unused=True)
    expected_seconds = [torch.zeros_like(x) for x in there]
    if expected_squares.requires_grad:
        expected_seconds = torch.autograd.grad(expected_squares, there, materialize_grads=True)
    for position, (second, reference) in enumerate(zip(seconds, expected_seconds, strict=True)):
        found = np.zeros(reference.shape, dtype) if second is None else second.data
        agree(found, reference, dtype, f"second gradient {position}", each)


def agree(found: Any, reference: Any, dtype: Any, what: str, each: bool = False) -> None:
    """Hold an array beside PyTorch's, shape and dtype too."""
    expected = reference.detach().numpy(force=True)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype), what
    rtol, atol = TOLERANCE[np.dtype(dtype)]
    if not each:
        atol *= 1 + float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=what)


def _gradients_of_sum(out: Any, inputs: Arrays) -> Any:
    wanted = [x for x in inputs if x is not None and x.requires_grad]
    if isinstance(out, Tensor):
        return out.sum().gradient(*wanted)
    return torch.autograd.grad(out.sum(), wanted, materialize_grads=True)


def _in_dtype(array: Any, dtype: Any) -> Any:
    is_float = array is not None and array.dtype.kind == "f"
    return np.asarray(array, dtype) if is_float else array


def _ours(array: Any) -> Any:
    return None if array is None else Tensor(array, requires_grad=array.dtype.kind == "f")


def _theirs(array: Any) -> Any:
    if array is None:
        return None
    return torch.tensor(array.copy(), requires_grad=array.dtype.kind == "f")
