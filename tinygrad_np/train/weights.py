"""Weights on disk as safetensors, a format that holds no code and can be loaded into PyTorch."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import ArgumentError, DataError, DtypeError
from tinygrad_np.files import read_bytes, write_bytes
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array

_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "F16": "float16",
    "U32": "uint32",
    "I32": "int32",
    "F32": "float32",
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
}
# Names of dtypes in the format, by NumPy's names, which have no byte order.
_CODES = {name: code for code, name in _NAMES.items()}
# Name of the checksum in the metadata. Its value begins with the name as well, so that a flipped
# bit cannot hide it.
_CHECKSUM = "tinygrad_np.sha256"
_BLANK = "0" * 64


def save(
    path: str | Path, state: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a state dict to a file, atomically: to a temporary file that is then renamed.

    The metadata also gets a SHA-256 of the file, which `load` checks.

    Args:
        path: file to write; conventionally ends in .safetensors.
        state: Tensors or arrays of numbers, by name.
        metadata: strings by name, stored in the header of the file.

    Raises:
        DataError: if the file cannot be written.
        DtypeError: if an argument has the wrong type, or the format cannot store an array or an
            entry of the metadata.
        ArgumentError: if the format cannot store a name.
    """
    if not isinstance(path, str | Path):
        hint = " The path comes first: save(path, state)." if isinstance(path, Mapping) else ""
        raise DtypeError(
            f"save: expected `path` to be a str or Path, got {type(path).__name__}.{hint}"
        )
    if not isinstance(state, Mapping):
        raise DtypeError(
            "save: expected `state` to be a dict of Tensors or arrays, got "
            f"{type(state).__name__}. Try model.state_dict()."
        )
    arrays, strings = _to_arrays(state), _check_metadata(metadata or {})
    try:
        content = _encode(arrays, strings)
    except UnicodeEncodeError as error:
        raise ArgumentError(
            f"save: expected names and metadata to be valid Unicode, got {error.object!r}."
        ) from error
    write_bytes(path, content)


def load(path: str | Path) -> dict[str, Array]:
    """Load the state dict in a file.

    Raises:
        DataError: if the file is missing, damaged, not a safetensors file, or has a dtype that
            NumPy lacks, such as bfloat16.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", {"weight": np.ones((2, 3), np.float32)})
    ...     load(f"{folder}/model.safetensors")["weight"].shape
    (2, 3)
    """
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Load the state dict and the metadata in a file; raise DataError as `load` does."""
    content = read_bytes(path)
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
        # The first eight bytes hold the length of the JSON header.
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")].decode())
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path}: expected a safetensors file ({error}).") from error
    metadata = header.get("__metadata__") or {}
    _check_sum(path, content, metadata)
    metadata.pop(_CHECKSUM, None)
    return {name: _decode(path, name, tensor) for name, tensor in tensors}, metadata


def _to_arrays(state: Mapping[str, Any]) -> dict[str, Array]:
    arrays = {}
    for name, value in state.items():
        check_unmasked(f"save: {name!r}", value)
        array = value.data if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray) or array.dtype.name not in _CODES:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise DtypeError(
                f"save: expected {name!r} to be a Tensor or ndarray of numbers, got {kind}."
            )
        if not isinstance(name, str) or name == "__metadata__":
            raise ArgumentError(
                f"save: expected array names to be strings other than '__metadata__', got {name!r}."
            )
        arrays[name] = array
    return arrays


def _check_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in metadata.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise DtypeError(
                f"save: expected `metadata` to map strings to strings, got {name!r}: {text!r}."
            )
        if _CHECKSUM in (name, text[: len(_CHECKSUM)]):
            raise ArgumentError(
                f"save: expected `metadata` without {_CHECKSUM!r}, which save adds, got "
                f"{name!r}: {text!r}."
            )
    return metadata


def _encode(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a safetensors file; the same content always gives the same bytes.

    safetensors' own writer orders the metadata differently in each process.
    """
    entries = {_CHECKSUM: f"{_CHECKSUM}:{_BLANK}"}
    entries |= {name: metadata[name] for name in sorted(metadata)}
    header: dict[str, Any] = {"__metadata__": entries}
    parts, end = [], 0
    # Wide items first: then each array starts at a multiple of its item size.
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        array = arrays[name]
        part = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        offsets = [end, end := end + len(part)]
        code = _CODES[array.dtype.name]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": offsets}
        parts.append(part)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    content = b"".join([len(text).to_bytes(8, "little"), text, *parts])
    return content.replace(_BLANK.encode(), _digest(content, _BLANK).encode(), 1)


def _check_sum(path: str | Path, content: bytes, metadata: Mapping[str, str]) -> None:
    """Raise DataError if the file has a checksum and differs from what was saved."""
    for name, text in metadata.items():
        if _CHECKSUM not in (name, text[: len(_CHECKSUM)]):
            continue
        digest = text.removeprefix(f"{_CHECKSUM}:")
        if not re.fullmatch("[0-9a-f]{64}", digest) or _digest(content, digest) != digest:
            raise DataError(
                f"{path}: the file is damaged: its SHA-256 is not the one stored when it was saved."
            )


def _digest(content: bytes, digest: str) -> str:
    """Return the SHA-256 of the file with zeros in place of the digest that it holds."""
    start = content.index(digest.encode())
    view = memoryview(content)
    found = hashlib.sha256(view[:start])
    found.update(_BLANK.encode())
    found.update(view[start + len(_BLANK) :])
    return found.hexdigest()


def _decode(path: str | Path, name: str, tensor: Mapping[str, Any]) -> Array:
    code = tensor["dtype"]
    if code not in _NAMES:
        kind = {"BF16": "bfloat16"}.get(code, code)
        raise DataError(
            f"{path}: {name!r} is {kind}, which NumPy lacks. Convert it to float32 before saving, "
            "for example with tensor.float() in PyTorch."
        )
    dtype = np.dtype(_NAMES[code]).newbyteorder("<")
    try:
        array: Array = np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}: cannot load {name!r} ({error}).") from error
    return array.astype(dtype.newbyteorder("="), copy=False)
