"""The loss around the weights, and how it depends on the learning rate.

All functions work on copies: they change neither the model nor the optimizer.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from tinygrad_np import nn
from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.batches import (
    Batches,
    call_model,
    check_loader,
    count_samples,
    loss_value,
    split_batch,
)
from tinygrad_np.train.prediction import evaluating
from tinygrad_np.viz.figure import GUIDE, SETS, WRONG, Figure

Loss = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Surface:
    """Losses on a plane through the weights.

    Attributes:
        steps: coordinates along each direction, shape (P,).
        losses: losses, shape (P, P); losses[i, j] is at a = steps[j], b = steps[i].
    """

    steps: Array
    losses: Array


def loss_surface_values(
    model: nn.Module,
    loader: Batches,
    loss: Loss = Tensor.cross_entropy,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
) -> Surface:
    """Evaluate the loss on a plane through the weights, along two random directions.

        loss(θ + a δ + b η)   for a and b from -span to span

    δ and η are normal random numbers, normalized per filter: each filter of a direction (a row of a
    linear layer, an output channel of a convolution) is scaled to the norm of the same filter of θ.
    Biases and other 1-D parameters stay fixed. Without this, the plot would depend on the scale of
    the weights rather than on the shape of the loss (Li et al. 2018, section 4).

    Args:
        model: the model; a copy is evaluated, in evaluation mode.
        loader: batches of (inputs, targets), as for `Trainer`; the loss is the mean over all their
            samples. The epoch of a DataLoader is unchanged afterwards.
        loss: function of (outputs, targets) that returns a Tensor with one entry.
        span: largest coordinate; at 1, a direction is as long as the weights.
        points: number of points along each direction; an odd number includes the weights.
        seed: seed of the directions.

    Raises:
        ArgumentError: if `span` is not a finite number above 0, `points` is not an integer >= 2, or
            the loader yields no samples.
        DtypeError: if the loader is not iterable.
        ShapeError: if the loss is not a Tensor with one entry.

    >>> import numpy as np
    >>> from tinygrad_np import Tensor, nn, viz
    >>> model = nn.Linear(2, 1, generator=np.random.default_rng(0))
    >>> batch = (np.eye(2, dtype=np.float32), np.zeros((2, 1), np.float32))
    >>> surface = viz.loss_surface_values(model, [batch], lambda y, t: ((y - t) ** 2).mean())
    >>> surface.losses.shape
    (21, 21)
    """
    who = "loss_surface"
    check_at_least(who, 0, span=span)
    if span == 0:
        raise ArgumentError(f"{who}: expected `span` to be above 0, got {span}.")
    check_integer(who, 2, points=points)
    check_integer(who, 0, seed=seed)
    check_loader(who, loader)
    with _same_epoch(loader):
        batches = [split_batch(who, batch) for batch in loader]
    if not batches:
        raise ArgumentError(f"{who}: the loader yielded no samples.")
    generator = np.random.default_rng(seed)
    model = copy.deepcopy(model)
    weights = [p for p in model.parameters() if p.ndim > 1]
    start = [weight.data.copy() for weight in weights]
    first, second = ([_direction(array, generator) for array in start] for _ in range(2))
    steps = np.linspace(-span, span, points)
    losses = np.empty((points, points))
    with evaluating(model), Trial(), np.errstate(all="ignore"):
        for i, j in np.ndindex(points, points):
            for weight, origin, d, e in zip(weights, start, first, second, strict=True):
                weight[:] = origin + steps[j] * d + steps[i] * e
            total, samples = 0.0, 0
            for inputs, targets in batches:
                outputs = call_model(model, inputs)
                size = count_samples(outputs, targets)
                total += loss_value(loss(outputs, targets)) * size
                samples += size
            losses[i, j] = total / samples
    return Surface(steps, losses)


def _direction(weight: Array, generator: np.random.Generator) -> Array:
    """Return random numbers in which each filter has the norm of the filter of `weight`."""
    axes = tuple(range(1, weight.ndim))
    direction: Any = generator.standard_normal(weight.shape)
    norm = np.sqrt((direction**2).sum(axis=axes, keepdims=True))
    wanted = np.sqrt((weight**2).sum(axis=axes, keepdims=True))
    scaled: Array = direction * (wanted / norm)
    return scaled


def loss_surface(
    model: nn.Module,
    loader: Batches,
    loss: Loss = Tensor.cross_entropy,
    span: float = 1.0,
    points: int = 21,
    seed: int = 0,
    title: str = "",
) -> Figure:
    """Plot the loss around the weights as contours and as a surface.

    The arguments are those of `loss_surface_values`.

    Raises:
        ArgumentError: as in `loss_surface_values`.
        DtypeError: as in `loss_surface_values`.
        ShapeError: as in `loss_surface_values`.

    >>> import numpy as np
    >>> from tinygrad_np import data, nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> loader = data.DataLoader(data.digits()[1].first(50))
    >>> figure = viz.loss_surface(model, loader, points=5)
    """
    found = loss_surface_values(model, loader, loss, span, points, seed)
    a, b = np.meshgrid(found.steps, found.steps)
    figure = Figure((9.5, 4.4))
    flat = figure.add_subplot(1, 2, 1)
    solid: Any = figure.add_subplot(1, 2, 2, projection="3d")
    shown = np.where(np.isfinite(found.losses), found.losses, np.nan)
    filled = flat.contourf(a, b, shown, 24, cmap="viridis")
    flat.contour(a, b, shown, 12, colors="white", linewidths=0.5)
    flat.plot(0, 0, "*", color=WRONG, ms=13, mec="white", label="the weights")
    flat.legend(loc="upper right")
    flat.set(xlabel="a, along direction 1", ylabel="b, along direction 2", aspect="equal")
    figure.colorbar(filled, ax=flat, label="loss", shrink=0.85)
    solid.plot_surface(a, b, shown, cmap="viridis", rcount=points, ccount=points)
    solid.set(xlabel="a", ylabel="b")  # the color bar names the height
    solid.set_box_aspect(None, zoom=0.85)  # the layout does not reserve space for the labels
    for axis in (flat.xaxis, flat.yaxis, solid.xaxis, solid.yaxis, solid.zaxis):
        axis.set_major_locator(MaxNLocator(5))
    figure.heading(title or "Loss around the weights, along two random directions")
    return figure


@dataclass(frozen=True, eq=False)
class RangeTest:
    """Losses of a training run whose learning rate grows at every step.

    Attributes:
        rates: learning rate of each step, shape (S,).
        losses: loss of each step's batch before the step, shape (S,).
        smooth: smoothed losses, shape (S,).
        steepest: learning rate at which the smoothed loss falls fastest before its minimum.
    """

    rates: Array
    losses: Array
    smooth: Array
    steepest: float


def range_test(
    model: nn.Module,
    optimizer: Optimizer,
    loader: Batches,
    loss: Loss = Tensor.cross_entropy,
    lowest: float = 1e-5,
    highest: float = 10.0,
    steps: int = 100,
) -> RangeTest:
    """Train with a learning rate that grows from step to step (Smith 2017, section 3.3).

        lr(t) = lowest (highest / lowest)^(t / (steps - 1))   for t = 0, ..., steps - 1

    A good learning rate lies where the loss falls fastest, below the rate at which it turns up. The
    losses are smoothed by fitting a line to r = `steps` / 20 losses on each side, and the steepest
    fall is the largest one over 2 r steps that ends at the minimum or before. The run ends early
    when a loss exceeds four times the first, or is not finite.

    Args:
        model: the model; a copy is trained.
        optimizer: optimizer of the model's parameters; a copy is used, and its learning rates are
            overwritten.
        loader: batches of (inputs, targets), repeated as often as needed. The epoch of a DataLoader
            is restored afterwards.
        loss: function of (outputs, targets) that returns a Tensor with one entry.
        lowest: first learning rate.
        highest: last learning rate.
        steps: number of steps.

    Raises:
        ArgumentError: if not 0 < lowest < highest, `steps` is not an integer >= 2, a pass over the
            loader yields no samples, or the optimizer has no parameter of the model.
        DtypeError: if the loader is not iterable.
        GraphError: if some parameter that is not frozen does not affect the loss.
        ShapeError: if the loss is not a Tensor with one entry.

    >>> from tinygrad_np import data, nn, optim, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> loader = data.DataLoader(data.digits()[0], shuffle=True, seed=0)
    >>> found = viz.range_test(model, optim.SGD(model.parameters(), lr=0.1), loader, steps=30)
    >>> bool(found.rates[0] == 1e-5 < found.steepest < 10)
    True
    """
    who = "range_test"
    check_at_least(who, 0, lowest=lowest, highest=highest)
    if not 0 < lowest < highest:
        raise ArgumentError(
            f"{who}: expected 0 < lowest < highest, got lowest={lowest} and highest={highest}."
        )
    check_integer(who, 2, steps=steps)
    check_loader(who, loader)
    mine = set(map(id, model.parameters()))
    if not any(id(p) in mine for group in optimizer.param_groups for p in group["params"]):
        raise ArgumentError(
            f"{who}: expected `optimizer` to have parameters of the model, got that of another "
            f"model. Try optim.{type(optimizer).__name__}(model.parameters())."
        )
    model, optimizer = copy.deepcopy((model, optimizer))
    losses: list[float] = []
    rates = np.geomspace(lowest, highest, steps)
    model.train()
    with Trial(), _same_epoch(loader), np.errstate(all="ignore"):
        for (inputs, targets), rate in zip(_repeat(who, loader), rates, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = float(rate)
            optimizer.zero_grad()
            found = loss(call_model(model, inputs), targets)
            value = loss_value(found)
            if not value <= 4 * (losses or [value])[0]:  # also if nan
                break
            losses.append(value)
            found.backward()
            optimizer.step()
    finite = np.array(losses)
    reach = max(1, steps // 20)
    smooth = _smooth(finite, reach)
    falls = smooth[: -2 * reach] - smooth[2 * reach :]
    # Only up to the minimum: beyond it, the loss may jump up and fall again.
    until = max(1, int(np.argmin(smooth)) - 2 * reach + 1) if len(falls) else 0
    steepest = rates[int(np.argmax(falls[:until])) + reach] if until else rates[0]
    return RangeTest(rates[: len(finite)], finite, smooth, float(steepest))


@contextmanager
def _same_epoch(loader: Batches) -> Iterator[None]:
    """Undo the changes of a DataLoader's epoch and seed at the end."""
    before = loader.state_dict() if hasattr(loader, "state_dict") else None
    try:
        yield
    finally:
        if before is not None:
            loader.load_state_dict(before)  # type: ignore[attr-defined]


def _smooth(values: Array, reach: int) -> Array:
    """Replace each value by that of a line fitted to the values within `reach` of it."""
    smooth = values.copy()
    for at in range(len(values)):
        near = np.arange(max(0, at - reach), min(len(values), at + reach + 1))
        if len(near) > 1:
            smooth[at] = np.polyfit(near - at, values[near], 1)[1]
    return smooth


def _repeat(who: str, loader: Batches) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of a loader again and again."""
    for number in count(1):
        is_empty = True
        for batch in loader:
            is_empty = False
            yield split_batch(who, batch)
        if is_empty:
            raise ArgumentError(
                f"{who}: expected samples in every pass over the loader, got none in pass {number}."
                " Pass a list or a DataLoader, not an iterator."
            )


def learning_rates(
    model: nn.Module,
    optimizer: Optimizer,
    loader: Batches,
    loss: Loss = Tensor.cross_entropy,
    lowest: float = 1e-5,
    highest: float = 10.0,
    steps: int = 100,
    title: str = "",
) -> Figure:
    """Plot the loss against a growing learning rate, with the rate of its steepest fall.

    The arguments are those of `range_test`.

    Raises:
        ArgumentError: as in `range_test`.
        DtypeError: as in `range_test`.
        GraphError: as in `range_test`.
        ShapeError: as in `range_test`.

    >>> from tinygrad_np import data, nn, optim, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> loader = data.DataLoader(data.digits()[0], shuffle=True, seed=0)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> figure = viz.learning_rates(model, optimizer, loader, steps=30)
    """
    found = range_test(model, optimizer, loader, loss, lowest, highest, steps)
    figure = Figure((7.0, 4.2))
    axes = figure.subplots()
    color = SETS["train"]
    axes.plot(found.rates, found.losses, ".", color=color, alpha=0.35, label="loss of a batch")
    axes.plot(found.rates, found.smooth, color=color, label="smoothed loss")
    label = f"steepest fall: {found.steepest:.2g}"
    axes.axvline(found.steepest, color=GUIDE, ls=":", label=label)
    name = type(optimizer).__name__
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.set_title(figure.fit_text(title or f"Learning-rate range test of {name}"))
    # Higher losses, after the divergence, would flatten the part that matters.
    if len(found.losses):
        axes.set_ylim(min(0, float(found.losses.min())), 1.3 * float(found.smooth[0]))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure
