"""Output directories: earlier runs are kept by default, and empty directories are removed."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tinygrad_np.errors import ArgumentError
from tinygrad_np.files import exists, make_folder

# A directory with any of these files holds a run, finished or not, or other results.
_RUN_FILES = ("config.json", "*.json", "*.csv", "*.safetensors", "*.png", "*.svg", "*.dot")


def output_folder(
    given: Path | None, default: Path, remedy: str = "Choose another directory."
) -> Path:
    """Create the output directory of a new run and return it.

    Args:
        given: the argument of --out; None for the first of `default`, `default`-2, `default`-3 and
            so on that does not exist yet.
        default: the default of --out.
        remedy: the end of the message if `given` holds an earlier run.

    Raises:
        ArgumentError: if `given` holds an earlier run.
        DataError: if the directory cannot be created or written to.
    """
    if given is None:
        return _numbered(default)
    found = [path.name for pattern in _RUN_FILES for path in given.glob(pattern)]
    if found:
        raise ArgumentError(
            f"--out: expected a directory without an earlier run, got {given}, which holds "
            f"{found[0]}. {remedy}"
        )
    make_folder(given, "--out")
    return given


def _numbered(default: Path) -> Path:
    make_folder(default.parent, "--out")
    for number in itertools.count(1):
        folder = default if number == 1 else default.with_name(f"{default.name}-{number}")
        # mkdir fails if the directory exists, even if another run has just created it.
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("unreachable")


@contextmanager
def run_folder(given: Path | None, default: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield the directory of a training run; remove it at the end if it is new and still empty.

    Raises:
        ArgumentError: if it holds an earlier run, unless `overwrite` is True.
        DataError: if the directory cannot be created or written to.
    """
    folder = given or default
    is_new = given is None or not exists(given)
    if overwrite:
        is_new = not folder.exists()
        make_folder(folder, "--out")
    else:
        remedy = "Add --overwrite to replace it"
        if exists(folder / "training.safetensors"):
            remedy += f", or resume it with --resume {folder}"
        folder = output_folder(given, default, f"{remedy}.")
    try:
        yield folder
    finally:
        if is_new:
            with suppress(OSError):  # raised unless the directory is empty
                folder.rmdir()
