"""Checkpoints: weights and training state saved during training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_np.checks import check_integer
from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError
from tinygrad_np.files import check_no_folder, make_folder, remove
from tinygrad_np.schema import ANYTHING, DictOf, OrNone, check
from tinygrad_np.train.best import Best
from tinygrad_np.train.callbacks import Callback, State, plain
from tinygrad_np.train.tree import save_tree
from tinygrad_np.train.weights import save


class Checkpoint(Callback):
    """Save weights and a training checkpoint to a directory.

    - best.safetensors: weights of the epoch with the best `monitor`.
    - last.safetensors: weights after each epoch and at the end of training.
    - step_000500.safetensors and so on: weights after every `every_steps` steps.
    - training.safetensors: the training checkpoint, from which `Trainer.load` resumes; written
      before the first epoch and after each epoch.

    `train.load` reads the weights; their metadata holds the epoch, the step and the logs.

    Args:
        folder: directory to write to; created if missing.
        monitor: log that defines the best epoch, such as "validation_loss". None disables
            best.safetensors.
        every_steps: number of steps between the numbered files; None disables them.
        overwrite: whether a new training run may remove such files of an earlier one.
        mode: "min" if lower values of `monitor` are better, "max" if higher ones are. By default,
            "min" for a loss and "max" for an accuracy.

    Raises:
        ArgumentError: if `monitor` does not end in "loss" or "accuracy" and has no `mode`, `mode`
            is invalid, or `every_steps` is not an integer >= 1.

    `fit` raises the errors of `Trainer.save`, and ArgumentError if the directory holds such files
    of an earlier run and `overwrite` is False, or if `monitor` needs a validation set and there is
    none, or is not among the logs.

    >>> from tinygrad_np import train
    >>> checkpoint = train.Checkpoint("runs/lenet", monitor="validation_accuracy")
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str | None = "validation_loss",
        every_steps: int | None = None,
        overwrite: bool = False,
        mode: str | None = None,
    ) -> None:
        if every_steps is not None:
            check_integer("Checkpoint", 1, every_steps=every_steps)
        self.folder = Path(folder)
        self.every_steps = every_steps
        self.overwrite = overwrite
        self._best = None if monitor is None else Best("Checkpoint", monitor, mode)
        self._last_step = 0
        self._start: dict[str, Any] | None = None

    @safe
    def __repr__(self) -> str:
        best = "monitor=None" if self._best is None else repr(self._best)
        steps = f", every_steps={self.every_steps}" if self.every_steps else ""
        return f"Checkpoint({str(self.folder)!r}, {best}{steps})"

    def on_fit_start(self, state: State) -> None:
        """Create the directory now, to fail before training if it is not writable."""
        self._last_step = state.step
        if self._best is not None:
            self._best.start(state)
        make_folder(self.folder, "Checkpoint")
        names = ("best", "last", "training")
        check_no_folder(*(self.folder / f"{name}.safetensors" for name in names))
        check_no_folder(*self.folder.glob("step_*.safetensors"))
        self._start = None
        if state.epoch == 0:
            self._check_unused()
            self._start = state.snapshot()

    def _check_unused(self) -> None:
        found = [] if self.overwrite else self._files()
        if found:
            raise ArgumentError(
                f"Checkpoint: expected a directory without an earlier run, got {self.folder}, "
                f"which holds {found[0].name}. Choose another one, pass overwrite=True, or resume "
                "with Trainer.load."
            )

    def _files(self) -> list[Path]:
        names = ("best", "last", "training", "step_[0-9]*")
        return [path for name in names for path in self.folder.glob(f"{name}.safetensors")]

    def on_epoch_start(self, state: State) -> None:
        """Replace the files of a previous training run with the initial training checkpoint.

        Delayed until the first epoch starts: by then every `on_fit_start` has succeeded, and
        however early this run ends, all checkpoints in the directory are its own.
        """
        if self._start is None:
            return
        for path in self._files():
            if path.name != "training.safetensors":  # replaced next
                remove(path)
        self._write_training(self._start)
        self._start = None

    def on_batch_end(self, state: State) -> None:
        """Save the weights every `every_steps` steps."""
        if self.every_steps is not None and state.step % self.every_steps == 0:
            self._write(state, f"step_{state.step:06d}")

    def on_epoch_end(self, state: State) -> None:
        """Save the weights to last.safetensors and, if they are the best, to best.safetensors."""
        if self._best is not None and self._best.is_beaten(state):
            self._write(state, "best")
        self._write_last(state)

    def on_epoch_closed(self, state: State) -> None:
        """Save the training checkpoint after all callbacks have finished the epoch."""
        self._write_training(state.snapshot())

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and its epoch."""
        return {"best": None if self._best is None else self._best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best value; raise ArgumentError if invalid or of another metric."""
        check("Checkpoint.load_state_dict", state, {"best": OrNone(DictOf(ANYTHING))})
        if self._best is not None and state["best"] is not None:
            self._best.load_state_dict(state["best"])

    def on_fit_end(self, state: State) -> None:
        """Save the last weights if the last epoch did not finish."""
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
