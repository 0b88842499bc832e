"""Atomic file writes: readers see the old content or the new content, never a partial write."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from tinygrad_np.errors import DataError


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically.

    The content goes to a temporary file in the same directory, which is flushed to disk and then
    renamed to `path`.

    Raises:
        DataError: if the file cannot be written; an existing file is then left unchanged.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot write the file ({error.strerror}).") from error
    finally:
        # Unlinking also fails if the path cannot exist, for example because the name is too long.
        with suppress(OSError):
            temporary.unlink()


def make_folder(folder: str | Path, owner: str) -> None:
    """Create a directory, if missing, and check that it is writable before any work is done.

    Args:
        folder: the directory; missing parents are created.
        owner: the function, class or command-line option to name in the error message.

    Raises:
        DataError: if the directory cannot be created or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        write_bytes(probe, b"")
        probe.unlink(missing_ok=True)  # another process may have removed it
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{owner}: cannot create or write to the directory {folder} "
            f"({str(reason).rstrip('.')})."
        ) from error
