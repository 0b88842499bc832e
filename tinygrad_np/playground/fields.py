"""Receptive fields: the pixels and cells that one cell of a layer's output depends on.

A cell depends on a pixel if a nan in this pixel makes the cell nan. Sums, products, maxima and
activations all pass nan on, whatever the weights are, so this needs no formula per layer: it holds
for strides, dilation, residual connections and layers of your own. The model runs in evaluation
mode, where no image of a batch depends on another, so one batch tests many pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from tinygrad_np.checks import is_integer
from tinygrad_np.cli.models import describe_error
from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Module, Sequential
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad

_SIDES = (28, 8)  # of the images of the datasets; a model runs on the first that it accepts
_BATCH = 112  # images per forward pass: 22 MB for 64 maps of 28x28


@dataclass(frozen=True)
class Layer:
    """The input, or one call of a layer that returns feature maps (N, channels, height, width).

    Layers that process each cell separately, like ReLU, do not change the field and are left out.

    Args:
        name: path of the module in the model; later calls are named "relu (call 2)".
        kind: class of the module.
        channels: number of maps.
        height: rows of a map.
        width: columns of a map.
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Field:
    """The receptive field of one cell.

    Args:
        cone: for the input and each layer up to the chosen one, a bool array (height, width) of the
            cells that the chosen cell depends on.
        jump: rows and columns of pixels from the field of a cell to that of the next one; 0 if all
            fields are the same.
    """

    cone: list[Array]
    jump: tuple[int, int]


class ReceptiveFields:
    """The receptive fields in a model. Safe to call from several threads.

    Args:
        model: network that takes images (N, 1, 28, 28) or (N, 1, 8, 8). It is put in evaluation
            mode and must not be used elsewhere.
        name: name of the model for error messages; defaults to its class.

    Raises:
        ArgumentError: if the model fails for such images, or no layer returns feature maps.

    >>> from tinygrad_np import nn
    >>> fields = ReceptiveFields(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)))
    >>> [layer.name for layer in fields.layers]
    ['input', '0', '1']
    >>> field = fields.find("1", 0, 0)
    >>> [int(cells.sum()) for cells in field.cone], field.jump
    ([16, 4, 1], (2, 2))
    """

    def __init__(self, model: Module, name: str = "") -> None:
        self.name = name or type(model).__name__
        self._model = model.eval()
        self._lock = Lock()
        self._pixels: list[Array] = []
        self._cell_by_cell: set[Module] = set()
        self._find = lru_cache(maxsize=256)(self._find_uncached)
        for side in _SIDES:
            # Random pixels, because a layer may be undefined for an image of a single color.
            self._image = np.random.default_rng(0).random((1, 1, side, side), np.float32)
            self.layers = [Layer("input", "image", 1, side, side)]
            try:
                self._run(self._image, self._add_layer)
                break
            except Exception as error:
                failure = error
        else:
            raise ArgumentError(
                f"{self.name}: expected a model for images of shape (1, 28, 28) or (1, 8, 8), got "
                f"one that fails. The error is {describe_error(failure)}."
            ) from failure
        if len(self.layers) == 1:
            raise ArgumentError(
                f"{self.name}: expected a layer that returns feature maps (N, C, H, W), got none."
            )

    def find(self, layer: str, row: int, column: int) -> Field:
        """Return the receptive field of one cell of a layer's output.

        Raises:
            ArgumentError: if there is no such layer or cell, or the model fails for an image with
                nan.
        """
        names = [one.name for one in self.layers]
        if layer not in names[1:]:
            raise ArgumentError(
                f"{self.name}: expected `layer` to be one of {', '.join(names[1:])}, got {layer!r}."
            )
        chosen = names.index(layer)
        height, width = self.layers[chosen].height, self.layers[chosen].width
        for axis, place, length in (("row", row, height), ("column", column, width)):
            if not is_integer(place) or not 0 <= place < length:
                raise ArgumentError(
                    f"{self.name}: expected `{axis}` to be an integer from 0 to {length - 1} for "
                    f"the {height}x{width} cells of {layer!r}, got {place!r}."
                )
        with self._lock:
            return self._find(chosen, row, column)

    def _find_uncached(self, chosen: int, row: int, column: int) -> Field:
        if not self._pixels:
            self._pixels = self._find_pixels()
        pixels = self._pixels[chosen]
        cone = [pixels[row, column], *self._find_cone(chosen, row, column)]
        return Field(cone, (_jump(pixels.max(axis=3), 0), _jump(pixels.max(axis=2), 1)))

    def _find_pixels(self) -> list[Array]:
        """Return the pixels that each cell depends on, (P, Q, side, side) for each layer."""
        side = self.layers[0].height
        reached = self._reach([(0, *divmod(pixel, side)) for pixel in range(side**2)])
        return [
            np.moveaxis(cells, 0, -1).reshape(*cells.shape[1:], side, side) for cells in reached
        ]

    def _find_cone(self, chosen: int, row: int, column: int) -> Iterator[Array]:
        """Yield the cells of layers 1 to `chosen` that a cell of layer `chosen` depends on."""
        inside = []
        for pixels in self._pixels[1 : chosen + 1]:
            # A cell that depends on any other pixel is not in the cone. The rest is tried.
            outside = pixels & ~self._pixels[chosen][row, column]
            inside.append(~outside.any(axis=(2, 3)))
        tries = [
            (position, *cell)
            for position, cells in enumerate(inside, start=1)
            for cell in np.argwhere(cells).tolist()
        ]
        reached = self._reach(tries)[chosen][:, row, column]
        for position, cells in enumerate(inside, start=1):
            cells[cells] = reached[[one[0] == position for one in tries]]
            yield cells

    def _reach(self, places: Sequence[tuple[int, ...]]) -> list[Array]:
        """Return, for the input and each layer, which cells a nan reaches: (places, P, Q).

        Args:
            places: position in `layers`, row and column of each nan.
        """
        starts = range(0, len(places), _BATCH)
        parts = [self._reach_from(places[start : start + _BATCH]) for start in starts]
        return [np.concatenate(cells) for cells in zip(*parts, strict=True)]

    def _reach_from(self, places: Sequence[tuple[int, ...]]) -> list[Array]:
        """Run one image per place, as in `_reach`."""
        reached: list[Array] = []

        def spoil(maps: Array) -> None:
            for sample, (position, row, column) in enumerate(places):
                if position == len(reached):
                    maps[sample, :, row, column] = np.nan
            reached.append(np.isnan(maps).max(axis=1))

        images = self._image.repeat(len(places), axis=0)
        spoil(images)
        try:
            self._run(images, lambda path, module, inputs, maps: spoil(maps))
        except Exception as error:
            raise ArgumentError(
                f"{self.name}: expected a model that runs on images with nan, got one that fails. "
                f"The error is {describe_error(error)}."
            ) from error
        if [cells.shape[1:] for cells in reached] != [
            (one.height, one.width) for one in self.layers
        ]:
            raise ArgumentError(
                f"{self.name}: expected a model that calls the same layers for every image."
            )
        return reached

    def _add_layer(self, path: str, module: Module, inputs: Sequence[Any], maps: Array) -> None:
        if _is_cell_by_cell(module, inputs, maps):
            self._cell_by_cell.add(module)
            return
        calls = 1 + sum(one.name.partition(" (call ")[0] == path for one in self.layers)
        name = f"{path} (call {calls})" if calls > 1 else path
        self.layers.append(Layer(name, type(module).__name__, *maps.shape[1:]))

    def _run(self, images: Array, use: Callable[[str, Module, Sequence[Any], Array], None]) -> None:
        """Run the model, and call `use(path, module, inputs, maps)` for the maps of each layer.

        `use` may change the maps in place. A Sequential is not a layer: its last module is.
        """

        def hook(path: str) -> Callable[..., Tensor | None]:
            def pass_on(module: Module, inputs: Sequence[Any], out: Any) -> Tensor | None:
                if not isinstance(out, Tensor) or out.ndim != 4 or module in self._cell_by_cell:
                    return None
                maps = out.data.copy()
                use(path, module, inputs, maps)
                return Tensor.from_numpy(maps)

            return pass_on

        handles = [
            module.register_forward_hook(hook(path.removesuffix(".")))
            for path, module in self._model._named_modules()
            if path and not isinstance(module, Sequential)
        ]
        try:
            with no_grad(), np.errstate(all="ignore"):  # nan is expected here
                self._model(Tensor.from_numpy(images))
        finally:
            for handle in handles:
                handle.remove()


def _is_cell_by_cell(module: Module, inputs: Sequence[Any], maps: Array) -> bool:
    """Return whether a nan in one cell of the input reaches this cell of the output alone.

    Only modules without children are tried, since children would count the call as theirs.
    """
    x = inputs[0] if inputs else None
    if not isinstance(x, Tensor) or x.shape[2:] != maps.shape[2:] or list(module.children()):
        return False
    row, column = x.shape[2] // 2, x.shape[3] // 2
    spoiled = x.data.copy()
    spoiled[:, :, row, column] = np.nan
    out = np.isnan(module.forward(Tensor.from_numpy(spoiled), *inputs[1:]).data).max(axis=1)
    return bool(out.sum() == out[:, row, column].sum() == len(out))


def _jump(used: Array, axis: int) -> int:
    """Return the distance between the fields of neighboring cells along one axis.

    Args:
        used: the rows or columns of pixels that each cell depends on, (P, Q, side).
        axis: 0 for rows, 1 for columns.

    The border clips fields on one side, which can only bring neighbors closer together.
    """
    first = used.argmax(axis=-1)
    last = used[..., ::-1].argmax(axis=-1)
    return int(max(np.diff(place, axis=axis).max(initial=0) for place in (first, -last)))
