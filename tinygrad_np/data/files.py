"""Labeled images in common file formats: image folders, CSV, npz and npy.

A file is read completely or not at all: any defect raises a DataError that names the file
and, if possible, the line or the index.
"""

import csv
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from PIL import Image

from tinygrad_np.checks import check_integer, is_integer, is_real
from tinygrad_np.data.dataset import ImageDataset
from tinygrad_np.data.photo import decode, upright, without_transparency
from tinygrad_np.display import number_of
from tinygrad_np.errors import ArgumentError, DataError, TinygradNpError
from tinygrad_np.files import exists, failure, is_folder
from tinygrad_np.runtime.memory import Array

FORMS = "a directory of images or .npy files, or a .csv, .npz or .npy file"

# Names of arrays, in lower case: training images and labels, then those of the test set, if any.
_NAMES: tuple[tuple[str, ...], ...] = (
    ("x_train", "y_train", "x_test", "y_test"),  # Keras
    ("train_images", "train_labels", "test_images", "test_labels"),  # MedMNIST
    ("images", "labels"),
    ("x", "y"),
)
_LABEL_COLUMNS = ("label", "class", "target")
# Subdirectories with the test set, next to `train`, in lower case; the first that exists is used.
_TEST_FOLDERS = ("test", "val", "valid", "validation")
_CLUTTER = ("thumbs.db", "desktop.ini", "__macosx")  # written by Windows and macOS
_MOST_LABELS = 1 << 15
_CHUNK = 1000


def load(
    path: str | Path,
    labels: str | Path | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    gray: bool | None = None,
    classes: Sequence[str] | None = None,
    test: float = 0.2,
    seed: int = 0,
) -> tuple[ImageDataset, ImageDataset]:
    """Return the training set and the test set in a file or directory.

    Args:
        path: one of

            - a directory with one subdirectory of images per class, see `image_folder`; or with
              two such directories, in any case: `train` and `test` (`val`, `valid`, `validation`);
            - a CSV file with a label and the pixels of an image per row, see `image_csv`;
            - an .npz file with arrays named `x_train`, `y_train`, `x_test`, `y_test` (Keras'
              mnist.npz); `train_images`, `train_labels`, `test_images`, `test_labels`; `images`,
              `labels`; or `x`, `y`. Case does not matter, and other arrays are ignored;
            - a directory of .npy files with these names, or the .npy file of the training images
              in such a directory;
            - any .npy file of images, if `labels` is given.
        labels: the .npy file of the labels.
        size: resize the images of a directory to this height and width.
        gray: convert the images of a directory to gray; see `image_folder`.
        classes: names of the classes if the labels are numbers; by default "0", "1" and so on, and
            then every class must occur. A directory names its classes itself.
        test: fraction of the images to hold out as the test set, stratified by class, if the file
            has no test set.
        seed: seed of that choice.

    Returns:
        The training set and the test set. Both are normalized by the mean and the standard
        deviation of the training images. `scale` is 255 for uint8, 65535 for uint16, and 1 for
        floats unless all are from 0 to 255 and some are above 1. Other integers must be from 0 to
        255 and become uint8. Images are of shape (N, H, W), (N, H, W, C), (N, C, H, W) or, if
        they are square and gray, (N, H * W), with 1 or 3 channels; they become (N, C, H, W).

    Raises:
        DataError: if a file is missing, damaged or of another kind, an image or row is invalid, the
            images differ in size, a label is out of range, or a class has no images. Arrays of
            Python objects are not loaded, because unpickling can run code.
        ArgumentError: if an argument is invalid or does not apply to the file.

    >>> import tempfile
    >>> from tinygrad_np import data
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     images = np.arange(40, dtype=np.uint8).reshape(10, 2, 2)
    ...     np.savez(f"{directory}/squares.npz", images=images, labels=np.arange(10) % 2)
    ...     train_set, test_set = data.load(f"{directory}/squares.npz")
    >>> train_set.images.shape, test_set.images.shape, train_set.classes
    ((8, 1, 2, 2), (2, 1, 2, 2), ('0', '1'))
    """
    if not is_real(test) or not 0 < test < 1:
        raise ArgumentError(f"load: expected `test` to be above 0 and below 1, got {test!r}.")
    check_integer("load", 0, seed=seed)
    path = _as_path("load", "path", path)
    labels = None if labels is None else _as_path("load", "labels", labels)
    is_images = labels is None and holds_images(path)
    _check_options(path, is_images, size, gray, classes)
    found: tuple[ImageDataset, ImageDataset | None]
    if not exists(path):
        raise DataError(f"{path}: file not found. Expected {FORMS}.")
    if labels is not None:
        arrays = _read_npy(path), _read_npy(labels)
        whole = _dataset(path, *arrays, ("images", f"labels in {labels}"), classes)
        found = whole, None
    elif is_images:
        found = _folders(path, size, gray)
    elif is_folder(path):
        found = _named_arrays(path, _npy_files(path), _read_npy, classes)
    elif path.suffix.lower() == ".csv":
        found = image_csv(path, classes), None
    elif path.suffix.lower() == ".npz":
        found = _read_npz(path, classes)
    elif path.suffix.lower() == ".npy":
        found = _partners(path, classes)
    else:
        raise DataError(f"{path}: expected {FORMS}, got another file.")
    train_set, test_set = found
    if test_set is None:
        train_set, test_set = _hold_out(path, train_set, test, seed)
    return _standardized(train_set, test_set)


def holds_images(path: str | Path) -> bool:
    """Return whether `path` is a directory without .npy files, which `load` reads as images."""
    return is_folder(path) and not _npy_files(Path(path))


def image_folder(
    path: str | Path, size: int | tuple[int, int] | None = None, gray: bool | None = None
) -> ImageDataset:
    """Read a directory with one subdirectory of images per class.

    Args:
        path: the directory. The names of its subdirectories, sorted, are the classes. They contain
            PNG, JPEG, BMP, GIF, WebP or TIFF files and nothing else, apart from hidden files.
        size: resize the images to this height and width, smoothly and without keeping the aspect
            ratio. By default, all images must have one size.
        gray: True for images of shape (1, H, W), False for (3, H, W): red, green, blue. By default,
            they are gray if no image has a colored pixel.

    Returns:
        The uint8 images, in the order of the file names, and their labels. `scale` is 255.

    Raises:
        DataError: if the directory or an image cannot be read, the images differ in size, or a
            class has no images; the message names the file.
        ArgumentError: if `size` is not one or two integers >= 1, or `gray` is not a bool.

    The EXIF orientation is applied. A transparent background becomes white for dark drawings and
    black for light ones, as in `load_digit`.

    >>> import tempfile
    >>> from tinygrad_np import data
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     for name in ("cat", "dog"):
    ...         (Path(directory) / name).mkdir()
    ...         Image.new("RGB", (40, 30), "brown").save(f"{directory}/{name}/1.png")
    ...     pets = data.image_folder(directory, size=8)
    >>> pets.images.shape, pets.classes, pets.labels.tolist()
    ((2, 3, 8, 8), ('cat', 'dog'), [0, 1])
    """
    sides = _sides(size)
    if gray is not None and not isinstance(gray, bool):
        raise ArgumentError(
            f"image_folder: expected `gray` to be True, False or None, got {gray!r}."
        )
    folder = _as_path("image_folder", "path", path)
    files = {one.name: _image_files(one) for one in _class_folders(folder)}
    paths = [one for members in files.values() for one in members]
    first = read_image(paths[0], sides, bool(gray))
    images = _make_room(folder, len(paths), first.shape)
    for row, one in enumerate(paths):
        image = read_image(one, sides, bool(gray)) if row else first
        if image.shape != first.shape:
            (height, width), (first_height, first_width) = image.shape[1:], first.shape[1:]
            raise DataError(
                f"{one}: expected an image of {first_width}x{first_height} pixels, the size of "
                f"{paths[0]}, got {width}x{height}. To resize all images, pass `size` or, on the "
                "command line, --image-size."
            )
        images[row] = image
    if gray is None and all((image == image[:1]).all() for image in images):
        images = images[:, :1].copy()
    labels = np.repeat(np.arange(len(files)), [len(members) for members in files.values()])
    name, origin = folder.resolve().name, str(folder)
    return ImageDataset(images, labels, tuple(files), name, scale=255.0, origin=origin)


def _make_room(folder: Path, count: int, shape: tuple[int, ...]) -> Array:
    """Return an array for the images of a directory, before they are all read."""
    try:
        return np.empty((count, *shape), np.uint8)
    except MemoryError as error:
        channels, height, width = shape
        raise DataError(
            f"{folder}: there is not enough memory for {number_of(count, 'image')} of "
            f"{width}x{height} pixels ({count * channels * height * width / 2**30:,.1f} GiB). Pass "
            "a smaller `size` or, on the command line, --image-size."
        ) from error


def image_csv(path: str | Path, classes: Sequence[str] | None = None) -> ImageDataset:
    r"""Read a CSV file with a label and the pixels of a square gray image per row.

    Args:
        path: the file. Kaggle's train.csv has a header, `label,pixel0,...,pixel783`. Without a
            header, or with pandas' default header, `0,1,2` and so on, the labels are in the first
            column; with another header, in the column named `label`, `class` or `target`. The
            pixels are integers from 0 to 255.
        classes: names of the classes; by default "0", "1" and so on, and every class must occur.

    Returns:
        The uint8 images, of shape (N, 1, H, H), and their labels. `scale` is 255.

    Raises:
        DataError: if the file cannot be read, a row has the wrong number of columns, or a label or
            a pixel is not a number or out of range; the message names the line.
        ArgumentError: if `classes` is not a list of different names.

    >>> import tempfile
    >>> from tinygrad_np import data
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory) / "train.csv"
    ...     _ = path.write_text("label,pixel0,pixel1,pixel2,pixel3\n1,0,9,255,0\n0,7,0,0,0\n")
    ...     dataset = data.image_csv(path)
    >>> dataset.images.tolist(), dataset.labels.tolist()
    ([[[[0, 9], [255, 0]]], [[[7, 0], [0, 0]]]], [1, 0])
    """
    path = _as_path("image_csv", "path", path)
    _check_classes("image_csv", classes)
    try:
        count, column, has_header = _csv_layout(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            rows = np.loadtxt(
                path.resolve(),
                np.int16,
                comments=None,
                delimiter=",",
                skiprows=has_header,
                ndmin=2,
                encoding="utf-8-sig",
                quotechar='"',
            )
        if not len(rows):
            raise DataError(f"{path}: expected rows with a label and pixels, got none.")
        labels, pixels = rows[:, column].astype(np.int64), np.delete(rows, column, axis=1)
        if labels.min() < 0 or pixels.min() < 0 or pixels.max() > 255:
            _raise_for_line(path, count, column, has_header, "a value is out of range")
        known = _check_labels(
            labels, classes, lambda row: f"{path}, line {_line_of(path, row + has_header)}"
        )
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file, got other content ({error}).") from error
    except DataError:
        raise
    except OSError as error:
        raise failure(path, "read", error) from error
    except ValueError as error:
        _raise_for_line(path, count, column, has_header, str(error))
    except MemoryError as error:
        raise DataError(f"{path}: there is not enough memory for the rows.") from error
    side = math.isqrt(count - 1)
    images = pixels.astype(np.uint8).reshape(-1, 1, side, side)
    return ImageDataset(images, labels, known, path.stem, scale=255.0, origin=str(path))


def read_image(path: Path, sides: tuple[int, int] | None, gray: bool) -> Array:
    """Return a picture as uint8 of shape (1, H, W) if `gray`, or (3, H, W), resized to `sides`."""

    def convert(picture: Image.Image) -> Array:
        if sides is not None:  # decode large JPEGs at a reduced size
            picture.draft(None, (2 * max(sides), 2 * max(sides)))
        picture = without_transparency(upright(picture)).convert("L" if gray else "RGB")
        if sides is not None:
            picture = picture.resize(sides[::-1], Image.Resampling.BILINEAR)  # averages if smaller
        return np.ascontiguousarray(np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1))

    return decode(path, str(path), convert)


def _as_path(who: str, name: str, value: Any) -> Path:
    """Return a path with `~` expanded; raise ArgumentError for other values."""
    try:
        return Path(value).expanduser()
    except (TypeError, RuntimeError) as error:  # a RuntimeError for `~name` of an unknown user
        raise ArgumentError(f"{who}: expected `{name}` to be a path, got {value!r}.") from error


def _check_options(path: Path, is_images: bool, size: Any, gray: Any, classes: Any) -> None:
    """Raise ArgumentError for options of `load` that are invalid or do not apply to the path."""
    if not is_images and (size is not None or gray is not None):
        raise ArgumentError(
            f"load: expected no `size` or `gray` with {path}, which is not a directory of images."
        )
    _check_classes("load", classes)
    if is_images and classes is not None:
        raise ArgumentError(
            f"load: expected no `classes` with {path}, whose subdirectories name them."
        )


def _check_classes(who: str, classes: Any) -> None:
    """Raise ArgumentError unless `classes` is None or a list of different names."""
    is_list = isinstance(classes, Sequence | np.ndarray) and not isinstance(classes, str | bytes)
    if classes is None or (is_list and len(set(map(str, classes))) == len(classes) > 0):
        return
    raise ArgumentError(
        f'{who}: expected `classes` to be different names, for example ("cat", "dog"), got '
        f"{classes!r}."
    )


def _sides(size: Any) -> tuple[int, int] | None:
    """Return `size` as height and width."""
    sides = (size, size) if is_integer(size) else size
    if sides is None:
        return None
    if not isinstance(sides, tuple | list) or len(sides) != 2:
        raise ArgumentError(
            f"image_folder: expected `size` to be an integer or (height, width), got {size!r}."
        )
    check_integer("image_folder", 1, height=sides[0], width=sides[1])
    return int(sides[0]), int(sides[1])


def _entries(folder: Path) -> list[Path]:
    """Return the entries of a directory in order, without hidden ones."""
    try:
        return sorted(
            one
            for one in folder.iterdir()
            if not one.name.startswith(".") and one.name.lower() not in _CLUTTER
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder}: cannot read the directory ({getattr(error, 'strerror', None) or error})."
        ) from error


def _class_folders(folder: Path) -> list[Path]:
    entries = _entries(folder)
    for one in entries:
        if one.is_symlink() and not exists(one):
            raise DataError(f"{one}: expected a link to a directory of images, got a broken link.")
    found = [one for one in entries if one.is_dir()]
    if not found:
        raise DataError(
            f"{folder}: expected one subdirectory of images per class, got no subdirectories."
        )
    return found


def _image_files(folder: Path) -> list[Path]:
    found = _entries(folder)
    if not found:
        raise DataError(
            f"{folder}: expected at least one image of the class {folder.name!r}, got an empty "
            "directory."
        )
    for one in found:
        if one.is_dir():
            raise DataError(f"{one}: expected only image files in {folder}, got a directory.")
    return found


def _folders(path: Path, size: Any, gray: bool | None) -> tuple[ImageDataset, ImageDataset | None]:
    """Read a directory of classes, or its subdirectories for training and testing."""
    folders = {one.name.lower(): one for one in _class_folders(path)}
    held_out = next((folders[name] for name in _TEST_FOLDERS if name in folders), None)
    if "train" not in folders or held_out is None:
        return image_folder(path, size, gray), None
    parts = [image_folder(one, size, gray) for one in (folders["train"], held_out)]
    if parts[0].images.shape[1] != parts[1].images.shape[1]:
        # Only one of the two has colors.
        parts = [image_folder(one, size, gray=False) for one in (folders["train"], held_out)]
    train_set, test_set = (replace(one, name=path.resolve().name) for one in parts)
    _check_same(str(held_out), train_set, test_set)
    return train_set, test_set


def _check_same(test_path: str, train_set: ImageDataset, test_set: ImageDataset) -> None:
    """Raise DataError unless the test set has the classes and the shape of the training set."""
    if train_set.classes != test_set.classes:
        raise DataError(
            f"{test_path}: expected the classes of the training set, "
            f"{', '.join(train_set.classes)}, got {', '.join(test_set.classes)}."
        )
    expected, got = train_set.images.shape[1:], test_set.images.shape[1:]
    if expected != got:
        raise DataError(
            f"{test_path}: expected images of shape {expected}, like those of the training set, "
            f"got {got}."
        )


def _hold_out(
    path: Path, whole: ImageDataset, test: float, seed: int
) -> tuple[ImageDataset, ImageDataset]:
    counts = np.bincount(whole.labels, minlength=len(whole.classes))
    if (single := np.flatnonzero(counts == 1)).size:
        raise DataError(
            f"{path}: expected at least 2 images per class, to hold out a test set, got 1 of the "
            f"class {whole.classes[single[0]]!r}."
        )
    return whole.split(test, seed)


def _standardized(
    train_set: ImageDataset, test_set: ImageDataset
) -> tuple[ImageDataset, ImageDataset]:
    """Set mean and std of both to those of the training images, divided by `scale`."""
    # In parts, because float64 values of all images could take gigabytes.
    parts = [train_set.images[i : i + _CHUNK] for i in range(0, len(train_set), _CHUNK)]
    mean = sum(float(part.sum(dtype=np.float64)) for part in parts) / train_set.images.size
    squares = sum(float(np.square(part - np.float64(mean)).sum()) for part in parts)
    std = (squares / train_set.images.size) ** 0.5 or train_set.scale  # std 1 if all are equal
    scale = train_set.scale
    mean, std = mean / scale, std / scale
    return (
        replace(train_set, mean=mean, std=std),
        replace(test_set, scale=scale, mean=mean, std=std),
    )


def _check_labels(
    labels: Array, classes: Sequence[str] | None, where: Callable[[int], str]
) -> tuple[str, ...]:
    """Return the names of the classes; raise DataError if a label is out of range."""
    last = _MOST_LABELS - 1 if classes is None else len(classes) - 1
    if (bad := np.flatnonzero((labels < 0) | (labels > last))).size:
        raise DataError(
            f"{where(bad[0])}: expected a label from 0 to {last}, got {labels[bad[0]]}."
        )
    if classes is not None:
        return tuple(classes)
    present = np.unique(labels)
    if (gaps := np.flatnonzero(present != np.arange(len(present)))).size:
        row = int(np.argmax(labels == present[gaps[0]]))
        raise DataError(
            f"{where(row)}: expected labels 0, 1, 2 and so on, each with at least one image, got "
            f"{labels[row]} although no image has label {gaps[0]}. Pass data.load the names of all "
            "`classes` if this is intended."
        )
    return tuple(map(str, range(len(present))))


def _csv_layout(path: Path) -> tuple[int, int, int]:
    """Return the numbers of columns, of the label's column, and of header lines: 0 or 1."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next(csv.reader(file), [])
    if not first:
        raise DataError(f"{path}: expected a label and pixels in the first line, got an empty one.")
    if len(first) == 1 and (other := next((one for one in ";\t" if one in first[0]), None)):
        raise DataError(
            f"{path}: expected columns separated by commas, got "
            f"{'semicolons' if other == ';' else 'tabs'} in the first line."
        )
    names = [name.strip().lower() for name in first]
    is_numbered = names == [str(i) for i in range(len(names))]  # by pandas
    column, has_header = 0, is_numbered or not _is_number(names[0])
    if has_header and not is_numbered:
        found = [names.index(name) for name in _LABEL_COLUMNS if name in names]
        if not found:
            raise DataError(
                f"{path}: expected a column named {', '.join(_LABEL_COLUMNS[:-1])} or "
                f"{_LABEL_COLUMNS[-1]}, got {','.join(first):.60}. Files such as Kaggle's test.csv "
                "have no labels."
            )
        column = found[0]
    if len(first) < 2 or math.isqrt(len(first) - 1) ** 2 != len(first) - 1:
        raise DataError(
            f"{path}: expected a label and the pixels of a square image in each row, for example "
            f"1 + 784 columns, got {number_of(len(first), 'column')}."
        )
    return len(first), column, int(has_header)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _line_of(path: Path, row: int) -> int:
    """Return the line number of a row, counted from 0 without empty ones."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        return next(reader.line_num for i, _ in enumerate(filter(None, reader)) if i == row)


def _raise_for_line(path: Path, count: int, column: int, has_header: int, reason: str) -> NoReturn:
    """Raise a DataError about the first bad line of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for i, row in enumerate(filter(None, reader)):
            where = f"{path}, line {reader.line_num}"
            if len(row) != count:
                raise DataError(
                    f"{where}: expected {number_of(count, 'column')}, as in the first line, got "
                    f"{len(row)}."
                )
            if i < has_header:
                continue
            for j, text in enumerate(row):
                most = _MOST_LABELS - 1 if j == column else 255
                number = text.strip()
                if not (number.isascii() and number.isdigit() and int(number) <= most):
                    what = "label" if j == column else "pixel"
                    raise DataError(
                        f"{where}, column {j + 1}: expected a {what}, an integer from 0 to {most}, "
                        f"got {text!r:.40}."
                    )
    raise DataError(f"{path}: expected integers separated by commas ({reason}).")


def _npy_files(folder: Path) -> dict[str, Path]:
    """Return the .npy files of a directory by their names in lower case."""
    return {one.stem.lower(): one for one in _entries(folder) if one.suffix.lower() == ".npy"}


def _read_npy(path: Path) -> Any:
    with _translate_errors(path, str(path)), path.open("rb") as file:
        _check_start(path, file, b"\x93NUMPY", ".npy")
        return np.load(file, allow_pickle=False)


def _read_npz(
    path: Path, classes: Sequence[str] | None
) -> tuple[ImageDataset, ImageDataset | None]:
    with _translate_errors(path, str(path)), path.open("rb") as file:
        _check_start(path, file, b"PK", ".npz")
        with np.load(file, allow_pickle=False) as archive:
            names = {name.lower(): name for name in archive.files}

            def read(name: str) -> Any:
                with _translate_errors(path, f"{path}: {name}"):
                    return archive[name]

            return _named_arrays(path, names, read, classes)


def _check_start(path: Path, file: IO[bytes], start: bytes, suffix: str) -> None:
    if file.read(len(start)) != start:
        raise DataError(f"{path}: expected NumPy's {suffix} format, got other content.")
    file.seek(0)


@contextmanager
def _translate_errors(path: Path, who: str) -> Iterator[None]:
    """Raise the errors of reading `who` in the file `path` as a DataError."""
    try:
        yield
    except TinygradNpError:
        raise
    except zipfile.BadZipFile as error:
        raise DataError(f"{who}: the file is damaged ({error}).") from error
    except OSError as error:
        raise failure(path, "read", error) from error
    except MemoryError as error:
        raise DataError(f"{who}: there is not enough memory for the array.") from error
    except Exception as error:  # damaged files make zipfile and NumPy raise errors of any kind
        if "allow_pickle" in str(error):
            raise DataError(
                f"{who}: expected an array of numbers, got pickled Python objects, which are not "
                "loaded because they can run code. Save the array with a numeric dtype."
            ) from error
        raise DataError(f"{who}: the array is damaged ({error}).") from error


def _partners(
    path: Path, classes: Sequence[str] | None
) -> tuple[ImageDataset, ImageDataset | None]:
    """Read an .npy file of training images, and the files that belong to it."""
    if path.stem.lower() not in {names[0] for names in _NAMES}:
        raise DataError(
            f"{path}: expected a file of images named "
            f"{', '.join(f'{names[0]}.npy' for names in _NAMES)} next to that of the labels. Pass "
            "data.load both files, or rename them."
        )
    files = {path.stem.lower(): path}
    return _named_arrays(path, {**_npy_files(path.parent), **files}, _read_npy, classes, path.stem)


def _named_arrays(
    path: Path,
    names: Mapping[str, Any],
    read: Callable[[Any], Any],
    classes: Sequence[str] | None,
    first: str = "",
) -> tuple[ImageDataset, ImageDataset | None]:
    """Return the datasets of arrays with known names.

    Args:
        path: the file or directory that contains the arrays.
        names: what `read` needs to read each array, by its name in lower case.
        read: returns an array.
        classes: names of the classes.
        first: name of the training images, if it is known.
    """
    usual = next((one for one in _NAMES if one[0] in names and first.lower() in ("", one[0])), None)
    if usual is None or usual[1] not in names:
        expected = "; ".join(map(", ".join, _NAMES)) if usual is None else ", ".join(usual)
        got = ", ".join(map(str, names)) or "no arrays"
        raise DataError(f"{path}: expected images and labels named {expected}, got {got}.")
    tests = [name for name in usual[2:] if name in names]
    if len(tests) == 1:
        raise DataError(f"{path}: expected both {usual[2]} and {usual[3]}, got only {tests[0]}.")
    images, labels = (read(names[name]) for name in usual[:2])
    train_set = _dataset(path, images, labels, usual[:2], classes)
    if not tests:
        return train_set, None
    images, labels = (read(names[name]) for name in tests)
    test_set = _dataset(path, images, labels, usual[2:], train_set.classes)
    test_set = replace(test_set, origin=f"{path}: {usual[2]}")
    if test_set.images.dtype != train_set.images.dtype:
        raise DataError(
            f"{path}: expected {usual[2]} of dtype {train_set.images.dtype}, like {usual[0]}, got "
            f"{test_set.images.dtype}."
        )
    _check_same(f"{path}: {usual[2]}", train_set, test_set)
    _check_range(path, train_set.images, test_set.images, usual)
    return train_set, test_set


def _check_range(path: Path, images: Array, tests: Array, names: Sequence[str]) -> None:
    """Raise DataError if one of the two has values from 0 to 1, and the other has larger ones."""
    (low, high), (test_low, test_high) = ((one.min(), one.max()) for one in (images, tests))
    is_dark = low < 0 or not test_high  # standardized, or without any ink
    if not is_dark and (high <= 1) != (test_high <= 1):
        raise DataError(
            f"{path}: {names[2]}: expected values in the range of {names[0]}, from {low:g} to "
            f"{high:g}, got values from {test_low:g} to {test_high:g}."
        )


def _dataset(
    path: Path, images: Any, labels: Any, names: Sequence[str], classes: Sequence[str] | None
) -> ImageDataset:
    """Return an ImageDataset of arrays, converted to shape (N, C, H, W).

    Args:
        path: the file.
        images: the stored images, not checked yet.
        labels: the stored labels, not checked yet.
        names: names of the two for error messages.
        classes: names of the classes.
    """
    who, labels_who = (f"{path}: {name}" for name in names)
    images, scale = _scaled(who, _channels_first(who, images))
    labels = _integers(labels_who, labels, len(images))

    def where(row: int) -> str:
        return f"{labels_who}[{row}]"

    known = _check_labels(labels, classes, where)
    name = path.stem if path.suffix else path.resolve().name
    labels = labels.astype(np.int64)
    return ImageDataset(images, labels, known, name, scale=scale, origin=str(path))


def _channels_first(who: str, images: Any) -> Array:
    """Return images of any usual shape as (N, C, H, W)."""
    if not isinstance(images, np.ndarray) or images.dtype.kind not in "biuf":
        kind = getattr(images, "dtype", type(images).__name__)
        raise DataError(f"{who}: expected an array of numbers, got {kind}.")
    shape = images.shape
    side = round(shape[1] ** 0.5) if len(shape) == 2 else 0
    if 0 in shape or not shape:
        raise DataError(f"{who}: expected at least one image, got shape {shape}.")
    if len(shape) == 3:
        return images[:, None]
    if len(shape) == 2 and side * side == shape[1]:
        return images.reshape(-1, 1, side, side)
    if len(shape) == 4 and shape[1] in (1, 3):
        return images
    if len(shape) == 4 and shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise DataError(
        f"{who}: expected images of shape (N, H, W), (N, H, W, C), (N, C, H, W) with 1 or 3 "
        f"channels, or (N, H * W) with H = W, got {shape}."
    )


def _scaled(who: str, images: Array) -> tuple[Array, float]:
    """Return images as uint8, uint16 or floats of 32 bits or more, and their `scale`."""
    images = images.astype(images.dtype.newbyteorder("="), copy=False)
    dtype = images.dtype
    if dtype == np.uint8:
        return images, 255.0
    if dtype == np.uint16:
        return images, 65535.0
    if dtype.kind == "b":
        return images.astype(np.uint8) * np.uint8(255), 255.0
    is_bad = (images < 0) | (images > 255)
    if dtype.kind == "f":
        is_bad = ~(np.abs(images) <= np.finfo(np.float32).max)
    if is_bad.any():
        row = int(np.argmax(is_bad.any(axis=(1, 2, 3))))
        expected = "finite float32 numbers" if dtype.kind == "f" else "integers from 0 to 255"
        raise DataError(f"{who}[{row}]: expected {expected}, got {images[is_bad][0]}.")
    if dtype.kind in "iu":
        return images.astype(np.uint8), 255.0
    is_bytes = images.min() >= 0 and 1 < images.max() <= 255
    return images.astype(np.float32), 255.0 if is_bytes else 1.0


def _integers(who: str, labels: Any, count: int) -> Array:
    """Return labels of shape (N,) or (N, 1) as an array of shape (N,)."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        kind = getattr(labels, "dtype", type(labels).__name__)
        raise DataError(f"{who}: expected labels of an integer dtype, got {kind}.")
    if labels.shape not in ((count,), (count, 1)):
        raise DataError(
            f"{who}: expected labels of shape ({count},), one per image, got {labels.shape}."
        )
    return labels.reshape(-1)
