"""Reader for IDX, the MNIST file format: magic number, axis lengths, entries; often gzipped.

The header is read first, and then no more bytes than it promises: a few kilobytes of gzip can
inflate to gigabytes.
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tinygrad_np.errors import DataError
from tinygrad_np.files import failure
from tinygrad_np.runtime.memory import Array

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_MOST_AXES = 64

_MOST_BYTES = 1 << 31
"""Largest size of the entries; the largest well-known IDX file, from EMNIST, has 0.55 GB."""

_MOST_INFLATION = 200
"""Largest ratio of the entries to the file size; images compress to a tenth at best."""

_HARMLESS = 1 << 26
"""Entries up to this size may exceed that ratio."""

_CHUNK = 1 << 20


def read_idx(path: str | Path, sha256: str | None = None) -> Array:
    """Read the array in an IDX file, gzipped or not.

    Args:
        path: the file.
        sha256: expected SHA-256 of the uncompressed bytes, in hex; not checked by default.

    Raises:
        DataError: if the file is missing or not an IDX file, its gzip stream is truncated or
            damaged, its entries do not match its shape, take more than 2 GiB or, from 64 MiB on,
            more than 200 times the size of the file, or its bytes do not match `sha256`.

    >>> import tempfile
    >>> from tinygrad_np import data
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "labels-idx1-ubyte"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     data.read_idx(path).tolist()
    [7, 2, 1]
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_gzipped = file.read(2) == b"\x1f\x8b"
            most = max(_HARMLESS, _MOST_INFLATION * file.seek(0, 2))
            file.seek(0)
            if is_gzipped:
                with gzip.GzipFile(fileobj=file) as inflated:
                    return _read(path, inflated, sha256, min(most, _MOST_BYTES))
            return _read(path, file, sha256, min(most, _MOST_BYTES))
    except DataError:
        raise
    except EOFError as error:
        raise DataError(
            f"{path}: the gzip stream is truncated. Download the file again."
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip stream is damaged ({error}). Download the file again."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise failure(path, "read", error) from error
    except MemoryError as error:
        raise DataError(f"{path}: there is not enough memory for the entries.") from error


def is_html(content: bytes) -> bool:
    """Return whether the content is an HTML page, which some servers send instead of a file."""
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        start.startswith(b"<") and b"<html" in start
    )


def _read(path: Path, file: BinaryIO | gzip.GzipFile, sha256: str | None, most: int) -> Array:
    head = bytes(_read_exactly(file, 4))
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES:
        if is_html(head + _read_exactly(file, 508)):
            raise DataError(
                f"{path}: expected an IDX file, got an HTML page, probably an error or login page. "
                "Download the file again."
            )
        raise DataError(
            f"{path}: expected an IDX file, which starts with 00 00, a dtype code ("
            f"{' '.join(f'{code:02x}' for code in _DTYPES)}) and the number of axes, got "
            f"{head.hex(' ') or 'an empty file'}."
        )
    ndim = head[3]
    if ndim > _MOST_AXES:
        raise DataError(f"{path}: expected at most {_MOST_AXES} axes, got {ndim}.")
    lengths = bytes(_read_exactly(file, 4 * ndim))
    if len(lengths) < 4 * ndim:
        raise DataError(
            f"{path}: expected a header of {4 + 4 * ndim} bytes with {ndim} axis lengths, got "
            f"{4 + len(lengths)} bytes. Download the file again."
        )
    shape = tuple(np.frombuffer(lengths, ">u4").tolist())
    dtype = np.dtype(_DTYPES[head[2]])
    # NumPy refuses absurd shapes even if they have an axis of length 0.
    if math.prod(n or 1 for n in shape) * dtype.itemsize > most:
        raise DataError(
            f"{path}: expected at most {most} bytes of entries in a file of this size, got a "
            f"header with shape {shape} and dtype {dtype.name}."
        )
    expected = math.prod(shape) * dtype.itemsize
    entries = _read_exactly(file, expected)
    # Reading past the end also makes gzip verify its checksum.
    if len(entries) < expected or file.read(1):
        got = "more" if len(entries) == expected else len(entries)
        raise DataError(
            f"{path}: expected {expected} bytes of entries for shape {shape}, got {got}. Download "
            "the file again."
        )
    if sha256 is not None:
        digest = hashlib.sha256(head + lengths)
        digest.update(entries)
        if (found := digest.hexdigest()) != sha256:
            raise DataError(
                f"{path}: expected SHA-256 {sha256}, got {found}. The file is damaged or belongs "
                "to another dataset. Download it again, and keep each dataset in its own directory."
            )
    array = np.frombuffer(entries, dtype)
    return array.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _read_exactly(file: BinaryIO | gzip.GzipFile, count: int) -> bytearray:
    """Return the next `count` bytes, or fewer at the end of the file.

    Memory grows with the bytes that are read; file.read(count) would allocate `count` at once.
    """
    content = bytearray()
    while len(content) < count and (chunk := file.read(min(_CHUNK, count - len(content)))):
        content += chunk
    return content
