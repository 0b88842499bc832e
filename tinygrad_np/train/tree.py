"""Training checkpoints on disk: nested dicts and lists of arrays and values in one file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, DataError, DtypeError, TinygradNpError
from tinygrad_np.files import check_depth
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.weights import load_with_metadata, save

# The name of the only entry of the metadata, and the key that marks a reference to an array.
_ENTRY, _ARRAY = "training", "$array"


def save_tree(path: str | Path, tree: Mapping[str, Any]) -> None:
    """Write nested dicts, lists, arrays, numbers, strings and None to one safetensors file.

    Each array is named by its path, for example `optimizer/state/0/exp_avg`. The rest is JSON in
    the metadata, which preserves integers of any size. Tuples load as lists, and NumPy scalars as
    Python numbers.

    Raises:
        DataError: if the file cannot be written.
        DtypeError: if the format cannot store a key or a value; the message names its path.
        ArgumentError: if two arrays have the same path, or if a path cannot name an array.
    """
    arrays: dict[str, Array] = {}
    try:
        check_depth(tree)
        text = json.dumps(_without_arrays(tree, "", arrays))
    except ValueError as error:
        if isinstance(error, TinygradNpError):
            raise
        raise DtypeError(f"save: cannot store the state ({error}).") from error
    # A single entry: safetensors writes several in an order that differs between processes.
    save(path, arrays, {_ENTRY: text})


def load_tree(path: str | Path) -> dict[str, Any]:
    """Load a file written by `save_tree`.

    Raises:
        DataError: if the file is missing, damaged or not a training checkpoint.
    """
    arrays, metadata = load_with_metadata(path)
    if _ENTRY not in metadata:
        raise DataError(
            f"{path}: expected a training checkpoint, such as training.safetensors by "
            "train.Checkpoint, got weights only. Read them with train.load."
        )
    try:
        tree = json.loads(metadata[_ENTRY])
        check_depth(tree)
        found = _with_arrays(tree, arrays)
        if not isinstance(found, dict):
            raise ValueError(f"expected a dict, got {type(found).__name__}")
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: the training checkpoint is damaged ({error}).") from error
    return found


def _without_arrays(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    """Return `value` with its arrays moved to `arrays` and replaced by references."""
    if isinstance(value, np.ndarray):
        if path in arrays:
            raise ArgumentError(f"save: expected one array per path, got two at {path!r}.")
        arrays[path] = value
        return {_ARRAY: path}
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str) or key == _ARRAY]
        if odd:
            raise DtypeError(
                f"save: expected the keys at {path!r} to be strings other than {_ARRAY!r}, got "
                f"{odd[0]!r}."
            )
        items = value.items()
        return {key: _without_arrays(inner, _join(path, key), arrays) for key, inner in items}
    if isinstance(value, list | tuple):
        parts = enumerate(value)
        return [_without_arrays(inner, _join(path, place), arrays) for place, inner in parts]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    raise DtypeError(
        "save: expected arrays, numbers, strings, None, or dicts and lists of them, got "
        f"{type(value).__name__} at {path!r}."
    )


def _with_arrays(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Return `value` with its references replaced by the arrays."""
    if isinstance(value, dict):
        if _ARRAY in value:
            name = value[_ARRAY]
            if len(value) > 1 or not isinstance(name, str) or name not in arrays:
                raise ValueError(f"no array {name!r}")
            return arrays[name]
        return {key: _with_arrays(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_arrays(inner, arrays) for inner in value]
    return value


def _join(path: str, key: Any) -> str:
    return f"{path}/{key}" if path else str(key)
