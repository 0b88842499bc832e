"""Files are written whole or not at all, and what cannot be written is said."""

import os

import pytest

from tinygrad_np.errors import DataError
from tinygrad_np.files import make_folder, write_bytes


def test_write(tmp_path):
    for content in (b"one", b"another"):
        write_bytes(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("where", ["missing/a", "file/a", "a" * 300, "folder"])
def test_what_cannot_be_written(tmp_path, where):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written: "):
        write_bytes(tmp_path / where, b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "kept"


def test_make_folder(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b", "Owner")
        assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"^Owner: .*file: cannot be made or written: "):
        make_folder(tmp_path / "file", "Owner")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    """The bytes are on the disk, in another file, before the name is theirs."""
    write_bytes(tmp_path / "a", b"old")

    def is_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", is_full)
    with pytest.raises(DataError, match="a: cannot be written: No space left on device"):
        write_bytes(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]
