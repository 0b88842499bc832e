"""The Draw tab: predictions for a drawing, a look inside the model, and corrections."""

import base64
import binascii
from typing import Any

import numpy as np
from flask import Flask, Response, abort, request

from tinygrad_np import nn
from tinygrad_np.cli.doubts import find_doubts
from tinygrad_np.data.photo import read_digit
from tinygrad_np.errors import ArgumentError, DataError, NoDigitError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.playground.corrections import MAX_CORRECTIONS, Corrections
from tinygrad_np.playground.http import encode, json_body, picture_body
from tinygrad_np.playground.library import Choice, Library, Loaded
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad
from tinygrad_np.schema import TEXT, integer
from tinygrad_np.viz import explorer
from tinygrad_np.viz.attribution import saliency_map
from tinygrad_np.viz.inside import layer_outputs
from tinygrad_np.viz.tracing import trace

_MAX_PIXELS = 30_000_000
_MAX_MAPS = 16
# Longest side of a map, and longest row of a vector.
_MAX_SIDE, _MAX_ROW = 28, 128


def add_routes(app: Flask, library: Library, corrections: Corrections) -> None:
    """Add the routes of the tab."""

    @app.get("/api/models")
    def models() -> dict[str, Any]:
        choices, left_out = library.choices()
        return {"models": [_describe(choice) for choice in choices], "left_out": left_out}

    @app.post("/api/predict")
    def predict() -> dict[str, Any]:
        loaded = library.load(request.args.get("model", ""))
        who = "This file" if "upload" in request.args else "The drawing"
        content = picture_body(who)
        try:
            return predict_picture(loaded, content, who)
        except DataError as error:
            abort(422, str(error))

    @app.post("/api/inspect")
    def inspect() -> dict[str, Any]:
        body = json_body("inspect", {"model": TEXT, "image": TEXT})
        loaded = library.load(body["model"])
        return inspect_image(loaded, _image("inspect", body["image"], loaded.choice.side))

    @app.get("/graph")
    def graph() -> Response:
        loaded = library.load(request.args.get("model", ""))
        image = _image("graph", request.args.get("image", ""), loaded.choice.side)
        with loaded.lock:
            inputs = (loaded.inputs(image),)
            found = trace("graph", loaded.model, inputs, backward=True, keep=None)
        text, policy = explorer.page(found)
        headers = {"Content-Security-Policy": f"{policy}; frame-ancestors 'self'"}
        return Response(text, mimetype="text/html", headers=headers)

    @app.get("/api/corrections")
    def count_corrections() -> dict[str, Any]:
        counts = corrections.counts()
        return {"count": sum(counts), "most": MAX_CORRECTIONS, "counts": counts}

    @app.post("/api/corrections")
    def add_correction() -> dict[str, Any]:
        body = json_body("corrections", {"image": TEXT, "label": integer(9)})
        corrections.add(_image("corrections", body["image"], 28), body["label"])
        return count_corrections()

    @app.delete("/api/corrections")
    def remove_correction() -> dict[str, Any]:
        corrections.remove_last()
        return count_corrections()


def _describe(choice: Choice) -> dict[str, Any]:
    is_digits = choice.config.data != "fashion-mnist"
    return {
        "name": choice.name,
        "title": choice.title,
        "model": choice.config.model_name,
        "data": choice.config.data,
        "side": choice.side,
        "classes": choice.classes,
        "note": choice.note,
        "finished": choice.is_finished,
        "corrections": is_digits and choice.side == 28,
    }


def predict_picture(loaded: Loaded, content: bytes, who: str) -> dict[str, Any]:
    """Return the image that the model gets for a picture, and its prediction.

    Args:
        loaded: the model.
        content: the content of a picture file.
        who: what messages call the picture.

    Raises:
        DataError: if the picture cannot be read. An empty page is not an error.
        ArgumentError: if the model returns nan or inf.
    """
    side = loaded.choice.side
    try:
        image, shapes = read_digit(content, who, side, _MAX_PIXELS)
    except NoDigitError as error:
        image = np.zeros((1, side, side), np.uint8)
        return _answer(image, [], [str(error)], is_empty=True)
    with loaded.lock, no_grad():
        logits = loaded.model(Tensor(loaded.inputs(image)))
    if not np.isfinite(logits.data).all():
        raise ArgumentError(
            f"{loaded.choice.title}: expected finite logits, got nan or inf. Choose another model."
        )
    probabilities = logits.softmax().data[0].tolist()
    noun = "piece of clothing" if loaded.choice.config.data == "fashion-mnist" else "digit"
    warnings = find_doubts(image, logits.data[0], shapes, noun)
    return _answer(image, probabilities, warnings, is_empty=False)


def _answer(
    image: Array, probabilities: list[float], warnings: list[str], *, is_empty: bool
) -> dict[str, Any]:
    return {
        "image": encode(image),
        "side": image.shape[-1],
        "probabilities": probabilities,
        "warnings": [warning[:1].upper() + warning[1:] for warning in warnings],
        "empty": is_empty,
    }


def inspect_image(loaded: Loaded, image: Array) -> dict[str, Any]:
    """Return what the layers of a model return for an image, and its saliency map.

    Layers that only pass values on (Flatten, Dropout) are left out. Bytes 0 to 255 stand for the
    range from a layer's lowest to its highest value, or from 0 to the highest saliency.
    """
    with loaded.lock:
        inputs = loaded.inputs(image)
        found = layer_outputs(loaded.model, inputs)
        (saliency,) = saliency_map(loaded.model, inputs)
    layers = [
        {"path": path, "kind": type(module).__name__, **_maps(out[0])}
        for path, module, out in found
        if not isinstance(module, nn.Flatten | nn.Dropout) and out.ndim in (2, 4) and out.size
    ]
    saliency = _finite(saliency)
    return {"layers": layers, "saliency": encode(_levels(saliency, 0, saliency.max()))}


def _maps(out: Array) -> dict[str, Any]:
    """Return the first maps of shape (K, P, Q), or a vector as one map of one row."""
    exact = _finite(out)
    maps = exact.reshape(1, 1, -1) if out.ndim == 1 else exact[:_MAX_MAPS]
    low, high = float(exact.min()), float(exact.max())
    for axis, most in ((1, _MAX_SIDE), (2, _MAX_ROW if out.ndim == 1 else _MAX_SIDE)):
        maps = _shrink(maps, axis, most)
    return {
        "shape": out.shape,
        "maps": [encode(_levels(one, low, high)) for one in maps],
        "height": maps.shape[1],
        "width": maps.shape[2],
        "low": low,
        "high": high,
    }


def _finite(values: Array) -> Array:
    """Convert to float64; nan becomes 0, and inf the largest or smallest finite value."""
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 0)
    exact: Array = np.nan_to_num(values.astype(np.float64), posinf=high, neginf=low)
    return exact


def _shrink(maps: Array, axis: int, most: int) -> Array:
    """Average neighbors along an axis that is longer than `most`."""
    length = maps.shape[axis]
    if length <= most:
        return maps
    starts = np.arange(most) * length // most
    sizes = np.diff(starts, append=length).reshape(-1, *[1] * (2 - axis))
    shrunk: Array = np.add.reduceat(maps, starts, axis=axis) / sizes
    return shrunk


def _levels(values: Array, low: float, high: float) -> Array:
    """Map the range from `low` to `high` to bytes; all are 0 if it is empty."""
    scale = 255 / (high - low) if high > low else 0.0
    levels: Array = np.rint((values - low) * scale).astype(np.uint8)
    return levels


def _image(who: str, text: str, side: int) -> Array:
    """Decode a uint8 image (1, side, side) from base64, in the usual or the URL-safe alphabet."""
    try:
        content = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if len(content) != side * side:
        raise ArgumentError(
            f"{who}: expected `image` to be {side}x{side} bytes in base64, got {len(text)} "
            "characters that do not decode to them."
        )
    return np.frombuffer(content, np.uint8).reshape(1, side, side)
