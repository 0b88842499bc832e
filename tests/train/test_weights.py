"""Weights on disk: round trips, damaged files, interrupted writes."""

import errno
import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from models import DigitsCNN, LabCNN, MnistCNNLight
from tests.nn.tools import assert_same
from tests.tools import each, naming, rng
from tinygrad_np import Tensor, TinygradNpError, train
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, ShapeError
from tinygrad_np.files import write_bytes
from tinygrad_np.train.weights import load_with_metadata

# Weights on disk.


def arrays(dtype="float32"):
    """Return arrays in all memory layouts, including a scalar and an empty one."""
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
def test_arrays_of_every_dtype_load_unchanged(tmp_path, dtype):
    """Arrays load unchanged and writable, whatever their dtype and memory layout.

    The path may be a str and gets no suffix.
    """
    path = str(tmp_path / "weights")
    train.save(path, arrays(dtype))
    found = train.load(path)
    assert_same(found, arrays(dtype))
    assert all(array.flags.writeable for array in found.values())
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_nan_inf_and_negative_zero_load_bit_for_bit(tmp_path):
    values = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32)
    train.save(tmp_path / "a", {"values": values})
    assert train.load(tmp_path / "a")["values"].tobytes() == values.tobytes()


def test_saving_leaves_the_arrays_unchanged(tmp_path):
    state = {name: array.copy(order="K") for name, array in arrays().items()}
    strides = {name: array.strides for name, array in state.items()}
    train.save(tmp_path / "a", state)
    assert_same(state, arrays())
    assert {name: array.strides for name, array in state.items()} == strides


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in "ab":
        train.save(tmp_path / name, arrays(), {"epoch": "3"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_metadata_is_readable_by_safetensors(tmp_path):
    train.save(tmp_path / "a", arrays(), {"epoch": "3", "seed": "0"})
    with safe_open(tmp_path / "a", "numpy") as file:
        metadata = file.metadata()
    assert re.fullmatch("tinygrad_np.sha256:[0-9a-f]{64}", metadata.pop("tinygrad_np.sha256"))
    assert metadata == {"epoch": "3", "seed": "0"}
    assert load_with_metadata(tmp_path / "a")[1] == metadata
    assert_same(train.load(tmp_path / "a"), arrays())


@each("metadata", [None, {}, {"epoch": "3"}])
def test_empty_weights_load_as_an_empty_dict(tmp_path, metadata):
    train.save(tmp_path / "a", {}, metadata)
    assert train.load(tmp_path / "a") == {}


def test_arrays_of_other_byte_order_load_as_native(tmp_path):
    """The values load in the machine's byte order."""
    for dtype in ("<f4", ">f4"):
        train.save(tmp_path / "a", {"w": np.arange(3).astype(dtype)})
        assert_same(train.load(tmp_path / "a"), {"w": np.arange(3, dtype=np.float32)})


def test_tensors_are_saved_like_their_arrays(tmp_path):
    """A dict of Parameters, results and arrays, in one file."""
    weight = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    train.save(tmp_path / "a", {"w": weight, "r": weight.T * 2, "a": np.arange(3)})
    expected = {"w": weight.numpy(), "r": weight.numpy().T * 2, "a": np.arange(3)}
    assert_same(train.load(tmp_path / "a"), expected)


def test_the_order_of_names_does_not_change_the_bytes(tmp_path):
    whole, strings = arrays(), {"epoch": "3", "loss": "0.5", "model": "LeNet"}
    train.save(tmp_path / "a", whole, strings)
    train.save(tmp_path / "b", dict(reversed(whole.items())), dict(reversed(strings.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# Damage.


@pytest.mark.slow
def test_every_flipped_bit_raises(tmp_path):
    path = tmp_path / "a"
    train.save(path, {"w": np.ones(2, np.uint8)}, {"epoch": "3"})
    content = path.read_bytes()
    for place in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with naming(place), pytest.raises(DataError):
            train.load(path)


def test_a_flipped_bit_of_a_weight_is_named_as_damage(tmp_path):
    path = tmp_path / "a"
    train.save(path, {"w": np.ones(5)})
    content = bytearray(path.read_bytes())
    content[-1] ^= 64
    path.write_bytes(content)
    words = f"^{re.escape(str(path))}: the file is damaged: its SHA-256 is not the one stored"
    with pytest.raises(DataError, match=words):
        train.load(path)


def test_files_without_a_checksum_load(tmp_path):
    save_file({"w": np.ones(3)}, tmp_path / "a", {"sha256": "a name of their own"})
    weights, metadata = load_with_metadata(tmp_path / "a")
    assert_same(weights, {"w": np.ones(3)})
    assert metadata == {"sha256": "a name of their own"}


def safetensors_file(header, data=b""):
    """Return the bytes of a file with a header and data written by hand."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@each(("code", "kind"), [("BF16", "bfloat16"), ("F8_E4M3", "F8_E4M3")])
def test_dtypes_that_numpy_lacks_are_named(tmp_path, code, kind):
    size = {"BF16": 2, "F8_E4M3": 1}[code]
    entry = {"dtype": code, "shape": [2], "data_offsets": [0, 2 * size]}
    (tmp_path / "a").write_bytes(safetensors_file({"w": entry}, bytes(2 * size)))
    words = re.escape(f"{tmp_path / 'a'}: 'w' is {kind}, which NumPy lacks. Convert it to float32")
    with pytest.raises(DataError, match=f"^{words}"):
        train.load(tmp_path / "a")


def test_shapes_that_numpy_cannot_hold_raise(tmp_path):
    for shape in ([0, 2**62, 2**62], [0, 2**64 - 1], [1] * 80):
        entry = {"dtype": "U8", "shape": shape, "data_offsets": [0, int(0 not in shape)]}
        (tmp_path / "a").write_bytes(safetensors_file({"w": entry}, bytes(int(0 not in shape))))
        with pytest.raises(DataError, match="a: "):
            train.load(tmp_path / "a")


# Values the format cannot store.


@each(
    ("arguments", "words"),
    [
        (({"w": np.ones(1)}, "a"), "`path` to be a str or Path, got dict. The path comes first"),
        ((None, {}), "`path` to be a str or Path, got NoneType."),
        (("a", [np.ones(1)]), "`state` to be a dict of Tensors or arrays, got list. Try model."),
    ],
)
def test_other_arguments_raise(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DtypeError, match=f"^save: expected {re.escape(words)}"):
        train.save(*arguments)
    assert list(tmp_path.iterdir()) == []


NAMES = "expected array names to be strings other than '__metadata__'"


@each(
    ("state", "error", "words"),
    [
        (
            {"w": [1.0, 2.0]},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got list.",
        ),
        (
            {"w": np.float32(1)},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got float32.",
        ),
        (
            {"w": None},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got NoneType.",
        ),
        (
            {"w": {"v": np.ones(1)}},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got dict.",
        ),
        (
            {"w": np.array(["a"])},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got <U1.",
        ),
        (
            {"w": np.array([None])},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got object.",
        ),
        (
            {"w": np.ones(1, complex)},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got complex128.",
        ),
        (
            {"w": np.ones(1, "M8[s]")},
            DtypeError,
            "expected 'w' to be a Tensor or ndarray of numbers, got datetime64[s].",
        ),
        ({"__metadata__": np.ones(1)}, ArgumentError, f"{NAMES}, got '__metadata__'."),
        ({3: np.ones(1)}, ArgumentError, f"{NAMES}, got 3."),
        (
            {"\ud800": np.ones(1)},
            ArgumentError,
            "expected names and metadata to be valid Unicode, got ",
        ),
    ],
)
def test_values_the_format_cannot_store_raise_and_leave_no_file(tmp_path, state, error, words):
    with pytest.raises(error, match=f"^save: {re.escape(words)}"):
        train.save(tmp_path / "a", {"good": np.ones(2)} | state)
    assert list(tmp_path.iterdir()) == []


@each(
    ("metadata", "words"),
    [({"epoch": 3}, "'epoch': 3"), ({3: "epoch"}, "3: 'epoch'")],
)
def test_metadata_other_than_strings_raises_and_leaves_no_file(tmp_path, metadata, words):
    expected = f"^save: expected `metadata` to map strings to strings, got {words}\\.$"
    with pytest.raises(DtypeError, match=expected):
        train.save(tmp_path / "a", arrays(), metadata)
    assert list(tmp_path.iterdir()) == []


@each("entry", [{"tinygrad_np.sha256": "a"}, {"a": "tinygrad_np.sha256:a"}])
def test_metadata_in_place_of_the_checksum_raises(tmp_path, entry):
    with pytest.raises(ArgumentError, match=r"^save: expected `metadata` without 'tinygrad_np\."):
        train.save(tmp_path / "a", arrays(), entry)


# Files that cannot be read or written.


def test_missing_file_raises_an_os_error_of_the_package(tmp_path):
    with pytest.raises(OSError, match=r"nowhere: cannot read the file \(No such file") as caught:
        train.load(tmp_path / "nowhere")
    assert isinstance(caught.value, TinygradNpError)


def refuses(path, content):
    """Assert that loading a file with this content raises and names its path."""
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"^{re.escape(str(path))}: expected a safetensors file \("
    ):
        train.load(path)


def test_every_truncated_file_raises(tmp_path):
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
def test_other_file_formats_raise(tmp_path, content):
    refuses(tmp_path / "some", content)


def test_a_directory_can_be_neither_loaded_nor_replaced(tmp_path):
    path = re.escape(str(tmp_path))
    with pytest.raises(DataError, match=f"{path}.*cannot read the file"):
        train.load(tmp_path)
    with pytest.raises(DataError, match=f"{re.escape(str(tmp_path))}: cannot write the file"):
        train.save(tmp_path, arrays())


def test_saving_to_a_missing_directory_raises(tmp_path):
    """The directory is not created, and the error names the path."""
    with pytest.raises(DataError, match=r"nowhere.weights: cannot write the file \(No such file"):
        train.save(tmp_path / "nowhere" / "weights", arrays())
    assert list(tmp_path.iterdir()) == []


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@each(
    ("owner", "name", "error"),
    [
        (Path, "open", NO_SPACE),
        (os, "fsync", NO_SPACE),
        (Path, "replace", NO_SPACE),
        (os, "fsync", KeyboardInterrupt()),
    ],
)
def test_a_failed_write_keeps_the_previous_file(tmp_path, monkeypatch, owner, name, error):
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


def test_the_content_is_flushed_before_the_rename_and_the_directory_after_it(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(
        os, "fsync", lambda file: events.append(stat.S_ISDIR(os.fstat(file).st_mode)) or fsync(file)
    )
    monkeypatch.setattr(
        Path, "replace", lambda old, new: events.append(old.read_bytes()) or replace(old, new)
    )
    write_bytes(tmp_path / "a", b"all of it")
    assert events == [False, b"all of it", True]  # the file, then its directory


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_file_mode_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        train.save(tmp_path / "a", arrays())
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


# Checkpoints of models.


@pytest.mark.parametrize("model", [DigitsCNN, MnistCNNLight], ids=lambda model: model.__name__)
def test_saved_model_gives_the_same_outputs(tmp_path, model):
    first, other = model(rng(0)).eval(), model(rng(1)).eval()
    side = 8 if model is DigitsCNN else 28
    images = Tensor.randn(3, 1, side, side, generator=rng(2))
    assert (first(images).numpy() != other(images).numpy()).any()
    train.save(tmp_path / "a", first.state_dict())
    other.load_state_dict(train.load(tmp_path / "a"))
    np.testing.assert_array_equal(first(images).numpy(), other(images).numpy())


def test_weights_of_another_model_raise(tmp_path):
    """All mismatches are in one message, and the model is unchanged."""
    train.save(tmp_path / "a", MnistCNNLight(rng(0)).state_dict())
    model = LabCNN(rng(1))
    before = model.state_dict()
    words = r"LabCNN\.load_state_dict: the state dict does not match the model\. "
    words += r"Missing: conv\.weight, conv\.bias\. Unexpected: (conv[12]\.(weight|bias)[,.] ){4}"
    words += "Mismatched: " + re.escape(
        "fc1.weight (expected (128, 3136) float32, got (32, 784) float32), "
        "fc1.bias (expected (128,) float32, got (32,) float32), "
        "fc2.weight (expected (10, 128) float32, got (10, 32) float32)"
    )
    with pytest.raises(ShapeError, match=f"^{words}"):
        model.load_state_dict(train.load(tmp_path / "a"))
    assert_same(model.state_dict(), before)
