"""Log every training step to a CSV file."""

import re
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from tinygrad_np.errors import DataError
from tinygrad_np.files import exists, failure, make_folder, read_bytes, write_bytes
from tinygrad_np.train.callbacks import Callback, State, plain

_HEADER = "time,epoch,step,loss,accuracy,lr\n"


class StepLog(Callback):
    """Append a line to a CSV file after each step.

    Columns: time (UTC, ISO 8601), epoch, step, loss of the batch, accuracy over the epoch so far
    (empty if undefined), learning rate.

    A resumed run first removes the lines of the steps that it repeats, then appends to the file. A
    new run replaces the file. `fit` raises DataError if an existing file is not a step log, or if
    the file cannot be written.

    >>> from tinygrad_np import train
    >>> log = train.StepLog("runs/lenet/steps.csv")
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: FileIO | None = None

    def on_fit_start(self, state: State) -> None:
        """Rewrite the file with the header and the lines of the steps done so far."""
        make_folder(self.path.parent, "StepLog")
        lines = [_HEADER, *(line for line in self._lines() if 0 < _step_of(line) <= state.step)]
        write_bytes(self.path, "".join(lines).encode())

    def _lines(self) -> list[str]:
        """Return the lines of an existing file, without the header."""
        if not exists(self.path):
            return []
        lines = read_bytes(self.path).decode(errors="replace").splitlines(True)
        if lines and lines[0] != _HEADER:
            raise DataError(
                f"StepLog: {self.path} exists and is not a step log. Choose another path."
            )
        return lines[1:]

    def on_epoch_start(self, state: State) -> None:
        """Open the file."""
        if self._file is None:
            # Unbuffered: after a failed write, a buffered file would fail again when closed.
            try:
                self._file = self.path.open("ab", buffering=0)
            except OSError as error:
                raise failure(self.path, "write", error) from error

    def on_batch_end(self, state: State) -> None:
        """Write the line at once, so that it survives a crash."""
        if self._file is None:
            return
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        accuracy = state.logs.get("train_accuracy", "")
        values = (time, state.epoch, state.step, state.loss, accuracy, plain(state.lr))
        line = (",".join(map(str, values)) + "\n").encode()
        try:
            while line:
                line = line[self._file.write(line) :]  # a full disk may accept only a part
        except OSError as error:
            raise failure(self.path, "write", error) from error

    def on_fit_end(self, state: State) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise failure(self.path, "write", error) from error


def _step_of(line: str) -> int:
    """Return the step of a line, or 0 if a crash left the line incomplete."""
    cells = line.split(",")
    is_whole = line.endswith("\n") and len(cells) == _HEADER.count(",") + 1
    return int(cells[2]) if is_whole and re.fullmatch("[0-9]{1,18}", cells[2]) else 0
