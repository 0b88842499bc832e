"""Of what the state of a training consists, beside what its parts know themselves."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim import Optimizer, Schedule
from tinygrad_np.train.batches import kind_of
from tinygrad_np.train.callbacks import Callback


def bit_generators(model: nn.Module) -> list[Any]:
    """Return what is behind the random generators that are attributes of modules, each once."""
    found = [
        value.bit_generator
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, np.random.Generator)
    ]
    return list({id(own): own for own in found}.values())


def remembers(callback: Callback) -> bool:
    """Return whether a callback has a state: others may come and go between two trainings."""
    return type(callback).state_dict is not Callback.state_dict


def kinds(
    model: nn.Module,
    optimizer: Optimizer,
    schedule: Schedule | None,
    schedule_per: str,
    callbacks: Iterable[Callback],
) -> dict[str, Any]:
    """Return in words what must be the same where a training goes on."""
    return {
        "optimizer": kind_of(optimizer),
        "schedule": None if schedule is None else f"{kind_of(schedule)} per {schedule_per}",
        "callbacks": [kind_of(callback) for callback in callbacks if remembers(callback)],
        "generators": [kind_of(own) for own in bit_generators(model)],
    }


def check_kinds(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse what is no state of a training, or one of other kinds of parts."""
    where = "Trainer.load_state_dict"
    if set(state) != set(own):
        raise ArgumentError(
            f"{where}: got {sorted(state)}, expected {sorted(own)}, as of Trainer.state_dict()"
        )
    given, expected = state["kinds"], own["kinds"]
    differing = [
        f"{name}: got {_list_kinds(given.get(name))}, expected {_list_kinds(kind)}"
        for name, kind in expected.items()
        if given.get(name) != kind
    ]
    if differing:
        raise ArgumentError(
            f"{where}: this state is of another training; {'; '.join(differing)}. Make the trainer "
            "with the same parts; nothing was loaded"
        )


def check_loads(loader: Any) -> None:
    """Refuse a loader that cannot go on where another one was."""
    if not hasattr(loader, "load_state_dict"):
        raise ArgumentError(
            f"Trainer.fit: got {kind_of(loader)}, expected a loader with load_state_dict, such as "
            "the DataLoader of the training that is to go on"
        )


def _list_kinds(kind: Any) -> str:
    return (", ".join(kind) if isinstance(kind, list) else kind) or "none"
