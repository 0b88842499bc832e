"""Damaged files: each is refused with a DataError that names it, or read exactly."""

import contextlib
import functools
import gzip
import hashlib
import io
import json
import math
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from tests.soak import mutate
from tests.soak.commands import same_arrays
from tests.soak.rows import MEGABYTE, Attempt, little_memory, refusals, row
from tinygrad_np import data, nn, optim, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.errors import DataError, TinygradNpError

SPARE = 512 * MEGABYTE
"""Bytes of additional memory that reading a damaged file may take."""


def _saved(write: Any, name: str) -> bytes:
    """Return the bytes that a function writes to a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        write(path)
        return path.read_bytes()


# Weights.


@functools.cache
def _state() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "conv.weight": rng.standard_normal((4, 1, 3, 3)).astype(np.float32),
        "conv.bias": rng.standard_normal(4).astype(np.float32),
        "norm.num_batches": np.array(7),
        "half": rng.standard_normal((3, 5)).astype(np.float16),
        "mask": np.array([True, False, True]),
    }


@functools.cache
def _weights_file() -> bytes:
    told = {"epoch": "3", "train_loss": "0.25"}
    return _saved(lambda path: train.save(path, _state(), told), "w.safetensors")


@row(
    "damaged weights: `train.load`",
    full=10_000,
    short=300,
    catches="exceptions other than DataError, unbounded memory or time, silently changed weights",
)
def weights(attempt: Attempt) -> None:
    path = attempt.folder / "weights.safetensors"
    path.write_bytes(mutate.damage_safetensors(_weights_file(), attempt.rng))
    with refusals(path, DataError) as refused, little_memory(SPARE):
        found = train.load(path)
    if not refused:
        assert same_arrays(found, _state()), f"loaded silently: {_difference(found, _state())}"


def _difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """Describe how two state dicts differ."""
    if set(found) != set(expected):
        return "different names"
    for name, array in expected.items():
        if found[name].dtype != array.dtype:
            return "different dtype"
        if found[name].shape != array.shape:
            return "different shape"
    return "different values"


# Training checkpoints.


def _trainer(seed: int) -> train.Trainer:
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 6, generator=np.random.default_rng(seed)),
        nn.BatchNorm1d(6),
        nn.Dropout(0.3, generator=np.random.default_rng(seed)),
        nn.Linear(6, 10, generator=np.random.default_rng(seed)),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    schedule = optim.StepLR(optimizer, 2, gamma=0.5)
    stopping = train.EarlyStopping("train_loss", 5)
    return train.Trainer(
        model, optimizer, schedule=schedule, schedule_per="epoch", callbacks=[stopping]
    )


def _loader() -> data.DataLoader:
    return data.DataLoader(data.digits()[0].first(64), 32, shuffle=True, seed=4)


@functools.cache
def _resume_file() -> tuple[bytes, dict[str, Any]]:
    """Return a training checkpoint after three epochs, and the state it holds."""
    trainer = _trainer(1)
    with contextlib.redirect_stdout(None):  # EarlyStopping reports what it restores
        trainer.fit(_loader(), 3)
    content = _saved(trainer.save, "training.safetensors")
    other = _trainer(2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.safetensors")
        path.write_bytes(content)
        other.load(path)
    return content, other.state_dict()


def first_difference(one: Any, other: Any, path: str = "") -> str:
    """Return the path at which two states differ in type or value, or ''."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        same = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        same = same and same_arrays({"": one}, {"": other})
        return "" if same else path or "the array"
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other):
            return f"the keys of {path or 'the state'}"
        pairs = [(name, one[name], other[name]) for name in one]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f"the length of {path}"
        pairs = [(str(i), *both) for i, both in enumerate(zip(one, other, strict=True))]
    else:
        is_same = type(one) is type(other) and (one == other or (one != one and other != other))
        return "" if is_same else path or "the value"
    inner = (first_difference(a, b, f"{path}/{name}".strip("/")) for name, a, b in pairs)
    return next(filter(None, inner), "")


@row(
    "damaged training checkpoints: `Trainer.load`",
    full=10_000,
    short=150,
    catches="exceptions other than DataError, a trainer that is half loaded after an error, a "
    "state of the wrong type or value that loads silently",
)
def resume(attempt: Attempt) -> None:
    content, expected = _resume_file()
    path = attempt.folder / "training.safetensors"
    path.write_bytes(mutate.damage_safetensors(content, attempt.rng))
    trainer = _trainer(2)
    before = trainer.state_dict()
    wrong = None
    try:
        with refusals(path, DataError) as refused, little_memory(SPARE):
            trainer.load(path)
    except Exception as error:
        wrong = error
    after = trainer.state_dict()
    if wrong or refused:
        changed = first_difference(after, before)
        assert not changed, f"changed by a load that failed: {changed}"
        if wrong:
            raise wrong
    else:
        different = first_difference(after, expected)
        assert not different, f"loaded silently, but differs: {different}"


# config.json.


@functools.cache
def _config_text() -> str:
    config = RunConfig(
        model="LabCNN", model_options={"blocks": 2}, lr=0.01, patience=3, checkpoint_every=10
    )
    return _saved(config.write, "config.json").decode()


@row(
    "damaged config.json: `RunConfig.read`",
    full=10_000,
    short=300,
    catches="exceptions other than DataError (huge integers, deep nesting), values of the wrong "
    "type",
)
def config(attempt: Attempt) -> None:
    rng, path = attempt.rng, attempt.folder / "config.json"
    if rng.random() < 0.4:
        path.write_bytes(mutate.damage_bytes(_config_text().encode(), rng))
    else:
        damaged = mutate.damage_json(_config_text(), rng)
        path.write_text(damaged, encoding="utf-8", errors="surrogatepass")
    with refusals(path, DataError) as refused, little_memory(SPARE):
        found = RunConfig.read(path)
    if refused:
        return
    # Many values are valid, so a changed value may go unnoticed, but not a changed type.
    for name, value in vars(RunConfig()).items():
        one = getattr(found, name)
        if value is not None:
            assert type(one) is type(value), f"{name} became {type(one).__name__}"
        assert not isinstance(one, float) or math.isfinite(one), f"{name} became {one}"
    again = attempt.folder / "again.json"
    found.write(again)
    assert RunConfig.read(again) == found, "writing and reading changed the config"


# IDX.


@functools.cache
def _idx_file(is_gzipped: bool) -> tuple[bytes, np.ndarray, str]:
    """Return a file, its array and the SHA-256 of its uncompressed bytes."""
    array = np.random.default_rng(3).integers(0, 256, (6, 7, 5), np.uint8)
    content = bytes([0, 0, 8, 3]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
    raw = gzip.compress(content, mtime=0) if is_gzipped else content
    return raw, array, hashlib.sha256(content).hexdigest()


def _read_naively(raw: bytes) -> np.ndarray:
    """Parse the bytes of an IDX file without any checks."""
    content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    lengths = [
        int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(content[3])
    ]
    codes = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    return np.frombuffer(content[4 + 4 * content[3] :], codes[content[2]]).reshape(lengths)


@row(
    "damaged IDX files, plain and gzipped: `data.read_idx`",
    full=10_000,
    short=400,
    catches="exceptions other than DataError, arrays that do not match the header or the SHA-256",
)
def idx(attempt: Attempt) -> None:
    rng, path = attempt.rng, attempt.folder / "images-idx3-ubyte"
    raw, array, digest = _idx_file(bool(rng.random() < 0.5))
    damaged = mutate.damage_bytes(raw, rng)
    if rng.random() < 0.2:  # an intact stream of damaged contents
        damaged = gzip.compress(mutate.damage_bytes(_idx_file(False)[0], rng), mtime=0)
    path.write_bytes(damaged)
    sha256 = digest if rng.random() < 0.5 else None
    with refusals(path, DataError) as refused, little_memory(SPARE):
        found = data.read_idx(path, sha256)
    if not refused:
        expected = array if sha256 else _read_naively(damaged)
        assert found.dtype.isnative, "the array is not in native byte order"
        assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
        assert np.array_equal(found, expected, equal_nan=found.dtype.kind == "f"), "other values"


# Images.

_FORMATS = ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"]
_MODES = ["L", "RGB", "RGBA", "P", "1", "I;16", "CMYK", "LA"]


@functools.cache
def _pictures() -> list[tuple[str, bytes]]:
    """Return pictures of a digit in all formats and the modes that each can store."""
    drawing = Image.new("L", (60, 80), 230)
    ImageDraw.Draw(drawing).line([(15, 15), (45, 15), (25, 65)], 20, 7)
    found = []
    for kind in _FORMATS:
        for mode in _MODES:
            out = io.BytesIO()
            try:
                drawing.convert(mode).save(out, kind)
            except (OSError, ValueError):  # not supported by the format or by this Pillow
                continue
            found.append((kind, out.getvalue()))
    return found


@row(
    "damaged images (PNG, JPEG, BMP, GIF, WebP, TIFF): `data.load_digit`",
    full=10_000,
    short=200,
    catches="exceptions from Pillow, warnings, hangs, images of the wrong shape or dtype",
)
def images(attempt: Attempt) -> None:
    rng = attempt.rng
    kind, content = _pictures()[rng.integers(len(_pictures()))]
    damage = mutate.damage_bytes
    if kind == "PNG" and rng.random() < 0.6:
        damage = mutate.damage_png
    path = attempt.folder / f"digit.{kind.lower()}"
    path.write_bytes(damage(content, rng))
    with refusals(path, DataError) as refused, little_memory(SPARE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*expected one digit, found")  # damage can cause this
        found = data.load_digit(path)
    if not refused:
        assert (found.shape, found.dtype) == ((1, 28, 28), np.uint8), "wrong shape or dtype"
        assert found.max() == 255, f"a maximum of {found.max()}"
        assert found.any(axis=(1, 2)).all(), "the image is empty"


# Small files that ask for much memory or depth.


def _zeros(size: int) -> bytes:
    """Return a deflate stream of zeros; a full flush makes its blocks repeatable."""
    packer = zlib.compressobj(9, wbits=-15)
    first = packer.compress(bytes(16 * MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(16 * MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (size // (16 * MEGABYTE) - 1)


def _png(width: int, height: int, packed: bytes, extra: tuple[bytes, bytes] | None = None) -> bytes:
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    chunks = [(b"IHDR", header), *([extra] if extra else []), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")
        for name, body in chunks
    )


def _gzip(inner: bytes) -> bytes:
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + inner


def _idx_header(*lengths: int) -> bytes:
    return bytes([0, 0, 8, len(lengths)]) + np.array(lengths, ">u4").tobytes()


def _packed(content: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(content) + packer.flush(zlib.Z_FULL_FLUSH)


def _config_of(text: str) -> bytes:
    return f'{{"epochs": {text}}}'.encode()


@functools.cache
def _bombs() -> list[tuple[str, bytes]]:
    """Return (name, content) of small files that ask for much memory or depth."""
    deep = "[" * mutate.DEEP + "]" * mutate.DEEP
    zeros = _zeros(2048 * MEGABYTE)
    wrapped = b"\x78\x01" + zeros
    nested = {"__metadata__": {"training": deep}}
    return [
        ("a.idx", _gzip(_packed(_idx_header(10)) + zeros)),
        ("b.idx", _gzip(_packed(_idx_header(2**31, 1)) + zeros)),
        ("c.idx", _gzip(_packed(_idx_header(2**32 - 1, 2**32 - 1)) + zeros)),
        ("d.idx", _gzip(zeros)),
        ("e.idx", _idx_header(*[2**32 - 1] * 64)),
        ("f.idx", _idx_header(0, 2**32 - 1, 2**32 - 1, 2**32 - 1)),
        ("a.png", _png(100_000, 100_000, wrapped)),
        ("b.png", _png(2**31 - 1, 2**31 - 1, wrapped)),
        ("c.png", _png(30_000, 30_000, wrapped)),
        ("d.png", _png(28, 28, wrapped)),
        ("e.png", _png(28, 28, zlib.compress(bytes(29 * 28)), (b"zTXt", b"k\0\0" + wrapped))),
        ("f.png", _png(28, 28, zlib.compress(bytes(29 * 28)), (b"iCCP", b"k\0\0" + wrapped))),
        ("a.safetensors", (2**63).to_bytes(8, "little") + b"{}"),
        ("b.safetensors", mutate.with_header(deep, b"")),
        ("c.safetensors", mutate.with_header(json.dumps(nested), b"")),
        ("d.safetensors", mutate.with_header('{"__metadata__": {"training": "{}"}}', b"")),
        ("a.json", _config_of(deep)),
        ("b.json", _config_of("9" * 5000)),
        ("c.json", _config_of("1" + "0" * 400)),
        ("d.json", deep.encode()),
        ("e.json", _config_of("1e400")),
        ("f.json", b'"' + b"x" * (4 * MEGABYTE)),
    ]


@row(
    "small files that ask for much: gzip and PNG bombs, absurd lengths, deep nesting",
    full=22,
    short=22,
    catches="memory proportional to what a file claims, a RecursionError",
)
def bombs(attempt: Attempt) -> None:
    name, content = _bombs()[attempt.index]
    path = attempt.folder / name
    path.write_bytes(content)
    with refusals(path, TinygradNpError) as refused, little_memory(SPARE // 4):
        if path.suffix == ".idx":
            data.read_idx(path)
        elif path.suffix == ".png":
            data.load_digit(path)
        elif path.suffix == ".json":
            RunConfig.read(path)
        else:
            _trainer(0).load(path)
    # An empty array, and an image whose comments alone are large, may be read.
    assert refused or name in ("f.idx", "e.png", "f.png"), f"{name} was accepted"
