"""What several examples share: where their data comes from, how they end, what they write."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_np import TinygradNpError, data
from tinygrad_np.data import Dataset
from tinygrad_np.errors import DataNotFoundError
from tinygrad_np.files import write_bytes
from tinygrad_np.train import History


def find(load: Callable[[], tuple[Dataset, Dataset]], is_quick: bool) -> tuple[Dataset, Dataset]:
    """Return the training and the test set that `load`, data.mnist or data.fashion_mnist, finds.

    For a quick run, or where they can be neither found nor downloaded, these are the 8x8 digits
    that come with the package, scaled to 28x28; that is said.
    """
    if is_quick:
        print("--quick: the bundled digits and next to no training; the figures mean nothing.\n")
        return data.digits(size=28)
    try:
        return load()
    except DataNotFoundError as error:
        print(
            f"{error}\n\nSo this run takes the 8x8 digits that come with the package, scaled to "
            "28x28. Its figures are those of another, smaller data set.\n"
        )
        return data.digits(size=28)


def run(main: Callable[[], int | None]) -> int:
    """Run an example; return what it returns, 0 for None, 1 after an error, which is printed, 130
    after Ctrl-C.
    """
    try:
        return main() or 0
    except TinygradNpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def to_the_end(history: History) -> History:
    """Return the history of a training that was not cut short: `fit` takes Ctrl-C for its end, and
    what was cut is no result. Raises KeyboardInterrupt then, for `run`.
    """
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def write_json(path: Path, results: Any) -> None:
    """Write results as JSON."""
    write_bytes(path, (json.dumps(results, indent=2) + "\n").encode())
