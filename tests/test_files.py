"""Atomic file writes and their error messages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import each
from tinygrad_np.errors import DataError
from tinygrad_np.files import check_no_folder, make_folder, read_json, remove, write_bytes


def test_write_bytes_replaces_the_file(tmp_path):
    for content in (b"one", b"another"):
        write_bytes(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("where", ["missing/a", "file/a", "a" * 300, "folder", "nul\0"])
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


def test_a_name_of_maximum_length_can_be_written(tmp_path):
    write_bytes(tmp_path / ("a" * 255), b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 255]


def test_a_users_file_named_writable_is_kept(tmp_path):
    (tmp_path / ".writable").write_text("mine")
    make_folder(tmp_path, "Owner")
    assert (tmp_path / ".writable").read_text() == "mine"


KILLED = """
import os, signal, sys
from tinygrad_np import files
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
files.write_bytes(sys.argv[1], b"content")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_the_next_start_removes_what_a_killed_process_left(tmp_path):
    """The temporary files of killed processes, but no other file."""
    for name in (".writable", ".tinygrad_np-notes.tmp", ".a.0123abcd"):
        (tmp_path / name).write_text("mine")
    before = set(tmp_path.iterdir())
    subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "a"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        check=False,
    )
    assert len(set(tmp_path.iterdir()) - before) == 1
    make_folder(tmp_path, "Owner")
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_is_being_written_is_not_removed(tmp_path, monkeypatch):
    """Another process starts in the same directory just before the rename."""
    replace = Path.replace

    def start_and_replace(temporary, path):
        make_folder(tmp_path, "Owner")
        return replace(temporary, path)

    monkeypatch.setattr(Path, "replace", start_and_replace)
    write_bytes(tmp_path / "a", b"content")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"content")]


def test_a_temporary_file_removed_before_it_is_locked_is_recreated(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    lock, removed = fcntl.flock, []

    def remove_and_lock(file, how):
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        return lock(file, how)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    write_bytes(tmp_path / "a", b"content")
    assert len(removed) == 1
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"content")]


def test_file_systems_without_locks_can_be_written(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def is_unsupported(file, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", is_unsupported)
    make_folder(tmp_path, "Owner")
    write_bytes(tmp_path / "a", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_directories_in_place_of_files_raise(tmp_path):
    (tmp_path / "folder").mkdir()
    check_no_folder(tmp_path / "missing")
    with pytest.raises(DataError, match=r"folder: cannot write the file \(Is a directory\)\. Move"):
        check_no_folder(tmp_path / "missing", tmp_path / "folder")
    with pytest.raises(DataError, match=r"folder: cannot delete the file \("):
        remove(tmp_path / "folder")
    remove(tmp_path / "missing")


@each(
    ("content", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "invalid start byte"),
        (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' appears twice"),
        (b"[" * 60 + b"]" * 60, "nested more than 50 deep"),
        (b"[" * 100_000, "maximum recursion depth"),
        (b"1" * 5000, "digits"),
        (b'"\\ud800"', "surrogates not allowed"),
    ],
)
def test_damaged_json_raises(tmp_path, content, reason):
    (tmp_path / "a.json").write_bytes(content)
    message = rf"a\.json: cannot parse the file as JSON \(.*{reason}"
    with pytest.raises(DataError, match=message):
        read_json(tmp_path / "a.json")


def test_unreadable_json_raises(tmp_path):
    for path in (tmp_path, tmp_path / "missing", f"{tmp_path}/nul\0"):
        with pytest.raises(DataError, match=r": cannot read the file \("):
            read_json(path)


def test_a_symbolic_link_is_followed_and_the_mode_is_kept(tmp_path):
    target, link = tmp_path / "data" / "target", tmp_path / "link"
    target.parent.mkdir()
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(DataError, match="cannot write the file"):
        write_bytes(link, b"new")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_special_file_is_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"pipe: cannot write the file \(not a regular file\)"):
        write_bytes(path, b"new")
    assert path.is_fifo()
