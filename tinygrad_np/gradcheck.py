"""Gradient checking against central differences in float64."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError, DtypeError, TinygradNpError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.runtime.memory import Array

_SHOWN = 5  # number of wrong entries listed in an error message
_ALL = 200  # gradients with at most this many entries are compared entry by entry


class GradientError(TinygradNpError, ArithmeticError):
    """A gradient that differs from central differences; the message lists the worst entries."""


@dataclass
class Report:
    """The result of a gradient check, shown as one line per input.

    Args:
        inputs: for each checked input: position, shape, number of comparisons, and largest relative
            deviation.
        kind: description of the compared quantities.
    """

    inputs: list[tuple[int, tuple[int, ...], int, float]]
    kind: str

    @safe
    def __repr__(self) -> str:
        return "\n".join(
            f"input {position} {shape}: {count} {self.kind} agree, largest relative deviation "
            f"{deviation:.1e}"
            for position, shape, count, deviation in self.inputs
        )


class _Check:
    """A function, the arrays at which to check it, and the positions of those to vary."""

    def __init__(
        self, function: Callable[..., Tensor], inputs: Sequence[Any], eps: float = 1e-6
    ) -> None:
        self._function = function
        self.eps = eps
        self.arrays = [_array(value) for value in inputs]
        self.varied = [
            position
            for position, array in enumerate(self.arrays)
            if array is not None and array.dtype == np.float64
        ]
        if not self.varied:
            raise DtypeError(
                "gradcheck: expected at least one float64 input, got none. Differences of float32 "
                "numbers are too coarse: pass float64 arrays."
            )

    def function(self, *tensors: Any) -> Tensor:
        """Call the function; every call draws the same numbers and starts from the same buffers."""
        with Trial():
            out = self._function(*tensors)
        if not isinstance(out, Tensor):
            raise DtypeError(
                "gradcheck: expected the function to return a Tensor, got "
                f"{type(out).__name__}. Check one output at a time."
            )
        return out

    def tensors(self) -> list[Any]:
        """Return the inputs as leaves; those to vary require a gradient."""
        return [
            None if a is None else Tensor(a, requires_grad=position in self.varied)
            for position, a in enumerate(self.arrays)
        ]

    def grads(self, upstream: Array, create_graph: bool = False) -> list[Array]:
        """Return the VJP of `upstream` for each varied input."""
        tensors = self.tensors()
        wanted = [tensors[position] for position in self.varied]
        out = self.function(*tensors)
        grads = out.gradient(*wanted, gradient=upstream, create_graph=create_graph)
        for position, tensor, grad in zip(self.varied, wanted, grads, strict=True):
            if grad.shape != tensor.shape:
                raise GradientError(
                    f"gradcheck: expected the gradient of input {position} to have shape "
                    f"{tensor.shape}, got {grad.shape}."
                )
        return [grad.data for grad in grads]

    def difference(self, position: int, direction: Array) -> Array:
        """Return the central difference of the output along a direction of one input."""
        ahead, behind = (self._value(position, sign * direction) for sign in (1, -1))
        return np.asarray((ahead - behind) / (2 * self.eps))

    def _value(self, position: int, direction: Array) -> Array:
        moved = list(self.arrays)
        moved[position] = self.arrays[position] + self.eps * direction
        return self.function(*[None if array is None else Tensor(array) for array in moved]).data

    def entries(self, position: int) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Yield the index of each entry of an input, and the unit direction for that entry."""
        for place in np.ndindex(self.arrays[position].shape):
            direction = np.zeros_like(self.arrays[position])
            direction[place] = 1
            yield place, direction

    def fault(self, position: int, upstream: Array, grad: Array) -> str:
        """Return the error message for a wrong gradient, with a table of the worst entries."""
        rows = []
        for place in self._suspects(position, upstream, grad):
            direction = np.zeros_like(grad)
            direction[place] = 1
            numeric = float(np.sum(upstream * self.difference(position, direction)))
            rows.append((abs(numeric - float(grad[place])), place, float(grad[place]), numeric))
        rows.sort(key=lambda row: -row[0])
        lines = [
            f"gradcheck: the VJP for input {position} of shape {grad.shape} disagrees with central "
            f"differences. The worst of {grad.size} entries are:",
            f"{'entry':>16} {'VJP':>16} {'difference':>16} {'ratio':>10}",
        ]
        for _, place, analytic, numeric in rows[:_SHOWN]:
            ratio = f"{analytic / numeric:>10.4f}" if numeric else f"{'':>10}"
            lines.append(f"{place!s:>16} {analytic:>16.9g} {numeric:>16.9g} {ratio}")
        lines.append(
            "If the ratio is the same for all entries, the VJP (or the backward kernel, if the op "
            "has one) has a wrong factor or sign. At a kink, differences are meaningless: move the "
            "inputs away from it."
        )
        return "\n".join(lines)

    def _suspects(self, position: int, upstream: Array, grad: Array) -> list[tuple[int, ...]]:
        """Return the indices of all entries or, for large arrays, of the likely worst ones.

        For large arrays, split the entries into parts, keep the parts that deviate most in a random
        direction, and repeat.
        """
        generator = np.random.default_rng(0)

        def deviation(part: Array) -> float:
            direction = np.zeros(grad.size)
            direction[part] = generator.choice([-1.0, 1.0], len(part))
            along = direction.reshape(grad.shape)
            numeric = float(np.sum(upstream * self.difference(position, along)))
            return abs(numeric - float(np.sum(along * grad)))

        parts = list(np.arange(grad.size).reshape(-1, 1))
        if grad.size > _ALL:
            parts = [np.arange(grad.size)]
        while any(len(part) > 1 for part in parts):
            smaller = [piece for part in parts for piece in np.array_split(part, 8) if len(piece)]
            parts = sorted(smaller, key=deviation, reverse=True)[:_SHOWN]
        return [tuple(int(i) for i in np.unravel_index(part[0], grad.shape)) for part in parts]


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    tolerance: float = 1e-6,
    projections: int = 3,
    full: bool = False,
    seed: int = 0,
) -> Report:
    """Check the VJPs of `function` at `inputs` against central differences.

    For random u and v with the shapes of the output and of an input,
    u · (f(x + eps v) - f(x - eps v)) / (2 eps) must equal v · VJP(u). The allowed deviation is
    `tolerance` times |v| |VJP(u)|, or `tolerance` times the scale of the rounding noise in the
    difference if that is larger. Every call draws the same random numbers, and buffers and
    generators are left unchanged, so layers such as dropout may be in training mode.

    Args:
        function: takes the inputs as Tensors and returns a Tensor.
        inputs: Tensors, arrays, nested lists, numbers or None. Only float64 inputs are varied.
        eps: step of the central difference.
        tolerance: largest allowed relative deviation.
        projections: number of random pairs u, v per input.
        full: compare every entry of the Jacobian instead of random projections.
        seed: seed of the random projections.

    Returns:
        A Report of the comparisons, which can be printed.

    Raises:
        GradientError: if a gradient is wrong; the message lists the worst entries with both values.
        DtypeError: if no input is float64, or the function does not return a Tensor.
        ArgumentError: if `projections` is below 1.
        GraphError: if the output does not depend on a float64 input.

    >>> print(gradcheck(lambda x: x * x, [np.array([1.0, 2.0])]))  # doctest: +ELLIPSIS
    input 0 (2,): 3 random projections agree, largest relative deviation ...
    """
    if projections < 1:
        raise ArgumentError(
            f"gradcheck: expected `projections` to be at least 1, got {projections}."
        )
    check = _Check(function, inputs, eps)
    generator = np.random.default_rng(seed)
    value = check.function(*check.tensors()).data
    # Scale of the rounding error: the norm of the value, plus 1 for terms that may have canceled.
    shape, height = value.shape, float(np.linalg.norm(value)) + 1.0
    if full:
        pairs = _all_pairs(check, shape)
    else:
        pairs = _random_pairs(check, shape, projections, generator)
    worst = {position: [0, 0.0] for position in check.varied}
    for position, upstream, direction, difference, grad in pairs:
        numeric = float(np.sum(upstream * difference))
        analytic = float(np.sum(direction * grad))
        size = float(np.linalg.norm(direction) * np.linalg.norm(grad))
        # Rounding noise of the difference, on the scale of `tolerance`.
        noise = 1e-9 / eps * float(np.linalg.norm(upstream)) * height
        deviation = abs(numeric - analytic) / (max(size, abs(numeric), noise) or 1.0)
        if not deviation <= tolerance:
            raise GradientError(check.fault(position, upstream, grad))
        worst[position][0] += 1
        worst[position][1] = max(worst[position][1], deviation)
    return Report(
        [(p, check.arrays[p].shape, int(count), most) for p, (count, most) in worst.items()],
        "entries of the Jacobian" if full else "random projections",
    )


# Input position, upstream gradient, direction, central difference along it, and VJP.
_Pair = tuple[int, Array, Array, Array, Array]


def _random_pairs(
    check: _Check, shape: tuple[int, ...], count: int, generator: np.random.Generator
) -> Iterator[_Pair]:
    for _ in range(count):
        upstream = np.asarray(generator.standard_normal(shape))
        for position, grad in zip(check.varied, check.grads(upstream), strict=True):
            direction = np.asarray(generator.standard_normal(grad.shape))
            yield position, upstream, direction, check.difference(position, direction), grad


def _all_pairs(check: _Check, shape: tuple[int, ...]) -> Iterator[_Pair]:
    columns = {
        position: [(d, check.difference(position, d)) for _, d in check.entries(position)]
        for position in check.varied
    }
    for place in np.ndindex(shape):
        upstream = np.zeros(shape)
        upstream[place] = 1
        for position, grad in zip(check.varied, check.grads(upstream), strict=True):
            for direction, difference in columns[position]:
                yield position, upstream, direction, difference, grad


def gradgradcheck(
    function: Callable[..., Tensor], inputs: Sequence[Any], *, seed: int = 0, **options: Any
) -> Report:
    """Check second derivatives: run `gradcheck` on the VJP as a function of the inputs and u.

    Here u is the upstream gradient that the VJP maps to the gradients of the inputs.

    Also check that the VJP computed with `create_graph` (from the VJPs or definition of an op)
    equals the plain one (from the backward kernel, if any).

    Args:
        function: takes the inputs as Tensors and returns a Tensor.
        inputs: Tensors, arrays, nested lists, numbers or None. Only float64 inputs are varied.
        seed: seed of u and of the random projections.
        **options: other options of `gradcheck`.

    Returns:
        A Report of the comparisons. Its last input is u.

    Raises:
        GradientError: if a second derivative is wrong, or the two VJPs differ.
        DtypeError: if no input is float64, or the function does not return a Tensor.
        ArgumentError: if `projections` is below 1.
        GraphError: if the output does not depend on a float64 input.

    >>> report = gradgradcheck(lambda x: x * x * x, [np.array([1.0, 2.0])])
    """
    check = _Check(function, inputs)
    out = check.function(*check.tensors())
    upstream = np.asarray(np.random.default_rng(seed + 1).standard_normal(out.shape))
    pairs = zip(check.grads(upstream), check.grads(upstream, create_graph=True), strict=True)
    for position, (plain, with_graph) in zip(check.varied, pairs, strict=True):
        if not np.allclose(plain, with_graph, rtol=1e-6, atol=1e-9):
            raise GradientError(
                f"gradgradcheck: for input {position} of shape {plain.shape}, the backward kernel "
                "of an op and its VJPs (or definition) give gradients that differ by up to "
                f"{np.abs(plain - with_graph).max():.3g}. Run gradcheck to check the kernel."
            )

    def vjp(*tensors: Any) -> Tensor:
        *points, direction = tensors
        wanted = [tensor for tensor in points if tensor is not None and tensor.dtype == np.float64]
        for tensor in wanted:
            tensor.requires_grad = True
        grads = function(*points).gradient(*wanted, gradient=direction, create_graph=True)
        flat = [grad.reshape(-1) for grad in grads]
        joined: Tensor = flat[0].cat(*flat[1:])
        for tensor in wanted:
            # Makes the derivative 0 instead of missing if the VJP does not depend on the point.
            joined = joined + tensor.sum() * 0
        return joined

    return gradcheck(vjp, [*check.arrays, upstream], seed=seed, **options)


def _array(value: Any) -> Any:
    if value is None:
        return None
    return value.data if isinstance(value, Tensor) else np.asarray(value)
