"""Reader of IDX, the format of MNIST: magic, lengths, then the entries, often gzipped."""

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
    """Return the array in an IDX file, gzipped or not; `sha256` is that of the unzipped bytes.

    Raises DataError that names the file and the fault: not there, a truncated or damaged gzip
    stream, another format, lengths that do not fit the size, other bytes than `sha256` says.
    """
    path = Path(path)
    payload = _payload(path)
    if len(payload) < 4 or payload[:2] != b"\0\0" or payload[2] not in _DTYPES:
        raise DataError(
            f"{path}: not an IDX file: it begins with {payload[:4].hex(' ') or 'nothing'}, "
            f"expected 00 00, a dtype code from {' '.join(f'{code:02x}' for code in _DTYPES)} and "
            "the number of axes"
        )
    ndim = payload[3]
    start = 4 + 4 * ndim
    if ndim > _MOST_AXES:
        raise DataError(f"{path}: has {ndim} axes, more than the {_MOST_AXES} of an array")
    if len(payload) < start:
        raise DataError(f"{path}: cut off within its {ndim} lengths")
    shape = tuple(np.frombuffer(payload, ">u4", ndim, 4).tolist())
    dtype = np.dtype(_DTYPES[payload[2]])
    expected = math.prod(shape) * dtype.itemsize
    if len(payload) - start != expected:
        raise DataError(
            f"{path}: holds {len(payload) - start} bytes of entries, but shape {shape} needs "
            f"{expected}; fetch the file again"
        )
    if sha256 is not None and (found := hashlib.sha256(payload).hexdigest()) != sha256:
        raise DataError(
            f"{path}: is another file than it should be, or damaged: SHA-256 {found}, expected "
            f"{sha256}; fetch the file again, or keep each data set in a folder of its own"
        )
    return (
        np.frombuffer(payload, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))
    )


def _payload(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise DataError(f"{path}: the gzip stream is cut off; fetch the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip stream is damaged ({error}); fetch the file again"
        ) from error
