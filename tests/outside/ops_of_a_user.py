"""Three user-defined ops, written as in a model file."""

import numpy as np

from tinygrad_np import op, ops


@op(
    "log(1 + exp(x))",
    vjps={"x": lambda grad_out, x: grad_out * ops.sigmoid(x)},
    floating=True,
)
def soft_relu(x):
    """A smooth relu."""
    return np.logaddexp(x, 0)


@op(
    "x if |x| <= limit, else ±limit + slope (x ∓ limit)",
    vjps={
        "x": lambda grad_out, is_inside, slope: ops.where(is_inside, grad_out, grad_out * slope),
    },
    keeps=("is_inside",),
    subgradient="1 at ±limit",
)
def leaky_clip(x, *, limit=1.0, slope=0.1):
    """Leaky clip. `is_inside` is piecewise constant in x, so it can be listed in `keeps`."""
    clipped = np.clip(x, -limit, limit)
    return clipped + slope * (x - clipped), np.abs(x) <= limit


def _attended_grads(grad_out, weights, values):
    products = grad_out * values
    grad_scores = weights * (products - (products * weights).sum(-1, keepdims=True))
    return grad_scores, grad_out * weights


@op(
    "sum of values softmax(scores)",
    definition=lambda scores, values: ops.sum(values * ops.softmax(scores), -1, True),
    differentiable=("scores", "values"),
    backward=_attended_grads,
    caches=("weights",),
    # 5 per score for the softmax, 2 per value for the multiply-add.
    flops=lambda scores, values, out: 5 * scores.size + 2 * out.size * values.shape[-1],
)
def attended(scores, values):
    """Average values of shape (..., n), weighted by the softmax of scores: (..., 1)."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    weights = powers / powers.sum(-1, keepdims=True)
    return (values * weights).sum(-1, keepdims=True), weights
