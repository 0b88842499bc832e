"""Reader for IDX, the MNIST file format: magic number, axis lengths, entries; often gzipped."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from tinygrad_np.errors import DataError
from tinygrad_np.runtime.memory import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_MOST_AXES = 64


def read_idx(path: str | Path, sha256: str | None = None) -> Array:
    """Read the array in an IDX file, gzipped or not.

    Args:
        path: the file.
        sha256: expected SHA-256 of the uncompressed bytes, in hex; not checked by default.

    Raises:
        DataError: if the file is missing or not an IDX file, its gzip stream is truncated or
            damaged, its size does not match its shape, or its bytes do not match `sha256`.

    >>> import tempfile
    >>> from tinygrad_np import data
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     data.read_idx(path).tolist()
    [7, 2, 1]
    """
    path = Path(path)
    payload = _payload(path)
    if len(payload) < 4 or payload[:2] != b"\0\0" or payload[2] not in _DTYPES:
        raise DataError(
            f"{path}: expected an IDX file, which starts with 00 00, a dtype code ("
            f"{' '.join(f'{code:02x}' for code in _DTYPES)}) and the number of axes, got "
            f"{payload[:4].hex(' ') or 'an empty file'}."
        )
    ndim = payload[3]
    start = 4 + 4 * ndim
    if ndim > _MOST_AXES:
        raise DataError(f"{path}: expected at most {_MOST_AXES} axes, got {ndim}.")
    if len(payload) < start:
        raise DataError(
            f"{path}: expected a header of {start} bytes with {ndim} axis lengths, got "
            f"{len(payload)} bytes. Download the file again."
        )
    shape = tuple(np.frombuffer(payload, ">u4", ndim, 4).tolist())
    dtype = np.dtype(_DTYPES[payload[2]])
    expected = math.prod(shape) * dtype.itemsize
    if len(payload) - start != expected:
        raise DataError(
            f"{path}: expected {expected} bytes of entries for shape {shape}, got "
            f"{len(payload) - start}. Download the file again."
        )
    if sha256 is not None and (found := hashlib.sha256(payload).hexdigest()) != sha256:
        raise DataError(
            f"{path}: expected SHA-256 {sha256}, got {found}. The file is damaged or belongs to "
            "another dataset. Download it again, and keep each dataset in its own directory."
        )
    return (
        np.frombuffer(payload, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    )


def _payload(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the file ({error.strerror}).") from error
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise DataError(
            f"{path}: the gzip stream is truncated. Download the file again."
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip stream is damaged ({error}). Download the file again."
        ) from error
