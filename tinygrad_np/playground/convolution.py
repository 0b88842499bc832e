"""The Convolution tab: convolve and pool a matrix, and the receptive fields in a model."""

import functools
from collections.abc import Callable
from dataclasses import asdict
from threading import Lock
from typing import Any

import numpy as np
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from tinygrad_np import data, random
from tinygrad_np.checks import is_finite, is_integer
from tinygrad_np.cli.models import built_in_models
from tinygrad_np.cli.parts import make_model
from tinygrad_np.data.filters import FILTERS
from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Module
from tinygrad_np.playground.fields import ReceptiveFields
from tinygrad_np.playground.form import model_specs
from tinygrad_np.playground.http import json_body
from tinygrad_np.playground.settings import Settings
from tinygrad_np.runtime.memory import Array
from tinygrad_np.schema import TEXT, Leaf

MAX_SIDE, MAX_KERNEL = 28, 7
_MAX_NUMBER = 1e6


def _matrix(most: int) -> Leaf:
    def test(value: Any) -> bool:
        return (
            isinstance(value, list)
            and 1 <= len(value) <= most
            and all(isinstance(row, list) and len(row) == len(value[0]) for row in value)
            and 1 <= len(value[0]) <= most
            and all(is_finite(x) and abs(x) <= _MAX_NUMBER for row in value for x in row)
        )

    return Leaf(f"a matrix of 1x1 to {most}x{most} numbers from -1e6 to 1e6", test)


def _from(least: int, most: int) -> Leaf:
    return Leaf(
        f"an integer from {least} to {most}", lambda x: is_integer(x) and least <= x <= most
    )


_KINDS = ("conv", "max", "avg")
_CONVOLVE = {
    "input": _matrix(MAX_SIDE),
    "kernel": _matrix(MAX_KERNEL),
    "divisor": Leaf("a number from 1 to 10000", lambda x: is_finite(x) and 1 <= x <= 10000),
    "kind": Leaf("one of conv, max, avg", lambda x: isinstance(x, str) and x in _KINDS),
    "padding": _from(0, MAX_KERNEL),
    "stride": _from(1, MAX_KERNEL),
    "dilation": _from(1, MAX_KERNEL),
}
_PLACE = _from(0, MAX_SIDE - 1)
_FIELD = {"model": TEXT, "layer": TEXT, "row": _PLACE, "column": _PLACE}


def add_routes(app: Flask, settings: Settings) -> None:
    """Add the routes of the tab.

    Raises:
        ArgumentError: if a model of the settings cannot be constructed.
    """
    models = Models(settings)

    def convolve_body() -> ResponseReturnValue:
        return jsonify(convolve(**json_body("convolve", _CONVOLVE)))

    def find_field() -> ResponseReturnValue:
        return jsonify(models.find(**json_body("receptive-field", _FIELD)))

    routes: dict[str, tuple[str, Callable[[], ResponseReturnValue]]] = {
        "kernels": ("GET", lambda: jsonify(kernels=kernels())),
        "pictures": ("GET", lambda: jsonify(pictures=pictures())),
        "convolve": ("POST", convolve_body),
        "layers": ("GET", lambda: jsonify(models=models.layers())),
        "receptive-field": ("POST", find_field),
    }
    for name, (method, function) in routes.items():
        app.add_url_rule(f"/api/{name}", f"convolution/{name}", function, methods=[method])


def kernels() -> list[dict[str, Any]]:
    """Return the ten classic filters: name, weights and divisor of each."""
    return [
        {"name": name, "weights": weights, "divisor": divisor}
        for name, (weights, divisor) in FILTERS.items()
    ]


def convolve(
    input: list[list[float]],
    kernel: list[list[float]],
    kind: str = "conv",
    divisor: float = 1,
    padding: int = 0,
    stride: int = 1,
    dilation: int = 1,
) -> dict[str, Any]:
    """Convolve or pool a matrix.

    Args:
        input: matrix (H, W).
        kernel: matrix (R, S); for pooling, only its shape matters.
        kind: "conv", "max" or "avg".
        divisor: number that the kernel is divided by.
        padding: rows and columns added on each side: zeros, or -inf for max pooling.
        stride: step between windows.
        dilation: step between the entries of a window.

    Returns:
        "output", a matrix (P, Q); and "winners", for max pooling the index of each window's first
        maximum in the flattened input, else None. For a max-pooling window that contains only
        padding, both entries are None.

    Raises:
        ShapeError: if the window does not fit into the padded input.
        ArgumentError: if the padding for pooling is more than half of the window.

    >>> convolve([[1, 5, 2], [3, 4, 0]], [[0, 0], [0, 0]], "max")
    {'output': [[5.0, 5.0]], 'winners': [[1, 1]]}
    """
    x = Tensor(np.array(input, np.float64)[None, None])
    weights = np.array(kernel, np.float64) / divisor
    places: dict[str, Any] = {"padding": padding, "stride": stride, "dilation": dilation}
    if kind == "conv":
        out = x.conv2d(Tensor(weights[None, None]), **places)
    elif kind == "avg":
        out = x.avg_pool2d(weights.shape, **places)
    else:
        out, indices = x.max_pool2d(weights.shape, **places, return_indices=True)
        # Masked entries become None: JSON has no -inf.
        mask = np.isneginf(out.data[0, 0])
        found, winners = (np.ma.array(one.data[0, 0], mask=mask) for one in (out, indices))
        return {"output": found.tolist(), "winners": winners.tolist()}
    return {"output": out.data[0, 0].tolist(), "winners": None}


@functools.cache
def pictures() -> list[dict[str, Any]]:
    """Return the inputs to choose from: "group", "name" and "values" (H, W) of each."""
    step = np.zeros((8, 8), int)
    step[:, 4:] = 9
    frame = np.zeros((8, 8), int)
    frame[1:7, 1:7] = 9
    frame[3:5, 3:5] = 0
    matrices = {
        "5x5 example": np.array(
            [
                [1, 2, 0, 1, 3],
                [0, 1, 2, 3, 1],
                [2, 1, 4, 0, 0],
                [1, 0, 2, 1, 2],
                [3, 1, 0, 2, 1],
            ]
        ),
        "1 to 16": np.arange(1, 17).reshape(4, 4),
        "step edge": step,
        "frame": frame,
        "checkerboard": np.indices((8, 8)).sum(axis=0) % 2 * 9,
        "single point": np.pad([[9]], 3),
    }
    found = [_picture("Matrices", name, values) for name, values in matrices.items()]
    for side in (8, 28):
        digits = data.digits(size=side)[1]
        for label in range(10):
            image = digits.images[digits.labels == label][0, 0]
            found.append(_picture(f"Digits, {side}x{side}", f"{label}", image))
    return found


def _picture(group: str, name: str, values: Array) -> dict[str, Any]:
    return {"group": group, "name": name, "values": values.tolist()}


class Models:
    """The models whose receptive fields the page shows: those in models/ and the user's own.

    Raises:
        ArgumentError: if a model of the settings cannot be constructed.
    """

    def __init__(self, settings: Settings) -> None:
        specs = model_specs(settings)
        own = {name: spec for name, spec in specs.items() if spec not in built_in_models()}
        self._own = _make_models(own)
        self._fields: dict[str, ReceptiveFields] | None = None
        self._problems: dict[str, str] = {}
        self._lock = Lock()

    def layers(self) -> list[dict[str, Any]]:
        """Return "name", "side" of its images and "layers" of each model that has feature maps.

        A user's model without feature maps has no layers, and the reason as "error".
        """
        found: list[dict[str, Any]] = []
        for name, fields in self._all().items():
            layers = [asdict(layer) for layer in fields.layers[1:]]
            found.append({"name": name, "side": fields.layers[0].height, "layers": layers})
        for name, problem in self._problems.items():
            found.append({"name": name, "layers": [], "error": problem})
        return found

    def find(self, model: str, layer: str, row: int, column: int) -> dict[str, Any]:
        """Return the receptive field of one cell.

        Returns:
            "jump", the rows and columns of pixels from one field to the next; and "layers": the
            input and each layer up to the chosen one, with "cells" (height, width) as one string of
            0 and 1 per row, where 1 marks the cells that the chosen cell depends on.

        Raises:
            ArgumentError: if there is no such model, layer or cell.
        """
        fields = self._all()
        if model not in fields:
            raise ArgumentError(
                f"receptive-field: expected `model` to be one of {', '.join(fields)}, got "
                f"{model!r}."
            )
        field = fields[model].find(layer, row, column)
        layers = [
            {**asdict(one), "cells": ["".join(map(str, line)) for line in cells.astype(int)]}
            for one, cells in zip(fields[model].layers, field.cone, strict=False)
        ]
        return {"jump": field.jump, "layers": layers}

    def _all(self) -> dict[str, ReceptiveFields]:
        with self._lock:
            if self._fields is None:
                built_in = _make_models({name: name for name in built_in_models()})
                self._fields = {}
                for name, model in (built_in | self._own).items():
                    try:
                        self._fields[name] = ReceptiveFields(model, name)
                    except ArgumentError as error:
                        if name in self._own:
                            self._problems[name] = str(error)
            return self._fields


def _make_models(specs: dict[str, str]) -> dict[str, Module]:
    with random.own_default():  # a training run in another thread may use the default generator
        return {name: make_model(spec, {}) for name, spec in specs.items()}
