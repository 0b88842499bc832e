"""The neutral graph: what a drawing shows, before it is laid out or written in any format.

`tracing.trace` builds it by walking the tape. `folding` groups its nodes into the boxes and frames
of a picture; `dot`, `text` and `explorer` write it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Shape

Kind: TypeAlias = Literal["input", "parameter", "buffer", "constant", "op", "output"]


@dataclass
class Statistics:
    """Statistics of a gradient; norm, mean, minimum and maximum ignore nan and inf."""

    norm: float
    mean: float
    min: float
    max: float
    zeros: int
    nonfinite: int
    size: int


@dataclass(eq=False)
class ModuleCall:
    """One call of a module, or one backward sweep, which groups the ops that it ran."""

    id: str
    """`m0`, `m1`, ... in the order of the calls."""
    path: str
    """Path in the outermost module; empty for the outermost module itself."""
    kind: str
    """Class name of the module; for sweeps `backward`, for one node's VJPs `VJP of tanh`."""
    description: str
    """The constructor arguments as `extra_repr()` formats them."""
    parameters: int
    """Number of parameters of the module and all modules inside it."""
    outer: "ModuleCall | None" = None
    module: Any = None
    """The nn.Module, if it is still alive; for predicates in `expand`."""
    call: int = 1
    """Which call of the same module this is, from 1."""
    calls: int = 1
    """How many calls of the same module the graph contains."""
    sweep: int = 0
    """0 in a forward pass, 1 in a backward pass, 2 in a backward pass over that, and so on."""


@dataclass(eq=False)
class GraphNode:
    """An op, or a tensor that enters or leaves the graph."""

    id: str
    """`n0`, `n1`, ... in the order of execution."""
    kind: Kind
    name: str = ""
    """The user's name, the path of a parameter or buffer, or the name of an argument."""
    op: str = ""
    formula: str = ""
    vjps: Mapping[str, str] = field(default_factory=dict)
    """Source text of the VJP of each input, by input name."""
    options: str = ""
    """The options that differ from their defaults, as code: `stride=2, padding=1`, `[..., 3:5]`."""
    call: ModuleCall | None = None
    """The innermost module call that ran the op."""
    shape: Shape = ()
    dtype: DType | None = None
    nbytes: int = 0
    """Size of the result."""
    flops: int | None = None
    """FLOPs of the forward function; None if unknown."""
    saved: Mapping[str, int] = field(default_factory=dict)
    """Bytes of each array that the node saves for the backward pass, by name."""
    seconds: float | None = None
    """Time of the forward function."""
    line: str = ""
    """The user's line in the model that ran the op: `train.py:12, in forward: return x.relu()`."""
    view_of: str = ""
    """Id of the node whose memory the result shares, if any."""
    sweep: int = 0
    value: Array | None = None
    """The result; None if it is large, or unknown because the graph does not hold it."""
    grad: Array | None = None
    """The gradient of the roots with respect to the result, if known and small."""
    gradient: Statistics | None = None
    """Statistics of that gradient, at any size."""
    error: str = ""
    """Why the op failed; empty unless this is the op at which the forward pass ended."""


@dataclass(eq=False)
class Edge:
    """An arrow: the result of `source` is an input of `target`."""

    source: str
    target: str
    input: str
    """Name of the input of the op, such as `weight`."""
    position: int = 0
    detached: bool = False
    """Whether no gradient flows to the source, as it was passed on by `detach()`."""
    derivative: float | None = None
    """Derivative of the target with respect to the source, if both are scalars."""
    grad: Array | None = None
    """What the target's VJP contributes to the gradient of the source."""


@dataclass(eq=False)
class Graph:
    """Nodes in the order of execution, the edges between them and the module calls around them."""

    title: str
    nodes: list[GraphNode]
    edges: list[Edge]
    calls: list[ModuleCall] = field(default_factory=list)
    roots: tuple[str, ...] = ()
    """Ids of the output nodes."""
    error: Exception | None = None
    """The exception that ended the forward pass, if it failed."""

    def to_dict(self) -> dict[str, Any]:
        """Return the graph as nested dicts and lists that `json.dumps` accepts.

        Fields that are empty are left out, and floats are rounded to six significant digits.

        >>> Graph("empty", [], []).to_dict()
        {'title': 'empty', 'nodes': [], 'edges': [], 'calls': [], 'roots': []}
        """
        found = {
            "title": self.title,
            "nodes": [_to_dict(node) for node in self.nodes],
            "edges": [_to_dict(edge) for edge in self.edges],
            "calls": [_to_dict(call) for call in self.calls],
            "roots": list(self.roots),
        }
        if self.error is not None:
            found["error"] = f"{type(self.error).__name__}: {self.error}"
        return found


def _to_dict(item: Any) -> dict[str, Any]:
    """Return the fields of a node, edge, call or statistics that differ from their default."""
    found = {}
    for one in fields(item):
        value = getattr(item, one.name)
        default = {} if one.name in ("vjps", "saved") else one.default
        is_usual = type(value) is type(default) and value == default and one.name != "shape"
        if one.name != "module" and not is_usual:
            found[one.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """Convert a value to what JSON can hold; nan and inf become strings."""
    if isinstance(value, ModuleCall):
        return value.id
    if isinstance(value, Statistics):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else str(value)
    if isinstance(value, np.dtype):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return value
