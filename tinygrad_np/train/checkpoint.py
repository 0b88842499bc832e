"""Files that a training leaves as it goes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_np.checks import check_integer
from tinygrad_np.files import make_folder
from tinygrad_np.train.best import Best
from tinygrad_np.train.callbacks import Callback, State, plain
from tinygrad_np.train.tree import save_tree
from tinygrad_np.train.weights import save


class Checkpoint(Callback):
    """Writes weights into a folder, in files that `train.load` reads, and the whole training.

    best.safetensors: of the epoch with the best `monitor`, a loss or an accuracy; None for no such
    file. last.safetensors: after each epoch, and where the training ended. step_000500.safetensors
    and so on: after every `every_steps` steps. Epoch, step and logs are in the files' metadata.
    training.safetensors: before the first and after each epoch, for `Trainer.load`, from where
    training goes on. What another training left of these a new one removes as it begins.
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str | None = "validation_loss",
        every_steps: int | None = None,
    ) -> None:
        if every_steps is not None:
            check_integer("Checkpoint", 1, every_steps=every_steps)
        self.folder = Path(folder)
        self.every_steps = every_steps
        self._best = None if monitor is None else Best("Checkpoint", monitor)
        self._last_step = 0
        self._start: dict[str, Any] | None = None

    def on_fit_start(self, state: State) -> None:
        """Make the folder: what cannot be written is to be known before the work is done."""
        self._last_step = state.step
        if self._best is not None:
            self._best.start(state)
        make_folder(self.folder, "Checkpoint")
        self._start = state.snapshot() if state.epoch == 0 else None

    def on_epoch_start(self, state: State) -> None:
        """Put a new training in the place of another: however early this one ends, what is in the
        folder is its own. By now nothing has refused it.
        """
        if self._start is None:
            return
        for pattern in ("best", "last", "step_*"):
            for path in self.folder.glob(f"{pattern}.safetensors"):
                path.unlink(missing_ok=True)
        self._write_training(self._start)
        self._start = None

    def on_batch_end(self, state: State) -> None:
        """Write the weights of this step if it is its turn."""
        if self.every_steps is not None and state.step % self.every_steps == 0:
            self._write(state, f"step_{state.step:06d}")

    def on_epoch_end(self, state: State) -> None:
        """Write the weights as the last ones, and as the best ones if they are."""
        if self._best is not None and self._best.is_beaten(state):
            self._write(state, "best")
        self._write_last(state)

    def on_epoch_closed(self, state: State) -> None:
        """Write the whole training, when the other callbacks have done with this epoch."""
        self._write_training(state.snapshot())

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best": None if self._best is None else self._best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over. Raises ArgumentError where another log was monitored."""
        if self._best is not None and state["best"] is not None:
            self._best.load_state_dict(state["best"])

    def on_fit_end(self, state: State) -> None:
        """Write the weights as the last ones where an epoch was cut short."""
        if state.step > self._last_step:
            self._write_last(state)

    def _write_last(self, state: State) -> None:
        self._write(state, "last")
        self._last_step = state.step

    def _write_training(self, snapshot: Mapping[str, Any]) -> None:
        save_tree(self.folder / "training.safetensors", snapshot)

    def _write(self, state: State, name: str) -> None:
        told = {"epoch": state.epoch, "step": state.step, **state.logs}
        save(
            self.folder / f"{name}.safetensors",
            state.model.state_dict(),
            {key: str(plain(value)) for key, value in told.items()},
        )
