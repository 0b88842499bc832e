"""Log scalars for TensorBoard."""

from pathlib import Path
from typing import Any

from tinygrad_np.errors import DataError
from tinygrad_np.files import make_folder
from tinygrad_np.train.callbacks import Callback, State, plain


class TensorBoard(Callback):
    """Write event files to a directory, to be shown by `tensorboard --logdir`.

    After each step: `step/loss`, `step/lr` and each metric over the epoch so far, by default
    `step/accuracy` if defined.
    After each epoch: its numeric logs, for example `epoch/train_loss`. The x-axis is the number of
    steps. In earlier files of the directory, TensorBoard hides all events from the first step of
    this `fit` onward.

    Args:
        folder: directory to write to; created if missing.

    Raises:
        DataError: if tensorboardX is not installed; the message says how to install it.

    `fit` raises DataError if the directory cannot be created or written to.

    >>> from tinygrad_np import train
    >>> board = train.TensorBoard("runs/lenet")
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer_class = _writer_class()
        self._writer: Any = None

    def on_fit_start(self, state: State) -> None:
        """Create the directory now, to fail before training if it is not writable."""
        make_folder(self.folder, "TensorBoard")

    def on_epoch_start(self, state: State) -> None:
        """Open a new event file for this call of `fit`."""
        if self._writer is None:
            self._writer = self._writer_class(
                str(self.folder),
                purge_step=state.step + 1,
                # File names have a resolution of one second: two short runs would share a file.
                filename_suffix=f".{state.step}",
            )

    def on_batch_end(self, state: State) -> None:
        """Write the loss, learning rate and metrics of the step."""
        values = {"loss": state.loss, "lr": state.lr}
        for name in state.metrics:
            if f"train_{name}" in state.logs:
                values[name] = state.logs[f"train_{name}"]
        self._write("step", values, state.step)

    def on_epoch_closed(self, state: State) -> None:
        """Write the numeric logs of the epoch, including those that other callbacks added."""
        logs = {name: value for name, value in state.logs.items() if name != "epoch"}
        self._write("epoch", logs, state.step)
        self._writer.flush()

    def _write(self, group: str, values: dict[str, Any], step: int) -> None:
        for name, value in values.items():
            number = plain(value)
            if isinstance(number, int | float):
                self._writer.add_scalar(f"{group}/{name}", number, step)

    def on_fit_end(self, state: State) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise DataError(
            "TensorBoard: tensorboardX is not installed. Install it with "
            'python -m pip install "tinygrad_np[tensorboard]".'
        ) from error
    return SummaryWriter
