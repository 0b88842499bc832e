"""Receptive fields: the pixels and cells that one cell of a layer's output depends on.

A cell depends on a pixel if a nan in this pixel makes the cell nan. Sums, products, maxima and
activations all pass nan on, whatever the weights are, so this needs no formula per layer: it holds
for strides, dilation, residual connections and layers of your own. Only in evaluation mode, where
no sample of a batch depends on another.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from tinygrad_np import Tensor, nn
from tinygrad_np.checks import is_integer
from tinygrad_np.cli.models import describe_error
from tinygrad_np.errors import ArgumentError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad

SIDES = (28, 8)
"""Side lengths of the images of the datasets; a model is run on the first that it accepts."""
_BATCH = 112  # images per forward pass: 28 MB for 64 maps of 28x28


@dataclass(frozen=True)
class Layer:
    """One call of a layer that returns feature maps (N, channels, height, width).

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
        cone: for the input and each layer up to the chosen one, the cells (height, width) that the
            chosen cell depends on.
        jump: pixels between the fields of neighboring cells, vertically and horizontally; 0 if they
            have the same field.
    """

    cone: list[Array]
    jump: tuple[int, int]


class ReceptiveFields:
    """Find the receptive fields in a model.

    Args:
        model: network that takes images (N, 1, 28, 28) or (N, 1, 8, 8). It is put in evaluation
            mode.
        name: name of the model for error messages.

    Raises:
        ArgumentError: if the model fails for such images, or no layer returns feature maps.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2))
    >>> found = ReceptiveFields(model).field("1", 0, 0)
    >>> [int(cells.sum()) for cells in found.cone], found.jump
    ([16, 4, 1], (2, 2))
    """

    def __init__(self, model: nn.Module, name: str = "") -> None:
        self.name = name or type(model).__name__
        self._model = model.eval()
        self._lock = Lock()
        # Random pixels, because a layer may be undefined for an image of one color.
        self.side, maps = self._try_sides(np.random.default_rng(0))
        if not maps:
            raise ArgumentError(f"{self.name}: expected layers that return feature maps, got none.")
        self.layers = [Layer("input", "image", 1, self.side, self.side), *maps]
        self._pixels: dict[int, Array] = {}

    def field(self, layer: str, row: int, column: int) -> Field:
        """Return the receptive field of one cell of a layer's output.

        Raises:
            ArgumentError: if there is no such layer or cell.
        """
        names = [one.name for one in self.layers[1:]]
        if layer not in names:
            raise ArgumentError(
                f"{self.name}: expected `layer` to be one of {', '.join(names)}, got {layer!r}."
            )
        last = 1 + names.index(layer)
        chosen = self.layers[last]
        for what, place, length in (("row", row, chosen.height), ("column", column, chosen.width)):
            if not is_integer(place) or not 0 <= place < length:
                raise ArgumentError(
                    f"{self.name}: expected `{what}` to be an integer from 0 to {length - 1} for "
                    f"the {chosen.height}x{chosen.width} cells of {layer}, got {place!r}."
                )
        with self._lock:
            return self._field(last, row, column)

    def _field(self, last: int, row: int, column: int) -> Field:
        pixels = self._all_pixels()
        own = pixels[last][row, column]
        cone, tries = [own], []
        for position in range(1, last):
            # A cell outside the cone of the chosen one can only be left out if it reads other
            # pixels, so only the others are tried.
            inside = ~(pixels[position] & ~own).any(axis=(2, 3))
            tries += [(position, *cell) for cell in np.argwhere(inside).tolist()]
            cone.append(np.zeros_like(inside))
        for (position, *cell), reached in zip(tries, self._reach(tries), strict=True):
            cone[position][tuple(cell)] = reached[last][row, column]
        cone.append(np.zeros(pixels[last].shape[:2], bool))
        cone[last][row, column] = True
        return Field(cone, (_jump(pixels[last].any(axis=3), 0), _jump(pixels[last].any(axis=2), 1)))

    def _all_pixels(self) -> dict[int, Array]:
        """Return, for each layer, the pixels that each cell depends on: (P, Q, side, side)."""
        if not self._pixels:
            side = self.side
            tries = [(0, *divmod(pixel, side)) for pixel in range(side * side)]
            reached = list(self._reach(tries))
            for position in range(1, len(self.layers)):
                cells = np.stack([maps[position] for maps in reached])  # pixels, P, Q
                grid = np.moveaxis(cells, 0, -1)
                self._pixels[position] = grid.reshape(*grid.shape[:2], side, side)
        return self._pixels

    def _reach(self, tries: Sequence[tuple[int, ...]]) -> Iterator[list[Array]]:
        """For each (layer, row, column), yield the cells of each layer that a nan there reaches."""
        for start in range(0, len(tries), _BATCH):
            part = tries[start : start + _BATCH]
            images = np.repeat(self._image[None], len(part), axis=0)
            reached: list[Array] = []

            def spoil(maps: Array, part: Sequence[tuple[int, ...]] = part) -> None:
                """Write nan into the maps of the layer that comes next."""
                for sample, (position, row, column) in enumerate(part):
                    if position == len(reached):
                        maps[sample, :, row, column] = np.nan

            def note(path: str, module: nn.Module, out: Tensor) -> Tensor:
                maps = out.data.copy()
                spoil(maps)
                reached.append(np.isnan(maps).any(axis=1))
                return Tensor.from_numpy(maps)

            spoil(images)
            reached.append(np.isnan(images[:, 0]))
            with self._hooks(note):
                self._model(Tensor.from_numpy(images))
            yield from ([maps[sample] for maps in reached] for sample in range(len(part)))
