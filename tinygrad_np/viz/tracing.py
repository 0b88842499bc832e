"""Tracing: turn a recorded graph, or a run of a model or function, into a neutral `Graph`.

A graph that was recorded earlier is read from the tape. Its values are recomputed from the leaves,
constants and saved arrays; a value that could be out of date is left out. A model or function is
run under an observer, which sees every op with its arrays, also those that record no node.
"""

import functools
import inspect
import math
import operator
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, TypeVar, cast

import numpy as np

from tinygrad_np import errors, ops
from tinygrad_np.autograd.backward import Grads, Walk, propagate, sweep_of, values_of
from tinygrad_np.autograd.inplace import update
from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.tape import Edge, Node, Variable, clock, last_overwrite
from tinygrad_np.checks import kind_of
from tinygrad_np.debug import PACKAGE, find_line
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.nn.module import Module, ModuleScope, Parameter
from tinygrad_np.observer import Observer
from tinygrad_np.profiler import count_flops
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import Recording, thread
from tinygrad_np.typing import Options, Scope, Shape, Values
from tinygrad_np.viz.formulas import describe_options, describe_vjps
from tinygrad_np.viz.graph import Edge as Arrow
from tinygrad_np.viz.graph import Graph, GraphNode, Kind, ModuleCall, Statistics

T = TypeVar("T")
_REPLAY_LIMIT = 1_000_000
_PLAIN_OPTIONS = (int, float, str, type(None), slice, type(Ellipsis), np.dtype, np.generic, type)


def trace(
    who: str,
    target: Any,
    inputs: Sequence[Any] = (),
    *,
    names: Mapping[str, Any] | None = None,
    backward: bool = False,
    derivatives: bool = False,
    keep: int | None = 64,
) -> Graph:
    """Return the graph of a tensor, or of a model or function run on `inputs`.

    Args:
        who: the function that the user called, for error messages.
        target: a Tensor with a graph, or several in nested tuples, lists and dicts; or a Module or
            function that returns them.
        inputs: arguments of the model or function: Tensors and arrays, also nested. Those of a
            float dtype become leaves of the graph.
        names: tensors and arrays by name, for example `locals()`. Other entries, and names that
            begin with an underscore, are ignored. An array also names the Tensors made from it.
        backward: compute the gradient of the sum of the outputs with respect to every node. Hooks
            run, as in `Tensor.backward`.
        derivatives: compute the derivative of each edge between scalars.
        keep: largest number of elements of an array that is kept; None keeps all arrays.

    Raises:
        ArgumentError: if a container contains itself, or a model is given without inputs.
        DtypeError: if `target` or what it returns contains anything but Tensors and None, an input
            does not contain numbers, or `names` is not a dict with names as keys.
        GraphError: if no graph was recorded, or the graph was freed by `backward`.

    An exception raised by the model or function ends the run, and is stored in the graph. A
    function that changes an input in place runs a second time, without the input's gradient.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> [node.op or node.kind for node in trace("draw", x * x + 1).nodes]
    ['input', 'mul', 'constant', 'add', 'output']
    """
    named = _check_names(who, names)
    copied = [named[name] for name in named if not isinstance((names or {})[name], Variable)]
    run = None
    is_current = True
    if isinstance(target, Variable | Mapping | tuple | list):
        expected = "expected a Tensor, or a model and its inputs"
        found = _flatten(who, "output", target, expected)
        tensors = [output for _, output in found]
        held = [*[tensor for tensor in tensors if tensor.requires_grad], *named.values()]
        step_of = _read_tape(who, tensors, held, copied)
        is_current = _replay(step_of, held, keep)
        outputs: list[tuple[str, Any]] = [
            (name, step_of[one.node] if one.node is not None else _as_source(one, held))
            for name, one in found
        ]
        steps = list(step_of.values())
    elif callable(target):
        if isinstance(target, Module) and not inputs:
            raise ArgumentError(
                f"{who}: expected an input for the model {type(target).__name__}, got none. Pass "
                f"a batch, for example {who}(model, images[:1])."
            )
        run = _Run(who, target, named, copied, keep)
        outputs, steps = run.outputs(inputs)
        if run.failed_by_gradients:
            # An input that requires a gradient cannot be changed in place; others can.
            other = _Run(who, target, named, copied, keep, needs_gradients=False)
            found_without = other.outputs(inputs)
            if other.error is None:
                run, (outputs, steps) = other, found_without
        tensors = run.tensors
    else:
        raise DtypeError(
            f"{who}: expected a Tensor, or a model and its inputs, got {type(target).__name__}."
        )
    has_graph = any(not isinstance(source, _Constant) for _, source in outputs)
    if run is None:
        has_graph = bool(steps)
    if not has_graph and (run is None or run.error is None):
        raise GraphError(
            f"{who}: no graph was recorded for this tensor. Compute it from tensors that require a "
            "gradient, outside no_grad()."
        )
    builder = _Builder(steps, outputs, tensors, named, run, keep)
    graph = builder.build()
    if not is_current:
        for leaf in graph.nodes:
            # It was changed without the engine noticing, as in x.data[0] = 1.
            leaf.value = None if leaf.kind in ("input", "parameter") else leaf.value
    if backward:
        builder.add_gradients(tensors)
    if derivatives:
        builder.add_derivatives()
    return graph


def _check_names(who: str, names: Any) -> dict[str, Variable]:
    """Return the tensors and arrays in `names` as tensors, without private names such as `_`."""
    if not (names is None or (isinstance(names, Mapping) and all(type(n) is str for n in names))):
        raise DtypeError(
            f"{who}: expected `names` to be a dict from names to tensors, got {kind_of(names)}. "
            'Try names={"x": x} or names=locals().'
        )
    found = {}
    for name, value in (names or {}).items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            value = Tensor.wrap(value)
        if isinstance(value, Variable) and not name.startswith("_"):
            found[name] = value
    return found


def _copy_of(array: Any, tensors: Sequence[Variable]) -> Variable | None:
    """Return the only tensor with the contents of `array`, but perhaps another dtype, or None."""
    if not isinstance(array, np.ndarray):
        return None
    found = {
        id(tensor.data): tensor
        for tensor in tensors
        if tensor.shape == array.shape and _is_equal(tensor.data.astype(array.dtype), array)
    }
    return next(iter(found.values())) if len(found) == 1 else None


# Steps: the ops of a graph, read from the tape or from a run.


@dataclass(eq=False)
class _Step:
    """One call of an op.

    `inputs` has one entry per input of the op: the step that computed it, a leaf, a constant number
    or array, or None if the constant is unknown or the input was omitted. `indices` has the sources
    of options that are arrays, such as the index of an embedding, with their names.
    """

    op: Op | None
    options: Options
    scope: Scope | None
    inputs: list[Any]
    node: Node | None = None
    shape: Shape = ()
    dtype: Any = None
    order: int = 0
    value: Array | None = None
    is_view: bool = False
    flops: int | None = None
    seconds: float | None = None
    line: str = ""
    indices: Sequence[tuple[str, Any]] = ()
    target: Array | None = None
    """The array that an in-place operator such as `*=` copies the result into."""
    checksum: int = 0
    is_recording: bool = False
    raised: Exception | None = None
    error: str = ""
    label: str = ""


def _read_tape(
    who: str, outputs: Sequence[Variable], held: Sequence[Variable], copied: Sequence[Variable]
) -> dict[Any, _Step]:
    """Return the op of each node that the outputs depend on, oldest first.

    A saved array is the tensor in `held` with this array, or that in `copied` with its contents.
    """
    waiting: list[Node] = [output.node for output in outputs if output.node is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.saved is None:
            raise GraphError(
                f"{who}: the graph was freed by backward(). Draw it first, or call "
                "backward(retain_graph=True)."
            )
        for edge in node.edges:
            if type(edge) is Node and edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    steps: dict[Any, _Step] = {}
    known: dict[int, Any] = {id(tensor.data): tensor.node or tensor for tensor in held}
    for node in seen:
        known |= {id(edge.data): edge for edge in node.edges if isinstance(edge, Variable)}
        for place, position in enumerate(node.plan.inputs):
            if isinstance(node.edges[position], Node | Variable):
                known[id((node.saved or ())[place])] = node.edges[position]
    leaves = [tensor for tensor in held if tensor.dtype.kind in "iub" and tensor.node is None]
    for node in sorted(seen, key=lambda node: node.order):
        inputs = [steps[edge] if type(edge) is Node else edge for edge in node.edges]
        for place, position in enumerate(node.plan.inputs):
            if inputs[position] is None and node.versions[place][0] <= node.order:
                value = (node.saved or ())[place]
                source = known.get(id(value))
                source = steps.get(source) if type(source) is Node else source
                source = _copy_of(value, copied) if source is None else source
                inputs[position] = value if source is None else source
        found = [(name, _copy_of(index, leaves)) for name, index in _index_arrays(node.options)]
        steps[node] = _Step(
            node.op,
            node.options,
            node.scope,
            inputs,
            node,
            node.shape,
            node.dtype,
            node.order,
            is_view=node.op.view,
            indices=[(name, leaf) for name, leaf in found if leaf is not None],
        )
    return steps


def _replay(step_of: Mapping[Any, _Step], tensors: Sequence[Variable], keep: int | None) -> bool:
    """Set the value of each step where it is known: saved, held by a tensor, or recomputed.

    A value computed from a tensor that has changed since is not known. Return False if a recomputed
    value differs from the one held: then a leaf was changed without the engine noticing.
    """
    steps = list(step_of.values())
    for tensor in tensors:
        step = step_of.get(tensor.node)
        if step is not None and tensor.version[0] <= step.order:
            step.value = tensor.data
    for step in steps:
        node: Any = step.node
        for place, position in enumerate(node.plan.inputs):
            source = step.inputs[position]
            if isinstance(source, _Step) and node.versions[place][0] <= source.order:
                source.value = node.saved[place]
        if node.plan.saves_out and node.versions[-1][0] <= node.order:
            step.value = node.saved[-1]
    replayed = []
    has_overwrites = bool(steps) and last_overwrite[0] > steps[0].order
    for step in steps:
        if has_overwrites and any(isinstance(source, _Step) for source in step.inputs):
            continue
        arrays = [_known(source, step) for source in step.inputs]
        size = sum(np.size(array) for array in arrays)
        if keep is not None and size > _REPLAY_LIMIT:
            continue
        out = _run_again(step, arrays)
        if out is None:
            continue
        step.is_view = step.is_view and np.may_share_memory(out, arrays[0])
        if step.value is None:
            step.value = out
            replayed.append(step)
        elif not _is_close(step.value, out):
            for other in replayed:
                other.value = None
            return False
    return True


def _known(source: Any, step: _Step) -> Any:
    """Return the array that an input of `step` had, or None."""
    if isinstance(source, _Step):
        return source.value
    if isinstance(source, Variable):
        return source.data if source.version[0] <= step.order else None
    return source


def _run_again(step: _Step, arrays: Values) -> Array | None:
    """Return the result of a step on known arrays, or None."""
    op: Any = step.op
    # A user-defined op could be random or have side effects.
    is_ours = op.forward.__module__.startswith("tinygrad_np.")
    if not is_ours or not _is_plain(tuple(step.options.values())):
        return None
    for position, array in enumerate(arrays):
        if array is None and op.input_name(position) not in op.optional:
            return None
    with np.errstate(all="ignore"), Recording(False):
        out = op.forward(*arrays, **step.options)
    out = np.asarray(out[0] if op.extra_results else out)
    return out if out.shape == step.shape and out.dtype == step.dtype else None


def _is_plain(value: Any) -> bool:
    """Return whether an option cannot have changed since the op ran."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray):
        return not value.flags.writeable
    return isinstance(value, _PLAIN_OPTIONS)


def _is_equal(value: Array | None, other: Array) -> bool:
    return value is not None and np.array_equal(value, other, equal_nan=other.dtype.kind == "f")


def _is_close(value: Array, other: Array) -> bool:
    if value.dtype.kind != "f":
        return np.array_equal(value, other)
    tolerance = 1e-2 if value.dtype == np.float16 else 1e-4
    return np.allclose(value, other, rtol=tolerance, atol=tolerance, equal_nan=True)


# Runs of a model or function.


@dataclass(eq=False)
class _Constant:
    """A constant array or a buffer, as it was when an op read it."""

    shape: Shape
    dtype: Any
    value: Array | None
    kind: Kind = "constant"
    name: str = ""


def _as_source(tensor: Variable, held: Sequence[Variable]) -> "Variable | _Constant":
    """Return an output without a node as it is drawn: a leaf, or a constant."""
    if any(tensor is other for other in held):
        return tensor
    return _Constant(tensor.shape, tensor.dtype, np.array(tensor.data))


class _Recorder(Observer):
    """Observer that stores each op as a step and finds the sources of its inputs."""

    def __init__(self, keep: int | None, copied: Sequence[Variable]) -> None:
        self.keep = keep
        self.copied = copied
        self.steps: list[_Step] = []
        self.step_of: dict[Node, _Step] = {}
        self.values: dict[Any, Array | None] = {}
        """The value of each leaf when it was first seen, if small."""
        self._source_of: dict[int, Any] = {}
        self._checksums: dict[int, int] = {}
        # All arrays seen, kept alive so that no two have the same id.
        self._arrays: list[Any] = []
        self._is_inside = False

    def on_forward(self, op: Op, arrays: Values, options: Options, call: Callable[[], T]) -> T:
        """Run a forward function and store it as a step."""
        if self._is_inside:
            return call()
        inputs = list(map(self.source, arrays))
        step = _Step(op, options, thread.state.scope, inputs, line=_short_line())
        step.order, step.is_recording = next(clock), thread.state.recording
        step.indices = self._indices(options)
        self.steps.append(step)
        self._is_inside = True
        start = perf_counter()
        try:
            results: Any = call()
        except Exception as error:
            step.raised = error
            raise
        finally:
            step.seconds = perf_counter() - start
            self._is_inside = False
        first, *rest = results if isinstance(results, tuple) else (results,)
        if not isinstance(first, np.ndarray | np.generic):
            return cast(T, results)  # dispatch raises
        # Dispatch would convert a NumPy scalar to another array, of unknown source.
        out = np.asarray(first)
        step.shape, step.dtype, step.value = out.shape, out.dtype, _small(out, self.keep)
        step.flops = _flops(op, arrays, options, out)
        step.is_view = op.view and np.may_share_memory(out, arrays[0])
        step.target = _in_place_target()
        self.link(out, step)
        step.checksum = self._checksums[id(out)]
        return cast(T, (out, *rest) if isinstance(results, tuple) else out)

    def on_record(self, node: Node, call: Callable[[], T]) -> T:
        """Link a new node to the op that ran last."""
        step = self.steps[-1] if self.steps else None
        if step is None or step.op is not node.op or step.node is not None:
            # A checkpoint records a node for a function that has already run.
            step = _Step(node.op, node.options, node.scope, [None] * len(node.edges))
            step.shape, step.dtype, step.line = node.shape, node.dtype, _short_line()
            self.steps.append(step)
        step.node, step.order = node, node.order
        for position, edge in enumerate(node.edges):
            source = step.inputs[position]
            if isinstance(source, _Step) and source.order > getattr(edge, "order", 0):
                continue  # the array was changed in place, without a node
            if type(edge) is Node:
                step.inputs[position] = self.step_of.get(edge, edge)
                if isinstance(source, _Constant):
                    self.values.setdefault(edge, source.value)
            elif isinstance(edge, Variable):
                step.inputs[position] = edge
                if isinstance(source, _Constant):
                    self._source_of[id(edge.data)] = edge
                    self.values.setdefault(edge, source.value)
        self.step_of[node] = step
        return call()

    def on_copy(self, array: Array, copied: Array, call: Callable[[], T]) -> T:
        """Note the source of an index array; the options of an op will hold the copy."""
        source = self.source(array)
        # The options show other constants.
        if not isinstance(source, _Constant) or source.name:
            self.link(copied, source)
        return call()

    def _indices(self, options: Options) -> list[tuple[str, Any]]:
        """Return the names and sources of the index arrays in options."""
        return [
            (name, self._source_of[id(index)])
            for name, index in _index_arrays(options)
            if id(index) in self._source_of
        ]

    def link(self, array: Array, source: Any) -> None:
        """Remember the step, leaf or constant that an array comes from."""
        self._arrays.append(array)
        self._source_of[id(array)] = source
        self._checksums[id(array)] = _checksum(array)
        if isinstance(source, Variable | Node):
            self.values.setdefault(source, _small(array, self.keep))

    def source(self, value: Any) -> Any:
        """Return the source of an input, a Variable or an array; numbers and None are their own."""
        if isinstance(value, Variable):
            if value.node in self.step_of:
                return self.step_of[value.node]
            if value.node is not None:
                self.values.setdefault(value.node, _small(value.data, self.keep))
                return value.node
            if value.requires_grad and id(value.data) not in self._source_of:
                self.link(value.data, value)
            value = value.data
        if not isinstance(value, np.ndarray):
            return value
        if id(value) not in self._source_of:
            source: Any = _copy_of(value, self.copied)
            if source is None:
                name = next((name for name, other in _module_inputs() if other is value), "")
                small = _small(value, self.keep)
                source = _Constant(value.shape, value.dtype, small, name=name)
            self.link(value, source)
        checksum = _checksum(value)
        if checksum != self._checksums[id(value)]:
            self.link(value, self._change(value, checksum))
        return self._source_of[id(value)]

    def _change(self, array: Array, checksum: int) -> _Step:
        """Return the step that changed an array in place without a node; add one if unknown."""
        source = self._source_of[id(array)]
        changes = [step for step in self.steps if step.target is array]
        if changes and changes[-1].order > getattr(source, "order", 0):
            source = changes[-1]
            if source.checksum == checksum:
                return source
        step = _Step(None, {}, thread.state.scope, [source])
        step.label, step.order = "changed in place", next(clock)
        step.shape, step.dtype, step.value = array.shape, array.dtype, _small(array, self.keep)
        self.steps.append(step)
        return step


def _checksum(array: Array) -> int:
    return zlib.crc32(array.tobytes())


def _in_place_target() -> Array | None:
    """Return the array that the running op changes, if an in-place operator called it."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code is update.__code__:
            return cast(Array, frame.f_locals["target"].data)
        frame = frame.f_back
    return None


def _index_arrays(options: Options) -> Iterator[tuple[str, Array]]:
    """Yield the arrays in options, such as the index of an embedding, with the option's name."""
    for name, value in options.items():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, np.ndarray) and part.ndim:
                yield name, part


def _module_inputs() -> Iterator[tuple[str, Array]]:
    """Yield the names and arrays of the inputs of the module calls under way, innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is Module.__call__.__code__:
            module, values = frame.f_locals["self"], frame.f_locals["inputs"]
            names = _argument_names(module, values)
            named = [*zip(names, values, strict=True), *frame.f_locals["options"].items()]
            for name, value in named:
                for where, entry in _entries("draw", name, value):
                    if isinstance(entry, Variable):
                        yield where, entry.data
        frame = frame.f_back


class _Run(Trial):
    """A run of a model or function, without effect on buffers and generators."""

    def __init__(
        self,
        who: str,
        target: Callable[..., Any],
        names: Mapping[str, Variable],
        copied: Sequence[Variable],
        keep: int | None,
        needs_gradients: bool = True,
    ) -> None:
        super().__init__()
        self.target = target
        self.title = getattr(target, "__name__", type(target).__name__).strip("<>")
        self.error: Exception | None = None
        self.failed_by_gradients = False
        """Whether the run may have failed only because its inputs require gradients."""
        self.input_names: dict[Variable, str] = {}
        self.tensors: list[Variable] = []
        """The outputs."""
        self.leaf_of: dict[int, Variable] = {}
        """The leaf that stands for each tensor or array passed as an input, by id."""
        self.paths: dict[int, str] = {}
        """The path of each parameter by id, also of modules called inside a checkpoint."""
        self._who = who
        self._needs_gradients = needs_gradients
        self._has_new_gradients = False
        self._recorder = _Recorder(keep, copied)
        self.values = self._recorder.values
        self._scopes: list[ModuleScope] = []
        for value in names.values():
            self._recorder.link(value.data, value.node or value)
        self.start = next(clock)

    def note_module(self, module: Any) -> None:
        """Keep the state of a module that is about to be called, and note the call."""
        super().note_module(module)
        scope: Any = thread.state.scope
        is_call = isinstance(scope, ModuleScope) and id(scope.module) == id(module)
        if not is_call:
            return  # a checkpoint notes the modules that a function could use
        self._scopes.append(scope)
        if not isinstance(scope.outer, ModuleScope):
            for path, parameter in module.named_parameters():
                self._recorder.link(parameter.data, parameter)
                self.paths[id(parameter)] = path
        prefix = f"{scope.path}." if scope.path else ""
        for name, value in module.named_state():
            if isinstance(value, Variable):
                small = _small(value.data, self._recorder.keep)
                buffer = _Constant(value.shape, value.dtype, small, "buffer", prefix + name)
                self._recorder.link(value.data, buffer)

    def outputs(self, inputs: Sequence[Any]) -> tuple[list[tuple[str, Any]], list[_Step]]:
        """Run the target; return names and sources of its outputs, and the steps to draw."""
        who, target, recorder = self._who, self.target, self._recorder
        arguments = [
            self._leaves(name, value)
            for name, value in zip(_argument_names(target, inputs), inputs, strict=True)
        ]
        try:
            with self, recorder, Recording(True):
                result = target(*arguments)
        except Exception as error:
            self.error = error
            *_, last = _frames(error.__traceback__)
            is_ours = last.f_code.co_filename.startswith(PACKAGE)
            self.failed_by_gradients = (
                isinstance(error, GraphError) and is_ours and self._has_new_gradients
            )
            failed = self._failed(error, arguments)
            own = failed.raised or error
            failed.error = ": ".join(filter(None, (type(own).__name__, str(own))))
            roots = [failed, *[step for step in recorder.steps if step.node is not None]]
            return [], _needed(recorder.steps, roots)
        expected = f"expected {self.title} to return Tensors"
        outputs = []
        for name, output in _flatten(who, "output", result, expected):
            outputs.append((name, recorder.source(output)))
            self.tensors.append(output)
        return outputs, _needed(recorder.steps, [source for _, source in outputs])

    def _leaves(self, name: str, value: Any) -> Any:
        """Replace the tensors and arrays in an argument by leaves; float ones require gradients."""
        entries = [entry for _, entry in _entries(self._who, name, value)]
        is_nested = isinstance(value, Mapping | tuple | list)
        if is_nested and any(isinstance(entry, Variable | np.ndarray) for entry in entries):
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            made = {key: self._leaves(f"{name}[{key!r}]", entry) for key, entry in items}
            make = getattr(type(value), "_make", type(value))  # _make: of a named tuple
            return made if isinstance(value, Mapping) else make(made.values())
        if value is None or isinstance(value, bool | int):
            return value
        if id(value) in self.leaf_of:
            leaf = self.leaf_of[id(value)]
            self.input_names[leaf] += f", {name}"
            return leaf
        if isinstance(value, Tensor) and value.requires_grad and value.node is None:
            leaf = value
        else:
            leaf = Tensor(value.data if isinstance(value, Variable) else value)
            leaf.requires_grad = self._needs_gradients and leaf.dtype.kind == "f"
            self._has_new_gradients |= leaf.requires_grad
        self.leaf_of[id(value)] = leaf
        self.input_names[leaf] = getattr(value, "name", "") or name
        self._recorder.link(leaf.data, leaf)
        return leaf

    def _failed(self, error: Exception, arguments: Sequence[Any]) -> _Step:
        """Return the step that failed; add one if a layer or function raised before any op."""
        steps = self._recorder.steps
        causes: list[BaseException | None] = [error]
        while causes[-1] is not None:
            causes.append(causes[-1].__cause__ or causes[-1].__context__)
        for step in reversed(steps):
            if step.raised is not None and step.raised in causes:
                around: Any = causes[max(causes.index(step.raised) - 1, 0)]
                if type(around).__module__ == errors.__name__:
                    step.raised = around  # what the op raised, translated
                return step
        step = _Step(None, {}, None, [])
        was_outside = False
        values: list[Any] = list(arguments)
        for frame in _frames(error.__traceback__):
            code, known = frame.f_code, frame.f_locals
            is_inside = code.co_filename.startswith(PACKAGE)
            if code is Module.__call__.__code__:
                module = known["self"]
                calls = [scope for scope in self._scopes if scope.module is module]
                step.scope = calls[-1] if calls else None
                values = [*known["inputs"], *known["options"].values()]
                step.label, was_outside = "", False
            elif not is_inside:
                was_outside = True
            elif was_outside and not step.label and code.co_filename != __file__:
                # The user's code called a function or method of this package.
                made_from = known.get("op") or known.get("function")
                step.label = getattr(made_from, "name", "") or code.co_name.strip("_")
                count = code.co_argcount + code.co_kwonlyargcount
                count += bool(code.co_flags & inspect.CO_VARARGS)
                values = [known.get(name) for name in code.co_varnames[:count]]
                if code is Tensor.__array_ufunc__.__code__:
                    step.label, values = f"np.{known['ufunc'].__name__}", known["inputs"]
                elif code is Tensor.__array_function__.__code__:
                    step.label, values = f"np.{known['function'].__name__}", known["args"]
        flat = [
            v for value in values for v in (value if isinstance(value, tuple | list) else [value])
        ]
        found = [v for v in flat if isinstance(v, Variable | np.ndarray)]
        step.inputs = [self._recorder.source(value) for value in found]
        if was_outside and not step.label and steps and _is_inside(steps[-1].scope, step.scope):
            step.inputs = [steps[-1]]  # the user's code raised after this op
        step.label = step.label or "failed call"
        steps.append(step)
        return step


def _is_inside(scope: Scope | None, outer: Scope | None) -> bool:
    while scope is not outer and scope is not None:
        scope = scope.outer
    return scope is outer


def _frames(traceback: TracebackType | None) -> Iterator[Any]:
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _argument_names(target: Callable[..., Any], inputs: Sequence[Any]) -> list[str]:
    """Return the parameter name of each input, such as `x`; `inputs[0]` for `*inputs`."""
    function = target.forward if isinstance(target, Module) else target
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin
        known = {}.values()
    parameters = [p for p in known if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
    names = []
    for position in range(len(inputs)):
        parameter = parameters[min(position, len(parameters) - 1)] if parameters else None
        if parameter is not None and parameter.kind is parameter.VAR_POSITIONAL:
            names.append(f"{parameter.name}[{position - len(parameters) + 1}]")
        elif parameter is not None and position < len(parameters):
            names.append(parameter.name)
        else:
            names.append(f"input[{position}]")
    return names


def _needed(steps: Sequence[_Step], roots: Sequence[Any]) -> list[_Step]:
    """Return the steps that the roots depend on, in the order in which they ran."""
    waiting = [root for root in roots if isinstance(root, _Step)]
    seen = set(waiting)
    while waiting:
        step = waiting.pop()
        sources = [*step.inputs, *[index for _, index in step.indices]]
        below = {source for source in sources if isinstance(source, _Step)} - seen
        seen |= below
        waiting += below
    return [step for step in steps if step in seen]


def _short_line() -> str:
    """Return the line that called the running op; "" if the op is run by this package alone."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        if frame.f_code is trace.__code__:
            return ""
        frame = frame.f_back
    name, number, function, text = find_line()
    return f"{Path(name).name}:{number}, in {function}: {text}"


def _flops(op: Op, arrays: Values, options: Options, out: Array) -> int | None:
    """Return the FLOPs of a call; None if they depend on an input that is unknown."""
    try:
        return count_flops(op, arrays, options, out)
    except (AttributeError, TypeError):
        return None


def _small(array: Array, keep: int | None) -> Array | None:
    """Return a copy of an array of at most `keep` elements, else None."""
    return np.array(array) if keep is None or array.size <= keep else None


# Nested outputs.


def _flatten(who: str, name: str, value: Any, expected: str) -> list[tuple[str, Variable]]:
    """Return the Tensors in nested tuples, lists and dicts with names such as `output[0]`."""
    found = []
    for where, entry in _entries(who, name, value):
        if isinstance(entry, Variable):
            found.append((where, entry))
        elif entry is not None or where == name:
            place = "" if where == name else f" as {where}"
            raise DtypeError(f"{who}: {expected}, got {type(entry).__name__}{place}.")
    return found


def _entries(who: str, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested tuples, lists and dicts with their names."""
    waiting: list[tuple[str, Any, frozenset[int]]] = [(name, value, frozenset())]
    while waiting:
        where, entry, above = waiting.pop()
        if not isinstance(entry, Mapping | tuple | list):
            yield where, entry
            continue
        if id(entry) in above:
            raise ArgumentError(
                f"{who}: expected nested tuples, lists and dicts, got a {type(entry).__name__} "
                f"that contains itself as {where}."
            )
        items = entry.items() if isinstance(entry, Mapping) else enumerate(entry)
        inner = [(f"{where}[{key!r}]", one, above | {id(entry)}) for key, one in items]
        waiting += inner[::-1]


# From steps to the graph.


def _printable(text: str) -> str:
    """Escape what no font or file format can show, such as control characters; keep line breaks."""
    shown = (c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return text if text.isprintable() else "".join(shown)


class _Builder:
    """Builds the nodes, arrows and module calls of a graph."""

    def __init__(
        self,
        steps: Sequence[_Step],
        outputs: Sequence[tuple[str, Variable]],
        tensors: Sequence[Variable],
        names: Mapping[str, Variable],
        run: _Run | None,
        keep: int | None,
    ) -> None:
        self.steps = steps
        self.outputs = outputs
        self.run = run
        self.keep = keep
        self.graph = Graph("", [], [])
        self.node_of: dict[Any, GraphNode] = {}
        """The node of each step, leaf and constant array."""
        self.call_of: dict[Scope, ModuleCall] = {}
        self.arrow_of: dict[tuple[_Step, int], Arrow] = {}
        self.paths = self._find_paths()
        self.names: dict[Any, str] = {}
        """The user's names by leaf and node."""
        self.grads: dict[Any, Variable] = {}
        """The `.grad` of results, by node."""
        for name, value in names.items():
            leaves = run.leaf_of if run is not None else {}
            leaf = leaves.get(id(value), leaves.get(id(value.data), value))
            self.names.setdefault(leaf.node or leaf, name)
        for tensor in [*names.values(), *tensors]:
            if tensor.node is not None:
                self.grads[tensor.node] = tensor.grad

    def build(self) -> Graph:
        """Return the graph."""
        graph = self.graph
        for step in self.steps:
            self._add_step(step)
        graph.roots = tuple([self._add_output(*output) for output in self.outputs])
        modules: dict[int, list[ModuleCall]] = {}
        for call in graph.calls:
            if call.module is not None:
                modules.setdefault(id(call.module), []).append(call)
        for calls in modules.values():
            for number, call in enumerate(calls, 1):
                call.call, call.calls = number, len(calls)
        if self.run is not None:
            graph.title, graph.error = self.run.title, self.run.error
        for item in [graph, *graph.nodes, *graph.calls]:
            for name, value in vars(item).items():
                if isinstance(value, str):
                    setattr(item, name, _printable(value))
        return graph

    def _find_paths(self) -> dict[int, str]:
        """Return the path of each parameter by id, from the outermost modules of the steps."""
        outermost: dict[Module, None] = {}
        if self.run is not None:
            return self.run.paths
        for step in self.steps:
            scope, module = step.scope, None
            while scope is not None:
                module = getattr(scope, "module", None) or module
                scope = scope.outer
            checkpointed = getattr(step.options.get("call"), "function", None)
            module = module or (checkpointed if isinstance(checkpointed, Module) else None)
            if module is not None:
                outermost[module] = None
        return {id(p): path for module in outermost for path, p in module.named_parameters()}

    def _new_node(self, kind: Kind, **values: Any) -> GraphNode:
        node = GraphNode(f"n{len(self.graph.nodes)}", kind, **values)
        self.graph.nodes.append(node)
        return node

    def _add_step(self, step: _Step) -> None:
        op = step.op
        call = self._call(step.scope)
        sources = [
            (position, self._source(source, step, call))
            for position, source in enumerate(step.inputs)
            if not (source is None and op is not None and op.input_name(position) in op.optional)
        ]
        for _, index in step.indices:
            self._source(index, step, call)
        node = self._new_node("op", op=op.name if op is not None else step.label, call=call)
        node.sweep = sweep_of(step.scope)
        self.node_of[step] = node
        node.name = str(self.names.get(step.node) or getattr(step.node, "name", ""))
        node.shape, node.dtype = step.shape, step.dtype
        node.nbytes = math.prod(step.shape) * step.dtype.itemsize if step.dtype else 0
        node.value = step.value if self._is_small(step.shape) else None
        node.seconds, node.line, node.error = step.seconds, step.line, step.error
        if op is not None:
            node.flops = step.flops if step.flops is not None else self._flops(op, step)
            node.formula, node.vjps = op.formula, describe_vjps(op)
            node.options = describe_options(op, step.options)
        if step.node is not None:
            node.saved = _saved_bytes(step.node)
            self._add_grad(node, self.grads.get(step.node))
        for position, source in sources:
            name = op.input_name(position) if op is not None else ""
            if source.kind == "parameter" and not source.name and len(name) > 1:
                source.name = name  # its module is gone
            arrow = Arrow(source.id, node.id, name, position, _is_detached(step, position))
            self.arrow_of[step, position] = arrow
            self.graph.edges.append(arrow)
        if step.is_view and sources:
            node.view_of = sources[0][1].id
        for position, (name, source) in enumerate(step.indices, len(step.inputs)):
            self.graph.edges.append(Arrow(self.node_of[source].id, node.id, name, position))

    def _flops(self, op: Op, step: _Step) -> int | None:
        """Return the FLOPs of a step read from the tape; they depend on shapes only."""
        if step.error:
            return None
        known: list[Any] = [
            np.broadcast_to(np.zeros((), source.dtype), source.shape)
            if isinstance(source, _Step | Variable | Node | _Constant)
            else source
            for source in step.inputs
        ]
        out = np.broadcast_to(np.zeros((), step.dtype), step.shape)
        return _flops(op, known, step.options, out)

    def _add_output(self, name: str, source: Any) -> str:
        last = self._source(source, None, None)
        node = self._new_node("output", name=name, shape=last.shape, dtype=last.dtype)
        node.nbytes, node.value, node.sweep = last.nbytes, last.value, last.sweep
        self.graph.edges.append(Arrow(last.id, node.id, ""))
        return node.id

    def _source(self, source: Any, step: _Step | None, call: ModuleCall | None) -> GraphNode:
        """Return the node of an input, creating that of a leaf or constant."""
        key = id(source) if isinstance(source, np.ndarray) else source
        if key is None or isinstance(source, int | float):
            node = self._new_node("constant", call=call)
            if source is not None:
                node.value = np.asarray(source)
            return node
        if key in self.node_of:
            return self.node_of[key]
        kind: Kind = "constant"
        name = ""
        value = source
        if isinstance(source, _Constant):
            kind, name, value = source.kind, source.name, source.value
        elif isinstance(source, Node):
            is_older = self.run is not None and source.order < self.run.start
            kind, note = "input", "computed before" if is_older else "computed elsewhere"
            name = str(self.names.get(source) or source.name)
            name = f"{name} ({note})" if name else note
            value = self.run.values.get(source) if self.run is not None else None
        elif isinstance(source, Variable):
            kind = "parameter" if isinstance(source, Parameter) else "input"
            if self.run is not None:
                value = self.run.values.get(source)
            else:
                value = _known(source, step) if step is not None else source.data
            name = str(self.paths.get(id(source)) or getattr(source, "name", ""))
            if self.run is not None and source in self.run.input_names:
                kind, name = "input", self.run.input_names[source]
            name = self.names.get(source) or name
        node = self._new_node(kind, name=name, call=None if kind == "input" else call)
        self.node_of[key] = node
        node.shape, node.dtype = source.shape, source.dtype
        node.nbytes = math.prod(source.shape) * source.dtype.itemsize
        if value is not None:
            node.value = _small(value, self.keep)
        self._add_grad(node, getattr(source, "grad", None))
        return node

    def _add_grad(self, node: GraphNode, grad: Variable | None) -> None:
        if grad is not None:
            node.grad, node.gradient = _small(grad.data, self.keep), _statistics(grad.data)

    def _is_small(self, shape: Shape) -> bool:
        return self.keep is None or math.prod(shape) <= self.keep

    def _call(self, scope: Scope | None) -> ModuleCall | None:
        """Return the module call of a scope, creating it and those around it."""
        chain = []
        while scope is not None and scope not in self.call_of:
            chain.append(scope)
            scope = scope.outer
        call = self.call_of[scope] if scope is not None else None
        for inner in reversed(chain):
            module = getattr(inner, "module", None)
            call = ModuleCall(
                f"m{len(self.graph.calls)}",
                inner.path,
                inner.kind,
                module.extra_repr() if module is not None else "",
                sum(p.numel() for _, p in module.named_parameters()) if module is not None else 0,
                call,
                module,
                sweep=sweep_of(inner),
            )
            self.graph.calls.append(call)
            self.call_of[inner] = call
        return call

    def add_gradients(self, outputs: Sequence[Variable]) -> None:
        """Add the gradient of the sum of the outputs to every node and arrow."""
        roots = [output for output in outputs if output.requires_grad]
        if not roots:
            return
        with Recording(True), np.errstate(all="ignore"):
            total = functools.reduce(operator.add, [ops.sum(root) for root in roots])
            targets = {edge for step in self.steps for edge in _edges(step)}
            targets |= {key for key in self.node_of if isinstance(key, Node | Variable)}
            walk = _GradientWalk(total.result_class, False, True, targets, keep=self.keep)
            for leaf, grad in walk.run(total, np.ones_like(total.data)).items():
                # Hooks can change what backward() would store in .grad.
                walk.note(leaf, walk.run_hooks(leaf, grad) if leaf.hooks else grad)
        for key, node in self.node_of.items():
            edge = key.node if isinstance(key, _Step) else key
            node.grad, node.gradient = walk.found.get(edge, (None, None))
        arrow_to = {arrow.target: arrow for arrow in self.graph.edges}
        nodes = {node.id: node for node in self.graph.nodes}
        for root_id, output in zip(self.graph.roots, outputs, strict=True):
            root = nodes[root_id]
            if output.requires_grad:
                ones = np.ones(output.shape, output.dtype)
                root.grad, root.gradient = _small(ones, self.keep), _statistics(ones)
                arrow_to[root.id].grad = root.grad
        for (step, position), arrow in self.arrow_of.items():
            arrow.grad = walk.received.get((step.node, position))

    def add_derivatives(self) -> None:
        """Add the derivative of each arrow between scalars, where the saved values are current."""
        for step in self.steps:
            node = step.node
            scalars = {edge for edge in _edges(step) if edge is not node and _is_scalar(edge)}
            if node is None or not scalars or not _is_scalar(node):
                continue
            walk = _GradientWalk(Tensor, False, True, scalars, needed={*scalars}, keep=1)
            walk.is_local = True
            walk.start(node)
            try:
                propagate(node, np.ones(node.shape, node.dtype), walk)
            except GraphError:  # a saved value was changed in place
                continue
            for position in range(len(node.edges)):
                grad = walk.received.get((node, position))
                if grad is not None:
                    self.arrow_of[step, position].derivative = float(grad.item())


@dataclass
class _GradientWalk(Walk):
    """A backward pass that notes the gradient of each node and what each input receives."""

    keep: int | None = None
    found: dict[Any, tuple[Array | None, Statistics]] = field(default_factory=dict)
    """The gradient of each node and leaf, if small, and its statistics."""
    received: dict[tuple[Any, int], Array | None] = field(default_factory=dict)
    """What a node passed to the input at a position, if small."""
    is_local: bool = False
    """Whether gradients are noted but not passed on."""
    _node: Node | None = None
    _positions: list[int] = field(default_factory=list)

    def start(self, node: Node) -> None:
        """Note that the gradients received from now on come from `node`."""
        self._node = node
        self._positions = list(range(len(node.edges)))

    def note(self, edge: Edge, grad: Array) -> None:
        """Note the gradient of a node or leaf."""
        self.found[edge] = _small(grad, self.keep), _statistics(grad)

    def finish(self, node: Node, grad: Any) -> Any:
        """Note the gradient of a node that is about to be propagated."""
        grad = super().finish(node, grad)
        if self.grads.pop(node, None) is not None:
            self.note(node, grad)
        self.start(node)
        return grad

    def receive(self, edge: Edge, grad: Any) -> None:
        """Note a gradient, and the position of the input that it is for."""
        for position in self._positions:
            if self._node is not None and self._node.edges[position] is edge:
                self._positions.remove(position)
                self.received[self._node, position] = _small(grad, self.keep)
                break
        if not self.is_local:
            super().receive(edge, grad)

    def add_selected(self, node: Node, grad_out: Any) -> Grads:
        """Return the full gradient of a selection's input, so that the trace can show it."""
        _, vjp, pick = node.plan.vjps[0]
        saved: Any = node.saved
        arguments = pick(values_of(node, saved)) if pick else saved
        edge: Any = node.edges[0]
        return [(edge, vjp(grad_out, *arguments))]


def _edges(step: _Step) -> list[Edge]:
    """Return the node of a step, if any, and the leaves and nodes of its inputs."""
    if step.node is None:
        return []
    return [step.node, *[edge for edge in step.node.edges if isinstance(edge, Node | Variable)]]


def _is_detached(step: _Step, position: int) -> bool:
    """Return whether an input has a gradient that this op does not contribute to."""
    source = step.inputs[position]
    source = source.node if isinstance(source, _Step) else source
    if step.op is None or not (isinstance(source, Node | Variable) and source.dtype.kind == "f"):
        return False
    if isinstance(source, Variable) and not source.requires_grad:
        return False
    if step.node is None:
        return step.is_recording and step.dtype is not None and step.dtype.kind == "f"
    return step.node.edges[position] is None


def _is_scalar(value: Any) -> bool:
    return bool(math.prod(value.shape) == 1)


def _saved_bytes(node: Node) -> dict[str, int]:
    """Return the bytes of each array that a node saves, by name; `xs[0]` for an input of `*xs`."""
    found = {}
    for place, value in enumerate(node.saved or ()):
        if isinstance(value, np.ndarray):
            name = node.plan.names[place]
            if name == node.op.variadic:
                name = f"{name}[{node.plan.inputs[place]}]"
            found[name] = value.nbytes
    return found


def _statistics(grad: Array) -> Statistics:
    """Return the statistics of a gradient."""
    finite = grad[np.isfinite(grad)].astype(np.float64)
    known = finite if finite.size else np.zeros(1)
    return Statistics(
        float(np.sqrt((known * known).sum())),
        float(known.mean()),
        float(known.min()),
        float(known.max()),
        int((grad == 0).sum()),
        int(grad.size - finite.size),
        int(grad.size),
    )
