"""Module: an object with parameters, found by walking its attributes."""

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.tape import Scope, mode
from tinygrad_np.tensor import Tensor


class _Calling(threading.local):
    module: "Module | None" = None


_calling = _Calling()


class Parameter(Tensor):
    """A Tensor that a Module counts as its own and an optimizer changes.

    `name` is its path within the module that listed it last; errors and pictures use it.
    """

    __slots__ = ("name",)

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True) -> None:
        super().__init__(data, dtype, requires_grad)
        self.name = ""


class Module:
    """A layer or a model: attributes that are Parameters, Tensors (buffers) and other Modules.

    A subclass assigns them in `__init__`, also in lists, tuples and dicts, and writes `forward`;
    there is nothing to register.

    >>> from tinygrad_np import Tensor, nn
    >>> class Double(nn.Module):
    ...     def __init__(self):
    ...         self.layer = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return self.layer(x) * 2
    >>> Double()(Tensor.ones(3, 2)).shape
    (3, 2)
    """

    training = True

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`, with what it records marked as this module's; arrays become Tensors."""
        outer, caller = mode.now.scope, _calling.module
        path = self._name_in(caller) if caller is not None else ""
        if outer is not None and outer.path:
            path = f"{outer.path}.{path}"
        mode.now.scope = Scope(path, type(self).__name__, outer)
        _calling.module = self
        try:
            tensors = [Tensor(v) if isinstance(v, np.ndarray) else v for v in inputs]
            return self.forward(*tensors, **options)
        finally:
            mode.now.scope = outer
            _calling.module = caller

    def _name_in(self, caller: "Module") -> str:
        for name, child in caller.children():
            if child is self:
                return name
        return type(self).__name__

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the attributes by name, and what is in lists, tuples and dicts by `name.key`."""
        waiting = list(vars(self).items())[::-1]
        while waiting:
            name, value = waiting.pop()
            if isinstance(value, list | tuple):
                value = dict(enumerate(value))
            if isinstance(value, dict):
                waiting += [(f"{name}.{key}", inner) for key, inner in value.items()][::-1]
            else:
                yield name, value

    def children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield by name each module that is an attribute, or in a list, tuple or dict that is."""
        for name, value in self._entries():
            if isinstance(value, Module):
                yield name, value

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all within it, each once."""
        seen = set()
        for _, module in self._named_modules():
            if id(module) not in seen:
                seen.add(id(module))
                yield module

    def _named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """Yield each way to a module within, and the module; in a circle each way ends."""
        waiting: list[tuple[str, Module, frozenset[int]]] = [("", self, frozenset())]
        while waiting:
            prefix, module, above = waiting.pop()
            if id(module) in above:
                continue
            yield prefix, module
            above |= {id(module)}
            inner = [(f"{prefix}{name}.", child, above) for name, child in module.children()]
            waiting += inner[::-1]

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield each way to a parameter or buffer; what has a graph, kept by a forward, is
        neither."""
        for prefix, module in self._named_modules():
            for name, value in module._entries():
                if isinstance(value, Tensor) and value.is_leaf:
                    yield prefix + name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield the path and each parameter, frozen ones too; a shared one comes once."""
        seen = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                value.name = name
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """Yield each parameter, frozen ones too; a shared one comes once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def buffers(self) -> Iterator[Tensor]:
        """Yield each tensor that is kept with the weights but not trained."""
        found = {id(value): value for _, value in self._named_tensors()}
        yield from (value for value in found.values() if not isinstance(value, Parameter))

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of each parameter and buffer by its path, a shared one by each of its
        paths; the names are PyTorch's."""
        return {name: value.data.copy() for name, value in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy arrays into the parameters and buffers of the same names.

        Raises ShapeError that lists all missing, unexpected and mismatched names; then nothing has
        been changed. With `strict=False` missing and unexpected names are passed over.
        """
        own = dict(self._named_tensors())
        given = {
            name: value.data if isinstance(value, Tensor) else np.asarray(value)
            for name, value in state.items()
        }
        missing = [name for name in own if name not in given] if strict else []
        unexpected = [name for name in given if name not in own] if strict else []
        common = [name for name in own if name in given]
        mismatched = [
            f"{name} (got {given[name].shape} {given[name].dtype}, expected {own[name].shape} "
            f"{own[name].dtype})"
            for name in common
            if given[name].shape != own[name].shape
            or not np.can_cast(given[name].dtype, own[name].dtype, "same_kind")
        ]
        problems = {"missing": missing, "unexpected": unexpected, "mismatched": mismatched}
        if any(problems.values()):
            listed = "; ".join(f"{kind}: {', '.join(n)}" for kind, n in problems.items() if n)
            raise ShapeError(
                f"{type(self).__name__}.load_state_dict: these weights are another model's; "
                f"{listed}. Nothing was loaded"
            )
        for name in common:
            own[name].data[...] = given[name]
            own[name].mark_changed()

    def train(self, mode: bool = True) -> Self:
        """Set this module and all within to training (or, by `train(False)`, to evaluation)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all within to evaluation: dropout is off."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and buffers to `dtype`, as for checking gradients in float64.

        Do so before an optimizer is made: what it remembers is of the dtype before.
        """
        if np.dtype(dtype).kind != "f":
            raise DtypeError(f"{type(self).__name__}.astype: got {dtype}, expected a float dtype")
        for _, value in self._named_tensors():
            if value.dtype.kind == "f":
                value.data = value.data.astype(dtype)
                value.grad = None
                value.mark_changed()
        return self

    def describe(self) -> str:
        """Return the arguments that `repr` shows; a layer says its sizes."""
        return ""

    def __repr__(self) -> str:
        inner = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()
        ]
        if not inner:
            return f"{type(self).__name__}({self.describe()})"
        return "\n".join([f"{type(self).__name__}(", *inner, ")"])


class Sequential(Module):
    """Modules one after the other; parameters are named by position, as in PyTorch.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())(Tensor.ones(2, 4)).shape
    (2, 3)
    """

    def __init__(self, *layers: Module) -> None:
        for layer in layers:
            if not isinstance(layer, Module):
                raise ArgumentError(f"Sequential: got {layer!r}, expected modules")
        for position, layer in enumerate(layers):
            setattr(self, str(position), layer)

    def forward(self, x: Any) -> Any:
        """Pass x through the layers in turn."""
        for _, layer in self.children():
            x = layer(x)
        return x
