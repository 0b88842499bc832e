"""Weights on disk: round trips, damaged files, interrupted writes."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from models import DigitsCNN, LabCNN, MnistCNNLight
from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, TinygradNpError, train
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, ShapeError
from tinygrad_np.files import write_bytes

# Weights on disk.


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


@each("dtype", ["float16", "float32", "float64", "uint8", "int8", "int32", "int64", "bool"])
def test_round_trip(tmp_path, dtype):
    """Arrays come back unchanged and writable, whatever their dtype and memory order. The name may
    be a str and gets no suffix; saving again replaces the file.
    """
    path = str(tmp_path / "weights")
    train.save(path, arrays(dtype))
    found = train.load(path)
    assert_same(found, arrays(dtype))
    assert all(array.flags.writeable for array in found.values())
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_special_values(tmp_path):
    """nan, inf and -0 come back bit for bit."""
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    train.save(tmp_path / "a", {"values": values})
    assert train.load(tmp_path / "a")["values"].tobytes() == values.tobytes()


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


@each("metadata", [None, {}, {"epoch": "3"}])
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


@each(
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
)
def test_saving_refuses(tmp_path, state, error, words):
    """What the format has no place for is named, and no file is written."""
    with pytest.raises(error, match=f"^save: {re.escape(words)}"):
        train.save(tmp_path / "a", {"good": np.ones(2)} | state)
    assert list(tmp_path.iterdir()) == []


@each(
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


def refuses(path, content):
    """Assert that loading a file of this content is an error that names its path."""
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=f"^{re.escape(str(path))}: cannot be read as safetensors: "
    ):
        train.load(path)


def test_every_truncation(tmp_path):
    """A file that ends too early is refused wherever it ends."""
    train.save(tmp_path / "whole", {"w": np.ones(5), "b": np.ones((), np.float32)})
    content = (tmp_path / "whole").read_bytes()
    for length in range(len(content)):
        refuses(tmp_path / "part", content[:length])


@each(
    "content",
    [
        b"PK\3\4 this is a zip file, such as a .pth",
        b"\x80\4\x95 this is a pickle, such as a .pkl",
        b"\x02" + bytes(7) + b"{}" + b"more than the header says",
        b"\x05" + bytes(7) + b"{'a':",
        b"\xff" * 100,
    ],
)
def test_damaged_file(tmp_path, content):
    """Files in another format are refused too."""
    refuses(tmp_path / "some", content)


def test_folder_for_a_file(tmp_path):
    """A folder can be neither read nor replaced."""
    words = f"{re.escape(str(tmp_path))}.*cannot be "
    with pytest.raises(DataError, match=f"{words}read"):
        train.load(tmp_path)
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}: cannot write the file"):
        train.save(tmp_path, arrays())


def test_missing_folder(tmp_path):
    """A folder that is not there is not made; the error says where."""
    with pytest.raises(DataError, match=r"nowhere.weights: cannot write the file \(No such file"):
        train.save(tmp_path / "nowhere" / "weights", arrays())
    assert list(tmp_path.iterdir()) == []


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@each(
    ("owner", "name", "error"),
    [
        (os, "open", NO_SPACE),
        (os, "fsync", NO_SPACE),
        (Path, "replace", NO_SPACE),
        (os, "fsync", KeyboardInterrupt()),
    ],
)
def test_failed_writing(tmp_path, monkeypatch, owner, name, error):
    """A write that fails or is interrupted leaves the previous file whole, and no other file."""

    def fail(*arguments):
        raise error

    train.save(tmp_path / "weights", arrays())
    monkeypatch.setattr(owner, name, fail)
    words = r"weights: cannot write the file \(No space left" if error is NO_SPACE else None
    with pytest.raises(DataError if error is NO_SPACE else KeyboardInterrupt, match=words):
        train.save(tmp_path / "weights", {"other": np.ones(3)})
    monkeypatch.undo()
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
    words = r"LabCNN\.load_state_dict: these weights are another model's; "
    words += r"missing: conv\.weight, conv\.bias; unexpected: (conv[12]\.(weight|bias)[,;] ){4}"
    words += "mismatched: " + re.escape(
        "fc1.weight (got (32, 784) float32, expected (128, 3136) float32), "
        "fc1.bias (got (32,) float32, expected (128,) float32), "
        "fc2.weight (got (10, 32) float32, expected (10, 128) float32)"
    )
    with pytest.raises(ShapeError, match=f"^{words}"):
        model.load_state_dict(train.load(tmp_path / "a"))
    assert_same(model.state_dict(), before)
