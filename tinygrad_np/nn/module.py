"""Module: an object with parameters, found by walking its attributes."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from reprlib import recursive_repr
from types import MappingProxyType
from typing import Any, Self, overload

import numpy as np

from tinygrad_np.autograd.tape import Handle
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.nn.summary import SummaryRow, Watch, table
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad, thread
from tinygrad_np.tensor import Tensor
from tinygrad_np.typing import Scope


def _to_tensor(value: Any) -> Any:
    return Tensor(value) if isinstance(value, np.ndarray) else value


class Parameter(Tensor):
    """A Tensor that a Module counts as its own and an optimizer changes.

    `name` is its path in the module whose `parameters()` returned it last, which is what optimizers
    are made of; error messages and drawings show it.

    >>> from tinygrad_np import nn
    >>> nn.Parameter([1.0, 2.0]).requires_grad
    True
    """

    __slots__ = ("name",)

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = True) -> None:
        super().__init__(data, dtype, requires_grad)
        self.name = ""


class ModuleScope(Scope):
    """One call of a module. Its path is looked up when something asks for it: few calls are drawn
    or profiled.

    The reference is weak, so that a graph keeps no module alive; a module that is gone by then has
    the name of its class.
    """

    __slots__ = ("_module", "_path")

    def __init__(self, module: "Module", outer: Scope | None) -> None:
        self.kind = type(module).__name__
        self.outer = outer
        self._module = weakref.ref(module)
        self._path: str | None = None

    @property
    def path(self) -> str:
        """The path of the module from the one called outermost; of that one, nothing."""
        if self._path is None:
            self._path = self._find_path()
        return self._path

    def _find_path(self) -> str:
        if not isinstance(self.outer, ModuleScope):
            return ""
        module, caller = self._module(), self.outer._module()
        name = self.kind
        if module is not None and caller is not None:
            name = caller._name_of(module)
        return f"{self.outer.path}.{name}" if self.outer.path else name


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
    # No subclass calls an __init__ of this one, so the first hook makes a module's own dict.
    _forward_hooks: Mapping[int, Callable[..., Any]] = MappingProxyType({})

    def forward(self, *inputs: Any) -> Any:
        """Compute the output; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward`, with what it records marked as this module's; arrays become Tensors."""
        state = thread.state
        outer = state.scope
        state.scope = ModuleScope(self, outer)
        try:
            for value in inputs:
                if not isinstance(value, Tensor):
                    inputs = self._to_tensors(inputs)
                    break
            if options:
                options = {key: _to_tensor(value) for key, value in options.items()}
            out = self.forward(*inputs, **options)
            if self._forward_hooks:
                for hook in list(self._forward_hooks.values()):
                    made = hook(self, inputs, out)
                    out = out if made is None else made
            return out
        finally:
            state.scope = outer

    def _to_tensors(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return inputs with Tensors in place of arrays."""
        return tuple(map(_to_tensor, inputs))

    def _name_of(self, callee: "Module") -> str:
        """Return the path of a module that this one calls, or its class if it is none of its."""
        for name, child in self.named_children():
            if child is callee:
                return name
        for path, module in self._named_modules():
            if module is callee and path:
                return path.removesuffix(".")
        return type(callee).__name__

    def register_forward_hook(self, function: Callable[..., Any]) -> Handle:
        """Have `function(module, inputs, output)` called after each forward, and its result, unless
        it is None, returned instead of the output; `remove()` of the handle ends it.

        >>> from tinygrad_np import Tensor, nn
        >>> layer = nn.Linear(3, 2)
        >>> handle = layer.register_forward_hook(lambda module, inputs, output: print(output.shape))
        >>> out = layer(Tensor.ones(5, 3))
        (5, 2)
        >>> handle.remove()
        """
        own = vars(self).setdefault("_forward_hooks", {})
        return Handle(own, function)

    def __setattr__(self, name: str, value: Any) -> None:
        is_tensor = isinstance(value, Tensor) and not isinstance(value, Parameter)
        if is_tensor and isinstance(vars(self).get(name), Parameter):
            raise DtypeError(
                f"{type(self).__name__}.{name}: a plain Tensor cannot take a Parameter's place, "
                f"which would end its training; change it in place, as {name}[:] = ... inside "
                "no_grad(), or assign an nn.Parameter"
            )
        super().__setattr__(name, value)

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the attributes by name, and what is in lists, tuples and dicts by `name.key`."""
        return _entries([item for item in vars(self).items() if item[0] != "_forward_hooks"])

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield by name each module that is an attribute, or in a list, tuple or dict that is."""
        for name, value in self._entries():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator["Module"]:
        """Yield each module that is an attribute, or in a list, tuple or dict that is."""
        for _, child in self.named_children():
            yield child

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all within it, each once."""
        for _, module in self._named_modules():
            yield module

    def _named_modules(self, each_way: bool = False) -> Iterator[tuple[str, "Module"]]:
        """Yield the first way to each module within, or each way, and the module; in a circle
        each way ends.
        """
        seen: set[int] = set()
        waiting: list[tuple[str, Module, frozenset[int]]] = [("", self, frozenset())]
        while waiting:
            prefix, module, above = waiting.pop()
            if id(module) in (above if each_way else seen):
                continue
            yield prefix, module
            seen.add(id(module))
            if each_way:
                above |= {id(module)}
            inner = [(f"{prefix}{name}.", child, above) for name, child in module.named_children()]
            waiting += inner[::-1]

    def _named_tensors(self, each_way: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Yield the first way, or each way, to each module's parameters and buffers; what has a
        graph, kept by a forward, is neither.
        """
        for prefix, module in self._named_modules(each_way):
            for name, value in module._entries():
                if isinstance(value, Tensor) and value.is_leaf:
                    yield prefix + name, value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield the path and each parameter, frozen ones too; a shared one comes once."""
        seen = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """Return each parameter once, frozen ones too, and set its `name` to its path."""
        found = list(self.named_parameters())
        for path, parameter in found:
            parameter.name = path
        return iter([parameter for _, parameter in found])

    def buffers(self) -> Iterator[Tensor]:
        """Yield each tensor that is kept with the weights but not trained."""
        found = {id(value): value for _, value in self._named_tensors()}
        yield from (value for value in found.values() if not isinstance(value, Parameter))

    def state_dict(self) -> dict[str, Array]:
        """Return a copy of each parameter and buffer by its path, a shared one by each of its
        paths; the names are PyTorch's.
        """
        return {name: value.data.copy() for name, value in self._named_tensors(each_way=True)}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy arrays into the parameters and buffers of the same names.

        Raises ShapeError that lists all missing, unexpected and mismatched names; then nothing has
        been changed. With `strict=False` missing and unexpected names are passed over.
        """
        own = dict(self._named_tensors(each_way=True))
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

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call `function` with each module, those within before those that hold them.

        >>> from tinygrad_np import nn
        >>> seen = nn.Sequential(nn.ReLU()).apply(lambda module: print(type(module).__name__))
        ReLU
        Sequential
        """
        for module in self._innermost_first(set()):
            function(module)
        return self

    def _innermost_first(self, seen: set[int]) -> Iterator["Module"]:
        seen.add(id(self))
        for _, child in self.named_children():
            if id(child) not in seen:
                yield from child._innermost_first(seen)
        yield self

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

    def summary(self, input_shape: Sequence[int], dtype: Any = np.float32) -> str:
        """Return a table to print: for each layer its path, class, output shape, own parameters,
        FLOPs and bytes of output.

        `input_shape` is without the batch axis; the shapes shown have it, from a run on zeros of
        (1, *input_shape) in evaluation, which leaves modes and running statistics as they were.
        `dtype` is for models that take integers. FLOPs are those of the ops that run in a layer and
        in none within it, as `profile()` counts them; bytes those of its outputs, where they are
        neither views nor what a layer within returned; both are sums over all its calls. A shared
        parameter is counted where it comes first.

        >>> from tinygrad_np import nn
        >>> print(nn.Sequential(nn.Linear(4, 2), nn.ReLU()).summary((4,)))
        layer  class       output shape  parameters  FLOPs  bytes
        ---------------------------------------------------------
               Sequential  (1, 2)                 0      0      0
        0      Linear      (1, 2)                10     18      8
        1      ReLU        (1, 2)                 0      2      8
        ---------------------------------------------------------
        10 parameters: 10 trainable, 0 frozen; 40 bytes
        forward pass of one sample: 20 FLOPs; 16 bytes of activations (layers' outputs)
        """
        if not isinstance(input_shape, list | tuple):
            raise ArgumentError(
                f"{type(self).__name__}.summary: got input_shape {input_shape!r}, expected a "
                "tuple without the batch axis, as (1, 28, 28)"
            )
        named = list(self._named_modules())
        watch = Watch()
        modes = [module.training for _, module in named]
        handles = [module.register_forward_hook(watch.note) for _, module in named]
        try:
            with no_grad(), watch:
                self.eval()(Tensor(np.zeros((1, *input_shape), dtype)))
        finally:
            for (_, module), handle, was_training in zip(named, handles, modes, strict=True):
                handle.remove()
                module.training = was_training
        layers = []
        seen: set[int] = set()
        for path, module in named:
            own = {id(value): value for _, value in module._entries()}
            new = {i: v for i, v in own.items() if isinstance(v, Parameter) and i not in seen}
            seen |= new.keys()
            kind = type(module).__name__
            layers.append(
                SummaryRow(path.removesuffix("."), kind, list(new.values()), watch.made_by(module))
            )
        return table(layers)

    def describe(self) -> str:
        """Return the arguments that `repr` shows; a layer says its sizes."""
        return ""

    @recursive_repr("...")
    def __repr__(self) -> str:
        own = self.describe()
        inner = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        if not inner:
            return f"{type(self).__name__}({own})"
        return "\n".join([f"{type(self).__name__}(", *([f"  {own}"] if own else []), *inner, ")"])


def _entries(items: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield named values, and in place of lists, tuples and dicts what is in them."""
    waiting = items[::-1]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", inner) for key, inner in value.items()][::-1]
        else:
            yield name, value


class Layer(Module):
    """A module whose inputs are Tensors or arrays, never lists of them: what the layers here are
    made from.
    """

    def _to_tensors(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if any(isinstance(value, list | str) for value in inputs):
            raise DtypeError(
                f"{type(self).__name__}: got {', '.join(type(v).__name__ for v in inputs)}, "
                "expected Tensors or ndarrays; wrap lists as Tensor(...)"
            )
        return super()._to_tensors(inputs)


class _Layers(Module):
    """Modules in a row: children, named by position."""

    def _set(self, layers: Iterable[Module]) -> Self:
        layers = list(layers)
        for layer in layers:
            if not isinstance(layer, Module):
                raise ArgumentError(f"{type(self).__name__}: got {layer!r}, expected modules")
        for position in range(len(self)):
            delattr(self, str(position))
        for position, layer in enumerate(layers):
            setattr(self, str(position), layer)
        return self

    def __iter__(self) -> Iterator[Module]:
        return iter([layer for name, layer in vars(self).items() if name.isdigit()])

    def __len__(self) -> int:
        return sum(name.isdigit() for name in vars(self))

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self).__new__(type(self))._set(list(self)[index])
        return list(self)[self._inside(index)]

    def __setitem__(self, index: int, layer: Module) -> None:
        layers = list(self)
        layers[self._inside(index)] = layer
        self._set(layers)

    def _inside(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise AxisError(
                f"{type(self).__name__}: index {index} is outside a list of {len(self)}"
            )
        return index

    def append(self, layer: Module) -> Self:
        """Add a module at the end."""
        return self._set([*self, layer])

    def extend(self, layers: Iterable[Module]) -> Self:
        """Add modules at the end."""
        return self._set([*self, *layers])

    def insert(self, index: int, layer: Module) -> None:
        """Add a module in front of the one at `index`; those behind are renumbered."""
        layers = list(self)
        layers.insert(index, layer)
        self._set(layers)


class Sequential(_Layers):
    """Modules one after the other; a list of them too, named by position.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())(Tensor.ones(2, 4)).shape
    (2, 3)
    """

    def __init__(self, *layers: Module) -> None:
        self._set(layers)

    def forward(self, x: Any) -> Any:
        """Pass x through the layers in turn."""
        for layer in self:
            x = layer(x)
        return x


class ModuleList(_Layers):
    """Modules in a list: children, named by position, which the module that holds it calls.

    >>> from tinygrad_np import nn
    >>> layers = nn.ModuleList([nn.Linear(4, 3)])
    >>> layers.append(nn.Linear(3, 2))[-1]
    Linear(3, 2)
    >>> list(layers.state_dict())
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, layers: Iterable[Module] = ()) -> None:
        self._set(layers)
