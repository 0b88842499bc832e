"""Weights on disk as safetensors, a format that holds no code and can be loaded into PyTorch."""

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
    """Write a state dict to a file, atomically: to a temporary file that is then renamed.

    Args:
        path: file to write; conventionally ends in .safetensors.
        state: arrays of numbers by name.
        metadata: strings by name, stored in the header of the file.

    Raises:
        DataError: if the file cannot be written.
        DtypeError: if the format cannot store an array or an entry of the metadata.
        ArgumentError: if the format cannot store a name.
    """
    for name, array in state.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise DtypeError(f"save: expected {name!r} to be an ndarray of numbers, got {kind}.")
        if not isinstance(name, str) or name == "__metadata__":
            raise ArgumentError(
                f"save: expected array names to be strings other than '__metadata__', got {name!r}."
            )
    for name, text in (metadata or {}).items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise DtypeError(
                f"save: expected `metadata` to map strings to strings, got {name!r}: {text!r}."
            )
    # safetensors silently writes garbage for arrays that are not C-contiguous.
    arrays = {name: np.require(array, requirements="C") for name, array in state.items()}
    write_bytes(path, safetensors.save(arrays, dict(metadata) if metadata else None))


def load(path: str | Path) -> dict[str, Array]:
    """Load the state dict in a file.

    Raises:
        DataError: if the file is missing, damaged or not a safetensors file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", {"weight": np.ones((2, 3), np.float32)})
    ...     load(f"{folder}/model.safetensors")["weight"].shape
    (2, 3)
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Load the state dict and the metadata in a file; raise DataError as `load` does."""
    try:
        content = Path(path).read_bytes()
        arrays = safetensors.load(content)
    except OSError as error:
        raise DataError(f"{path}: cannot read the file ({error.strerror}).") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"{path}: expected a safetensors file ({error}).") from error
    # The first eight bytes hold the length of the JSON header.
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return arrays, header.get("__metadata__", {})
