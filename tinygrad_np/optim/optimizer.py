"""What all optimizers share: parameter groups, the check before a step, state dicts."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.checks import check_at_least, check_probability
from tinygrad_np.errors import ArgumentError, GraphError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.tensor import Tensor

# What each hyperparameter may be, whichever optimizer has it.
_AT_LEAST_0 = (
    "lr",
    "initial_lr",
    "lr_decay",
    "weight_decay",
    "momentum",
    "momentum_decay",
    "dampening",
    "initial_accumulator_value",
    "eps",
)
_PROBABILITIES = ("alpha", "rho")
# What `locals()` has at the start of an `__init__` besides the hyperparameters.
_NO_HYPERPARAMETERS = ("self", "params", "__class__")


class Optimizer:
    """Changes parameters by their gradients.

    `params` are tensors, (name, tensor) pairs as of `named_parameters()`, or groups: mappings with
    "params" and hyperparameters of their own, such as weights with decay and biases without.

    A subclass lists its hyperparameters in the signature of its `__init__`, whose `locals()` are
    the `defaults`, and writes `_update`. Those with a name that other optimizers use too are
    checked here.
    """

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        defaults = {name: defaults[name] for name in defaults if name not in _NO_HYPERPARAMETERS}
        if isinstance(params, Tensor) or callable(getattr(params, "parameters", None)):
            raise ArgumentError(
                f"{self._kind}: got a {type(params).__name__}, expected several tensors, as of "
                "model.parameters(), or groups of them"
            )
        entries = list(params)
        if not entries:
            raise ArgumentError(f"{self._kind}: got no parameters; give model.parameters()")
        if not isinstance(entries[0], Mapping):
            entries = [{"params": entries}]
        self.param_groups: list[dict[str, Any]] = []
        seen: set[int] = set()
        for entry in entries:
            if not isinstance(entry, Mapping) or "params" not in entry:
                raise ArgumentError(
                    f'{self._kind}: got {type(entry).__name__}, expected a group with "params"'
                )
            unknown = set(entry) - set(defaults) - {"params", "initial_lr"}
            if unknown:
                raise ArgumentError(
                    f"{self._kind}: unknown options {sorted(unknown)} in a group, expected "
                    f"{sorted(defaults)}"
                )
            parameters = [leaf_of(parameter, self._kind) for parameter in entry["params"]]
            for position, parameter in enumerate(parameters):
                if id(parameter) in seen:
                    raise ArgumentError(
                        f"{self._kind}: parameter {name_of(parameter, position)} was given twice"
                    )
                seen.add(id(parameter))
            group = {**defaults, **entry}
            # Python's numbers, as they come back from a file: NumPy's have a dtype to round to.
            group = {k: v.item() if isinstance(v, np.generic) else v for k, v in group.items()}
            group["params"] = parameters
            self._check(group)
            self.param_groups.append(group)
        # What is remembered of each parameter, in their order.
        self.state: list[dict[str, Any]] = [{} for _ in self._parameters()]

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _check(self, options: Mapping[str, Any]) -> None:
        """Refuse hyperparameters outside their range."""
        for name, value in options.items():
            if name in _AT_LEAST_0:
                check_at_least(self._kind, 0, **{name: value})
            elif name in _PROBABILITIES:
                check_probability(self._kind, **{name: value})
        if "betas" in options:
            check_betas(self._kind, options["betas"])

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self._parameters():
            parameter.grad = None

    def step(self) -> None:
        """Change each parameter by its gradient; frozen ones stay.

        Raises GraphError if a parameter got no gradient, ShapeError if it was given one of another
        shape or dtype; nothing has been changed then.
        """
        for position, parameter in enumerate(self._parameters()):
            if not parameter.requires_grad:
                continue
            name, grad = name_of(parameter, position), parameter.grad
            if grad is None:
                raise GraphError(
                    f"{self._kind}.step: parameter {name}, of shape {parameter.shape}, has no "
                    "gradient; call backward() on a loss that depends on it, or freeze it with "
                    "requires_grad = False"
                )
            if grad.shape != parameter.shape or grad.dtype != parameter.dtype:
                raise ShapeError(
                    f"{self._kind}.step: parameter {name} has a gradient of shape {grad.shape}, "
                    f"{grad.dtype}, expected its own {parameter.shape}, {parameter.dtype}"
                )
        states = iter(self.state)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = next(states)
                if parameter.requires_grad:
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
        """Return copies of what is remembered of each parameter, by position, and the groups'
        hyperparameters, with the number of their parameters.
        """
        return {
            "state": [
                {name: _copy(value) for name, value in state.items()} for state in self.state
            ],
            "param_groups": [
                {**group, "params": len(group["params"])} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of the same optimizer over the same parameters returned.

        Raises ArgumentError or ShapeError where it is another's; nothing has been changed then.
        """
        where = f"{self._kind}.load_state_dict"
        if set(state) != {"state", "param_groups"}:
            raise ArgumentError(f"{where}: got {sorted(state)}, expected state and param_groups")
        # Only a group with a schedule has an initial_lr, and older files have none.
        own = [(_names(group), len(group["params"])) for group in self.param_groups]
        given = [(_names(group), group.get("params")) for group in state["param_groups"]]
        if own != given or len(state["state"]) != len(self.state):
            raise ArgumentError(
                f"{where}: this state is of another optimizer, or of other groups of parameters"
            )
        for position, (parameter, values) in enumerate(
            zip(self._parameters(), state["state"], strict=True)
        ):
            for name, value in values.items():
                if isinstance(value, np.ndarray) and value.shape != parameter.shape:
                    raise ShapeError(
                        f"{where}: {name} of parameter {name_of(parameter, position)} has shape "
                        f"{value.shape}, expected {parameter.shape}"
                    )
        for group in state["param_groups"]:
            self._check(group)
        for group, loaded in zip(self.param_groups, state["param_groups"], strict=True):
            # JSON, in which a training is kept, makes lists of tuples.
            plain = {k: tuple(v) if isinstance(v, list) else v for k, v in loaded.items()}
            group.update({**plain, "params": group["params"]})
        self.state = [
            {name: _copy(value) for name, value in values.items()} for values in state["state"]
        ]


def check_betas(kind: str, betas: Any) -> None:
    """Refuse betas that are not two numbers from 0 to below 1."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ArgumentError(f"{kind} betas: got {betas!r}, expected two numbers")
    if not all(0 <= beta < 1 for beta in betas):
        raise ArgumentError(f"{kind} betas: got {betas}, expected two numbers from 0 to below 1")


def leaf_of(entry: Any, kind: str) -> Tensor:
    """Return the parameter itself, given alone or with its name, which it then has."""
    parameter = entry[1] if isinstance(entry, tuple) else entry
    if not isinstance(parameter, Tensor) or not parameter.is_leaf:
        raise ArgumentError(
            f"{kind}: got {type(parameter).__name__} as a parameter, expected leaf Tensors, as of "
            "model.parameters()"
        )
    if isinstance(entry, tuple) and hasattr(parameter, "name"):
        parameter.name = entry[0]
    return parameter


def _names(group: Mapping[str, Any]) -> set[str]:
    return set(group) - {"initial_lr"}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def name_of(parameter: Tensor, position: int) -> str:
    """Return the path of a parameter in its module, or its position."""
    return getattr(parameter, "name", "") or str(position)
