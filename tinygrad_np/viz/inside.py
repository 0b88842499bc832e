"""Inside a network: filters, feature maps, attention maps, and weights and gradients over time."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import Any, TypeVar

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm

from tinygrad_np import nn, ops
from tinygrad_np.autograd.op import Op
from tinygrad_np.checks import check_integer, kind_of
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.nn.module import ModuleScope
from tinygrad_np.observer import Observer
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.train import Callback, State
from tinygrad_np.train.prediction import evaluating
from tinygrad_np.typing import Options, Values
from tinygrad_np.viz.figure import Figure, array_of, draw_image, grid, inputs_of, largest, panels

T = TypeVar("T")

_COUNTS = "Blues"
_LABEL = 0.11  # inches from one label of an axis to the next


def filters(layer: Any, count: int = 16, title: str = "") -> Figure:
    """Plot the filters of a convolution: red weights are positive, blue ones negative.

    Filters of three input channels are drawn in color, each rescaled to the range of RGB. Filters
    of another number of channels have one row of panels each, one panel per input channel.

    Args:
        layer: a Conv2d, or its weight of shape (K, C, R, S) as a Tensor or an array.
        count: largest number of filters, and of input channels, to plot.
        title: title of the figure.

    Raises:
        ArgumentError: if `count` is not an integer >= 1.
        DtypeError: if `layer` does not contain numbers.
        ShapeError: if the weight does not have shape (K, C, R, S).

    >>> from tinygrad_np import nn, viz
    >>> figure = viz.filters(nn.Conv2d(1, 8, 3))
    """
    check_integer("filters", 1, count=count)
    weight = getattr(layer, "weight", layer)
    if isinstance(weight, nn.Module):
        raise DtypeError(
            "filters: expected `layer` to be a Conv2d, for example model.conv1, got "
            f"{kind_of(layer)}."
        )
    weight = array_of("filters", "layer", weight)
    if weight.ndim != 4 or not weight.size:
        raise ShapeError(
            f"filters: expected `layer` with a weight of shape (K, C, R, S), got {weight.shape}."
        )
    total, channels, *size = weight.shape
    shown = weight[:count]
    note = f"{total} filter{'s'[: total > 1]} of {size[0]}x{size[1]}"
    if channels > 1:
        note += f" with {channels} input channels"
    if channels not in (1, 3):
        note += "\nrows: filters, columns: input channels"
    cut = f"\nthe first {count} of each" if max(total, channels) > count else ""
    title = title or note + cut
    if channels == 3:

        def draw(axes: Any, position: int) -> None:
            draw_image(axes, shown[position] / (2 * np.abs(shown).max() or 1) + 0.5)
            axes.set_title(str(position + 1), fontsize=9)

        return grid(len(shown), draw, title)
    if channels > 1:
        rows = {f"filter {k + 1}": one[:count] for k, one in enumerate(shown)}
        return panels(rows, title=title, shared=True)
    width = min(8, len(shown))
    lines = {}
    for start in range(0, len(shown), width):
        row = shown[start : start + width, 0]
        last = start + len(row)
        lines[f"{start + 1} to {last}" if len(row) > 1 else f"{last}"] = row
    return panels(lines, title=title, shared=True)


def feature_maps(
    model: nn.Module,
    image: Any,
    layers: Sequence[str] | None = None,
    count: int = 8,
    title: str = "",
) -> Figure:
    """Plot the outputs of a network's layers for one image, a row per call of a layer.

    Each row has one color scale. Rows without negative values, as after a ReLU, start at 0.

    Args:
        model: network that takes images (N, C, H, W); it runs in evaluation mode and is left
            unchanged.
        image: an image of shape (C, H, W), or the first image of a batch (N, C, H, W) or of a
            Dataset.
        layers: paths of the modules to plot; defaults to all layers (modules that contain no other
            modules) that return maps (N, K, P, Q).
        count: largest number of maps per row.
        title: title of the figure.

    Raises:
        ArgumentError: if `count` is not an integer >= 1, a path is not that of a module, or no
            chosen layer returns maps.
        DtypeError: if `image` does not contain numbers.
        ShapeError: if `image` does not have one of these shapes.

    >>> from tinygrad_np import data, nn, viz
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    >>> figure = viz.feature_maps(model, data.digits()[1])
    """
    check_integer("feature_maps", 1, count=count)
    inputs, _ = inputs_of("feature_maps", image, 1)
    paths = {path.removesuffix("."): module for path, module in model._named_modules()}
    for path in layers or ():
        if path not in paths:
            raise ArgumentError(
                f"feature_maps: expected `layers` to be among {', '.join(filter(None, paths))}, "
                f"got {path!r}."
            )
    rows: dict[str, Array] = {}
    for path, module, out in layer_outputs(model, inputs, layers):
        if out.ndim == 4:
            total = out.shape[1]
            shown = f"first {count} of {total}" if total > count else f"{total}"
            size = f"{out.shape[2]}x{out.shape[3]}"
            name = type(module).__name__
            label = f"{path or name}\n({name})\n{shown} maps, {size}"
            while label in rows:  # a later call of the same layer
                label += " "
            rows[label] = out[0, :count]
    if not rows:
        raise ArgumentError(
            "feature_maps: expected layers that return maps of shape (N, K, P, Q), got none."
        )
    return panels(rows, inputs[0], title or f"Feature maps of {type(model).__name__}")


def layer_outputs(
    model: nn.Module, inputs: Array, layers: Sequence[str] | None = None
) -> list[tuple[str, nn.Module, Array]]:
    """Return what a network's layers return, one entry per call, in the order of the calls.

    Args:
        model: network; it runs in evaluation mode and is left unchanged.
        inputs: its input.
        layers: paths of the modules; defaults to all layers (modules without submodules).

    Returns:
        (path, module, output) for each call that returned a Tensor.

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> found = layer_outputs(model, np.ones((1, 1, 2, 2), np.float32))
    >>> [(path, out.shape) for path, _, out in found]
    [('0', (1, 4)), ('1', (1, 2))]
    """
    found: list[tuple[str, nn.Module, Array]] = []

    def keep(path: str) -> Callable[..., None]:
        def note(module: nn.Module, given: Any, out: Any) -> None:
            if isinstance(out, Tensor):
                found.append((path, module, out.data.copy()))

        return note

    paths = [(prefix.removesuffix("."), module) for prefix, module in model._named_modules()]
    handles = [
        module.register_forward_hook(keep(path))
        for path, module in paths
        if (path in layers if layers is not None else not list(module.children()))
    ]
    try:
        with evaluating(model), Trial():
            model(Tensor(inputs))
    finally:
        for handle in handles:
            handle.remove()
    return found


class _Softmaxes(Observer):
    """Collect the outputs of every softmax over the last of at least three axes.

    The op `attend` contains one, which is computed again here.
    """

    def __init__(self) -> None:
        self.found: dict[str, Array] = {}

    def on_forward(self, op: Op, arrays: Values, options: Options, call: Callable[[], T]) -> T:
        out = call()
        if op.name == "attend":
            query, key, _, bias, allowed, _ = arrays
            mask = bias if allowed is None else allowed
            # Recompute the weights with the op softmax, whose output this observer collects.
            ops.attention_weights(query, key, mask, options["scale"], options["is_causal"])
        array: Any = out
        is_softmax = op.name == "softmax" and isinstance(array, np.ndarray) and array.ndim >= 3
        if is_softmax and options.get("axis", -1) in (-1, array.ndim - 1):
            scope = thread.state.scope
            path = scope.path if isinstance(scope, ModuleScope) else ""
            name = path or "attention"
            number = 2
            while name in self.found:
                name = f"{path or 'attention'} (call {number})"
                number += 1
            self.found[name] = array.copy()
        return out


def attention_weights(model: Callable[..., Any], *inputs: Any) -> dict[str, Array]:
    """Return the attention weights that a model computes, by the path of the module.

    Attention weights are the outputs of each softmax over the last axis of an array with at least
    three axes: those of MultiheadAttention and `scaled_dot_product_attention`, and those of
    attention written by hand. A softmax over the classes of each position, of shape (N, L, V), is
    found too, since nothing tells it apart.

    Args:
        model: a Module, which runs in evaluation mode, or any function of Tensors; it is left
            unchanged.
        inputs: its inputs, as Tensors or arrays.

    Returns:
        For each path, an array (..., L, S); row l holds the weights of query l on the S keys. For
        MultiheadAttention, it has shape (N, heads, L, S).

    >>> from tinygrad_np import Tensor, nn, viz
    >>> x = Tensor.randn(2, 5, 8)
    >>> layer = nn.MultiheadAttention(8, 2, batch_first=True)
    >>> {path: array.shape for path, array in viz.attention_weights(layer, x, x, x).items()}
    {'attention': (2, 2, 5, 5)}
    """
    tensors = [Tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
    observer = _Softmaxes()
    with evaluating(model if isinstance(model, nn.Module) else nn.Sequential()), Trial(), observer:
        model(*tensors)
    return observer.found


def attention(
    weights: Any,
    queries: Sequence[Any] | None = None,
    keys: Sequence[Any] | None = None,
    title: str = "",
) -> Figure:
    """Plot attention weights: row l shows how much query l attends to each key.

    Args:
        weights: array or Tensor of shape (L, S) or (heads, L, S), with rows that sum to 1; or a
            dict of them, such as `attention_weights` returns. Of a batch (N, heads, L, S), the
            first entry is plotted.
        queries: names of the queries, such as tokens.
        keys: names of the keys. Rows of another length than `queries` have these names, and columns
            of another length than `keys` those of `queries`, as in self-attention.
        title: title of the figure.

    Darker cells are larger weights; the darkest of a row of maps is the largest weight in it. Where
    there are more than 24 names or 4 maps per row, every k-th name is shown.

    Raises:
        ArgumentError: if there are no weights.
        DtypeError: if `weights` does not contain numbers.
        ShapeError: if the shape of the weights or the number of names does not fit.

    >>> import numpy as np
    >>> from tinygrad_np import viz
    >>> figure = viz.attention(np.tri(3) / np.tri(3).sum(axis=1, keepdims=True), "abc")
    """
    given = weights if isinstance(weights, Mapping) else {"": weights}
    rows = {path: _heads(array_of("attention", "weights", each)) for path, each in given.items()}
    if not rows:
        raise ArgumentError("attention: expected attention weights, got none.")
    names_of = {"queries": queries, "keys": keys}
    sizes = [{heads.shape[axis] for heads in rows.values()} for axis in (1, 2)]
    tokens = {what: [_token(name) for name in names or ()] for what, names in names_of.items()}
    for (what, names), line, fitting in zip(tokens.items(), ("row", "column"), sizes, strict=True):
        if names_of[what] is not None and len(names) not in fitting:
            raise ShapeError(
                f"attention: expected {' or '.join(map(str, sorted(fitting)))} names in `{what}`, "
                f"one per {line} of the weights, got {len(names)}."
            )
    columns = max(len(heads) for heads in rows.values())
    most = max(*sizes[0], *sizes[1])
    is_crowded = most > 24 or columns > 4
    cell = 2.2 / most if is_crowded else max(_LABEL, 2.2 / most)  # inches
    every = ceil(_LABEL / cell)
    longest = max((len(name) for names in tokens.values() for name in names), default=1)
    room = 0.08 * longest + 0.5  # for labels of ticks and axes
    width, height = (cell * max(along) + room for along in reversed(sizes))
    figure = Figure((max(4.0, width * columns + 0.9), (height + 0.2) * len(rows) + 0.6))
    table = figure.subplots(len(rows), columns, squeeze=False)
    for line, (path, heads) in zip(table, rows.items(), strict=True):
        _, length, total = heads.shape
        limit = largest(heads)
        for head, axes in enumerate(line):
            if head >= len(heads):
                axes.axis("off")
                continue
            shown = axes.imshow(heads[head], cmap="Blues", vmin=0, vmax=limit)
            title_of = f"{path}, head {head + 1}" if len(heads) > 1 else path
            axes.set_title(title_of.removeprefix(", "), fontsize=9)
            axes.set_xlabel("key", fontsize=9)
            axes.set_ylabel("query", fontsize=9)
            axes.tick_params(labelsize=7)
            for set_ticks, size, order in (
                (axes.set_xticks, total, ("keys", "queries")),
                (axes.set_yticks, length, ("queries", "keys")),
            ):
                fits = [tokens[what] for what in order if len(tokens[what]) == size]
                if fits:
                    set_ticks(range(0, size, every), fits[0][::every], parse_math=False)
            if longest > 1:
                axes.tick_params(axis="x", rotation=90)
        figure.colorbar(shown, ax=list(line), label="attention weight", shrink=0.8)
    figure.heading(title or "Attention: each row sums to 1")
    return figure


def _token(name: Any) -> str:
    """Return the label of a token, in which spaces are visible."""
    return str(name).replace(" ", "␣")


def _heads(weights: Array) -> Array:
    """Return weights of shape (heads, L, S); of a batch, those of the first entry."""
    while weights.ndim > 3:
        weights = weights[0]
    if weights.ndim < 2 or not weights.size:
        raise ShapeError(
            f"attention: expected `weights` of shape (..., L, S), got {weights.shape}."
        )
    return weights if weights.ndim == 3 else weights[None]


class Histograms(Callback):
    """Record histograms of each parameter and its gradient during training, for `histograms`.

    Args:
        every_steps: number of steps between two records; None records at the end of each epoch,
            with the gradients of its last batch.
        bins: number of bins of equal width between the smallest and the largest value.

    Raises:
        ArgumentError: if `every_steps` or `bins` is not an integer >= 1.

    Attributes:
        unit: "step" or "epoch".
        weights: for each path, a list of (step or epoch, counts, edges).
        gradients: the same for the gradients.

    >>> from tinygrad_np import data, nn, optim, train, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> record = viz.Histograms(every_steps=5)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = train.Trainer(model, optimizer, callbacks=[record])
    >>> history = trainer.fit(data.DataLoader(data.digits()[0]), epochs=1)
    >>> [step for step, _, _ in record.weights["1.weight"]]
    [5, 10, 15, 20]
    >>> figure = viz.histograms(record)
    """

    def __init__(self, every_steps: int | None = None, bins: int = 30) -> None:
        check_integer("Histograms", 1, bins=bins)
        if every_steps is not None:
            check_integer("Histograms", 1, every_steps=every_steps)
        self.every_steps = every_steps
        self.bins = bins
        self.unit = "epoch" if every_steps is None else "step"
        self.weights: dict[str, list[tuple[int, Array, Array]]] = {}
        self.gradients: dict[str, list[tuple[int, Array, Array]]] = {}

    def on_batch_end(self, state: State) -> None:
        """Record every `every_steps` steps."""
        if self.every_steps is not None and state.step % self.every_steps == 0:
            self.record(state.model, state.step)

    def on_epoch_end(self, state: State) -> None:
        """Record at the end of the epoch, unless `every_steps` is set."""
        if self.every_steps is None:
            self.record(state.model, state.epoch)

    def record(self, model: nn.Module, time: int) -> None:
        """Record the parameters and gradients of a model, also outside a Trainer.

        Values that are not finite are left out.
        """
        for path, parameter in model.named_parameters():
            self._add(self.weights, path, time, parameter.data)
            if parameter.grad is not None:
                self._add(self.gradients, path, time, parameter.grad.data)

    def _add(self, where: dict[str, Any], path: str, time: int, values: Array) -> None:
        counts, edges = np.histogram(values[np.isfinite(values)].astype(float), self.bins)
        where.setdefault(path, []).append((time, counts, edges))


def histograms(record: Histograms, parameters: Sequence[str] | None = None) -> Figure:
    """Plot histograms of weights and gradients over time, a row per parameter.

    Each column of a panel is the histogram at one time: darker bins hold more values, relative to
    the fullest bin of the column.

    Args:
        record: a Histograms callback that has recorded at least once.
        parameters: paths to plot; defaults to parameters with at least 50 values, or to all if
            there are none.

    Raises:
        ArgumentError: if nothing was recorded, or a path was not.
        DtypeError: if `record` is not a Histograms callback.

    See `Histograms` for an example.
    """
    if not isinstance(record, Histograms):
        raise DtypeError(
            f"histograms: expected `record` to be a Histograms callback, got {kind_of(record)}."
        )
    large = [path for path, entries in record.weights.items() if entries[0][1].sum() >= 50]
    chosen = list((large or record.weights) if parameters is None else parameters)
    for path in chosen:
        if path not in record.weights:
            raise ArgumentError(
                f"histograms: expected `parameters` to be among {', '.join(record.weights)}, got "
                f"{path!r}."
            )
    if not chosen:
        raise ArgumentError(
            "histograms: expected a Histograms callback that has recorded, got an empty one. Pass "
            "it to Trainer(callbacks=[...]) and call fit."
        )
    figure = Figure((8.5, 1.7 * len(chosen) + 1.0))
    table = figure.subplots(len(chosen), 2, squeeze=False, sharex=True)
    norm = PowerNorm(0.5, vmin=0, vmax=1)  # the root makes the few values far from 0 visible
    kinds = (record.weights, record.gradients)
    # One width, that of the densest records: columns are no wider where records are missing.
    times = {t for kind in kinds for path in chosen for t, _, _ in kind.get(path, [])}
    width = min((later - time for time, later in pairwise(sorted(times))), default=1)
    for line, path in zip(table, chosen, strict=True):
        for axes, kind in zip(line, kinds, strict=True):
            _draw_histograms(axes, kind.get(path, []), width, norm)
        line[0].set_ylabel(path, fontsize=9)
    table[0][0].set_title("weights", fontsize=10)
    table[0][1].set_title("gradients", fontsize=10)
    for axes in table[-1]:
        axes.set_xlabel(record.unit)
    colors = ScalarMappable(norm, _COUNTS)
    figure.colorbar(colors, ax=table, label="count / largest count", aspect=30)
    figure.heading("Weights and gradients over time")
    return figure


def _draw_histograms(
    axes: Any, entries: Sequence[tuple[int, Array, Array]], width: int, norm: Any
) -> None:
    """Draw one column per entry, centered at its time."""
    for time, counts, edges in entries:
        shares = counts[:, None] / max(1, counts.max())
        axes.pcolormesh(
            [time - width / 2, time + width / 2], edges, shares, cmap=_COUNTS, norm=norm
        )
    if not entries:
        axes.text(0.5, 0.5, "no gradients", transform=axes.transAxes, ha="center", va="center")
    axes.tick_params(labelsize=8)
