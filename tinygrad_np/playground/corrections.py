"""Corrections: drawings with the labels that the user gave them, to train on."""

import threading
from pathlib import Path

import numpy as np

from tinygrad_np import train
from tinygrad_np.cli.corrections import read_corrections
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.files import exists, make_folder, remove
from tinygrad_np.runtime.memory import Array

MAX_CORRECTIONS = 1000


class Corrections:
    """A safetensors file of `images`, uint8 (N, 1, 28, 28), and `labels`, int64 (N,).

    Without corrections there is no file. Each change replaces the file atomically, so a training
    run may read it at any time.

    Args:
        path: the file; its directory is created when needed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     corrections = Corrections(Path(folder) / "corrections.safetensors")
    ...     corrections.add(np.ones((1, 28, 28), np.uint8), 7)
    ...     corrections.counts()
    [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def counts(self) -> list[int]:
        """Return the number of corrections for each digit.

        Raises:
            DataError: if the file is damaged.
        """
        with self._lock:
            counts: list[int] = np.bincount(self._read()["labels"], minlength=10).tolist()
        return counts

    def add(self, image: Array, label: int) -> None:
        """Append an image of shape (1, 28, 28) and its digit.

        Raises:
            ArgumentError: if the image is blank, or there are `MAX_CORRECTIONS` already.
            DataError: if the file is damaged or cannot be written; it is left unchanged.
        """
        if not image.any():
            raise ArgumentError("corrections: expected an image with ink, got a blank one.")
        with self._lock:
            found = self._read()
            if len(found["labels"]) >= MAX_CORRECTIONS:
                raise ArgumentError(
                    f"corrections: expected at most {MAX_CORRECTIONS}, got one more. Train on "
                    f"them, then delete {self.path}."
                )
            self._write(
                np.concatenate([found["images"], image[None]]),
                np.append(found["labels"], np.int64(label)),
            )

    def remove_last(self) -> None:
        """Remove the correction that was added last.

        Raises:
            ArgumentError: if there is none.
            DataError: if the file is damaged or cannot be written; it is left unchanged.
        """
        with self._lock:
            found = self._read()
            if not len(found["labels"]):
                raise ArgumentError("corrections: expected at least one to remove, got none.")
            self._write(found["images"][:-1], found["labels"][:-1])

    def _read(self) -> dict[str, Array]:
        if not exists(self.path):
            return {"images": np.zeros((0, 1, 28, 28), np.uint8), "labels": np.zeros(0, np.int64)}
        try:
            return read_corrections(self.path, 10)
        except DataError as error:
            raise DataError(f"{error} Move the file away to start over.") from error

    def _write(self, images: Array, labels: Array) -> None:
        if not len(labels):
            remove(self.path)
            return
        make_folder(self.path.parent, "corrections")
        train.save(self.path, {"images": images, "labels": labels})
