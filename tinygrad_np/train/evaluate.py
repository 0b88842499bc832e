"""A look at further data as the training goes."""

from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.train.batches import Batches, check_loader
from tinygrad_np.train.callbacks import Callback, State


class Evaluate(Callback):
    """Evaluates the model on a loader: `<name>_loss`, and `<name>_accuracy` where there is one.

    They stand in the logs of each epoch. With `every_steps` they are in `results` instead, a list
    of dicts with the `step`, after so many steps each.

    >>> from tinygrad_np import data, train
    >>> train_set, test_set = data.digits()
    >>> curve = train.Evaluate("test", data.DataLoader(test_set), every_steps=1000)
    """

    turn = -1

    def __init__(self, name: str, loader: Batches, every_steps: int | None = None) -> None:
        if not isinstance(name, str) or not name or name in ("train", "validation"):
            raise ArgumentError(
                f"Evaluate name: got {name!r}, expected a name such as 'test'; 'train' and "
                "'validation' are of Trainer.fit"
            )
        check_loader("Evaluate", loader)
        if every_steps is not None:
            check_integer("Evaluate", 1, every_steps=every_steps)
        self.name = name
        self.loader = loader
        self.every_steps = every_steps
        self.results: list[dict[str, Any]] = []

    def on_fit_start(self, state: State) -> None:
        """Forget the training before, if this is another."""
        if state.epoch == 0:
            self.results = []

    def on_batch_end(self, state: State) -> None:
        """Evaluate if it is the turn of this step."""
        if self.every_steps is not None and state.step % self.every_steps == 0:
            self.results.append({"step": state.step, **self._evaluate(state)})

    def on_epoch_end(self, state: State) -> None:
        """Evaluate, if not by steps."""
        if self.every_steps is None:
            state.logs |= self._evaluate(state)

    def _evaluate(self, state: State) -> dict[str, float]:
        return {f"{self.name}_{key}": value for key, value in state.evaluate(self.loader).items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the name, and the results by steps."""
        return {"name": self.name, "results": [dict(result) for result in self.results]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the results over. Raises ArgumentError where they are of another name."""
        if state["name"] != self.name:
            raise ArgumentError(
                f"Evaluate.load_state_dict: got results of {state['name']!r}, expected of "
                f"{self.name!r}"
            )
        self.results = [dict(result) for result in state["results"]]
