"""What a training checkpoint contains: helpers for `Trainer.state_dict`."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np import nn, random
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim import Optimizer, Schedule
from tinygrad_np.schema import ANYTHING, ARRAY, COUNT, TEXT, DictOf, ListOf, OrNone, check
from tinygrad_np.train.batches import class_name
from tinygrad_np.train.callbacks import Callback


def bit_generators(model: nn.Module) -> list[Any]:
    """Return the bit generators of all random generators in the modules, each once."""
    found = [
        value.bit_generator
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, np.random.Generator)
    ]
    return list({id(own): own for own in found}.values())


def remembers(callback: Callback) -> bool:
    """Return whether a callback has a state; only such callbacks must match on resume."""
    return type(callback).state_dict is not Callback.state_dict


def kinds(
    model: nn.Module,
    optimizer: Optimizer,
    schedule: Schedule | None,
    schedule_per: str,
    callbacks: Iterable[Callback],
) -> dict[str, Any]:
    """Describe the parts of a trainer that must be the same when a run is resumed."""
    return {
        "optimizer": class_name(optimizer),
        "schedule": None if schedule is None else f"{class_name(schedule)} per {schedule_per}",
        "callbacks": [class_name(callback) for callback in callbacks if remembers(callback)],
        "generators": [class_name(own) for own in bit_generators(model)],
    }


def check_snapshot(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that `state` comes from a trainer with the same parts as the trainer of `own`.

    Each part checks the rest of its own state when it loads it.

    Raises:
        ArgumentError: if a part is of another class, or a value is invalid.
    """
    where = "Trainer.load_state_dict"
    if not isinstance(state, Mapping) or set(state) != set(own):
        found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
        raise ArgumentError(
            f"{where}: expected a state from Trainer.state_dict() with the keys {sorted(own)}, got "
            f"{found}."
        )
    names: dict[str, Any] = {"optimizer": TEXT, "schedule": OrNone(TEXT)}
    names |= {"callbacks": ListOf(TEXT), "generators": ListOf(TEXT)}
    check(where, state["kinds"], names, "kinds")
    given, expected = state["kinds"], own["kinds"]
    differing = [
        f"{name}: expected {_list_kinds(kind)}, got {_list_kinds(given[name])}"
        for name, kind in expected.items()
        if given[name] != kind
    ]
    if differing:
        raise ArgumentError(
            f"{where}: this state belongs to a different training run ({'; '.join(differing)}). "
            "Build the Trainer from the same parts. Nothing was loaded."
        )
    # The loader itself is known only to the next fit, but most runs have a DataLoader.
    loader: Any = {"seed": OrNone(COUNT), "epoch": COUNT}
    loader |= dict.fromkeys(("samples", "batch_size", "shuffle", "drop_last"), COUNT)
    if isinstance(state["loader"], Mapping) and set(state["loader"]) != set(loader):
        loader = DictOf(ANYTHING)
    schema = {
        "kinds": names,
        "model": DictOf(ARRAY),
        "optimizer": DictOf(ANYTHING),
        "schedule": OrNone(DictOf(ANYTHING)),
        "epoch": COUNT,
        "step": COUNT,
        "loader": OrNone(loader),
        "generators": [random.state_schema(one) for one in own["generators"]],
        "default_generator": random.state_schema(own["default_generator"]),
        "callbacks": [DictOf(ANYTHING) for _ in own["callbacks"]],
    }
    check(where, state, schema)


def check_loads(loader: Any) -> None:
    """Raise ArgumentError if a loader cannot resume from a saved state."""
    if not hasattr(loader, "load_state_dict"):
        raise ArgumentError(
            "Trainer.fit: expected a loader with load_state_dict to resume the training run, got "
            f"{class_name(loader)}. Try a DataLoader like the one that the run started with."
        )


def _list_kinds(kind: Any) -> str:
    return (", ".join(kind) if isinstance(kind, list) else kind) or "none"
