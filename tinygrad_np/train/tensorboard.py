"""Event files for TensorBoard."""

from pathlib import Path
from typing import Any

from tinygrad_np.errors import DataError
from tinygrad_np.files import make_folder
from tinygrad_np.train.callbacks import Callback, State, plain


class TensorBoard(Callback):
    """Writes scalars into a folder of event files, for `tensorboard --logdir` to show.

    After each step `step/loss`, `step/lr` and, where there is one, `step/accuracy` in the epoch so
    far; after each epoch its logs, as `epoch/train_loss`; all over the number of steps. What was
    written before of these steps, by a training that goes on or another one, is not shown. Raises
    DataError, with the command that installs it, where tensorboardX is missing.

    >>> from tinygrad_np import train
    >>> board = train.TensorBoard("runs/lenet")
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer_class = _writer_class()
        self._writer: Any = None

    def on_fit_start(self, state: State) -> None:
        """Make the folder: what cannot be written is to be known before the work is done."""
        make_folder(self.folder, "TensorBoard")

    def on_epoch_start(self, state: State) -> None:
        """Open an event file of its own for this fit."""
        if self._writer is None:
            self._writer = self._writer_class(
                str(self.folder),
                purge_step=state.step + 1,
                # Names tell whole seconds only: two short trainings would share a file.
                filename_suffix=f".{state.step}",
            )

    def on_batch_end(self, state: State) -> None:
        """Write what is known of the step."""
        values = {"loss": state.loss, "lr": state.lr}
        if "train_accuracy" in state.logs:
            values["accuracy"] = state.logs["train_accuracy"]
        self._write("step", values, state.step)

    def on_epoch_closed(self, state: State) -> None:
        """Write the logs that are numbers, those of all callbacks."""
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
            "TensorBoard: tensorboardX, which writes its files, is not installed: "
            'python -m pip install "tinygrad_np[tensorboard]"'
        ) from error
    return SummaryWriter
