"""Base class of the optimizers: parameter groups, gradient checks and state dicts."""

import warnings
from collections.abc import Callable, ItemsView, Iterable, KeysView, Mapping, Sequence, Set
from typing import Any

import numpy as np

from tinygrad_np.checks import check_at_least, check_probability, is_integer, is_real
from tinygrad_np.display import Table, number_of, safe
from tinygrad_np.errors import ArgumentError, GraphError, MissingGradientWarning, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import enable_grad
from tinygrad_np.schema import ANYTHING, COUNT, NO_ARRAY, RATE, DictOf, ListOf, check, like

# Hyperparameters that must be >= 0, and those that must be from 0 to 1, in every optimizer.
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
# Entries of `locals()` at the start of an `__init__` that are not hyperparameters.
_NO_HYPERPARAMETERS = ("self", "params", "__class__")


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: tensors, (name, tensor) pairs from `named_parameters()`, or parameter groups:
            mappings with "params" and hyperparameters that override the defaults, for example to
            apply weight decay to weights but not to biases.
        defaults: hyperparameters for groups that do not set their own.

    A subclass declares its hyperparameters in the signature of `__init__`, passes `locals()` as
    `defaults` and implements `_update`. This class validates the hyperparameters that several
    optimizers share (`lr`, `eps`, `betas`, ...).

    Raises:
        ArgumentError: if `params` is a module, a single tensor or a set, or holds no parameters, a
            parameter twice or something other than leaf tensors; if a parameter group lacks
            "params" or has an unknown option; or if a hyperparameter is out of range.

    >>> from tinygrad_np import nn, optim
    >>> layer = nn.Linear(2, 1)
    >>> groups = [{"params": [layer.weight], "weight_decay": 0.01}, {"params": [layer.bias]}]
    >>> [group["weight_decay"] for group in optim.SGD(groups, lr=0.1).param_groups]
    [0.01, 0.0]
    """

    _has_warned = False

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        names = [name for name in defaults if name not in _NO_HYPERPARAMETERS]
        self.defaults = {name: _plain(defaults[name]) for name in names}
        self.param_groups: list[dict[str, Any]] = []
        # One dict per parameter, in order: momentum buffers, step counts and so on.
        self.state: list[dict[str, Any]] = []
        self._owners: list[Tensor] = []  # the parameters that the states belong to
        entries = list_of(params, self._kind)
        for entry in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(entry)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters, for example those of layers that were frozen until now.

        Args:
            param_group: "params" and hyperparameters; those it lacks have the optimizer's defaults.

        Raises:
            ArgumentError: if the group lacks "params", has an unknown option or an invalid value,
                or has a parameter that the optimizer already has.

        Construct schedules afterwards: a schedule sets the learning rates of the groups that
        existed when it was constructed.

        >>> from tinygrad_np import nn, optim
        >>> layer = nn.Linear(2, 1)
        >>> optimizer = optim.SGD([layer.weight], lr=0.1)
        >>> optimizer.add_param_group({"params": [layer.bias], "lr": 0.01})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.1, 0.01]
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            is_mapping = isinstance(param_group, Mapping)
            found = f"the keys {[*param_group]}" if is_mapping else type(param_group).__name__
            raise ArgumentError(
                f'{self._kind}: expected each parameter group to be a mapping with "params", got '
                f"{found}."
            )
        unknown = set(param_group) - set(self.defaults) - {"params", "initial_lr"}
        if unknown:
            raise ArgumentError(
                f"{self._kind}: expected the options of a parameter group to be among "
                f"{sorted(self.defaults)}, got {sorted(unknown)}."
            )
        members = param_group["params"]
        members = [members] if isinstance(members, Tensor) else members
        members = list_of(members, self._kind, allow_empty=True)
        parameters = [leaf_of(parameter, self._kind) for parameter in members]
        seen = {id(parameter) for parameter in self._parameters()}
        for position, parameter in enumerate(parameters, len(self.state)):
            if id(parameter) in seen:
                raise ArgumentError(
                    f"{self._kind}: expected each parameter once, got parameter "
                    f"{name_of(parameter, position)!r} twice."
                )
            seen.add(id(parameter))
            self._check_parameter(name_of(parameter, position), parameter)
        options = {name: _plain(value) for name, value in param_group.items() if name != "params"}
        group = {**self.defaults, **options, "params": parameters}
        self._check(group)
        self.param_groups.append(group)
        self.state += [{} for _ in parameters]
        self._owners += parameters

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _check(self, options: Mapping[str, Any]) -> None:
        """Raise ArgumentError if a hyperparameter is outside its valid range."""
        for name, value in options.items():
            if name in _AT_LEAST_0:
                check_at_least(self._kind, 0, **{name: value})
            elif name in _PROBABILITIES:
                check_probability(self._kind, **{name: value})
        if "betas" in options:
            check_betas(self._kind, options["betas"])

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        """Raise ShapeError for a parameter whose shape this optimizer cannot update."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradients of all parameters to None, or to zeros if not `set_to_none`."""
        clear_gradients(self._parameters(), set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update each parameter from its gradient.

        Args:
            closure: a function that computes the gradients and returns the loss, called first.

        Returns:
            The result of `closure`, or None without one.

        Frozen parameters are skipped. So are parameters without a gradient if others have one, as
        in PyTorch, with one warning per optimizer.

        Raises:
            ArgumentError: if the "params" of a group were edited.
            GraphError: if no parameter has a gradient.
            ShapeError: if a gradient differs from its parameter in shape or dtype.

        Warns:
            MissingGradientWarning: at the first step that skips a parameter which is not frozen.

        All gradients are checked first, so an error leaves every parameter unchanged. float16
        parameters are updated in float32 and rounded once, and their states are float32: in
        float16, squared gradients and `eps` would underflow to 0.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        self._check_owners("step")
        self._check_gradients()
        states = iter(self.state)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = next(states)
                if parameter.requires_grad and parameter.grad is not None:
                    weight, grad = parameter.data, parameter.grad.data
                    if weight.dtype == np.float16:
                        wide = weight.astype(np.float32)
                        self._update(wide, grad.astype(np.float32), state, group)
                        weight[...] = wide
                    else:
                        self._update(weight, grad, state, group)
                    parameter.mark_changed()
        return loss

    def _check_owners(self, method: str) -> None:
        """Raise ArgumentError if the parameters are not those that the states belong to."""
        if list(map(id, self._parameters())) != list(map(id, self._owners)):
            raise ArgumentError(
                f"{self._kind}.{method}: expected the parameters of each group to be those it was "
                'given, got a group whose "params" were edited. Add parameters with '
                "add_param_group(), or construct a new optimizer."
            )

    def _check_gradients(self) -> None:
        """Check the gradients before a step, and warn once about parameters that it skips."""
        missing: list[tuple[str, Tensor]] = []
        has_gradients = False
        for position, parameter in enumerate(self._parameters()):
            if not parameter.requires_grad:
                continue
            if parameter.grad is None:
                missing.append((name_of(parameter, position), parameter))
                continue
            has_gradients = True
            weight, grad = parameter.data, parameter.grad.data
            if grad.shape != weight.shape or grad.dtype != weight.dtype:
                raise ShapeError(
                    f"{self._kind}.step: expected the gradient of parameter "
                    f"{name_of(parameter, position)!r} to have shape {weight.shape} and dtype "
                    f"{weight.dtype}, got {grad.shape} and {grad.dtype}."
                )
        if missing and not has_gradients:
            name, parameter = missing[0]
            raise GraphError(
                f"{self._kind}.step: expected a gradient for parameter {name!r} of shape "
                f"{parameter.shape}, got none for any parameter. Call backward() on a loss that "
                "depends on them."
            )
        if missing and not self._has_warned:
            warnings.warn(
                f"{self._kind}.step: no gradient for {_quoted([name for name, _ in missing])}, "
                "which this step leaves unchanged. If the loss should depend on them, check that "
                "forward() uses them; otherwise freeze them with requires_grad_(False). This "
                "warning is shown once per optimizer.",
                MissingGradientWarning,
                stacklevel=3,
            )
            self._has_warned = True

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        """Update `weight` and its `state` in place; `grad` is read-only."""
        raise NotImplementedError

    @safe
    def __repr__(self) -> str:
        """Return the hyperparameters and the number of parameters of each group."""
        lines = [
            ", ".join(f"{name}={option_text(value)}" for name, value in _options(group).items())
            for group in self.param_groups
        ]
        sizes = [_parameters_of(group) for group in self.param_groups]
        if len(lines) == 1:
            return f"{self._kind}({lines[0]}): {sizes[0]}"
        inner = [
            f"  ({i}): {line}: {size}"
            for i, (line, size) in enumerate(zip(lines, sizes, strict=True))
        ]
        return "\n".join([f"{self._kind}(", *inner, ")"])

    @safe
    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for group in self.param_groups for name in _options(group)))
        rows = [
            (str(position), _parameters_of(group), *(option_text(group[name]) for name in names))
            for position, group in enumerate(self.param_groups)
        ]
        table = Table(("group", "parameters", *names), rows, names=2, title=self._kind)
        return table._repr_html_()

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the optimizer's state and hyperparameters.

        Returns:
            A dict with "state", a list with one dict per parameter in order, and "param_groups",
            the hyperparameters of each group, where "params" is the group's number of parameters.

        Raises:
            ArgumentError: if the "params" of a group were edited.
        """
        self._check_owners("state_dict")
        return {
            "state": [
                {name: _copy(value) for name, value in state.items()} for state in self.state
            ],
            "param_groups": [
                {**group, "params": len(group["params"])} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the `state_dict` of an optimizer of the same class with the same parameter groups.

        Raises:
            ArgumentError: if the parameter groups or their options do not match, or a value is
                invalid.
            ShapeError: if an array has the wrong shape.

        An error leaves the optimizer unchanged.
        """
        self._check_owners("load_state_dict")
        self._check_state_dict(state)
        for group, loaded in zip(self.param_groups, state["param_groups"], strict=True):
            # Checkpoints store hyperparameters as JSON, which turns tuples into lists.
            plain = {k: tuple(v) if isinstance(v, list) else v for k, v in loaded.items()}
            group.update({**plain, "params": group["params"]})
        self.state = [
            {name: _copy(value) for name, value in values.items()} for values in state["state"]
        ]

    def _check_state_dict(self, state: Mapping[str, Any]) -> None:
        where = f"{self._kind}.load_state_dict"
        if not isinstance(state, Mapping) or set(state) != {"state", "param_groups"}:
            found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise ArgumentError(
                f"{where}: expected the entries ['param_groups', 'state'], got {found}."
            )
        structure = {"state": ListOf(DictOf(ANYTHING)), "param_groups": ListOf(DictOf(NO_ARRAY))}
        check(where, state, structure)
        # initial_lr is not compared: only schedules set it, and older files lack it.
        own = [(_names(group), len(group["params"])) for group in self.param_groups]
        given = [(_names(group), group.get("params")) for group in state["param_groups"]]
        if own != given:
            raise ArgumentError(
                f"{where}: expected the parameter groups {_describe(own)}, got {_describe(given)}."
            )
        if len(state["state"]) != len(self.state):
            raise ArgumentError(
                f"{where}: expected the states of {len(self.state)} parameters, got "
                f"{len(state['state'])}."
            )
        entries = iter(enumerate(state["state"]))
        for number, (group, loaded) in enumerate(
            zip(self.param_groups, state["param_groups"], strict=True)
        ):
            self._check(loaded)
            kinds = {"initial_lr": RATE} | {name: like(value) for name, value in group.items()}
            for name in loaded:
                if name != "params":
                    check(where, loaded[name], kinds[name], f"param_groups[{number}].{name}")
            for parameter in group["params"]:
                position, values = next(entries)
                path = f"state[{name_of(parameter, position)!r}]"
                self._check_state(where, path, values, parameter.data, loaded)

    def _check_state(
        self,
        where: str,
        path: str,
        state: Mapping[str, Any],
        weight: Array,
        group: Mapping[str, Any],
    ) -> None:
        """Check the state of one parameter against the state that a first step creates."""
        if not state:
            return  # no step yet, or frozen
        sample: dict[str, Any] = {}
        weight = weight.astype(np.promote_types(weight.dtype, np.float32))  # as in `step`
        with np.errstate(all="ignore"):
            self._update(np.zeros_like(weight), np.zeros_like(weight), sample, group)
        if not set(sample) <= set(state):
            raise ArgumentError(
                f"{where}: expected `{path}` to have the entries {sorted(sample)}, got "
                f"{sorted(state)}."
            )
        for name, value in state.items():
            # Changing an option during training, such as momentum, can leave an unused entry.
            example = sample.get(name, weight if isinstance(value, np.ndarray) else 0.0)
            schema = COUNT if is_integer(example) else like(example)
            check(where, value, schema, f"{path}.{name}")


def clear_gradients(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Set gradients to None, or those that exist to zeros if not `set_to_none`."""
    for parameter in parameters:
        grad = parameter.grad
        if set_to_none or grad is None:
            parameter.grad = None
        else:
            parameter.grad = Tensor.from_numpy(np.zeros_like(grad.data))


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as a Python number.

    The dtype of a scalar affects rounding, and a checkpoint loads as Python numbers.
    """
    return value.item() if isinstance(value, np.generic) else value


def _quoted(names: Sequence[str], most: int = 5) -> str:
    """Return up to `most` names of parameters, and the number of the others."""
    text = ", ".join(map(repr, names[:most]))
    return text + (f" and {len(names) - most} more" if len(names) > most else "")


def _describe(groups: Sequence[tuple[set[str], Any]]) -> str:
    parts = [
        f"{count} parameters with {', '.join(sorted(names - {'params'}))}"
        for names, count in groups
    ]
    return f"[{'; '.join(parts)}]"


def check_betas(kind: str, betas: Any) -> None:
    """Raise ArgumentError unless `betas` are two numbers in [0, 1)."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ArgumentError(f"{kind}: expected `betas` to be two numbers, got {betas!r}.")
    if not all(is_real(beta) and 0 <= beta < 1 for beta in betas):
        raise ArgumentError(f"{kind}: expected `betas` to be >= 0 and below 1, got {betas}.")


def list_of(
    parameters: Any, kind: str, example: str = "model.parameters()", allow_empty: bool = False
) -> list[Any]:
    """Return an iterable of parameters or of parameter groups as a list.

    A set is refused: its order differs between processes, and state is stored by position.
    """
    is_view = isinstance(parameters, KeysView | ItemsView)
    if (isinstance(parameters, Set) and not is_view) or isinstance(parameters, type(iter(set()))):
        raise ArgumentError(
            f"{kind}: expected parameters in a fixed order, got {type(parameters).__name__}. Pass "
            f"a list, or {example}."
        )
    is_module = callable(getattr(parameters, "parameters", None))
    if isinstance(parameters, Tensor) or is_module or not isinstance(parameters, Iterable):
        raise ArgumentError(
            f"{kind}: expected an iterable of tensors, got {type(parameters).__name__}. "
            f"Try {example}."
        )
    entries = list(parameters)
    if not entries and not allow_empty:
        raise ArgumentError(f"{kind}: expected at least one parameter, got none. Try {example}.")
    return entries


def leaf_of(entry: Any, kind: str) -> Tensor:
    """Return the parameter in `entry`, a tensor or a (name, tensor) pair; store the name on it."""
    parameter = entry[1] if isinstance(entry, tuple) else entry
    if not isinstance(parameter, Tensor) or not parameter.is_leaf:
        raise ArgumentError(
            f"{kind}: expected parameters to be leaf tensors, got "
            f"{'an op result' if isinstance(parameter, Tensor) else type(parameter).__name__}. "
            "Try model.parameters()."
        )
    if isinstance(entry, tuple):
        parameter.name = entry[0]
    return parameter


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of a group."""
    return {name: value for name, value in group.items() if name not in ("params", "initial_lr")}


def _parameters_of(group: Mapping[str, Any]) -> str:
    """Describe the parameters of a group."""
    sizes = [parameter.numel() for parameter in group["params"]]
    frozen = sum(not parameter.requires_grad for parameter in group["params"])
    text = f"{number_of(len(sizes), 'tensor')}, {number_of(sum(sizes), 'parameter')}"
    return text + (f" ({number_of(frozen, 'frozen tensor')})" if frozen else "")


def option_text(value: Any) -> str:
    """Return an option or a learning rate as text, floats with six digits."""
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _names(group: Mapping[str, Any]) -> set[str]:
    return set(group) - {"initial_lr"}


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def name_of(parameter: Tensor, position: int) -> str:
    """Return the path of a parameter in its module, or its position if it has no name."""
    return getattr(parameter, "name", "") or str(position)
