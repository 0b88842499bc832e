"""Corrections: labeled 28x28 images, as saved by the playground, for the training set."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinygrad_np import train
from tinygrad_np.data import ImageDataset
from tinygrad_np.data.photo import frame_digit
from tinygrad_np.errors import DataError
from tinygrad_np.runtime.memory import Array

_FRACTION, _COPIES = 0.1, 100


def read_corrections(path: str | Path, classes: int) -> dict[str, Array]:
    """Read the arrays `images` and `labels` in a safetensors file.

    Args:
        path: the file.
        classes: number of classes; all labels must be below it.

    Returns:
        Images of shape (N, 1, 28, 28) in uint8, where 0 is paper and 255 is ink, and integer labels
        of shape (N,).

    Raises:
        DataError: if the file cannot be read, or an array is missing or invalid.
    """
    state = train.load(path)
    if missing := {"images", "labels"} - set(state):
        raise DataError(
            f"{path}: expected the arrays `images` and `labels`, got none named "
            f"{' or '.join(f'`{name}`' for name in sorted(missing))}."
        )
    images, labels = state["images"], state["labels"]
    if images.dtype != np.uint8 or images.shape[1:] != (1, 28, 28) or not len(images):
        raise DataError(
            f"{path}: expected `images` of shape (N, 1, 28, 28) and dtype uint8, "
            f"with N >= 1, got {images.shape} and {images.dtype}."
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise DataError(
            f"{path}: expected `labels` of shape ({len(images)},) and an integer "
            f"dtype, got {labels.shape} and {labels.dtype}."
        )
    if len(outside := labels[(labels < 0) | (labels >= classes)]):
        raise DataError(f"{path}: expected `labels` from 0 to {classes - 1}, got {outside[0]}.")
    return {"images": images, "labels": labels}


def count_copies(corrections: int, others: int) -> int:
    """Return how often each correction is added to a training set of `others` images.

    Together, the copies number a tenth of the other images, so a handful of corrections matters
    among 60,000 images. Each correction is added at least once and at most 100 times.

    >>> [count_copies(5, others) for others in (20, 1000, 54_000)]
    [1, 20, 100]
    """
    return min(_COPIES, max(1, round(_FRACTION * others / corrections)))


def add_corrections(
    dataset: ImageDataset, corrections: Mapping[str, Array], copies: int
) -> ImageDataset:
    """Return a training set with copies of each correction at its end.

    The pixels are scaled like those of the other images. For 8x8 digits, `frame_digit` frames them.
    """
    images = corrections["images"]
    if dataset.images.shape[2:] == (8, 8):
        images = np.stack([_shrink(image) for image in images])
    images = (images * (dataset.scale / 255)).round().astype(dataset.images.dtype)
    return replace(
        dataset,
        images=np.concatenate([dataset.images, *[images] * copies]),
        labels=np.concatenate([dataset.labels, *[corrections["labels"]] * copies]).astype(np.int64),
    )


def _shrink(image: Array) -> Array:
    """Return the 8x8 image that a model of 8x8 digits sees of a 28x28 image."""
    if not image.any():
        return image[:, :8, :8]
    return frame_digit(image[0].astype(np.float32), 8)[None]
