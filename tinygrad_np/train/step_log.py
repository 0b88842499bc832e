"""Log every training step to a CSV file."""

import re
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from tinygrad_np.errors import DataError
from tinygrad_np.files import exists, failure, make_folder, read_bytes, write_bytes
from tinygrad_np.train.callbacks import Callback, State, plain

_FIRST, _LAST = "time,epoch,step,loss,", "lr\n"  # of the header; the metrics come in between


class StepLog(Callback):
    """Append a line to a CSV file after each step.

    Columns: time (UTC, ISO 8601), epoch, step, loss of the batch, each metric over the epoch so far
    (by default, the accuracy; empty if undefined), learning rate.

    A resumed run first removes the lines of the steps that it repeats, then appends to the file. A
    new run replaces the file. `fit` raises DataError if an existing file is not a step log, if that
    of a resumed run has other columns, or if the file cannot be written.

    >>> from tinygrad_np import train
    >>> log = train.StepLog("runs/lenet/steps.csv")
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: FileIO | None = None

    def on_fit_start(self, state: State) -> None:
        """Rewrite the file with the header and the lines of the steps done so far."""
        make_folder(self.path.parent, "StepLog")
        header = ",".join([_FIRST[:-1], *state.metrics, _LAST])
        lines = self._lines(header, state.step)
        write_bytes(self.path, "".join([header, *lines]).encode())

    def _lines(self, header: str, step: int) -> list[str]:
        """Return the lines of an existing file up to a step, without the header."""
        if not exists(self.path):
            return []
        lines = read_bytes(self.path).decode(errors="replace").splitlines(True)
        if lines and not (lines[0].startswith(_FIRST) and lines[0].endswith(_LAST)):
            raise DataError(
                f"StepLog: {self.path} exists and is not a step log. Choose another path."
            )
        if lines and lines[0] != header and step:
            raise DataError(
                f"StepLog: expected {self.path} to have the columns {header.strip()}, got "
                f"{lines[0].strip()}. Resume with the metrics that the run started with."
            )
        count = header.count(",") + 1
        return [line for line in lines[1:] if 0 < _step_of(line, count) <= step]

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
        metrics = [state.logs.get(f"train_{name}", "") for name in state.metrics]
        values = (time, state.epoch, state.step, state.loss, *metrics, plain(state.lr))
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


def _step_of(line: str, count: int) -> int:
    """Return the step of a line with `count` cells, or 0 if a crash left the line incomplete."""
    cells = line.split(",")
    is_whole = line.endswith("\n") and len(cells) == count
    return int(cells[2]) if is_whole and re.fullmatch("[0-9]{1,18}", cells[2]) else 0
