"""Writing files so that nobody ever sees half of one."""

import os
import secrets
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
        temporary.unlink(missing_ok=True)
