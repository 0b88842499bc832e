"""Module, the base class of layers and models, and the containers Sequential and ModuleList."""

import inspect
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from reprlib import recursive_repr
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, overload

import numpy as np

from tinygrad_np.autograd.tape import Handle
from tinygrad_np.checks import check_unmasked, is_integer, kind_of
from tinygrad_np.display import escape, number_of, safe
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.frontend.device import dtype_of_target
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.nn.summary import Summary, SummaryRow, Watch
from tinygrad_np.optim.optimizer import clear_gradients
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad, thread
from tinygrad_np.typing import Scope


def _to_tensor(value: Any) -> Any:
    return Tensor(value) if isinstance(value, np.ndarray) else value


class Parameter(Tensor):
    """A Tensor that belongs to a Module and is updated by an optimizer.

    Its `name` is its path in its module, for error messages and graph drawings. It is set by
    `Module.parameters()`, and by an optimizer that is given `named_parameters()`.

    Args:
        data: numbers, an array or a tensor, which is copied.
        requires_grad: whether to train it; False freezes it.
        dtype: dtype of the copy; defaults to that of `data`.
        name: path in the module.

    Raises:
        DtypeError: as in `Tensor`, or if `requires_grad` is not a bool.
        ShapeError: as in `Tensor`.

    >>> from tinygrad_np import nn
    >>> nn.Parameter([1.0, 2.0]).requires_grad
    True
    """

    __slots__ = ()

    def __init__(
        self, data: Any, requires_grad: bool = True, dtype: Any = None, name: str = ""
    ) -> None:
        if not isinstance(requires_grad, bool):
            raise DtypeError(
                f"Parameter: expected `requires_grad` to be a bool, got {requires_grad!r}."
            )
        is_leaf = isinstance(data, Tensor) and data.is_leaf
        super().__init__(data.detach() if is_leaf else data, dtype, requires_grad, name)


class ModuleScope(Scope):
    """One call of a module, recorded in the graph nodes that the call creates.

    The path is computed on first use, because few calls are drawn or profiled. The module is
    referenced weakly, so a graph keeps no module alive; once the module is gone, its class name
    stands in for its name.
    """

    __slots__ = ("_module", "_path")

    def __init__(self, module: "Module", outer: Scope | None) -> None:
        self.kind = type(module).__name__
        self.outer = outer
        self._module = weakref.ref(module)
        self._path: str | None = None

    @property
    def module(self) -> "Module | None":
        """The module that was called, or None if it no longer exists."""
        return self._module()

    @property
    def path(self) -> str:
        """Path of the module relative to the outermost call; empty for the outermost module."""
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


class IncompatibleKeys(NamedTuple):
    """The names that a state dict and a model do not have in common, as in PyTorch."""

    missing_keys: list[str]
    """Names that the state dict lacks."""
    unexpected_keys: list[str]
    """Names that the model lacks."""

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        missing, unexpected = self
        return f"IncompatibleKeys(missing_keys={missing}, unexpected_keys={unexpected})"


class Module:
    """Base class of layers and models.

    A subclass assigns its Parameters, buffers (plain Tensors) and child Modules to attributes in
    `__init__`, directly or in lists, tuples and dicts, and implements `forward`. Nothing needs to
    be registered, and `super().__init__()` may be called or left out. A set of them is an error.

    Raises:
        DtypeError: if anything but a Parameter or None is assigned to an attribute that holds a
            Parameter.
        GraphError: if the result of a recorded op is assigned to a registered buffer.

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
    # Subclasses do not call super().__init__(), so the first hook creates the instance's own dict.
    _forward_hooks: Mapping[int, Callable[..., Any]] = MappingProxyType({})
    _results: frozenset[str] = frozenset()
    """Attributes of a copy that held results in a graph, and so are not buffers."""
    _not_saved: frozenset[str] = frozenset()
    """Buffers registered with `persistent=False`."""
    _registered: frozenset[str] = frozenset()
    """Names given to `register_buffer`."""

    if TYPE_CHECKING:  # buffers registered by name, and attributes of the items of a ModuleList

        def __getattr__(self, name: str) -> Any: ...

    def forward(self, *inputs: Any) -> Any:
        """Compute the output. Subclasses implement this method."""
        raise NotImplementedError(f"{type(self).__name__}: forward() is not implemented.")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run `forward` and the forward hooks, with array arguments converted to Tensors.

        The ops that run during the call are recorded under this module's scope.
        """
        state = thread.state
        outer = state.scope
        state.scope = ModuleScope(self, outer)
        if state.journal is not None:
            state.journal.note_module(self)
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
        """Convert the arrays among `inputs` to Tensors."""
        return tuple(map(_to_tensor, inputs))

    def _name_of(self, callee: "Module") -> str:
        """Return the path of `callee` in this module, or its class name if it is not part of it."""
        for name, child in self.named_children():
            if child is callee:
                return name
        for path, module in self._named_modules():
            if module is callee and path:
                return path.removesuffix(".")
        return type(callee).__name__

    def register_forward_hook(self, function: Callable[..., Any]) -> Handle:
        """Call `function(module, inputs, output)` after each forward pass.

        If the function returns a value other than None, that value replaces the output.

        Returns:
            A handle whose `remove()` method removes the hook.

        >>> from tinygrad_np import Tensor, nn
        >>> layer = nn.Linear(3, 2)
        >>> handle = layer.register_forward_hook(lambda module, inputs, output: print(output.shape))
        >>> out = layer(Tensor.ones(5, 3))
        (5, 2)
        >>> handle.remove()
        """
        own = vars(self).setdefault("_forward_hooks", {})
        return Handle(own, function)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Assign a buffer: a tensor that is not trained, but is part of the module's state.

        Args:
            name: name of the attribute.
            tensor: the buffer, or None.
            persistent: whether `state_dict` includes it, as it does with every Tensor that is
                assigned without this method.

        Raises:
            ArgumentError: if the name is empty or contains a dot, or the module has another
                attribute of this name.
            DtypeError: if `tensor` is neither a Tensor nor None.
            GraphError: if `tensor` is the result of a recorded op.

        >>> from tinygrad_np import Tensor, nn
        >>> layer = nn.Linear(2, 2)
        >>> layer.register_buffer("mask", Tensor.ones(2), persistent=False)
        >>> [name for name, _ in layer.named_buffers()], list(layer.state_dict())
        (['mask'], ['weight', 'bias'])
        """
        if isinstance(tensor, Tensor) and not tensor.is_leaf:
            raise GraphError(
                f"{type(self).__name__}.register_buffer: expected `tensor` to be a leaf, got the "
                f"result of an op for {name!r}. Use .detach()."
            )
        self._register("register_buffer", name, tensor, Tensor)
        others = self._not_saved - {name}
        super().__setattr__("_not_saved", others if persistent else others | {name})
        super().__setattr__("_registered", self._registered | {name})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Assign a parameter: the same as `self.name = param`.

        Raises:
            ArgumentError: if the name is empty or contains a dot, or the module has another
                attribute of this name.
            DtypeError: if `param` is neither a Parameter nor None.

        >>> from tinygrad_np import nn
        >>> layer = nn.Linear(2, 2, bias=False)
        >>> layer.register_parameter("shift", nn.Parameter([0.0, 0.0]))
        >>> [name for name, _ in layer.named_parameters()]
        ['weight', 'shift']
        """
        self._register("register_parameter", name, param, Parameter)

    def register_module(self, name: str, module: "Module | None") -> None:
        """Assign a child module: the same as `self.name = module`.

        Raises:
            ArgumentError: if the name is empty or contains a dot, or the module has another
                attribute of this name.
            DtypeError: if `module` is neither a Module nor None.

        >>> from tinygrad_np import nn
        >>> block = nn.Module()
        >>> block.register_module("first", nn.ReLU())
        >>> block.first
        ReLU()
        """
        self._register("register_module", name, module, Module)

    add_module = register_module

    def _register(self, method: str, name: str, value: Any, kind: type) -> None:
        """Set an attribute after checking its name and the class of its value."""
        who = f"{type(self).__name__}.{method}"
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{who}: expected `name` to be a nonempty string without dots, got {name!r}."
            )
        if not isinstance(value, kind | None):
            raise DtypeError(
                f"{who}: expected {name!r} to be a {kind.__name__} or None, got {kind_of(value)}."
            )
        if hasattr(self, name) and not isinstance(vars(self).get(name, self), kind | None):
            raise ArgumentError(f"{who}: expected a new name, got {name!r}, which is in use.")
        setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        is_other = value is not None and not isinstance(value, Parameter)
        if is_other and isinstance(vars(self).get(name), Parameter):
            got = "a plain Tensor" if isinstance(value, Tensor) else kind_of(value)
            raise DtypeError(
                f"{type(self).__name__}.{name}: expected an nn.Parameter, got {got}, "
                f"which would not be trained. Change the values in place, `{name}[:] = ...` inside "
                "no_grad(), or assign an nn.Parameter."
            )
        if name in self._registered and name in vars(self) and _is_result(value):
            raise GraphError(
                f"{type(self).__name__}.{name}: expected the value of a buffer to be a leaf, got "
                "the result of an op, which would not be saved. Use .detach()."
            )
        super().__setattr__(name, value)
        if name in self._results:
            super().__setattr__("_results", self._results - {name})

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes to pickle or copy."""
        results = {name for name, value in self._entries() if _is_result(value)} | self._results
        return {**vars(self), "_results": frozenset(results)} if results else vars(self)

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) for each attribute; entries of containers are named `name.key`."""
        return _entries([item for item in vars(self).items() if item[0] != "_forward_hooks"])

    def named_state(self) -> Iterator[tuple[str, Any]]:
        """Yield (name, value) for each buffer and random generator of this module alone."""
        for name, value in self._entries():
            is_tensor = isinstance(value, Tensor) and not isinstance(value, Parameter)
            is_buffer = is_tensor and value.was_leaf() and name not in self._results
            if isinstance(value, np.random.Generator) or is_buffer:
                yield name, value

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (name, module) for each child, including those in lists, tuples and dicts."""
        for name, value in self._entries():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator["Module"]:
        """Yield the modules of `named_children`."""
        for _, child in self.named_children():
            yield child

    def modules(self) -> Iterator["Module"]:
        """Yield this module and all modules inside it, each once."""
        for _, module in self._named_modules():
            yield module

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """Yield (path, module) for the modules of `modules()`; the path of this module is empty.

        >>> from tinygrad_np import nn
        >>> [path for path, _ in nn.Sequential(nn.Sequential(nn.ReLU())).named_modules()]
        ['', '0', '0.0']
        """
        for prefix, module in self._named_modules():
            yield prefix.removesuffix("."), module

    def _named_modules(self, each_way: bool = False) -> Iterator[tuple[str, "Module"]]:
        """Yield (path prefix, module), depth first.

        Each module is yielded under its first path only, or under every path if `each_way`. A path
        that returns to a module it already contains ends there, so cycles terminate.
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

    def _named_tensors(
        self, each_way: bool = False, recurse: bool = True, saved_only: bool = False
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield the paths and tensors of the parameters and buffers of `_named_modules`.

        Tensors with a graph, such as results that `forward` stored as attributes, are skipped.
        """
        for prefix, module in self._named_modules(each_way) if recurse else [("", self)]:
            skipped = module._results | module._not_saved if saved_only else module._results
            for name, value in module._entries():
                is_state = isinstance(value, Tensor) and value.was_leaf()
                if is_state and (name not in skipped or isinstance(value, Parameter)):
                    yield prefix + name, value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (path, parameter) for each parameter once, including frozen ones.

        Args:
            prefix: path to put before the paths.
            recurse: whether to include the parameters of the modules inside this one.
        """
        for name, value in _once(self._named_tensors(recurse=recurse), prefix):
            if isinstance(value, Parameter):
                yield name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Return an iterator over the parameters, each once, including frozen ones.

        Also sets the `name` of each parameter to its path.

        Args:
            recurse: whether to include the parameters of the modules inside this one.
        """
        found = list(self.named_parameters(recurse=recurse))
        for path, parameter in found:
            parameter.name = path
        return iter([parameter for _, parameter in found])

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, buffer) for each buffer once; the arguments are those of named_parameters.

        >>> from tinygrad_np import nn
        >>> [path for path, _ in nn.Sequential(nn.BatchNorm1d(2)).named_buffers()]
        ['0.running_mean', '0.running_var', '0.num_batches_tracked']
        """
        for name, value in _once(self._named_tensors(recurse=recurse), prefix):
            if not isinstance(value, Parameter):
                yield name, value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield each buffer: a tensor that is not trained, but is part of the module's state."""
        for _, value in self.named_buffers(recurse=recurse):
            yield value

    def state_dict(self) -> dict[str, Array]:
        """Return a dict from the path of each parameter and buffer to a copy of its array.

        The paths are the same as in PyTorch, whose values are tensors that share the model's
        memory. A shared tensor appears under each of its paths.
        """
        named = self._named_tensors(each_way=True, saved_only=True)
        return {name: value.data.copy() for name, value in named}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy arrays into the parameters and buffers of the same names.

        Args:
            state: arrays, Tensors or PyTorch tensors by path, as returned by `state_dict()`.
            strict: whether missing and unexpected names are errors; if False, they are ignored.

        Returns:
            The names that were ignored, `missing_keys` and `unexpected_keys`.

        Raises:
            DtypeError: if `state` is not a dict.
            ShapeError: if a name is missing or unexpected, a shape does not match, a dtype cannot
                be cast by NumPy's "same_kind" rule, such as float to int, or the names of a shared
                tensor have different values. The message lists every such name, and nothing is
                loaded.

        A shared tensor needs only one of its names: safetensors stores such a tensor once.
        """
        if not isinstance(state, Mapping):
            raise DtypeError(
                f"{type(self).__name__}.load_state_dict: expected `state` to be a dict of arrays, "
                f"got {type(state).__name__}. Read a file with train.load(path)."
            )
        own = dict(self._named_tensors(each_way=True, saved_only=True))
        for name, value in state.items():
            check_unmasked(f"{type(self).__name__}.load_state_dict: {name!r}", value)
        given = {
            name: value.data if isinstance(value, Tensor) else np.asarray(_detached(value))
            for name, value in state.items()
        }
        names_of: dict[int, list[str]] = {}
        for name, tensor in own.items():
            names_of.setdefault(id(tensor), []).append(name)
        missing = [
            name
            for name, tensor in own.items()
            if not any(other in given for other in names_of[id(tensor)])
        ]
        unexpected = [name for name in given if name not in own]
        common = [name for name in own if name in given]
        mismatched = [
            f"{name} (expected {own[name].shape} {own[name].dtype}, got {given[name].shape} "
            f"{given[name].dtype})"
            for name in common
            if given[name].shape != own[name].shape
            or not np.can_cast(given[name].dtype, own[name].dtype, "same_kind")
        ]
        conflicting = [
            f"{first} and {name} (one tensor in the model, different values)"
            for first, *others in names_of.values()
            for name in others
            if first in given and name in given and not _equal(given[first], given[name])
        ]
        problems = {
            "Missing": missing if strict else [],
            "Unexpected": unexpected if strict else [],
            "Mismatched": mismatched,
            "Conflicting": conflicting,
        }
        if any(problems.values()):
            listed = " ".join(f"{kind}: {', '.join(n)}." for kind, n in problems.items() if n)
            raise ShapeError(
                f"{type(self).__name__}.load_state_dict: the state dict does not match the model. "
                f"{listed} Nothing was loaded."
            )
        for name in common:
            own[name].data[...] = given[name]
            own[name].mark_changed()
        return IncompatibleKeys(missing, unexpected)

    def train(self, mode: bool = True) -> Self:
        """Set this module and all modules inside it to training or evaluation mode."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set this module and all modules inside it to evaluation mode.

        In this mode, dropout is off and batch norm uses its running statistics.
        """
        return self.train(False)

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call `function` with each module, children before the modules that contain them.

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

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters are trained; False freezes them. Return the module.

        >>> from tinygrad_np import nn
        >>> [p.requires_grad for p in nn.Linear(2, 1).requires_grad_(False).parameters()]
        [False, False]
        """
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set the gradient of each parameter to None, or to zeros if not `set_to_none`."""
        clear_gradients(self.parameters(), set_to_none)

    def astype(self, dtype: Any) -> Self:
        """Convert float parameters and buffers to `dtype`, for example to float64 for `gradcheck`.

        Gradients of the parameters that change are reset to None. Convert before constructing an
        optimizer: the state of an existing optimizer keeps the old dtype.

        Raises:
            DtypeError: if `dtype` is a dtype other than float.
        """
        try:
            wanted = np.dtype(dtype)
        except TypeError:
            wanted = None
        if wanted is None or wanted.kind != "f":
            raise DtypeError(f"{type(self).__name__}.astype: expected a float dtype, got {dtype}.")
        for _, value in self._named_tensors():
            if value.dtype.kind == "f" and value.dtype != wanted:
                value.replace_array(value.data.astype(dtype))
                value.grad = None
        return self

    def to(
        self,
        target: Any = None,
        dtype: Any = None,
        *,
        device: Any = None,
        non_blocking: bool = False,
    ) -> Self:
        """Convert float parameters and buffers to a dtype; return the module.

        Args:
            target: a float dtype, a device, or a tensor whose dtype is used.
            dtype: a float dtype.
            device: "cpu" or a device.
            non_blocking: ignored, since nothing is transferred.

        Raises:
            ArgumentError: if the device is not the CPU.
            DtypeError: if the dtype is not float.

        As in `astype`, a change of dtype resets gradients to None.

        >>> import numpy as np
        >>> from tinygrad_np import nn
        >>> nn.Linear(2, 1).to("cpu", np.float64).weight.dtype
        dtype('float64')
        """
        wanted = dtype_of_target(target, dtype, device)
        return self if wanted is None else self.astype(wanted)

    def half(self) -> Self:
        """Convert float parameters and buffers to float16."""
        return self.astype(np.float16)

    def float(self) -> Self:
        """Convert float parameters and buffers to float32."""
        return self.astype(np.float32)

    def double(self) -> Self:
        """Convert float parameters and buffers to float64.

        >>> from tinygrad_np import nn
        >>> nn.Linear(2, 1).double().weight.dtype
        dtype('float64')
        """
        return self.astype(np.float64)

    def cpu(self) -> Self:
        """Return the module, which is on the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """Raise ArgumentError: there is no GPU support."""
        return self.to("cuda")

    def summary(self, input_shape: Sequence[int], dtype: Any = np.float32) -> Summary:
        """Return a table of layers: path, class, output shape, parameters, FLOPs and output bytes.

        The numbers come from a forward pass in evaluation mode on zeros of shape (1, *input_shape),
        which leaves modes, buffers and random generators unchanged.

        Args:
            input_shape: shape of one sample, without the batch axis.
            dtype: dtype of the zeros; an integer dtype for models that take indices.

        Raises:
            ArgumentError: if `input_shape` is neither a tuple nor a list, or the model takes
                several inputs.
            DtypeError: if `dtype` is a dtype other than float, int or bool.

        A shared parameter is counted in the first layer that has it. FLOPs, counted as in
        `profile()`, are those of the ops that run in the layer itself and not in a layer inside it.
        Bytes are the sizes of its outputs, except for views and for outputs returned by a layer
        inside it. FLOPs and bytes are summed over all calls.

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
            got = repr(input_shape) if is_integer(input_shape) else kind_of(input_shape)
            if isinstance(input_shape, Tensor | np.ndarray):
                got += f" of shape {input_shape.shape}"
            raise ArgumentError(
                f"{type(self).__name__}.summary: expected `input_shape` to be a tuple without the "
                f"batch axis, for example (1, 28, 28), got {got}."
            )
        signature = inspect.signature(self.forward)
        try:
            signature.bind(None)
        except TypeError as error:
            raise ArgumentError(
                f"{type(self).__name__}.summary: expected a model with one input, got forward"
                f"{signature}. Wrap it in a module that takes one input."
            ) from error
        named = list(self._named_modules())
        watch = Watch()
        modes = [module.training for _, module in named]
        handles = [module.register_forward_hook(watch.note) for _, module in named]
        try:
            with no_grad(), Trial(), watch:
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
                SummaryRow.of(
                    path.removesuffix("."), kind, list(new.values()), watch.made_by(module)
                )
            )
        return Summary(layers)

    def extra_repr(self) -> str:
        """Return the arguments that `repr` shows, such as the sizes of a layer.

        >>> from tinygrad_np import nn
        >>> class Scale(nn.Module):
        ...     def extra_repr(self):
        ...         return "by=2"
        >>> Scale()
        Scale(by=2)
        """
        return ""

    @safe
    @recursive_repr("...")
    def __repr__(self) -> str:
        own = self.extra_repr()
        inner = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        if not inner:
            return f"{type(self).__name__}({own})"
        return "\n".join([f"{type(self).__name__}(", *([f"  {own}"] if own else []), *inner, ")"])

    @safe
    def _repr_html_(self) -> str:
        """Return the layers as a nested list with their numbers of parameters.

        Blocks below the first level are folded. A shared module is listed in full once.
        """
        paths: dict[int, str] = {}
        return _html(self, "", paths)


def _html(module: Module, path: str, paths: dict[int, str]) -> str:
    """Return the HTML of a module; `paths` holds the paths of the modules already listed."""
    parameters = [parameter for _, parameter in module.named_parameters()]
    total = sum(parameter.numel() for parameter in parameters)
    frozen = sum(one.numel() for one in parameters if not one.requires_grad)
    own = escape(module.extra_repr())
    text = f"<b>{escape(type(module).__name__)}</b>" + (f"({own})" if own else "")
    if path:
        text = f"<code>{escape(path.rpartition('.')[2])}</code> {text}"
    if id(module) in paths:
        return f"<div>{text}: shared with {escape(paths[id(module)] or 'the model itself')}</div>"
    paths[id(module)] = path
    if total:
        text += f": {number_of(total, 'parameter')}"
    if frozen:
        text += f", {'all' if frozen == total else f'{frozen:,}'} frozen"
    prefix = f"{path}." if path else ""
    inner = [_html(child, prefix + name, paths) for name, child in module.named_children()]
    if not inner:
        return f"<div>{text}</div>"
    for name, value in module._entries():
        if isinstance(value, Parameter):
            inner.append(
                f"<div><code>{escape(name)}</code> Parameter of shape {value.shape}: "
                f"{number_of(value.numel(), 'parameter')}</div>"
            )
    indent = "margin-left:1.3em;border-left:1px solid currentColor;padding-left:0.7em"
    opened = "" if path else " open"
    rows = "".join(inner)
    return (
        f'<details{opened}><summary style="cursor:pointer">{text}</summary>'
        f'<div style="{indent}">{rows}</div></details>'
    )


def _once(named: Iterable[tuple[str, Tensor]], prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Yield each tensor under its first path, after `prefix` and a dot if there is a prefix."""
    seen = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield f"{prefix}.{name}" if prefix else name, value


def _detached(value: Any) -> Any:
    """Detach a PyTorch tensor, because NumPy cannot convert one that requires a gradient."""
    return value.detach() if hasattr(value, "detach") else value


def _equal(one: Array, other: Array) -> bool:
    """Return whether two arrays have the same shape and values; nan equals nan."""
    return one.shape == other.shape and bool(
        np.all((one == other) | (one != one) & (other != other))
    )


def free_name(module: Module, position: int) -> str:
    """Return `position` as a name, or the next integer that is not an attribute of the module."""
    while str(position) in vars(module):
        position += 1
    return str(position)


def _is_result(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.was_leaf()


_CONTAINERS = (list, tuple, dict, set, frozenset)


def _entries(items: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield named values, with lists, tuples and dicts replaced by their entries."""
    waiting = items[::-1]
    while waiting:
        name, value = waiting.pop()
        if not isinstance(value, _CONTAINERS):  # true of most: one check per attribute
            yield name, value
            continue
        if isinstance(value, list | tuple):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}", inner) for key, inner in value.items()][::-1]
        else:
            _check_ordered(f"attribute {name!r}", value)
            yield name, value


def _check_ordered(who: str, value: Any) -> None:
    """Raise ArgumentError for a set of modules or parameters: its order differs between runs."""
    is_set = isinstance(value, set | frozenset)
    if is_set and any(isinstance(inner, Module | Parameter) for inner in value):
        raise ArgumentError(
            f"{who}: expected modules and parameters in a fixed order, got "
            f"{type(value).__name__}. Use a list."
        )


class Layer(Module):
    """Base class of the built-in layers: a Module that accepts Tensors and arrays but not lists.

    Raises:
        DtypeError: in a call, if an input is neither a Tensor nor an ndarray, or a float input
            differs in dtype from the layer's weights.
    """

    def label(self) -> str:
        """Return the class, followed by the path of the layer in the model that is running."""
        scope = thread.state.scope
        path = scope.path if isinstance(scope, ModuleScope) and scope.module is self else ""
        return f"{type(self).__name__} {path!r}" if path else type(self).__name__

    def check_dtype(self, x: Tensor, weight: Tensor | None) -> None:
        """Raise DtypeError if the float dtype of `x` differs from that of `weight`, if given.

        The op would otherwise convert both to the wider dtype.
        """
        if weight is None or x.dtype is weight.dtype:
            return
        own, given = weight.dtype, x.dtype
        if given.kind == "f" and given != own:
            raise DtypeError(
                f"{self.label()}: expected input of dtype {own}, like the layer's weights, got "
                f"{given}. Convert the input with x.cast(np.{own}), or x.astype(np.{own}) for an "
                f"ndarray, or the model with model.astype(np.{given})."
            )

    def _to_tensors(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        has_list = any(isinstance(value, list | str) for value in inputs)
        is_other = not (has_list or isinstance(inputs[0], Tensor | np.ndarray))
        # A subclass with its own forward may accept other types, such as tuples.
        if has_list or (is_other and type(self).forward.__module__.startswith("tinygrad_np.nn.")):
            hint = "Wrap lists in Tensor(...)." if has_list else "Pass a single Tensor."
            names = [f"{type(v).__module__}.{type(v).__name__}" for v in inputs]
            got = ", ".join(name.removeprefix("builtins.") for name in names)
            raise DtypeError(f"{self.label()}: expected Tensors or ndarrays, got {got}. {hint}")
        return super()._to_tensors(inputs)


class _Layers(Module):
    """Base class of Sequential and ModuleList: child modules in order, named by position."""

    def _named(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def _checked(self, layers: Iterable[Module]) -> list[Module]:
        _check_ordered(type(self).__name__, layers)
        layers = list(layers)
        for layer in layers:
            if not isinstance(layer, Module):
                raise ArgumentError(f"{type(self).__name__}: expected modules, got {layer!r}.")
        return layers

    def _set(self, layers: Iterable[Module]) -> Self:
        layers = self._checked(layers)
        for name in self._named():
            delattr(self, name)
        return self.extend(layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._named().values())

    def __len__(self) -> int:
        return len(self._named())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return type(self).__new__(type(self))._set(list(self)[index])
        return list(self)[self._inside(index)]

    def __setitem__(self, index: int, layer: Module) -> None:
        (layer,) = self._checked([layer])
        setattr(self, list(self._named())[self._inside(index)], layer)

    def __delitem__(self, index: int | slice) -> None:
        layers = list(self)
        del layers[index if isinstance(index, slice) else self._inside(index)]
        self._set(layers)

    def _inside(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise AxisError(
                f"{type(self).__name__}: index {index} is out of range for {len(self)} modules."
            )
        return index

    def pop(self, index: int = -1) -> Module:
        """Remove a module and return it; the modules after it are renumbered."""
        layer = self[index]
        del self[index]
        return layer

    def append(self, layer: Module) -> Self:
        """Add a module at the end and return the container."""
        return self.extend([layer])

    def extend(self, layers: Iterable[Module]) -> Self:
        """Add modules at the end and return the container."""
        for layer in self._checked(layers):
            setattr(self, free_name(self, len(self)), layer)
        return self

    __iadd__ = extend

    def insert(self, index: int, layer: Module) -> None:
        """Insert a module before position `index`; the modules after it are renumbered."""
        layers = list(self)
        layers.insert(index, layer)
        self._set(layers)


class Sequential(_Layers):
    """A chain of modules, each applied to the output of the previous one.

    Args:
        *layers: modules, which are named by position, or one dict of modules by name.

    It is also a list of its modules, in the order in which they were added: by the constructor, as
    attributes in a subclass, or by `append`, `extend`, `+=`, `insert` and `add_module`. `del`,
    `pop` and `insert` renumber the modules, as in PyTorch.

    Raises:
        ArgumentError: if a layer to add is not a Module, or the layers are a set.
        AxisError: if an index is out of range.
        DtypeError: if a value of the dict is not a Module.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Sequential(nn.Linear(4, 3), nn.ReLU())(Tensor.ones(2, 4)).shape
    (2, 3)
    >>> nn.Sequential({"hidden": nn.Linear(4, 3), "act": nn.ReLU()}).act
    ReLU()
    """

    @overload
    def __init__(self, *layers: Module) -> None: ...
    @overload
    def __init__(self, layers: Mapping[str, Module], /) -> None: ...
    def __init__(self, *layers: Any) -> None:
        if len(layers) == 1 and isinstance(layers[0], Mapping):
            for name, layer in layers[0].items():
                self.register_module(name, layer)
        else:
            self._set(layers)

    def forward(self, x: Any) -> Any:
        """Apply the modules to `x` in order."""
        for layer in self:
            x = layer(x)
        return x


class ModuleList(_Layers):
    """A list of child modules, named by position and called by the module that holds the list.

    Raises:
        ArgumentError: if a layer to add is not a Module, or the layers are a set.
        AxisError: if an index is out of range.

    >>> from tinygrad_np import nn
    >>> layers = nn.ModuleList([nn.Linear(4, 3)])
    >>> layers.append(nn.Linear(3, 2))[-1]
    Linear(3, 2)
    >>> list(layers.state_dict())
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, layers: Iterable[Module] = ()) -> None:
        self._set(layers)
