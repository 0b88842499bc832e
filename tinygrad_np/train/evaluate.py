"""Evaluation on another dataset during training."""

from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.schema import ANYTHING, COUNT, REAL, TEXT, DictOf, ListOf, check
from tinygrad_np.train.batches import Batches, check_loader
from tinygrad_np.train.callbacks import Callback, State


class Evaluate(Callback):
    """Evaluate the model on another loader during training.

    Add `<name>_loss` and the metrics, by default `<name>_accuracy`, to the logs of each epoch. With
    `every_steps`, append a dict of these values and the `step` to the list `results` instead.

    Args:
        name: prefix of the logs; "train" and "validation" are reserved for the Trainer.
        loader: iterable of batches; see `Trainer`.
        every_steps: number of steps between evaluations; None evaluates after each epoch.

    Raises:
        ArgumentError: if `name` is empty, reserved or not a string, or `every_steps` is not an
            integer >= 1.
        DtypeError: if the loader is not iterable.

    >>> from tinygrad_np import data, train
    >>> train_set, test_set = data.digits()
    >>> curve = train.Evaluate("test", data.DataLoader(test_set), every_steps=1000)
    """

    turn = -1

    def __init__(self, name: str, loader: Batches, every_steps: int | None = None) -> None:
        if not isinstance(name, str) or not name or name in ("train", "validation"):
            raise ArgumentError(
                f"Evaluate: expected `name` to be a name such as 'test', got {name!r}. 'train' and "
                "'validation' are reserved for Trainer.fit."
            )
        check_loader("Evaluate", loader)
        if every_steps is not None:
            check_integer("Evaluate", 1, every_steps=every_steps)
        self.name = name
        self.loader = loader
        self.every_steps = every_steps
        self.results: list[dict[str, Any]] = []

    def on_fit_start(self, state: State) -> None:
        """Clear the results at the start of a new training run."""
        if state.epoch == 0:
            self.results = []

    def on_batch_end(self, state: State) -> None:
        """Evaluate every `every_steps` steps."""
        if self.every_steps is not None and state.step % self.every_steps == 0:
            self.results.append({"step": state.step, **self._evaluate(state)})

    def on_epoch_end(self, state: State) -> None:
        """Evaluate after the epoch, unless `every_steps` is set."""
        if self.every_steps is None:
            state.logs |= self._evaluate(state)

    def _evaluate(self, state: State) -> dict[str, float]:
        return {f"{self.name}_{key}": value for key, value in state.evaluate(self.loader).items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the name and the results."""
        return {"name": self.name, "results": [dict(result) for result in self.results]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the results; raise ArgumentError if invalid or of another name."""
        check("Evaluate.load_state_dict", state, {"name": TEXT, "results": ListOf(ANYTHING)})
        if state["name"] != self.name:
            raise ArgumentError(
                f"Evaluate.load_state_dict: expected a state with name={self.name!r}, got "
                f"name={state['name']!r}."
            )
        result = DictOf(REAL, {"step": COUNT}, needed=("step", f"{self.name}_loss"))
        check("Evaluate.load_state_dict", state["results"], ListOf(result), "results")
        self.results = [dict(result) for result in state["results"]]
