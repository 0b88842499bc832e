"""Writing files so that nobody ever sees half of one."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from tinygrad_np.errors import DataError


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file by a temporary one beside it, flushed to the disk and renamed.

    Raises DataError if that cannot be done; a file that was there before is then unharmed.
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
        raise DataError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        # Where there could be no such file, looking for it fails too.
        with suppress(OSError):
            temporary.unlink()


def make_folder(folder: str | Path, owner: str) -> None:
    """Make a folder and try to write there, so that it is known before any work is done.

    Raises DataError that names the owner and says why it cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        write_bytes(probe, b"")
        probe.unlink(missing_ok=True)  # another process may try at the same time
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{owner}: {folder}: cannot be made or written: {reason}") from error
