"""Callback that averages the weights during training."""

from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import kind_of
from tinygrad_np.display import safe
from tinygrad_np.errors import DtypeError
from tinygrad_np.optim.ema import EMA
from tinygrad_np.train.callbacks import Callback, State


class AverageWeights(Callback):
    """Update a moving average of the weights after each step, and save it in checkpoints.

    The model itself keeps its own weights. Evaluate the average with
    `with ema.averaged(): trainer.evaluate(loader)`.

    Args:
        ema: the average, an `optim.EMA` of the model.

    Raises:
        DtypeError: if `ema` is not an `optim.EMA`.

    >>> from tinygrad_np import nn, optim, train
    >>> ema = optim.EMA(nn.Linear(2, 1), decay=0.99)
    >>> train.AverageWeights(ema)
    AverageWeights(EMA(decay=0.99): 0 updates)
    """

    def __init__(self, ema: EMA) -> None:
        if not isinstance(ema, EMA):
            raise DtypeError(
                f"AverageWeights: expected `ema` to be an optim.EMA, got {kind_of(ema)}."
            )
        self.ema = ema

    @safe
    def __repr__(self) -> str:
        return f"AverageWeights({self.ema!r})"

    def on_batch_end(self, state: State) -> None:
        """Include the weights after this step."""
        self.ema.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the average."""
        return self.ema.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the average; raise ArgumentError or ShapeError if invalid."""
        self.ema.load_state_dict(state)
