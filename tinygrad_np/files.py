"""Reading and atomic writing of files; every failure is a DataError that names the path.

Readers see the old content or the new content, never a partial write.
"""

import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tinygrad_np.errors import DataError

try:
    import fcntl
except ImportError:  # Windows, which refuses to delete a file that is open
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.tinygrad_np-[0-9a-f]{16}\.tmp")
# Deeper than any config or checkpoint, and well below Python's recursion limit.
_MAX_DEPTH = 50


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically, and durably once this returns.

    The content goes to a temporary file in the same directory, which is flushed to disk and then
    renamed to `path`.

    Raises:
        DataError: if the file cannot be written; an existing file is then left unchanged.
    """
    try:
        path = Path(path).resolve()  # the file that a symbolic link points to
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise DataError(f"{path}: cannot write the file (not a regular file).")
        file, temporary = _create_temporary(path.parent)
        try:
            with file:
                if mode is not None:
                    temporary.chmod(stat.S_IMODE(mode))
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                if fcntl is not None:
                    temporary.replace(path)  # still locked, see `_create_temporary`
            if fcntl is None:
                temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink()
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a null character; a loop of links
        raise failure(path, "write", error) from error
    _sync_folder(path.parent)


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file; raise DataError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise failure(path, "read", error) from error


def read_json(path: str | Path) -> Any:
    """Return the JSON value in a UTF-8 file.

    Raises:
        DataError: if the file cannot be read or parsed, or an object in it has duplicate keys.
    """
    content = read_bytes(path)
    try:
        found = json.loads(content.decode(), object_pairs_hook=_without_duplicates)
        check_depth(found)
        # JSON can escape half of a surrogate pair, which no file name or terminal can encode.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot parse the file as JSON ({error}).") from error
    return found


def remove(path: Path) -> None:
    """Delete a file, if it exists; raise DataError if that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise failure(path, "delete", error) from error


def check_no_folder(*paths: Path) -> None:
    """Raise DataError if one of the files to write is a directory."""
    for path in paths:
        if path.is_dir():
            raise DataError(
                f"{path}: cannot write the file (Is a directory). Move the directory away, or "
                "write the files elsewhere."
            )


def is_folder(path: str | Path) -> bool:
    """Return whether `path` is a directory; False if the system cannot say."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):  # for example a name that is too long
        return False


def exists(path: str | Path) -> bool:
    """Return whether `path` exists; False if the system cannot say."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def make_folder(folder: str | Path, owner: str) -> None:
    """Create a directory, if missing, and check that it is writable before any work is done.

    Also delete the temporary files that killed processes left in it.

    Args:
        folder: the directory; missing parents are created.
        owner: the function, class or command-line option to name in the error message.

    Raises:
        DataError: if the directory cannot be created or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file, temporary = _create_temporary(folder)
        file.close()
        with suppress(OSError):  # another process may have removed it
            temporary.unlink()
        for path in folder.iterdir():
            if _TEMPORARY.fullmatch(path.name):
                _remove_if_stale(path)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{owner}: cannot create or write to the directory {folder} ({_reason(error)})."
        ) from error


def failure(path: str | Path, act: str, error: Exception) -> DataError:
    """Return the DataError for a file that the system cannot read, write or delete."""
    return DataError(f"{path}: cannot {act} the file ({_reason(error)}).")


def check_depth(value: Any, depth: int = 0) -> None:
    """Raise ValueError if dicts and lists are nested more than 50 deep."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            check_depth(inner, depth + 1)


def _create_temporary(folder: Path) -> tuple[IO[bytes], Path]:
    """Create a temporary file in `folder`, locked for as long as it is open.

    The lock distinguishes a file that is being written from one that a killed process left.
    """
    while True:
        path = folder / f".tinygrad_np-{secrets.token_hex(8)}.tmp"
        file = path.open("xb")
        if fcntl is not None:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
        # Another process may have removed the file before it was locked.
        if os.fstat(file.fileno()).st_nlink:
            return file, path
        file.close()


def _remove_if_stale(path: Path) -> None:
    """Delete a temporary file unless a process is still writing it."""
    # An error means that it is being written, or gone, or not ours to delete.
    with suppress(OSError):
        if fcntl is None:
            path.unlink()
            return
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _sync_folder(folder: Path) -> None:
    """Flush a directory to disk, so that a rename in it survives a power failure."""
    with suppress(OSError):  # not all systems can; the file itself is complete either way
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} appears twice")
    return found


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
