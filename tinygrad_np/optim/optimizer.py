"""What all optimizers share: parameter groups, the check before a step, state dicts."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, GraphError, ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.tensor import Tensor


class Optimizer:
    """Changes parameters by their gradients.

    `params` are tensors, (name, tensor) pairs as of `named_parameters()`, or groups: mappings with
    "params" and hyperparameters of their own, such as weights with decay and biases without.
    """

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        entries = list(params)
        if not entries:
            raise ArgumentError(f"{self._kind}: got no parameters; give model.parameters()")
        if not isinstance(entries[0], Mapping):
            entries = [{"params": entries}]
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[int, dict[str, Any]] = {}
        seen: set[int] = set()
        for entry in entries:
            unknown = set(entry) - set(defaults) - {"params"}
            if unknown:
                raise ArgumentError(
                    f"{self._kind}: unknown options {sorted(unknown)} in a group, expected "
                    f"{sorted(defaults)}"
                )
            group = {
                **defaults,
                **entry,
                "params": [_tensor(p, self._kind) for p in entry["params"]],
            }
            for parameter in group["params"]:
                if id(parameter) in seen:
                    raise ArgumentError(f"{self._kind}: a parameter was given twice")
                seen.add(id(parameter))
            self.param_groups.append(group)

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self._parameters():
            parameter.grad = None

    def step(self) -> None:
        """Change each parameter by its gradient; frozen ones stay.

        Raises GraphError, before anything is changed, if a parameter got no gradient.
        """
        for position, parameter in enumerate(self._parameters()):
            if parameter.requires_grad and parameter.grad is None:
                name = getattr(parameter, "name", "")
                raise GraphError(
                    f"{self._kind}.step: parameter {name or position}, of shape {parameter.shape}, "
                    "has no gradient; call backward() on a loss that depends on it, or freeze it "
                    "with requires_grad = False"
                )
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.requires_grad:
                    state = self.state.setdefault(id(parameter), {})
                    self._update(parameter.data, parameter.grad.data, state, group)
                    parameter.mark_changed()

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        """Change `weight` in place; `grad` is only read, `state` is this parameter's own."""
        raise NotImplementedError

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the state of each parameter, by position, and the hyperparameters."""
        return {
            "state": {
                position: {name: _copy(value) for name, value in self.state[id(p)].items()}
                for position, p in enumerate(self._parameters())
                if id(p) in self.state
            },
            "param_groups": [
                {name: value for name, value in group.items() if name != "params"}
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, for the same parameters in the same order."""
        parameters = self._parameters()
        if len(state["param_groups"]) != len(self.param_groups):
            raise ArgumentError(
                f"{self._kind}.load_state_dict: got {len(state['param_groups'])} groups, expected "
                f"{len(self.param_groups)}"
            )
        for position, values in state["state"].items():
            if not 0 <= position < len(parameters):
                raise ArgumentError(f"{self._kind}.load_state_dict: no parameter {position}")
            for name, value in values.items():
                shape = parameters[position].shape
                if isinstance(value, np.ndarray) and value.shape != shape:
                    raise ShapeError(
                        f"{self._kind}.load_state_dict: {name} of parameter {position} has shape "
                        f"{value.shape}, expected {shape}"
                    )
        for group, loaded in zip(self.param_groups, state["param_groups"], strict=True):
            group.update(loaded)
        self.state = {
            id(parameters[position]): {name: _copy(value) for name, value in values.items()}
            for position, values in state["state"].items()
        }


def at_least(kind: str, least: float, **options: float) -> None:
    """Refuse options below `least`, and nan."""
    for name, value in options.items():
        if not value >= least:
            raise ArgumentError(f"{kind} {name}: got {value}, expected at least {least}")


def _tensor(entry: Any, kind: str) -> Tensor:
    parameter = entry[1] if isinstance(entry, tuple) else entry
    if not isinstance(parameter, Tensor) or not parameter.is_leaf:
        raise ArgumentError(
            f"{kind}: got {type(parameter).__name__} as a parameter, expected leaf Tensors, as of "
            "model.parameters()"
        )
    return parameter


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
