"""Helpers shared by the examples: loading data, exit status, interrupts and JSON output."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_np import data
from tinygrad_np.cli import folders
from tinygrad_np.data import ImageDataset
from tinygrad_np.errors import DataNotFoundError
from tinygrad_np.files import write_bytes
from tinygrad_np.train import History


def find(
    load: Callable[[], tuple[ImageDataset, ImageDataset]], is_quick: bool
) -> tuple[ImageDataset, ImageDataset]:
    """Return the training and test sets of `load`, or the bundled digits.

    `load` is data.mnist or data.fashion_mnist. The 8x8 digits bundled with the package, scaled to
    28x28, replace its dataset in a short run, or if it is not on disk and cannot be downloaded. A
    message says so.
    """
    if is_quick:
        print("--quick: short run on the bundled digits. The numbers mean nothing.\n")
        return data.digits(size=28)
    try:
        return load()
    except DataNotFoundError as error:
        print(
            f"{error}\n\nUsing the 8x8 digits bundled with the package instead, scaled to 28x28. "
            "The results below are for this smaller dataset.\n"
        )
        return data.digits(size=28)


def output_folder(given: Path | None, default: str) -> Path:
    """Create the output directory, print its path, and return it.

    If --out is not given, it is `default`, or the first of `default`-2, `default`-3 and so on that
    does not exist yet: results of an earlier run are never replaced.
    """
    folder = folders.output_folder(given, Path(default))
    print(f"output directory: {folder}/")
    return folder


def to_the_end(history: History) -> History:
    """Return the history of a training run that finished.

    `fit` returns normally after Ctrl-C, but the results of an interrupted run are not comparable.

    Raises:
        KeyboardInterrupt: if the run was interrupted; `run` turns this into exit status 130.
    """
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def write_json(path: Path, results: Any) -> None:
    """Write results to a JSON file."""
    write_bytes(path, (json.dumps(results, indent=2) + "\n").encode())
