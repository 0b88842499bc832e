"""Metrics by hand, and weights on disk."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from models import DigitsCNN, LabCNN, MnistCNNLight
from tinygrad_np import Tensor, TinygradNpError, train
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, ShapeError
from tinygrad_np.files import write_bytes


def rng(seed=0):
    """Return a generator."""
    return np.random.default_rng(seed)


# Accuracy.

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [-3.0, -2.0, -1.0], [9.0, 8.0, 9.5]])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0, 1, 2, 2], 1.0), ([0, 1, 2, 0], 0.75), ([0, 0, 0, 2], 0.5), ([1, 2, 0, 1], 0.0)],
)
def test_accuracy(labels, expected):
    """The part of rows whose largest logit is at the label."""
    assert train.accuracy(LOGITS, np.array(labels)) == expected


@pytest.mark.parametrize("logits", [LOGITS, LOGITS.tolist(), Tensor(LOGITS)])
@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 0], np.array([0, 1, 2, 0], np.uint8), Tensor([0, 1, 2, 0])]
)
def test_accuracy_takes(logits, labels):
    """Logits and labels may be Tensors, arrays or lists; the result is a float."""
    found = train.accuracy(logits, labels)
    assert type(found) is float
    assert found == 0.75


def test_accuracy_of_a_models_output():
    """Logits may be part of a graph."""
    images = Tensor.randn(4, 1, 8, 8, generator=rng())
    logits = DigitsCNN(rng())(images)
    assert logits.requires_grad
    assert train.accuracy(logits, logits.numpy().argmax(1)) == 1.0


@pytest.mark.parametrize("label", [7, -1, 0.5])
def test_accuracy_of_labels_that_are_no_class(label):
    with pytest.raises(ArgumentError, match=rf"^accuracy: label {label} at position 1 is not one"):
        train.accuracy(np.zeros((2, 3)), np.array([0, label]))


def test_classes_that_are_no_numbers():
    with pytest.raises(DtypeError, match=r"^confusion_matrix: got labels of dtype <U1, expected"):
        train.confusion_matrix([0], ["a"], 2)


def test_accuracy_of_ties():
    """Of equal logits the first counts."""
    assert train.accuracy(np.zeros((2, 3)), np.array([0, 1])) == 0.5


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (LOGITS, [0, 1, 2]),
        (LOGITS, [[0], [1], [2], [0]]),
        (LOGITS, np.eye(4)),
        (LOGITS, 1),
        (LOGITS[0], [0, 1, 2]),
        (LOGITS[None], [0]),
        (LOGITS[:0], []),
        (1.0, 1),
    ],
    ids=[
        "fewer-labels",
        "column",
        "one-hot",
        "one-label",
        "one-row",
        "three-axes",
        "empty",
        "numbers",
    ],
)
def test_accuracy_refuses(logits, labels):
    """Logits are rows, at least one, and labels are one for each; both shapes are named."""
    with pytest.raises(ShapeError) as caught:
        train.accuracy(logits, labels)
    words = f"accuracy: got logits {np.shape(logits)} and labels {np.shape(labels)}, expected (N, C"
    assert str(caught.value).startswith(words)


# Confusion matrix.


def test_confusion_matrix():
    """Rows are true labels, columns predictions."""
    labels = [0, 0, 0, 1, 1, 2]
    predicted = [0, 1, 1, 1, 2, 0]
    expected = [[1, 2, 0], [0, 1, 1], [1, 0, 0]]
    assert train.confusion_matrix(predicted, labels, 3).tolist() == expected


def test_confusion_matrix_by_loop():
    """Each pair adds one at its place."""
    labels, predicted = rng(0).integers(0, 10, 500), rng(1).integers(0, 10, 500)
    expected = np.zeros((10, 10), int)
    for label, guess in zip(labels, predicted, strict=True):
        expected[label, guess] += 1
    np.testing.assert_array_equal(train.confusion_matrix(predicted, labels, 10), expected)


@pytest.mark.slow
def test_confusion_matrix_is_scikit_learns():
    """scikit-learn counts the same, and in the same orientation."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    labels, predicted = rng(0).integers(0, 5, 300), rng(1).integers(0, 5, 300)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(5))
    np.testing.assert_array_equal(train.confusion_matrix(predicted, labels, 5), expected)
    rows = np.eye(5)[predicted]
    assert train.accuracy(rows, labels) == pytest.approx(metrics.accuracy_score(labels, predicted))


def test_confusion_matrix_of_absent_classes():
    """Classes that do not occur have a row and a column too."""
    found = train.confusion_matrix([1], [1], 4)
    assert found.shape == (4, 4)
    assert found.sum() == found[1, 1] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64])
def test_confusion_matrix_of_small_integers(dtype):
    """Labels of few bits do not overflow."""
    labels = np.arange(100, dtype=dtype)
    np.testing.assert_array_equal(train.confusion_matrix(labels, labels, 100), np.eye(100))


def test_confusion_matrix_of_tensors():
    """Tensors will do."""
    assert train.confusion_matrix(Tensor([0, 1]), Tensor([0, 0]), 2).tolist() == [[1, 1], [0, 0]]


def test_confusion_matrix_agrees_with_accuracy():
    """The diagonal counts what accuracy counts."""
    logits, labels = rng(0).standard_normal((200, 4)), rng(1).integers(0, 4, 200)
    matrix = train.confusion_matrix(logits.argmax(1), labels, 4)
    assert np.trace(matrix) / matrix.sum() == train.accuracy(logits, labels)


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [([0, 1], [0, 1, 2]), ([0], [0, 1]), ([[0, 1]], [[0, 1]]), (0, 0), (np.eye(3), [0, 1, 2])],
    ids=["fewer", "broadcast", "two-axes", "numbers", "one-hot"],
)
def test_confusion_matrix_refuses_shapes(predicted, labels):
    """Predictions and labels are two lists of the same length; both shapes are named."""
    words = f"got predicted {np.shape(predicted)} and labels {np.shape(labels)}, expected (N,) both"
    with pytest.raises(ShapeError, match=f"^confusion_matrix: {re.escape(words)}"):
        train.confusion_matrix(predicted, labels, 3)


@pytest.mark.parametrize("bad", [-1, 3, 100, 1.5, np.nan, np.inf])
def test_confusion_matrix_refuses_classes(bad):
    """A class that there is not is named with its position: it is not counted elsewhere."""
    good, odd = np.array([0, 1, 2]), np.array([0, 1, bad])
    words = re.escape(f"{odd[2]} at position 2 is not one of 0..2")
    with pytest.raises(ArgumentError, match=f"^confusion_matrix: label {words}"):
        train.confusion_matrix(good, odd, 3)
    with pytest.raises(ArgumentError, match=f"^confusion_matrix: predicted class {words}"):
        train.confusion_matrix(odd, good, 3)


def test_confusion_matrix_of_whole_floats():
    """Whole numbers may be floats."""
    assert train.confusion_matrix([0.0, 1.0], [0, 1], 2).tolist() == [[1, 0], [0, 1]]


def test_confusion_matrix_of_nothing():
    """No pairs give a matrix of zeros."""
    np.testing.assert_array_equal(train.confusion_matrix([], [], 2), np.zeros((2, 2)))


# Classification report.

PREDICTED, LABELS = [0, 1, 1, 1, 2, 0, 4], [0, 0, 0, 1, 1, 2, 2]  # class 3 in neither, 4 in one


def test_classification_report():
    """Scores by hand: 0 for classes without predictions or labels."""
    report = train.classification_report(PREDICTED, LABELS, 5)
    assert report.names == ("0", "1", "2", "3", "4")
    np.testing.assert_allclose(report.precision, [1 / 2, 1 / 3, 0, 0, 0])
    np.testing.assert_allclose(report.recall, [1 / 3, 1 / 2, 0, 0, 0])
    np.testing.assert_allclose(report.f1, [2 / 5, 2 / 5, 0, 0, 0])
    np.testing.assert_array_equal(report.support, [3, 2, 2, 0, 0])
    assert report.accuracy == 2 / 7
    assert report.macro == pytest.approx((5 / 6 / 5, 5 / 6 / 5, 4 / 5 / 5))
    weighted = ((3 / 2 + 2 / 3) / 7, (1 + 1) / 7, (6 / 5 + 4 / 5) / 7)
    assert report.weighted == pytest.approx(weighted)
    assert report.weighted.f1 == pytest.approx(2 / 7)


def test_classification_report_of_one_class():
    """All right in the only class that occurs."""
    report = train.classification_report(Tensor([1, 1]), Tensor([1, 1]), 3)
    assert report.accuracy == 1.0
    assert report.f1.tolist() == [0.0, 1.0, 0.0]
    assert tuple(report.macro) == pytest.approx((1 / 3,) * 3)
    assert tuple(report.weighted) == (1.0, 1.0, 1.0)


def test_classification_report_table():
    """A line for each class with its name, and the means."""
    names = ["T-shirt", "a class of long name", "bag", "x", "y"]
    report = train.classification_report(PREDICTED, LABELS, 5, names=names)
    lines = str(report).splitlines()
    assert lines[0].split() == ["precision", "recall", "F1", "support"]
    assert lines[2].split() == [
        "a",
        "class",
        "of",
        "long",
        "name",
        "0.3333",
        "0.5000",
        "0.4000",
        "2",
    ]
    assert lines[-3].split() == ["accuracy", "0.2857", "7"]
    assert lines[-2].split() == ["macro", "mean", "0.1667", "0.1667", "0.1600", "7"]
    assert lines[-1].split()[:2] == ["weighted", "mean"]
    assert len({len(line) for line in lines if line}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_classification_report_is_scikit_learns(seed):
    """scikit-learn finds the same, with its warnings about absent classes switched off."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    generator = rng(seed)
    count = int(generator.integers(1, 60))
    labels, predicted = generator.integers(0, 8, count), generator.integers(1, 9, count)
    found = train.classification_report(predicted, labels, 9)
    expected = metrics.classification_report(
        labels, predicted, labels=range(9), zero_division=0, output_dict=True
    )
    for kind in range(9):
        row = [found.precision[kind], found.recall[kind], found.f1[kind], found.support[kind]]
        assert row == pytest.approx(list(expected[str(kind)].values()))
    assert list(found.macro) == pytest.approx(list(expected["macro avg"].values())[:3])
    assert list(found.weighted) == pytest.approx(list(expected["weighted avg"].values())[:3])
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([0, 1], [0], 2), ShapeError, "got predicted (2,) and labels (1,), expected (N,) both"),
        (([0, 2], [0, 1], 2), ArgumentError, "predicted class 2 at position 1 is not one of 0..1"),
        (([], [], 2), ShapeError, "got no labels, expected (N,) with N at least 1"),
        (([0], [0], 2, ["a"]), ArgumentError, "got 1 names, expected one for each of 2 classes"),
    ],
)
def test_classification_report_refuses(arguments, error, words):
    """What makes no report is told, by the confusion matrix where it is about the classes."""
    with pytest.raises(
        error, match=rf"^(classification_report|confusion_matrix): {re.escape(words)}"
    ):
        train.classification_report(*arguments)


# Weights on disk.

DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool"]


def arrays(dtype="float32"):
    """Return arrays of all memory orders, with and without axes and entries."""
    whole = np.arange(24).reshape(2, 3, 4).astype(dtype)
    return {
        "plain": whole,
        "transposed": whole.T,
        "permuted": whole.transpose(1, 2, 0),
        "stepped": whole[:, ::2, ::-1],
        "repeated": np.broadcast_to(whole[0, 0], (3, 4)),
        "fortran": np.asfortranarray(whole),
        "scalar": np.array(1).astype(dtype),
        "empty": whole[:0],
    }


def assert_same(found, expected):
    """Assert the same names, shapes, dtypes and values."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, dtype):
    """Arrays come back as they were, whatever their dtype and memory order."""
    train.save(tmp_path / "a.safetensors", arrays(dtype))
    assert_same(train.load(tmp_path / "a.safetensors"), arrays(dtype))


def test_special_values(tmp_path):
    """nan, inf and -0 come back bit for bit."""
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    train.save(tmp_path / "a", {"values": values})
    assert train.load(tmp_path / "a")["values"].tobytes() == values.tobytes()


def test_path_as_str(tmp_path):
    """A path may be a str; the name is taken as it is, without a suffix of ours."""
    path = str(tmp_path / "weights")
    train.save(path, arrays())
    assert_same(train.load(path), arrays())
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_loaded_arrays_are_writable(tmp_path):
    """What was loaded can be changed."""
    train.save(tmp_path / "a", arrays())
    assert all(array.flags.writeable for array in train.load(tmp_path / "a").values())


def test_saving_changes_nothing(tmp_path):
    """The arrays that are saved stay as they are."""
    state = {name: array.copy(order="K") for name, array in arrays().items()}
    strides = {name: array.strides for name, array in state.items()}
    train.save(tmp_path / "a", state)
    assert_same(state, arrays())
    assert {name: array.strides for name, array in state.items()} == strides


def test_same_weights_same_bytes(tmp_path):
    """Two files of the same weights are equal."""
    for name in "ab":
        train.save(tmp_path / name, arrays(), {"epoch": "3"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metadata(tmp_path):
    """Text that goes with the weights is in the file, for any reader of safetensors."""
    train.save(tmp_path / "a", arrays(), {"epoch": "3", "seed": "0"})
    with safe_open(tmp_path / "a", "numpy") as file:
        assert file.metadata() == {"epoch": "3", "seed": "0"}
    assert_same(train.load(tmp_path / "a"), arrays())


@pytest.mark.parametrize("metadata", [None, {}, {"epoch": "3"}])
def test_empty_round_trip(tmp_path, metadata):
    """A state dict of nothing comes back, as that of a model without weights."""
    train.save(tmp_path / "a", {}, metadata)
    assert train.load(tmp_path / "a") == {}


def test_other_byte_order(tmp_path):
    """An array of another byte order comes back with the same values, in the machine's."""
    for dtype in ("<f4", ">f4"):
        train.save(tmp_path / "a", {"w": np.arange(3).astype(dtype)})
        assert_same(train.load(tmp_path / "a"), {"w": np.arange(3, dtype=np.float32)})


# What the format cannot hold.


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        ({"w": [1.0, 2.0]}, DtypeError, "'w' is a list, expected an ndarray of numbers"),
        ({"w": Tensor([1.0])}, DtypeError, "'w' is a Tensor, expected an ndarray of numbers"),
        ({"w": np.float32(1)}, DtypeError, "'w' is a float32, expected an ndarray of numbers"),
        ({"w": None}, DtypeError, "'w' is a NoneType, expected an ndarray of numbers"),
        ({"w": {"v": np.ones(1)}}, DtypeError, "'w' is a dict, expected an ndarray of numbers"),
        ({"w": np.array(["a"])}, DtypeError, "'w' is a <U1, expected an ndarray of numbers"),
        ({"w": np.array([None])}, DtypeError, "'w' is a object, expected an ndarray of numbers"),
        ({"w": np.ones(1, complex)}, DtypeError, "'w' is a complex128, expected an ndarray"),
        ({"w": np.ones(1, "M8[s]")}, DtypeError, "'w' is a datetime64[s], expected an ndarray"),
        ({"__metadata__": np.ones(1)}, ArgumentError, "'__metadata__' cannot be the name of an ar"),
        ({3: np.ones(1)}, ArgumentError, "3 cannot be the name of an array"),
    ],
    ids=[
        "list",
        "tensor",
        "scalar",
        "none",
        "dict",
        "text",
        "objects",
        "complex",
        "dates",
        "metadata",
        "number-as-name",
    ],
)
def test_saving_refuses(tmp_path, state, error, words):
    """What the format has no place for is named, and no file is written."""
    with pytest.raises(error, match=f"^save: {re.escape(words)}"):
        train.save(tmp_path / "a", {"good": np.ones(2)} | state)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("metadata", "words"),
    [({"epoch": 3}, "metadata 'epoch': 3"), ({3: "epoch"}, "metadata 3: 'epoch'")],
)
def test_saving_refuses_metadata(tmp_path, metadata, words):
    """Metadata is text by names of text; what is not is named, and no file is written."""
    with pytest.raises(DtypeError, match=f"^save: {words} is not text"):
        train.save(tmp_path / "a", arrays(), metadata)
    assert list(tmp_path.iterdir()) == []


# What is in the way of a file.


def test_missing_file(tmp_path):
    """A file that is not there is an OSError, of the package's family too, with its path."""
    with pytest.raises(OSError, match="nowhere: cannot be read: No such file") as caught:
        train.load(tmp_path / "nowhere")
    assert isinstance(caught.value, TinygradNpError)


def test_every_truncation(tmp_path):
    """A file that ends too early is refused wherever it ends."""
    train.save(tmp_path / "whole", {"w": np.ones(5), "b": np.ones((), np.float32)})
    content = (tmp_path / "whole").read_bytes()
    path = tmp_path / "part"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError) as caught:
            train.load(path)
        assert str(caught.value).startswith(f"{path}: cannot be read as safetensors: ")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4 this is a zip file, such as a .pth",
        b"\x80\4\x95 this is a pickle, such as a .pkl",
        b"\x02" + bytes(7) + b"{}" + b"more than the header says",
        b"\x05" + bytes(7) + b"{'a':",
        b"\xff" * 100,
    ],
    ids=["empty", "zip", "pickle", "too-long", "header", "ones"],
)
def test_damaged_file(tmp_path, content):
    """Whatever is no safetensors file is refused by a message with its path."""
    path = tmp_path / "some"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        train.load(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as safetensors: ")


@pytest.mark.parametrize("load_or_save", [train.load, lambda path: train.save(path, arrays())])
def test_folder_for_a_file(tmp_path, load_or_save):
    """A folder can be neither read nor replaced."""
    with pytest.raises(DataError, match=r"cannot be (read|written)") as caught:
        load_or_save(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_missing_folder(tmp_path):
    """A folder that is not there is not made; the error says where."""
    path = tmp_path / "nowhere" / "weights"
    with pytest.raises(DataError, match="cannot be written: No such file") as caught:
        train.save(path, arrays())
    assert str(path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def no_space(*args):
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "open"), (os, "fsync"), (Path, "replace")],
    ids=["open", "fsync", "replace"],
)
def test_failed_writing(tmp_path, monkeypatch, owner, name):
    """A write that fails leaves the file of before whole, and nothing beside it."""
    train.save(tmp_path / "weights", arrays())
    monkeypatch.setattr(owner, name, no_space)
    with pytest.raises(DataError, match="weights: cannot be written: No space left"):
        train.save(tmp_path / "weights", {"other": np.ones(3)})
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
    assert_same(train.load(tmp_path / "weights"), arrays())


def test_interrupted_writing(tmp_path, monkeypatch):
    """Nor does an interruption leave half a file."""

    def interrupt(*args):
        raise KeyboardInterrupt

    train.save(tmp_path / "weights", arrays())
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train.save(tmp_path / "weights", {"other": np.ones(3)})
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]
    assert_same(train.load(tmp_path / "weights"), arrays())


def test_written_before_it_is_named(tmp_path, monkeypatch):
    """The file gets its name only when all of it is on the disk."""
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: events.append("flushed") or fsync(file))
    monkeypatch.setattr(
        Path, "replace", lambda old, new: events.append(old.read_bytes()) or replace(old, new)
    )
    write_bytes(tmp_path / "a", b"all of it")
    assert events == ["flushed", b"all of it"]


def test_replacing(tmp_path):
    """Saving again replaces the file."""
    train.save(tmp_path / "a", arrays())
    train.save(tmp_path / "a", {"other": np.ones(3)})
    assert_same(train.load(tmp_path / "a"), {"other": np.ones(3)})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_file_mode(tmp_path, umask, mode):
    """Who may read the file is decided by the umask, as for any other file."""
    before = os.umask(umask)
    try:
        train.save(tmp_path / "a", arrays())
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


# Checkpoints of models.


@pytest.mark.parametrize("model", [DigitsCNN, MnistCNNLight], ids=lambda model: model.__name__)
def test_model_round_trip(tmp_path, model):
    """A model loaded from a file computes the same, bit for bit."""
    first, other = model(rng(0)).eval(), model(rng(1)).eval()
    side = 8 if model is DigitsCNN else 28
    images = Tensor.randn(3, 1, side, side, generator=rng(2))
    assert (first(images).numpy() != other(images).numpy()).any()
    train.save(tmp_path / "a", first.state_dict())
    other.load_state_dict(train.load(tmp_path / "a"))
    np.testing.assert_array_equal(first(images).numpy(), other(images).numpy())


def test_another_models_checkpoint(tmp_path):
    """All that does not fit is in one message, and the model stays as it was."""
    train.save(tmp_path / "a", MnistCNNLight(rng(0)).state_dict())
    model = LabCNN(rng(1))
    before = model.state_dict()
    with pytest.raises(ShapeError) as caught:
        model.load_state_dict(train.load(tmp_path / "a"))
    message = str(caught.value)
    assert message.startswith("LabCNN.load_state_dict: these weights are another model's; ")
    assert "missing: conv.weight, conv.bias;" in message
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        assert name in message[message.index("unexpected: ") : message.index("mismatched: ")]
    for name, got, expected in [
        ("fc1.weight", (32, 784), (128, 3136)),
        ("fc1.bias", (32,), (128,)),
        ("fc2.weight", (10, 32), (10, 128)),
    ]:
        assert f"{name} (got {got} float32, expected {expected} float32)" in message
    assert_same(model.state_dict(), before)
