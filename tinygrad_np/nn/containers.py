"""Containers by name and of parameters: ModuleDict and ParameterList."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from tinygrad_np.checks import kind_of
from tinygrad_np.errors import ArgumentError, AxisError, KeyNotFoundError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Module, Parameter, free_name

Modules = Mapping[str, Module] | Iterable[tuple[str, Module]]


class ModuleDict(Module):
    """A dict of child modules, in the order of insertion, called by the module that holds it.

    The modules are also attributes: `layers["first"]` is `layers.first`.

    Args:
        modules: modules by name, a mapping or an iterable of pairs (name, module).

    Raises:
        ArgumentError: if a name is not a string, is empty, contains a dot or is an attribute of
            Module, such as "train", or a value is not a Module.
        KeyNotFoundError: if no module has the given name.

    >>> from tinygrad_np import nn
    >>> layers = nn.ModuleDict({"first": nn.Linear(4, 3), "act": nn.ReLU()})
    >>> layers["last"] = nn.Linear(3, 2)
    >>> list(layers), layers["act"], "middle" in layers
    (['first', 'act', 'last'], ReLU(), False)
    >>> list(layers.state_dict())
    ['first.weight', 'first.bias', 'last.weight', 'last.bias']
    """

    def __init__(self, modules: Modules | None = None) -> None:
        if modules is not None:
            self.update(modules)

    def _dict(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def __getitem__(self, key: str) -> Module:
        if key not in self:
            raise KeyNotFoundError(
                f"ModuleDict: expected one of the names {list(self)}, got {key!r}."
            )
        return self._dict()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        is_name = isinstance(key, str) and key and "." not in key
        if not is_name or hasattr(type(self), key) or (hasattr(self, key) and key not in self):
            raise ArgumentError(
                "ModuleDict: expected a name without dots that is not an attribute of Module, got "
                f"{key!r}."
            )
        if not isinstance(module, Module):
            raise ArgumentError(
                f"ModuleDict: expected a module for {key!r}, got {kind_of(module)}."
            )
        setattr(self, key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __len__(self) -> int:
        return len(self._dict())

    def __iter__(self) -> Iterator[str]:
        return iter(self._dict())

    def __contains__(self, key: object) -> bool:
        return key in self._dict()

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._dict().keys()

    def values(self) -> ValuesView[Module]:
        """Return the modules."""
        return self._dict().values()

    def items(self) -> ItemsView[str, Module]:
        """Return pairs (name, module)."""
        return self._dict().items()

    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        module = self[key]
        delattr(self, key)
        return module

    def clear(self) -> None:
        """Remove all modules."""
        for key in self:
            delattr(self, key)

    def update(self, modules: Modules) -> None:
        """Add modules from a mapping or pairs; they replace those with the same name."""
        for key, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[key] = module


class ParameterList(Module):
    """A list of parameters, named by position.

    Args:
        values: Parameters, or Tensors, from which Parameters are made.

    Raises:
        ArgumentError: if a value is neither a Parameter nor a Tensor.
        AxisError: if an index is out of range.

    >>> from tinygrad_np import Tensor, nn
    >>> weights = nn.ParameterList([nn.Parameter([1.0, 2.0])])
    >>> weights.append(Tensor([3.0]))[-1]
    Tensor([3.], requires_grad=True)
    >>> list(weights.state_dict())
    ['0', '1']
    """

    def __init__(self, values: Iterable[Tensor] = ()) -> None:
        self.extend(values)

    def _names(self) -> list[str]:
        return [name for name in vars(self) if name.isdigit()]

    def _list(self) -> list[Parameter]:
        return [vars(self)[name] for name in self._names()]

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._list())

    @overload
    def __getitem__(self, index: int) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._list()[index])
        return self._list()[self._inside(index)]

    def __setitem__(self, index: int, value: Tensor) -> None:
        setattr(self, self._names()[self._inside(index)], self._checked(value))

    def _inside(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise AxisError(
                f"ParameterList: index {index} is out of range for {len(self)} parameters."
            )
        return index

    @staticmethod
    def _checked(value: Tensor) -> Parameter:
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"ParameterList: expected Parameters or Tensors, got {kind_of(value)}."
            )
        return value if isinstance(value, Parameter) else Parameter(value)

    def append(self, value: Tensor) -> Self:
        """Add a parameter at the end and return the list."""
        setattr(self, free_name(self, len(self)), self._checked(value))
        return self

    def extend(self, values: Iterable[Tensor]) -> Self:
        """Add parameters at the end and return the list."""
        for value in values:
            self.append(value)
        return self

    __iadd__ = extend

    def extra_repr(self) -> str:
        """Return the shapes of the parameters."""
        return ", ".join(str(value.shape) for value in self)
