"""A whole training on disk: nested dicts and lists of arrays and plain values, in one file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, DataError, DtypeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.weights import load_with_metadata, save

# The one entry of the file's metadata, and what stands in it where an array is to be put.
_ENTRY, _ARRAY = "training", "$array"


def save_tree(path: str | Path, tree: Mapping[str, Any]) -> None:
    """Write nested dicts, lists, arrays, numbers, words and None as one safetensors file.

    An array's name there is its path, such as `optimizer/state/0/exp_avg`; all else is JSON in the
    metadata, in which integers have any length. Tuples come back as lists, NumPy's scalars as
    Python's. Raises DtypeError that names what the format cannot hold.
    """
    arrays: dict[str, Array] = {}
    text = json.dumps(_without_arrays(tree, "", arrays))
    # Several entries would be written in an order that changes from process to process.
    save(path, arrays, {_ENTRY: text})


def load_tree(path: str | Path) -> dict[str, Any]:
    """Return what `save_tree` wrote. Raises DataError where the file is another, or damaged."""
    arrays, metadata = load_with_metadata(path)
    if _ENTRY not in metadata:
        raise DataError(
            f"{path}: holds weights alone, which train.load reads; expected a whole training, as "
            "in the training.safetensors of train.Checkpoint"
        )
    try:
        found: dict[str, Any] = _with_arrays(json.loads(metadata[_ENTRY]), arrays)
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: holds no whole training: {error}") from error
    return found


def _without_arrays(value: Any, path: str, arrays: dict[str, Array]) -> Any:
    """Return `value` with references in place of its arrays, which are put into `arrays`."""
    if isinstance(value, np.ndarray):
        if path in arrays:
            raise ArgumentError(f"save: there are two arrays by the name {path!r}")
        arrays[path] = value
        return {_ARRAY: path}
    if isinstance(value, Mapping):
        odd = [key for key in value if not isinstance(key, str) or key == _ARRAY]
        if odd:
            raise DtypeError(f"save: {path}: {odd[0]!r} cannot be a key, expected a word")
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
        f"save: {path} is a {type(value).__name__}, expected arrays, numbers, words, None, or "
        "dicts and lists of them"
    )


def _with_arrays(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Return `value` with the arrays in the place of their references."""
    if isinstance(value, dict):
        if _ARRAY in value:
            return arrays[value[_ARRAY]]
        return {key: _with_arrays(inner, arrays) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_arrays(inner, arrays) for inner in value]
    return value


def _join(path: str, key: Any) -> str:
    return f"{path}/{key}" if path else str(key)
