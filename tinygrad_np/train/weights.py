"""Weights on disk, as safetensors: a format without code in it, which PyTorch reads too."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from tinygrad_np.errors import ArgumentError, DataError, DtypeError
from tinygrad_np.files import write_bytes
from tinygrad_np.runtime.memory import Array


def save(
    path: str | Path, state: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a state dict, by a temporary file that is then renamed: never half a file.

    Raises DataError if the folder cannot be written, DtypeError or ArgumentError that names an
    entry which the format cannot hold.
    """
    for name, array in state.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise DtypeError(f"save: {name!r} is a {kind}, expected an ndarray of numbers")
        if not isinstance(name, str) or name == "__metadata__":
            raise ArgumentError(f"save: {name!r} cannot be the name of an array")
    for name, text in (metadata or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise DtypeError(f"save: metadata {name!r}: {text!r} is not text")
    # safetensors writes arrays that are not C-contiguous as garbage, and says nothing.
    arrays = {name: np.require(array, requirements="C") for name, array in state.items()}
    write_bytes(path, safetensors.save(arrays, dict(metadata) if metadata else None))


def load(path: str | Path) -> dict[str, Array]:
    """Return the state dict in a file. Raises DataError if it is missing or damaged."""
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the state dict in a file, and the text beside it. Raises DataError as `load` does."""
    try:
        content = Path(path).read_bytes()
        arrays = safetensors.load(content)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot be read as safetensors: {error}") from error
    # Eight bytes say how long the header is, which is JSON.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return arrays, header.get("__metadata__", {})
