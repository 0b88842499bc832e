"""Image folders, CSV, npz and npy: what is read, and what is refused."""

import csv
import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.tools import each, rng
from tinygrad_np import data
from tinygrad_np.errors import ArgumentError, DataError

pytestmark = pytest.mark.slow

MNIST = os.environ.get("TINYGRAD_NP_DATA")


def pixels(count=6, *shape, seed=0):
    """Return random uint8 images."""
    return rng(seed).integers(0, 256, (count, *(shape or (4, 4))), np.uint8)


def save(path, image, **options):
    """Write a picture; create its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


def pets(folder, shape=(4, 5), count=2):
    """Write `count` images each of three classes, and return them in order."""
    images = pixels(3 * count, *shape)
    for i, image in enumerate(images):
        save(folder / ("ant", "bee", "cat")[i // count] / f"{i}.png", image)
    return images


def csv_text(images, labels, header=True):
    """Return images and labels as text in the format of Kaggle's train.csv."""
    rows = np.column_stack([labels, images.reshape(len(images), -1)]).tolist()
    names = ["label", *(f"pixel{i}" for i in range(len(rows[0]) - 1))]
    return "".join(",".join(map(str, row)) + "\n" for row in ([names] if header else []) + rows)


def message_of(call, kind=DataError):
    """Return the message of the error that a call raises."""
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


# Image folders.


def test_folders_are_classes_in_order(tmp_path):
    images = pets(tmp_path)
    found = data.image_folder(tmp_path)
    np.testing.assert_array_equal(found.images, images[:, None], strict=True)
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.classes == ("ant", "bee", "cat")
    assert (found.name, found.origin, found.scale) == (tmp_path.name, str(tmp_path), 255.0)


def test_colored_images_have_three_channels(tmp_path):
    colors = pixels(2, 4, 5, 3)
    save(tmp_path / "a" / "1.png", colors[0])
    save(tmp_path / "b" / "1.png", colors[1])
    found = data.image_folder(str(tmp_path))
    np.testing.assert_array_equal(found.images, colors.transpose(0, 3, 1, 2), strict=True)
    gray = data.image_folder(tmp_path, gray=True)
    expected = [np.asarray(Image.fromarray(one).convert("L")) for one in colors]
    assert gray.images[:, 0].tolist() == np.stack(expected).tolist()


def test_one_colored_image_makes_all_images_colored(tmp_path):
    pets(tmp_path)
    assert data.image_folder(tmp_path, gray=False).images.shape == (6, 3, 4, 5)
    save(tmp_path / "cat" / "red.png", Image.new("RGB", (5, 4), "red"))
    assert data.image_folder(tmp_path).images.shape == (7, 3, 4, 5)


def test_gray_images_saved_as_rgb_are_gray(tmp_path):
    save(tmp_path / "a" / "1.png", Image.fromarray(pixels(1)[0]).convert("RGB"))
    assert data.image_folder(tmp_path).images.shape == (1, 1, 4, 4)


def test_images_are_resized(tmp_path):
    save(
        tmp_path / "a" / "1.png",
        np.kron(np.array([[0, 100], [200, 50]], np.uint8), np.ones((8, 8), np.uint8)),
    )
    save(tmp_path / "a" / "2.jpg", np.full((30, 20), 128, np.uint8))
    found = data.image_folder(tmp_path, size=2)
    assert found.images.shape == (2, 1, 2, 2)
    assert np.abs(found.images[0, 0].astype(int) - [[0, 100], [200, 50]]).max() < 50
    assert np.abs(found.images[1].astype(int) - 128).max() <= 1
    assert data.image_folder(tmp_path, size=(3, 7)).images.shape == (2, 1, 3, 7)


def test_large_photo_is_averaged(tmp_path):
    board = np.indices((800, 600)).sum(0) % 2 * np.uint8(255)
    for suffix in ("png", "jpg"):
        save(tmp_path / "a" / f"1.{suffix}", board.astype(np.uint8))
    assert np.abs(data.image_folder(tmp_path, size=8).images.astype(int) - 127).max() <= 4


def test_large_jpeg_keeps_the_details_that_fit(tmp_path):
    stripes = np.tile(np.repeat([0, 255], 8), (320, 20)).astype(np.uint8)
    for suffix in ("png", "jpg"):
        save(tmp_path / "a" / f"1.{suffix}", stripes)
    one, other = data.image_folder(tmp_path, size=80).images.astype(int)
    assert one.std() > 60
    assert np.abs(one - other).mean() < 10


def test_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    save(tmp_path / "a" / "1.png", pixels(1, 4, 5)[0], exif=exif)
    found = data.image_folder(tmp_path).images
    np.testing.assert_array_equal(found[0, 0], np.rot90(pixels(1, 4, 5)[0], -1))


def test_palette_and_transparency_are_converted(tmp_path):
    drawing = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    drawing.paste((10, 10, 10, 255), (1, 1, 3, 3))
    save(tmp_path / "a" / "1.png", drawing)
    save(tmp_path / "a" / "2.png", Image.new("RGB", (4, 4), (0, 9, 0)).convert("P"))
    save(tmp_path / "a" / "3.png", Image.new("1", (4, 4), 1))
    save(tmp_path / "a" / "4.png", np.full((4, 4), 65535, np.uint16))
    found = data.image_folder(tmp_path).images
    assert found[0, 0].tolist() == [[255] * 4, [255, 10, 10, 255], [255, 10, 10, 255], [255] * 4]
    assert np.abs(found[1, :, 0, 0].astype(int) - [0, 9, 0]).max() <= 9
    assert (found[2:] == 255).all()


def test_hidden_files_and_files_next_to_the_classes_are_ignored(tmp_path):
    pets(tmp_path)
    for name in (".DS_Store", "ant/.DS_Store", "bee/Thumbs.db", "README.txt"):
        (tmp_path / name).write_text("x")
    for name in (".git", "__MACOSX"):
        (tmp_path / name).mkdir()
    assert len(data.image_folder(tmp_path)) == 6


def test_unreadable_image_is_named(tmp_path):
    pets(tmp_path)
    path = tmp_path / "bee" / "2.png"
    content = path.read_bytes()
    for damaged, expected in (
        (b"", "another format."),
        (b"hello", "expected a PNG, JPEG, BMP, GIF, WEBP or TIFF file, got another format."),
        (content[:60], "the image is damaged ("),
    ):
        path.write_bytes(damaged)
        message = message_of(lambda: data.image_folder(tmp_path))
        assert message.startswith(f"{path}: ")
        assert expected in message


def test_file_that_is_no_image_is_named(tmp_path):
    pets(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    message = message_of(lambda: data.load(tmp_path))
    assert message.startswith(f"{tmp_path / 'cat' / 'notes.txt'}: expected a PNG, JPEG")


def test_image_of_another_size_is_named(tmp_path):
    pets(tmp_path)
    save(tmp_path / "bee" / "9.png", pixels(1, 6, 7)[0])
    assert message_of(lambda: data.image_folder(tmp_path)) == (
        f"{tmp_path / 'bee' / '9.png'}: expected an image of 5x4 pixels, the size of "
        f"{tmp_path / 'ant' / '0.png'}, got 7x6. To resize all images, pass `size` or, on the "
        "command line, --image-size."
    )


def test_class_without_images_raises(tmp_path):
    pets(tmp_path)
    (tmp_path / "dog").mkdir()
    assert message_of(lambda: data.image_folder(tmp_path)) == (
        f"{tmp_path / 'dog'}: expected at least one image of the class 'dog', got an empty "
        "directory."
    )


def test_directory_without_classes_raises(tmp_path):
    save(tmp_path / "1.png", pixels(1)[0])
    assert message_of(lambda: data.load(tmp_path)) == (
        f"{tmp_path}: expected one subdirectory of images per class, got no subdirectories."
    )
    assert "cannot read the directory" in message_of(lambda: data.image_folder(tmp_path / "x"))
    assert "cannot read the directory" in message_of(lambda: data.image_folder(tmp_path / "1.png"))


def test_directory_in_a_class_raises(tmp_path):
    pets(tmp_path)
    (tmp_path / "cat" / "more").mkdir()
    assert message_of(lambda: data.image_folder(tmp_path)) == (
        f"{tmp_path / 'cat' / 'more'}: expected only image files in {tmp_path / 'cat'}, got a "
        "directory."
    )


def test_broken_link_to_a_class_raises(tmp_path):
    pets(tmp_path)
    (tmp_path / "dog").symlink_to(tmp_path / "elsewhere")
    assert message_of(lambda: data.load(tmp_path)) == (
        f"{tmp_path / 'dog'}: expected a link to a directory of images, got a broken link."
    )


def test_lack_of_memory_is_reported(tmp_path, monkeypatch):
    def fail(*args, **options):
        raise MemoryError

    pets(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", fail)
        assert message_of(lambda: data.image_folder(tmp_path)) == (
            f"{tmp_path}: there is not enough memory for 6 images of 5x4 pixels (0.0 GiB). Pass a "
            "smaller `size` or, on the command line, --image-size."
        )
    monkeypatch.setattr(Image.Image, "convert", fail)
    path = tmp_path / "ant" / "0.png"
    expected = f"{path}: there is not enough memory for the image."
    assert message_of(lambda: data.image_folder(tmp_path)) == expected


@each(
    ("options", "message"),
    [
        ({"size": 0}, "expected `height` to be an integer >= 1, got 0."),
        ({"size": (3, -1)}, "expected `width` to be an integer >= 1, got -1."),
        (
            {"size": (3, 4, 5)},
            "expected `size` to be an integer or (height, width), got (3, 4, 5).",
        ),
        ({"size": "28"}, "expected `size` to be an integer or (height, width), got '28'."),
        ({"gray": 1}, "expected `gray` to be True, False or None, got 1."),
    ],
)
def test_invalid_options_of_image_folder_raise(options, message, tmp_path):
    found = message_of(lambda: data.image_folder(tmp_path, **options), ArgumentError)
    assert found == f"image_folder: {message}"


@pytest.mark.parametrize("name", ["test", "Test", "val", "valid", "validation"])
def test_directories_for_training_and_testing(tmp_path, name):
    images = pets(tmp_path / ("Train" if name == "Test" else "train"))
    pets(tmp_path / name, count=1)
    train_set, test_set = data.load(tmp_path)
    assert train_set.images.tolist() == images[:, None].tolist()
    assert test_set.labels.tolist() == [0, 1, 2]
    assert train_set.name == test_set.name == tmp_path.name


def test_colors_in_only_the_test_images_make_all_colored(tmp_path):
    pets(tmp_path / "train")
    pets(tmp_path / "test")
    save(tmp_path / "test" / "ant" / "red.png", Image.new("RGB", (5, 4), "red"))
    assert [one.images.shape[1] for one in data.load(tmp_path)] == [3, 3]


def test_test_set_with_other_classes_or_sizes_raises(tmp_path):
    pets(tmp_path / "train")
    pets(tmp_path / "test", shape=(6, 5))
    assert message_of(lambda: data.load(tmp_path)) == (
        f"{tmp_path / 'test'}: expected images of shape (1, 4, 5), like those of the training set, "
        "got (1, 6, 5)."
    )
    save(tmp_path / "test" / "dog" / "1.png", pixels(1, 6, 5)[0])
    assert message_of(lambda: data.load(tmp_path)) == (
        f"{tmp_path / 'test'}: expected the classes of the training set, ant, bee, cat, got ant, "
        "bee, cat, dog."
    )


# CSV.


@pytest.mark.parametrize("header", [True, False])
def test_csv_is_read(tmp_path, header):
    images, labels = pixels(5, 3, 3), np.array([1, 0, 2, 2, 1])
    path = tmp_path / "train.csv"
    path.write_text(csv_text(images, labels, header))
    found = data.image_csv(path)
    np.testing.assert_array_equal(found.images, images[:, None], strict=True)
    np.testing.assert_array_equal(found.labels, labels, strict=True)
    assert (found.classes, found.scale, found.name) == (("0", "1", "2"), 255.0, "train")


def test_dialects_of_csv(tmp_path):
    path = tmp_path / "train.csv"
    expected = data.ImageDataset(pixels(4, 1, 2, 2), [0, 1, 0, 1], ("0", "1"))
    text = csv_text(expected.images, expected.labels)
    quoted = io.StringIO()
    rows = list(csv.reader(text.splitlines()))
    csv.writer(quoted, quoting=csv.QUOTE_ALL).writerows(rows)
    last = "".join(",".join([*row[1:], row[0]]) + "\n" for row in rows)
    for variant in (
        text.replace("\n", "\r\n"),
        "\ufeff" + text,
        "\ufeff" + text.partition("\n")[2],
        text + "\n\n",
        text.rstrip("\n"),
        text.replace(",", ", "),
        quoted.getvalue(),
        last,
        last.replace("label", "Class"),
    ):
        path.write_text(variant, encoding="utf-8", newline="")
        found = data.image_csv(path)
        assert found.images.tolist() == expected.images.tolist()
        assert found.labels.tolist() == expected.labels.tolist()


def test_header_of_column_numbers_is_no_image(tmp_path):
    path = tmp_path / "train.csv"
    images = pixels(4, 2, 2)
    path.write_text("0,1,2,3,4\n" + csv_text(images, [1, 0, 1, 0], header=False))
    found = data.image_csv(path)
    assert found.images.tolist() == images[:, None].tolist()
    assert found.labels.tolist() == [1, 0, 1, 0]


@each(
    ("line", "text", "message"),
    [
        (3, "1,2,3,4", "line 3: expected 5 columns, as in the first line, got 4."),
        (3, "1,2,3,4,5,6", "line 3: expected 5 columns, as in the first line, got 6."),
        (2, "1,2,3,x,5", "line 2, column 4: expected a pixel, an integer from 0 to 255, got 'x'."),
        (5, "1,2,3,4,", "line 5, column 5: expected a pixel, an integer from 0 to 255, got ''."),
        (
            4,
            "1,256,3,4,5",
            "line 4, column 2: expected a pixel, an integer from 0 to 255, got '256'.",
        ),
        (
            4,
            "1,-1,3,4,5",
            "line 4, column 2: expected a pixel, an integer from 0 to 255, got '-1'.",
        ),
        (
            4,
            "1,0.5,3,4,5",
            "line 4, column 2: expected a pixel, an integer from 0 to 255, got '0.5'.",
        ),
        (
            4,
            "1,9e9,3,4,5",
            "line 4, column 2: expected a pixel, an integer from 0 to 255, got '9e9'.",
        ),
        (
            4,
            "-1,0,3,4,5",
            "line 4, column 1: expected a label, an integer from 0 to 32767, got '-1'.",
        ),
        (
            2,
            "cat,0,3,4,5",
            "line 2, column 1: expected a label, an integer from 0 to 32767, got 'cat'.",
        ),
        (
            5,
            "7,1,2,3,4",
            "line 5: expected labels 0, 1, 2 and so on, each with at least one image, got 7 "
            "although no image has label 2. Pass data.load the names of all `classes` if this is "
            "intended.",
        ),
    ],
)
def test_bad_row_is_named(line, text, message, tmp_path):
    path = tmp_path / "train.csv"
    for before in ("", "\n"):  # an empty line counts, too
        lines = csv_text(pixels(6, 2, 2), np.arange(6) % 2).splitlines()
        lines[line - 1] = text
        path.write_text("\n".join([lines[0], *lines[1:]]) + "\n" + before)
        assert message_of(lambda: data.load(path)) in (f"{path}, {message}", f"{path}: {message}")
    lines.insert(1, "")
    path.write_text("\n".join(lines))
    moved = f"line {line + 1}"
    assert message_of(lambda: data.load(path)).startswith(f"{path}, {moved}")


@each(
    ("content", "message"),
    [
        (b"", "expected a label and pixels in the first line, got an empty one."),
        (b"label,pixel0\n", "expected rows with a label and pixels, got none."),
        (b"label\n1\n", "example 1 + 784 columns, got 1 column."),
        (b"1,2,3\n", "for example 1 + 784 columns, got 3 columns."),
        (
            b"pixel0,pixel1\n1,2\n",
            "expected a column named label, class or target, got pixel0,pixel1.",
        ),
        (b"1;2;3\n", "expected columns separated by commas, got semicolons in the first line."),
        (b"label\tpixel0\n", "expected columns separated by commas, got tabs in the first line."),
        (
            b"5.0,1\n",
            "line 1, column 1: expected a label, an integer from 0 to 32767, got '5.0'.",
        ),
        (b"PK\x03\x04\xff\xfe", "expected a CSV file, got other content ("),
        (b"label,pixel0\n1,\xff\n", "expected a CSV file, got other content ("),
    ],
)
def test_file_that_is_no_csv_raises(content, message, tmp_path):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    found = message_of(lambda: data.image_csv(path))
    assert found.startswith(str(path))
    assert message in found


def test_names_allow_classes_without_images(tmp_path):
    path = tmp_path / "letters.csv"
    path.write_text(csv_text(pixels(4, 2, 2), [1, 3, 1, 3]))
    train_set, _ = data.load(path, classes=["-", "A", "B", "C"])
    assert train_set.classes == ("-", "A", "B", "C")
    assert sorted({*train_set.labels.tolist()}) == [1, 3]
    assert message_of(lambda: data.load(path, classes=("A", "B", "C"))) == (
        f"{path}, line 3: expected a label from 0 to 2, got 3."
    )


# Arrays.


@pytest.mark.parametrize("upper", [False, True])
@each(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
)
def test_npz_with_a_test_set(names, upper, tmp_path):
    arrays = (pixels(6), np.arange(6) % 3, pixels(2, seed=1), np.array([[2], [0]], np.uint8))
    path = tmp_path / "mnist.npz"
    found = {
        (name.upper() if upper else name): one for name, one in zip(names, arrays, strict=True)
    }
    np.savez(path, **found, val_images=[1])
    train_set, test_set = data.load(path)
    np.testing.assert_array_equal(train_set.images, arrays[0][:, None], strict=True)
    assert train_set.labels.tolist() == [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(test_set.images, arrays[2][:, None], strict=True)
    assert test_set.labels.tolist() == [2, 0]
    assert test_set.labels.dtype == np.int64
    assert train_set.classes == test_set.classes == ("0", "1", "2")


@each("names", [("images", "labels"), ("X", "y")])
def test_npz_and_npy_without_a_test_set(names, tmp_path):
    images, labels = pixels(10, 3, 4), np.arange(10) % 2
    np.savez_compressed(tmp_path / "a.npz", **dict(zip(names, (images, labels), strict=True)))
    folder = tmp_path / names[0]
    folder.mkdir()
    for name, array in zip(names, (images, labels), strict=True):
        np.save(folder / f"{name}.npy", array)
    sets = [data.load(one) for one in (tmp_path / "a.npz", folder, folder / f"{names[0]}.npy")]
    sets.append(data.load(folder / f"{names[0]}.npy", labels=folder / f"{names[1]}.npy"))
    for train_set, test_set in sets:
        assert (len(train_set), len(test_set)) == (8, 2)
        whole = np.concatenate([train_set.images, test_set.images])
        assert sorted(whole.tolist()) == sorted(images[:, None].tolist())
        assert train_set.images.tolist() == sets[0][0].images.tolist()


def test_npy_of_any_name_with_labels(tmp_path):
    np.save(tmp_path / "photos.npy", pixels(10))
    np.save(tmp_path / "answers.npy", np.arange(10) % 2)
    train_set, _ = data.load(tmp_path / "photos.npy", tmp_path / "answers.npy")
    assert len(train_set) == 8
    message = message_of(lambda: data.load(tmp_path / "photos.npy"))
    assert message == (
        f"{tmp_path / 'photos.npy'}: expected a file of images named x_train.npy, "
        "train_images.npy, images.npy, x.npy next to that of the labels. Pass data.load both "
        "files, or rename them."
    )


@each(
    ("shape", "expected"),
    [
        ((5, 6, 7), (1, 6, 7)),
        ((5, 36), (1, 6, 6)),
        ((5, 6, 7, 1), (1, 6, 7)),
        ((5, 6, 7, 3), (3, 6, 7)),
        ((5, 1, 6, 7), (1, 6, 7)),
        ((5, 3, 6, 7), (3, 6, 7)),
        ((5, 3, 3, 3), (3, 3, 3)),
        ((5, 3, 8, 3), (3, 8, 3)),
    ],
)
def test_shapes_of_images(shape, expected, tmp_path):
    images = pixels(*shape)
    path = tmp_path / "a.npz"
    np.savez(path, x_train=images, y_train=[0, 0, 1, 1, 1], x_test=images, y_test=[0, 0, 1, 1, 1])
    found = data.load(path)[0].images
    assert found.shape == (5, *expected)
    channels_last = len(shape) == 4 and shape[1] not in (1, 3)
    reference = images.transpose(0, 3, 1, 2) if channels_last else images
    assert found.tolist() == reference.reshape(found.shape).tolist()


@each(
    ("values", "dtype", "scale"),
    [
        ([0, 7, 255, 1], np.uint8, 255.0),
        (np.array([0, 7, 255, 1], np.int64), np.uint8, 255.0),
        (np.array([0, 7, 255, 1], ">i4"), np.uint8, 255.0),
        (np.array([0, 7, 65535, 1], np.uint16), np.uint16, 65535.0),
        (np.array([0, 7, 65535, 1], ">u2"), np.uint16, 65535.0),
        (np.array([0, 1, 1, 0], bool), np.uint8, 255.0),
        (np.array([0, 0.5, 1, 0.25]), np.float32, 1.0),
        (np.array([0, 7, 255.0, 1.5]), np.float32, 255.0),
        (np.array([-1, 7, 255.0, 1.5]), np.float32, 1.0),
        (np.array([0, 7, 256.0, 1.5], np.float16), np.float32, 1.0),
    ],
)
def test_scale_follows_the_dtype(values, dtype, scale, tmp_path):
    images = np.array(values, getattr(values, "dtype", np.uint8)).reshape(2, 1, 2)
    sets = {"x_train": images, "y_train": [0, 1], "x_test": images, "y_test": [0, 1]}
    np.savez(tmp_path / "a.npz", **sets)
    for found in data.load(tmp_path / "a.npz"):
        assert (found.images.dtype, found.scale) == (dtype, scale)
        factor = 255 if images.dtype == bool else 1
        assert found.images.ravel().tolist() == (images.ravel() * factor).tolist()


def test_test_images_have_the_scale_of_the_training_images(tmp_path):
    arrays = {"x_train": np.full((2, 2, 2), 200.0), "x_test": np.zeros((2, 2, 2))}
    np.savez(tmp_path / "a.npz", **arrays, y_train=[0, 1], y_test=[0, 1])
    assert [one.scale for one in data.load(tmp_path / "a.npz")] == [255.0, 255.0]


@each(
    ("values", "tests", "message"),
    [
        (np.float64([0, 1]), np.float64([0, 255]), "from 0 to 1, got values from 0 to 255."),
        (np.float32([0, 200]), np.float32([0, 0.5]), "from 0 to 200, got values from 0 to 0.5."),
        (np.uint8([0, 1]), np.uint8([3, 255]), "from 0 to 1, got values from 3 to 255."),
        (np.float32([0, 1]), np.float32([0, 0.5]), None),
        (np.float32([-1, 1]), np.float32([-1, 2]), None),
    ],
)
def test_test_images_in_another_range_raise(values, tests, message, tmp_path):
    arrays = {"x_train": values.reshape(2, 1, 1), "x_test": tests.reshape(2, 1, 1)}
    np.savez(tmp_path / "a.npz", **arrays, y_train=[0, 1], y_test=[0, 1])
    if message is None:
        assert [len(one) for one in data.load(tmp_path / "a.npz")] == [2, 2]
        return
    assert message_of(lambda: data.load(tmp_path / "a.npz")) == (
        f"{tmp_path / 'a.npz'}: x_test: expected values in the range of x_train, {message}"
    )


def test_pixels_near_the_largest_float_are_normalized(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([-1e38, 1e38] * 5).reshape(10, 1, 1), y=[0, 1] * 5)
    train_set, _ = data.load(tmp_path / "a.npz")
    assert train_set.std == pytest.approx(1e38)


def test_batches_are_normalized_by_the_training_images(tmp_path):
    arrays = {"x_train": pixels(2500, 5, 5), "x_test": np.zeros((2, 5, 5), np.uint8)}
    labels = {"y_train": np.arange(2500) % 2, "y_test": [0, 1]}
    np.savez(tmp_path / "a.npz", **arrays, **labels)
    train_set, test_set = data.load(tmp_path / "a.npz")
    batch, _ = train_set.batch(slice(None))
    assert batch.mean() == pytest.approx(0, abs=1e-5)
    assert batch.std() == pytest.approx(1, abs=1e-5)
    scaled = arrays["x_train"] / 255
    assert test_set.batch(slice(1))[0][0, 0, 0, 0] == pytest.approx(-scaled.mean() / scaled.std())


def test_equal_pixels_can_be_normalized(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.full((10, 2, 2), 9, np.uint8), y=np.arange(10) % 2)
    assert data.load(tmp_path / "a.npz")[0].batch(slice(None))[0].max() == pytest.approx(
        0, abs=1e-6
    )


GOOD = {
    "x_train": pixels(4),
    "y_train": np.array([0, 1, 2, 1]),
    "x_test": pixels(3),
    "y_test": np.array([0, 1, 1]),
}


@each(
    ("changes", "message"),
    [
        (
            {"x_train": None},
            ": expected images and labels named x_train, y_train, x_test, y_test; ",
        ),
        (
            {"y_train": None},
            ": expected images and labels named x_train, y_train, x_test, y_test, got",
        ),
        ({"y_test": None}, ": expected both x_test and y_test, got only x_test."),
        (
            {"x_train": pixels(5)},
            ": y_train: expected labels of shape (5,), one per image, got (4,).",
        ),
        ({"x_train": pixels(4, 6)}, ": x_train: expected images of shape (N, H, W), (N, H, W, C)"),
        ({"x_train": pixels(4, 6, 7, 5)}, "or (N, H * W) with H = W, got (4, 6, 7, 5)."),
        ({"x_train": pixels(0)}, ": x_train: expected at least one image, got shape (0, 4, 4)."),
        ({"x_train": np.array(3)}, ": x_train: expected at least one image, got shape ()."),
        ({"x_train": np.array(["a"])}, ": x_train: expected an array of numbers, got <U1."),
        (
            {"x_train": np.array([{}])},
            ": x_train: expected an array of numbers, got pickled Python",
        ),
        ({"y_train": np.array([None] * 4)}, ": y_train: expected an array of numbers, got pickled"),
        (
            {"x_train": np.full((4, 4, 4), 256)},
            ": x_train[0]: expected integers from 0 to 255, got 256.",
        ),
        (
            {"x_train": np.full((4, 4, 4), -1)},
            ": x_train[0]: expected integers from 0 to 255, got -1.",
        ),
        (
            {"x_train": np.append(np.zeros(63), np.nan).reshape(4, 4, 4)},
            ": x_train[3]: expected finite float32 numbers, got nan.",
        ),
        (
            {"x_train": np.full((4, 4, 4), 1e300)},
            ": x_train[0]: expected finite float32 numbers, got 1e+300.",
        ),
        (
            {"y_train": np.array([0, 1, 2**63 + 5, 1], np.uint64)},
            ": y_train[2]: expected a label from 0 to 32767, got 9223372036854775813.",
        ),
        ({"y_train": np.ones(4)}, ": y_train: expected labels of an integer dtype, got float64."),
        (
            {"y_train": np.eye(4, dtype=int)},
            "expected labels of shape (4,), one per image, got (4, 4).",
        ),
        (
            {"y_train": np.array([0, 1, -2, 1])},
            ": y_train[2]: expected a label from 0 to 32767, got -2.",
        ),
        (
            {"y_train": np.array([0, 1, 3, 1])},
            ": y_train[2]: expected labels 0, 1, 2 and so on, each",
        ),
        ({"y_test": np.array([0, 1, 3])}, ": y_test[2]: expected a label from 0 to 2, got 3."),
        (
            {"x_test": pixels(3, 5, 5)},
            ": x_test: expected images of shape (1, 4, 4), like those of the training set, got",
        ),
        (
            {"x_test": np.zeros((3, 4, 4))},
            ": expected x_test of dtype uint8, like x_train, got float32.",
        ),
    ],
    ids=lambda case: case[1],
)
def test_bad_arrays_are_named(changes, message, tmp_path):
    arrays = {name: one for name, one in {**GOOD, **changes}.items() if one is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    (tmp_path / "folder").mkdir(exist_ok=True)
    for one in (tmp_path / "folder").iterdir():
        one.unlink()
    for name, one in arrays.items():
        np.save(tmp_path / "folder" / f"{name}.npy", one)
    found = message_of(lambda: data.load(tmp_path / "a.npz"))
    assert found.startswith(f"{tmp_path / 'a.npz'}: ")
    assert message in found
    # The same arrays as .npy files: those that cannot be read are named by their paths.
    found = message_of(lambda: data.load(tmp_path / "folder"))
    assert found.startswith(f"{tmp_path / 'folder'}")


def test_good_arrays_are_read(tmp_path):
    np.savez(tmp_path / "a.npz", **GOOD)
    assert [len(one) for one in data.load(tmp_path / "a.npz")] == [4, 3]


def test_damaged_npz_and_npy_raise(tmp_path):
    path, single = tmp_path / "a.npz", tmp_path / "images.npy"
    np.savez_compressed(path, **GOOD)
    np.save(single, GOOD["x_train"])
    np.save(tmp_path / "labels.npy", GOOD["y_train"])
    whole, array = path.read_bytes(), single.read_bytes()
    for content in (whole[:100], whole[:-30], whole[:60] + b"\0" * 40 + whole[100:]):
        path.write_bytes(content)
        message = message_of(lambda: data.load(path))
        assert message.startswith(f"{path}: ")
        assert "damaged" in message
    for content in (b"", b"hello", array):
        path.write_bytes(content)
        expected = f"{path}: expected NumPy's .npz format, got other content."
        assert message_of(lambda: data.load(path)) == expected
    for content in (array[:-1], array[:20]):
        single.write_bytes(content)
        assert message_of(lambda: data.load(single)).startswith(f"{single}: the array is damaged (")
    for content in (b"", b"hello", whole):
        single.write_bytes(content)
        expected = f"{single}: expected NumPy's .npy format, got other content."
        assert message_of(lambda: data.load(single)) == expected


def test_member_that_is_no_array_raises(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=GOOD["x_train"])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("y", "hello")
    found = message_of(lambda: data.load(path))
    assert found == f"{path}: y: expected labels of an integer dtype, got bytes."


def test_pickles_are_not_executed(tmp_path):
    class Harm:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harm"),))

    np.save(tmp_path / "images.npy", np.array([Harm()], object), allow_pickle=True)
    np.save(tmp_path / "labels.npy", np.array([0]))
    message = message_of(lambda: data.load(tmp_path / "images.npy"))
    assert "pickled Python objects, which are not loaded because they can run code." in message
    assert not (tmp_path / "harm").exists()


# Recognition and the split.


def test_test_set_is_held_out_by_class_and_seed(tmp_path):
    np.savez(tmp_path / "a.npz", x=pixels(40), y=np.repeat([0, 1], [30, 10]))
    train_set, test_set = data.load(tmp_path / "a.npz")
    assert np.bincount(train_set.labels).tolist() == [24, 8]
    assert np.bincount(test_set.labels).tolist() == [6, 2]
    same, other = (data.load(tmp_path / "a.npz", seed=seed)[1] for seed in (0, 1))
    assert test_set.images.tolist() == same.images.tolist()
    assert test_set.images.tolist() != other.images.tolist()
    assert len(data.load(tmp_path / "a.npz", test=0.5)[1]) == 20


def test_class_with_one_image_cannot_be_held_out(tmp_path):
    np.savez(tmp_path / "a.npz", x=pixels(4), y=[0, 0, 1, 0])
    assert message_of(lambda: data.load(tmp_path / "a.npz")) == (
        f"{tmp_path / 'a.npz'}: expected at least 2 images per class, to hold out a test set, got "
        "1 of the class '1'."
    )


@each(
    ("name", "options", "message"),
    [
        ("a.csv", {"test": 1}, "load: expected `test` to be above 0 and below 1, got 1."),
        ("a.csv", {"seed": -1}, "load: expected `seed` to be an integer >= 0, got -1."),
        ("a.csv", {"size": 28}, "which is not a directory of images."),
        ("a.csv", {"gray": True}, "which is not a directory of images."),
        ("a.csv", {"classes": "abc"}, "load: expected `classes` to be different names, for ex"),
        ("a.csv", {"classes": 5}, 'for example ("cat", "dog"), got 5.'),
        ("a.csv", {"classes": ["a", "a"]}, "(\"cat\", \"dog\"), got ['a', 'a']."),
        ("a.csv", {"classes": []}, 'for example ("cat", "dog"), got [].'),
        ("a.csv", {"labels": 5}, "load: expected `labels` to be a path, got 5."),
        ("", {"classes": ("a", "b", "c")}, "whose subdirectories name them."),
    ],
)
def test_invalid_arguments_raise(name, options, message, tmp_path):
    path = tmp_path / name
    if name:
        path.write_text(csv_text(pixels(4), [0, 0, 1, 1]))
    assert message in message_of(lambda: data.load(path, **options), ArgumentError)


@each("read", [data.load, data.image_folder, data.image_csv])
def test_values_that_are_no_paths_raise(read):
    expected = f"{read.__name__}: expected `path` to be a path, got None."
    assert message_of(lambda: read(None), ArgumentError) == expected


def test_invalid_classes_of_a_csv_file_raise(tmp_path):
    message = message_of(lambda: data.image_csv(tmp_path / "a.csv", 5), ArgumentError)
    assert message.startswith("image_csv: expected `classes` to be different names, for example")


def test_other_files_raise(tmp_path):
    other = tmp_path / "a.pdf"
    other.write_bytes(b"x")
    expected = "expected a directory of images or .npy files, or a .csv, .npz or .npy file"
    assert message_of(lambda: data.load(other)) == f"{other}: {expected}, got another file."
    missing = tmp_path / "b.csv"
    assert message_of(lambda: data.load(missing)) == (
        f"{missing}: file not found. {expected.capitalize()}."
    )
    (tmp_path / "c.npz").mkdir()
    assert "no subdirectories" in message_of(lambda: data.load(tmp_path / "c.npz"))


@pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA is not set")
def test_mnist_from_every_format_is_mnist(tmp_path):
    train_set, test_set = (one.first(2000) for one in data.mnist())
    sets = (train_set.images[:, 0], train_set.labels, test_set.images[:, 0], test_set.labels)
    np.savez(tmp_path / "mnist.npz", **dict(zip(GOOD, sets, strict=True)))
    (tmp_path / "train.csv").write_text(csv_text(*sets[:2]))
    for found, expected in zip(
        data.load(tmp_path / "mnist.npz"), (train_set, test_set), strict=True
    ):
        assert found.images.tolist() == expected.images.tolist()
        assert found.labels.tolist() == expected.labels.tolist()
        assert (found.mean, found.std) == pytest.approx((expected.mean, expected.std), abs=0.01)
    assert data.image_csv(tmp_path / "train.csv").images.tolist() == train_set.images.tolist()
    for i in range(40):
        name = tmp_path / "images" / str(train_set.labels[i]) / f"{i:02}.png"
        save(name, train_set.images[i, 0])
    order = np.argsort(train_set.labels[:40], kind="stable")
    found = data.image_folder(tmp_path / "images").images
    assert found.tolist() == train_set.images[order].tolist()
