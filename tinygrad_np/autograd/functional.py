"""`grad`, the gradient function with the signature of `torch.autograd.grad`."""

from collections.abc import Sequence
from typing import Any, TypeVar

from tinygrad_np.autograd.backward import gradient
from tinygrad_np.autograd.tape import Variable

V = TypeVar("V", bound=Variable)


def grad(
    outputs: V | Sequence[V],
    inputs: V | Sequence[V],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool = False,
) -> tuple[V, ...]:
    """Return the gradients of the sum of `outputs` with respect to `inputs`.

    Args:
        outputs: a tensor or several.
        inputs: the tensors to differentiate with respect to.
        grad_outputs: the upstream gradient of each output; may be omitted for outputs with one
            entry.
        retain_graph: accepted as in PyTorch, without effect: the graph is always kept.
        create_graph: record the computation, so that the gradients can be differentiated.
        only_inputs: accepted as in PyTorch, without effect: other leaves get no gradient.
        allow_unused: return None for an input that no output depends on.

    Raises:
        GraphError: as in `Tensor.gradient`, or if an input was not used and `allow_unused` is
            False.
        ShapeError: as in `Tensor.gradient`.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor(3.0, requires_grad=True)
    >>> (first,) = grad(x**3, x, create_graph=True)
    >>> grad(first, x)
    (Tensor(18.),)
    """
    roots = [outputs] if isinstance(outputs, Variable) else list(outputs)
    targets = [inputs] if isinstance(inputs, Variable) else list(inputs)
    if grad_outputs is None or isinstance(grad_outputs, Variable):
        grad_outputs = [grad_outputs] * len(roots)
    totals: list[Any] = [None] * len(targets)
    is_partial = allow_unused or len(roots) > 1
    for root, upstream in zip(roots, grad_outputs, strict=True):
        found = gradient(root, targets, upstream, create_graph, allow_unused=is_partial)
        pairs = zip(totals, found, strict=True)
        totals = [a if b is None else b if a is None else a + b for a, b in pairs]
    if not allow_unused:
        unused = [target for target, total in zip(targets, totals, strict=True) if total is None]
        if unused:
            gradient(roots[0], unused)  # raises
    return tuple(totals)
