"""The IDX reader: round trips, compression, damaged files, checksums."""

import gzip
import hashlib
import tracemalloc

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import TinygradNpError, data
from tinygrad_np.errors import DataError

DTYPES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array):
    """Return an array as IDX: 00 00, dtype code, number of axes, lengths, big-endian entries."""
    head = bytes([0, 0, DTYPES[array.dtype.name], array.ndim])
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return head + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


def extremes(dtype):
    """Return a (2, 1, 3) array with the extreme and some small values of a dtype."""
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return np.array([info.min, 0, 1, 2, 100, info.max], dtype).reshape(2, 1, 3)


def written(folder, content, name="some-idx1-ubyte"):
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content)
    return path


GZIPPED = gzip.compress(idx_bytes(np.arange(60, dtype=np.uint8).reshape(3, 4, 5)), mtime=0)


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["raw", "gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_is_read_in_native_byte_order(tmp_path, dtype, wrap):
    """Each IDX dtype is read in native byte order, gzipped or not."""
    expected = extremes(dtype)
    found = data.read_idx(written(tmp_path, wrap(idx_bytes(expected))))
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("shape", [(), (4,), (1, 1), (0, 28, 28), (2, 1, 2, 1, 2), (1,) * 64])
def test_any_number_of_axes_is_read(tmp_path, shape):
    """Any number of axes is read, including none, and empty axes."""
    expected = np.arange(np.prod(shape, dtype=int), dtype=np.int16).reshape(shape)
    found = data.read_idx(written(tmp_path, idx_bytes(expected)))
    np.testing.assert_array_equal(found, expected, strict=True)


def test_path_may_be_a_str(tmp_path):
    """The path may be a str, and the array is writable."""
    array = data.read_idx(str(written(tmp_path, GZIPPED)))
    assert array.shape == (3, 4, 5)
    assert array.flags.writeable


def test_gzip_is_detected_by_content(tmp_path):
    """The file name does not matter."""
    assert data.read_idx(written(tmp_path, GZIPPED, "no-suffix")).size == 60
    raw = gzip.decompress(GZIPPED)
    assert data.read_idx(written(tmp_path, raw, "wrong-suffix.gz")).size == 60


@each(
    ("content", "fault"),
    [
        (b"", "expected an IDX file, which starts with 00 00, a dtype code (08"),
        (b"\0\0\x08", "and the number of axes, got 00 00 08."),
        (b"<!DOCTYPE html>", "got an HTML page, probably an error or login page. Download"),
        (b"\xef\xbb\xbf\n <HTML>" + bytes(600), "got an HTML page, probably an error or login"),
        (b"<!-- 404 -->\n<html>", "got an HTML page, probably an error or login page."),
        (gzip.compress(b"<html></html>"), "got an HTML page, probably an error or login page."),
        (b"<svg></svg>", "and the number of axes, got 3c 73 76 67."),
        (b"\0\1\x08\1" + bytes(4), "and the number of axes, got 00 01 08 01."),
        (b"\0\0\x0a\1" + bytes(4), "and the number of axes, got 00 00 0a 01."),
        (
            b"\0\0\x08\3" + bytes(11),
            "expected a header of 16 bytes with 3 axis lengths, got 15 bytes.",
        ),
        (
            b"\0\0\x08\x41" + 65 * b"\0\0\0\1" + b"a",
            "expected at most 64 axes, got 65.",
        ),
        (b"\0\0\x08\xff", "expected at most 64 axes, got 255."),
        (b"\0\0\x08\1\0\0\0\5abcd", "expected 5 bytes of entries for shape (5,), got 4."),
        (b"\0\0\x08\1\0\0\0\3abcd", "expected 3 bytes of entries for shape (3,), got more."),
        (b"\0\0\x0d\1\0\0\0\2" + bytes(7), "expected 8 bytes of entries for shape (2,), got 7."),
        (
            b"\0\0\x08\1\x40\0\0\0a",
            "expected at most 67108864 bytes of entries in a file of this size, got a header with",
        ),
        (
            b"\0\0\x0e\2" + 8 * b"\xff",
            "bytes of entries in a file of this size, got a header with shape (4294967295, "
            "4294967295) and dtype float64.",
        ),
        (
            b"\0\0\x08\4" + bytes(4) + 12 * b"\xff",
            "got a header with shape (0, 4294967295, 4294967295, 4294967295) and dtype uint8.",
        ),
        (b"\0\0\x08\1\x80\0\0\1", "shape (2147483649,) and dtype uint8."),
        (
            GZIPPED + gzip.compress(b"more"),
            "expected 60 bytes of entries for shape (3, 4, 5), got m",
        ),
        (GZIPPED + b"garbage", "the gzip stream is damaged (Not a gzipped file"),
        (gzip.compress(b"hello"), "and the number of axes, got 68 65 6c 6c."),
    ],
)
def test_invalid_idx_raises(tmp_path, content, fault):
    path = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        data.read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)


def test_truncated_gzip_raises(tmp_path):
    """The file is truncated at each byte in turn."""
    for length in range(2, len(GZIPPED)):
        path = written(tmp_path, GZIPPED[:length])
        with pytest.raises(DataError) as caught:
            data.read_idx(path)
        assert f"{path}: the gzip stream is truncated. " in str(caught.value), length


def test_damaged_gzip_raises(tmp_path):
    """One byte is wrong, at each position after the gzip header in turn."""
    for position in range(10, len(GZIPPED)):
        damaged = bytearray(GZIPPED)
        damaged[position] ^= 0x55
        path = written(tmp_path, damaged)
        with pytest.raises(DataError) as caught:
            data.read_idx(path)
        assert str(caught.value).startswith(f"{path}: "), position


def test_gzip_of_several_members_or_padded_with_zeros_is_read(tmp_path):
    payload = gzip.decompress(GZIPPED)
    for content in (
        gzip.compress(payload[:20]) + gzip.compress(payload[20:]),
        GZIPPED + bytes(512),
    ):
        assert data.read_idx(written(tmp_path, content)).size == 60


@each(
    ("head", "size"),
    [
        (idx_bytes(np.zeros((3, 4, 5), np.uint8)), 20_000_000),
        (b"\0\0\x08\1\x40\0\0\0", 1000),
        (b"\0\0\x08\1\xff\xff\xff\xff", 20_000_000),
        (b"not IDX", 20_000_000),
    ],
    ids=["more than promised", "promises 1 GB", "promises 4 GB", "not IDX"],
)
@pytest.mark.slow
@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["raw", "gz"])
def test_memory_is_bounded(tmp_path, head, size, wrap):
    """Memory is bounded by the entries both promised and present, plus a few chunks."""
    path = written(tmp_path, wrap(head + bytes(size)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            data.read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6


def test_reading_needs_no_second_copy(tmp_path):
    size = 20_000_000
    path = written(tmp_path, idx_bytes(np.zeros(size, np.uint8)))
    tracemalloc.start()
    try:
        array = data.read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert array.size == size
    assert peak < 1.5 * size


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["raw", "gz"])
def test_sha256_is_of_the_uncompressed_bytes(tmp_path, wrap):
    """The digest is of the uncompressed bytes, independent of the compression."""
    payload = gzip.decompress(GZIPPED)
    path = written(tmp_path, wrap(payload))
    assert data.read_idx(path, hashlib.sha256(payload).hexdigest()).size == 60


def test_wrong_sha256_raises(tmp_path):
    path = written(tmp_path, GZIPPED)
    found = hashlib.sha256(gzip.decompress(GZIPPED)).hexdigest()
    with pytest.raises(DataError) as caught:
        data.read_idx(path, "0" * 64)
    for part in (str(path), f"got {found}.", f"expected SHA-256 {'0' * 64}"):
        assert part in str(caught.value)


def test_unreadable_file_raises(tmp_path):
    """The error is an OSError and a TinygradNpError."""
    for path, why in ((tmp_path / "nowhere-idx1-ubyte", "No such file"), (tmp_path, "")):
        with pytest.raises(OSError, match=rf"cannot read the file \({why}") as caught:
            data.read_idx(path)
        assert isinstance(caught.value, TinygradNpError)
        assert str(path) in str(caught.value)
