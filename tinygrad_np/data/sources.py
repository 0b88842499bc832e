"""MNIST and Fashion-MNIST, read from disk or downloaded, and the digits in the package."""

import hashlib
import io
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np.data.dataset import ImageDataset
from tinygrad_np.data.idx import is_html, read_idx
from tinygrad_np.data.photo import frame_digit
from tinygrad_np.errors import ArgumentError, DataError, DataNotFoundError
from tinygrad_np.files import is_folder, make_folder, write_bytes
from tinygrad_np.runtime.memory import Array

with warnings.catch_warnings():
    # pooch imports tqdm.auto, which warns in a notebook if ipywidgets is not installed.
    warnings.filterwarnings("ignore", "IProgress not found")
    import pooch

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@dataclass(frozen=True)
class File:
    """Name of an IDX file, and the SHA-256 of its official .gz and of the uncompressed bytes."""

    name: str
    gz_sha256: str
    payload_sha256: str


@dataclass(frozen=True)
class Source:
    """Source of a dataset: directory name, base URLs in order of preference, and four files."""

    folder: str
    title: str
    mirrors: tuple[str, ...]
    files: tuple[File, File, File, File]
    classes: tuple[str, ...]
    mean: float
    std: float


MNIST = Source(
    "mnist",
    "MNIST",
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    (
        File(
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        File(
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        File(
            "t10k-labels-idx1-ubyte.gz",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    DIGITS,
    mean=0.1307,
    std=0.3081,
)

FASHION_MNIST = Source(
    "fashion-mnist",
    "Fashion-MNIST",
    (
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    (
        File(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        File(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        File(
            "t10k-labels-idx1-ubyte.gz",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    CLOTHES,
    mean=0.2860,
    std=0.3530,
)


def mnist(data_dir: str | Path | None = None) -> tuple[ImageDataset, ImageDataset]:
    """Return MNIST: 60,000 training images and 10,000 test images of 28x28 pixels.

    The files are looked up in `data_dir`, then in the directory named by TINYGRAD_NP_DATA, then in
    the cache. Missing files are downloaded to the cache. If TINYGRAD_NP_MIRROR names a base URL,
    its subdirectory `mnist` is tried first.

    Args:
        data_dir: directory with the four files, or with a subdirectory that has them: `mnist`, or
            torchvision's `MNIST/raw`. The files may be decompressed, and may have the names that
            7-Zip and Kaggle give them.

    Returns:
        The training set and the test set.

    Raises:
        DataNotFoundError: if the files are not found and cannot be downloaded; the message lists
            what was tried.
        DataError: if a file is damaged, `data_dir` is not a directory, or the cache cannot be
            created.
    """
    return load(MNIST, data_dir)


def fashion_mnist(data_dir: str | Path | None = None) -> tuple[ImageDataset, ImageDataset]:
    """Return Fashion-MNIST: 60,000 training images and 10,000 test images of 28x28 pixels.

    See `mnist` for arguments, search order and errors; the subdirectory is `fashion-mnist` or
    `FashionMNIST/raw`.
    """
    return load(FASHION_MNIST, data_dir)


def digits(size: int = 8) -> tuple[ImageDataset, ImageDataset]:
    """Return the digits bundled with the package: 1438 training images and 359 test images.

    Args:
        size: side length of the images: 8, or 28, which frames them like MNIST: the longer side is
            scaled smoothly to 20 pixels, and the center of mass is at (14, 14).

    Returns:
        The training set and the test set, stratified by class with a fixed seed. Pixel values are
        integers from 0 to 16, or from 0 to 255 if `size` is 28; batches divide them by 16 or 255.

    Raises:
        ArgumentError: if `size` is neither 8 nor 28.

    >>> from tinygrad_np import data
    >>> train_set, test_set = data.digits()
    >>> train_set.images.shape, test_set.images.shape
    ((1438, 1, 8, 8), (359, 1, 8, 8))
    """
    if size not in (8, 28):
        raise ArgumentError(f"digits: expected `size` to be 8 or 28, got {size}.")
    folder = Path(__file__).parent / "digits"
    images = read_idx(folder / "images-idx3-ubyte.gz")
    labels = read_idx(folder / "labels-idx1-ubyte.gz")
    scale = 16.0
    if size == 28:
        images = np.stack([frame_digit(image) for image in images.astype(np.float32)])
        scale = 255.0
    whole = ImageDataset(
        images[:, None], labels, DIGITS, "digits", scale=scale, origin="the package"
    )
    return whole.split(0.2, seed=42)


@dataclass(frozen=True)
class Limits:
    """Limits of a download; tests use shorter ones.

    Args:
        timeout: seconds to wait for a connection, and for the next bytes.
        window: seconds between checks of the transfer rate.
        rate: bytes per second below which a transfer is aborted.
        size: largest size of a file in bytes.
        delays: seconds to wait before the second and each later round of attempts.
        longest: most seconds to wait, even if a server asks for a longer delay.
        sleep: the function that waits.
    """

    timeout: float = 10.0
    window: float = 30.0
    rate: float = 10_000.0
    size: int = 1 << 26
    delays: tuple[float, ...] = (1.0, 4.0)
    longest: float = 60.0
    sleep: Callable[[float], None] = time.sleep


def load(
    source: Source, data_dir: str | Path | None = None, limits: Limits = Limits()
) -> tuple[ImageDataset, ImageDataset]:
    """Return the training set and the test set of `source`, from disk or downloaded."""
    tried: list[str] = []
    folders = {"data_dir": data_dir, "TINYGRAD_NP_DATA": os.environ.get("TINYGRAD_NP_DATA")}
    for origin, given in folders.items():
        if not given:
            tried.append(f"{origin}: not set")
            continue
        try:
            folder = Path(given).expanduser()
        except RuntimeError as error:  # `~name` of an unknown user
            raise DataError(
                f"{source.title}: {origin} {given} is not a directory ({error})."
            ) from error
        if origin == "data_dir" and not is_folder(folder):
            # Raise instead of falling back: a typo must not load data from elsewhere.
            raise DataError(f"{source.title}: data_dir {given} is not a directory.")
        paths, missing = _find_files(source, folder)
        if not missing:
            return _datasets(source, paths)
        tried.append(f"{origin}: {missing} is not in {given} or {Path(given) / source.folder}")
    own = os.environ.get("TINYGRAD_NP_MIRROR")
    mirrors = ([f"{own.rstrip('/')}/{source.folder}/"] if own else []) + list(source.mirrors)
    cache = _cache(source)
    paths = [_fetch(source, file, cache, mirrors, tried, limits) for file in source.files]
    return _datasets(source, paths)


def is_here(source: Source, data_dir: str | Path | None = None) -> bool:
    """Return whether `load` finds the files of `source` on this machine, without a download."""
    for given in (data_dir, os.environ.get("TINYGRAD_NP_DATA")):
        with suppress(RuntimeError):  # `~name` of an unknown user
            if given and _find_files(source, Path(given).expanduser())[0]:
                return True
    return all((_cache(source) / file.name).is_file() for file in source.files)


def _cache(source: Source) -> Path:
    return Path(pooch.os_cache("tinygrad_np")) / source.folder


def _find_files(source: Source, folder: Path) -> tuple[list[Path], str]:
    """Return the paths of the four files, gzipped or not, and the name of a missing file, if any.

    All four must be in `folder` itself, in its subdirectory, or where torchvision puts them: in
    MNIST/raw or FashionMNIST/raw.
    """
    best: list[Path] = []
    missing = source.files[0].name
    raw = Path(source.title.replace("-", "")) / "raw"
    for place in (folder / source.folder, folder / raw, folder / "raw", folder):
        paths = []
        absent = []
        for file in source.files:
            present = [path for path in _names(place, file) if path.is_file()]
            paths += present[:1]
            absent += [] if present else [file.name]
        if not absent:
            return paths, ""
        if len(paths) > len(best):
            best, missing = paths, absent[0]
    return [], missing


def _names(place: Path, file: File) -> Iterator[Path]:
    """Yield the paths that a file may have in the directory `place`.

    When 7-Zip or Kaggle has decompressed it, train-images-idx3-ubyte.gz may be named
    train-images.idx3-ubyte, and may be in a directory named train-images-idx3-ubyte.
    """
    plain = file.name.removesuffix(".gz")
    dotted = plain.replace("-idx", ".idx")
    for name in (plain, dotted):
        for folder in (place, place / plain, place / dotted):
            yield from (folder / f"{name}.gz", folder / name)


def _fetch(
    source: Source, file: File, cache: Path, mirrors: list[str], tried: list[str], limits: Limits
) -> Path:
    """Return the path of `file` in the cache, downloading it and checking its hash if needed.

    If all mirrors fail, those whose failure may be temporary are tried again after a delay. A
    mirror that works moves to the front of `mirrors`, so that the next file tries it first.
    """
    path = cache / file.name
    is_cached = path.is_file()
    with suppress(OSError):  # an unreadable file is replaced, like a damaged one
        if is_cached and _sha256(path.read_bytes()) == file.gz_sha256:
            return path
    faults = {"cache": f"{path} is {'damaged' if is_cached else 'missing'}"}
    make_folder(cache, source.title)
    pending = list(mirrors)
    for delay in (*limits.delays, None):
        failed: dict[str, float] = {}
        for mirror in pending:
            url = mirror + file.name
            pooch.get_logger().info("Downloading %s", url)
            try:
                content = _download(url, limits)
                _check(content, file)
            except (OSError, ValueError) as error:
                faults[url], is_temporary = _reason(error)
                if is_temporary:
                    failed[mirror] = _retry_after(error)
            else:
                write_bytes(path, content)
                mirrors.remove(mirror)
                mirrors.insert(0, mirror)
                return path
        if delay is None or not failed:
            break
        pending = list(failed)
        delay = min(max(delay, *failed.values()), limits.longest)
        pooch.get_logger().info("Trying again in %g s", delay)
        limits.sleep(delay)
    attempts = [f"{place}: {fault}" for place, fault in faults.items()]
    raise DataNotFoundError(
        f"{source.title} was not found and could not be downloaded. Tried:\n  "
        + "\n  ".join([*tried, *attempts])
        + f"\nPut the four .gz files into a directory {source.folder}/ and set `data_dir` "
        "(--data-dir) or TINYGRAD_NP_DATA to its parent directory, or set TINYGRAD_NP_MIRROR to "
        "another base URL."
    )


class _Body(io.BytesIO):
    """Bytes received from a server, up to a limit."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > self.size:
            raise OSError(f"the server sent more than {self.size} bytes")
        return super().write(content)


def _download(url: str, limits: Limits) -> bytes:
    """Return the bytes at a URL.

    Another thread receives them while this one monitors the transfer rate: a connection timeout
    would never end a transfer that delivers a byte every few seconds.
    """
    body = _Body(limits.size)
    errors: list[Exception] = []

    def receive() -> None:
        download = pooch.HTTPDownloader(sys.stderr.isatty(), timeout=limits.timeout)
        try:
            download(url, body, None)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=receive, daemon=True)
    thread.start()
    before = 0
    thread.join(limits.window)
    while thread.is_alive():
        now = body.tell()
        if now - before < limits.rate * limits.window:
            body.close()  # ends the thread when its next bytes arrive
            raise OSError(
                f"the server sent fewer than {limits.rate:g} bytes per second for "
                f"{limits.window:g} s"
            )
        before = now
        thread.join(limits.window)
    if errors:
        raise errors.pop()  # avoids a reference cycle that would keep the connection open
    return body.getvalue()


def _check(content: bytes, file: File) -> None:
    """Raise ValueError unless the content is that of the official file."""
    if _sha256(content) == file.gz_sha256:
        return
    if is_html(content):
        raise ValueError("the server sent an HTML page, probably an error or login page")
    raise ValueError("the SHA-256 does not match the official file: a different or damaged file")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# For each exception, the reason and whether another attempt may succeed. By class name, because
# pooch lets requests' exceptions through but imports requests lazily.
_REASONS = {
    "SSLError": ("the TLS connection failed", False),
    "ProxyError": ("the connection failed", False),
    "ConnectTimeout": ("the connection timed out", False),
    "ReadTimeout": ("the connection timed out", True),
    "ChunkedEncodingError": ("the transfer was interrupted", True),
    "ConnectionError": ("the connection failed", True),
}

_TEMPORARY = frozenset({429, 500, 502, 503, 504})


def _reason(error: Exception) -> tuple[str, bool]:
    """Return why a download failed, and whether another attempt may succeed."""
    response = getattr(error, "response", None)
    if response is not None:
        status = response.status_code
        return f"the server returned status {status}", status in _TEMPORARY
    for kind in type(error).__mro__:
        if kind.__name__ in _REASONS:
            return _REASONS[kind.__name__]
    return " ".join(str(error).split()), False


def _retry_after(error: Exception) -> float:
    """Return the delay in seconds that the server asks for, or 0."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else 0.0


def _datasets(source: Source, paths: list[Path]) -> tuple[ImageDataset, ImageDataset]:
    arrays: list[Array] = [
        read_idx(path, file.payload_sha256) for path, file in zip(paths, source.files, strict=True)
    ]
    train, test = (
        ImageDataset(
            images[:, None],
            labels,
            source.classes,
            source.folder,
            scale=255.0,
            mean=source.mean,
            std=source.std,
            origin=str(paths[0].parent),
        )
        for images, labels in (arrays[:2], arrays[2:])
    )
    return train, test
