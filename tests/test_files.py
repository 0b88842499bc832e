"""Atomic file writes and their error messages."""

import os

import pytest

from tinygrad_np.errors import DataError
from tinygrad_np.files import make_folder, write_bytes


def test_write_bytes_replaces_the_file(tmp_path):
    for content in (b"one", b"another"):
        write_bytes(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("where", ["missing/a", "file/a", "a" * 300, "folder"])
def test_unwritable_path_raises(tmp_path, where):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=rf"{where}: cannot write the file \("):
        write_bytes(tmp_path / where, b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "kept"


def test_make_folder_creates_nested_directories(tmp_path):
    for _ in range(2):
        make_folder(tmp_path / "a" / "b", "Owner")
        assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    message = r"^Owner: cannot create or write to the directory .*file \(.*\)\.$"
    with pytest.raises(DataError, match=message):
        make_folder(tmp_path / "file", "Owner")


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    """The content is flushed to a temporary file before that is renamed."""
    write_bytes(tmp_path / "a", b"old")

    def is_full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", is_full)
    with pytest.raises(DataError, match=r"a: cannot write the file \(No space left on device\)\.$"):
        write_bytes(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]
