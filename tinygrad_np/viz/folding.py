"""Folding: the boxes, frames and arrows of a picture, from the nodes and module calls of a graph.

A box is an op, a module call that is not expanded, or a tensor that enters or leaves the graph. A
frame is an expanded module call. Ops run inside module calls without interleaving, so folding a
call into a box creates no cycle. Only folded repeats do; their arrows back are marked `repeat`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn import ModuleList, Sequential
from tinygrad_np.viz.graph import Edge, Graph, GraphNode, ModuleCall

Expand: TypeAlias = str | Sequence[str] | Callable[[Any], bool] | None

LEVELS = ("module", "op")
SMALL = 8
"""Boxes show the values of tensors with up to this many elements."""
_FEWEST_CALLS = 3
"""Fold repeated module calls from this number on, and repeated ops from `_FEWEST_OPS` on."""
_FEWEST_OPS = 8
_LONGEST_PERIOD = 24
_INTEGER = re.compile(r"-?\d+")
_ARRAY = re.compile(r"\b[a-z]+\d*\[")
"""An array in the text of options, such as `int64[32]`."""


@dataclass(eq=False)
class Box:
    """A box of a picture: an op, a folded module call, or a tensor."""

    id: str
    kind: str
    """The kind of its node; `module` for a folded call, `folded` for ops folded to save space."""
    nodes: list[GraphNode]
    """The nodes it stands for, in the order of execution; one, unless it is folded."""
    call: ModuleCall | None = None
    """The folded module call."""
    parameters: list[GraphNode] = field(default_factory=list)
    """Parameters and buffers that only this box uses."""
    times: int = 1
    """How many equal boxes it stands for."""
    last: "Box | None" = None
    """The last of the boxes that it stands for, if it belongs to a repeated step.

    In nested repeats, it is the last of the innermost one."""
    every: list[GraphNode] = field(default_factory=list)
    """The nodes of all repeats that it stands for."""
    shared: set[GraphNode] = field(default_factory=set)
    """Those of `parameters` that all repeats share."""
    results: list[GraphNode] = field(default_factory=list)
    """Its nodes whose results other boxes, or the next repeat, read."""
    outer: ModuleCall | None = None
    """The module call of the innermost frame around it."""
    use: str = ""
    """What the op that reads a constant calls it."""

    @property
    def node(self) -> GraphNode:
        """The node that gives the result; the last node if there are several results or none."""
        return self.results[0] if len(self.results) == 1 else self.nodes[-1]

    @property
    def error(self) -> str:
        """Why the box failed, or an empty string."""
        return next((node.error for node in self.nodes if node.error), "")

    @property
    def sweep(self) -> int:
        """0 in a forward pass, 1 in a backward pass, and so on."""
        return self.node.sweep


@dataclass(eq=False)
class Frame:
    """The frame of an expanded module call, of a sweep, or of a repeated sequence of boxes."""

    call: ModuleCall | None = None
    title: str = ""
    """Title of a frame that is not a module call."""
    items: "list[Box | Frame]" = field(default_factory=list)
    times: int = 1
    last: "Frame | None" = None
    sweep: int = 0
    outer: ModuleCall | None = None
    """The module call of the innermost frame around it."""


@dataclass(eq=False)
class Arrow:
    """An arrow between two boxes, for one or more edges of the graph."""

    source: Box
    target: Box
    value: GraphNode
    """The node whose result the arrow carries."""
    edges: list[Edge]
    repeat: bool = False
    """Whether it leads from one repeat to the next."""
    view: bool = False
    """Whether the target is a view of the source."""


@dataclass(eq=False)
class Picture:
    """What a drawing shows."""

    title: str
    caption: list[str]
    """Sentences that say what was folded and how to unfold it."""
    root: Frame
    arrows: list[Arrow]
    graph: Graph

    def boxes(self) -> Iterator[Box]:
        """Yield all boxes: tensors that enter, then frame by frame, then outputs."""
        return _boxes(self.root.items)


def fold(
    graph: Graph,
    level: str = "module",
    depth: int | None = None,
    expand: Expand = None,
    max_boxes: int = 200,
) -> Picture:
    """Group the nodes of a graph into the boxes and frames of a picture.

    Args:
        graph: the graph.
        level: "module" folds the innermost modules, "op" folds none.
        depth: levels of modules to expand; None expands all that `level` allows.
        expand: path, list of paths or predicate on modules: the modules to expand to ops.
        max_boxes: fold more if the picture has more boxes than this; at least 3.

    Raises:
        ArgumentError: if `level` is neither of these, `depth` or `max_boxes` is not an integer in
            range, or `expand` is none of the above or a path that matches no module.
    """
    if level not in LEVELS:
        raise ArgumentError(f"draw: expected `level` to be 'module' or 'op', got {level!r}.")
    if depth is not None:
        check_integer("draw", 0, depth=depth)
    check_integer("draw", 3, max_boxes=max_boxes)
    opened = _expanded(graph, expand)
    # Repeats are drawn one by one if there are gradients, because these differ between them.
    has_gradients = any(node.gradient is not None and node.kind == "op" for node in graph.nodes)
    folding = _Folding(graph, level, depth, opened, repeats=not has_gradients)
    number = folding.count()
    if has_gradients and number > max_boxes:
        folding = _Folding(graph, level, depth, opened)
    caption: list[str] = []
    if folding.count() > max_boxes:
        levels = max((len(_chain(node.call)) for node in graph.nodes), default=0)
        shown = levels if depth is None else min(depth, levels)
        while folding.count() > max_boxes and shown > 1:
            shown -= 1
            folding = _Folding(graph, level, shown, set())
        if folding.count() < number:
            caption.append(
                f"Modules below depth {shown} are folded: the picture would have {number} boxes. "
                f"Unfold it with max_boxes={number}, or one module with expand='path'."
            )
        if folding.count() > max_boxes:
            folded = folding.fold_beginning(max_boxes)
            caption.append(
                f"The first {folded} of {number} boxes are folded into one. Unfold them with "
                f"max_boxes={number}."
            )
    picture = folding.picture(caption)
    if folding.repeats:
        has_arrow = any(arrow.repeat for arrow in picture.arrows)
        arrows = "; the dashed arrows lead to the next one" if has_arrow else ""
        caption.append(f"Equal steps are drawn once (×N){arrows}.")
    return picture


def _boxes(items: "Iterable[Box | Frame]") -> Iterator[Box]:
    for item in items:
        if isinstance(item, Box):
            yield item
        else:
            yield from _boxes(item.items)


def _insert(frame: Frame, before: Mapping[Box, list[Box]]) -> None:
    """Insert boxes in front of others, in the same frame."""
    items: list[Box | Frame] = []
    for item in frame.items:
        if isinstance(item, Frame):
            _insert(item, before)
        else:
            items += before.get(item, [])
        items.append(item)
    frame.items = items


def _set_outer(frame: Frame) -> None:
    """Set the module frame that contains each item."""
    for item in frame.items:
        item.outer = frame.call or frame.outer
        if isinstance(item, Frame):
            _set_outer(item)


def _has_free_index(box: Box) -> bool:
    """Return whether the index of a box may differ between repeats, as its first and last show."""
    is_index = box.node.options.startswith("[")
    return is_index and box.kind == "op" and box.call is None and box.last is None


def _chain(call: ModuleCall | None) -> list[ModuleCall]:
    """Return the calls around an op, outermost first."""
    chain = []
    while call is not None:
        chain.append(call)
        call = call.outer
    return chain[::-1]


def _expanded(graph: Graph, expand: Expand) -> set[ModuleCall]:
    """Return the calls that `expand` selects."""
    if expand is None:
        return set()
    if callable(expand):
        return {call for call in graph.calls if call.module is not None and expand(call.module)}
    paths = [expand] if isinstance(expand, str) else expand
    if not isinstance(paths, Iterable) or not all(isinstance(path, str) for path in paths):
        raise ArgumentError(
            f"draw: expected `expand` to be a path, a list of paths or a predicate on modules, got "
            f"{expand!r}."
        )
    if missing := set(paths) - {call.path for call in graph.calls}:
        ran = list(dict.fromkeys(repr(call.path) for call in graph.calls if call.path))
        known = ", ".join(ran[:8]) + (f" and {len(ran) - 8} more" if len(ran) > 8 else "")
        raise ArgumentError(
            f"draw: expected `expand` to contain paths of modules that ran, got "
            f"{min(missing)!r}. The modules are {known or 'none'}."
        )
    return {call for call in graph.calls if call.path in paths}


def _is_layer(call: ModuleCall) -> bool:
    """Return whether a call that contains others is a layer of `nn`, such as MultiheadAttention."""
    kind = type(call.module)
    return kind.__module__.startswith("tinygrad_np.nn.") and kind not in (Sequential, ModuleList)


_Item: TypeAlias = "Box | Frame"
_LEAVES = ("input", "parameter", "buffer", "constant")


class _Folding:
    """The tree of frames and boxes; `where` maps the id of a node to its box."""

    def __init__(
        self,
        graph: Graph,
        level: str,
        depth: int | None,
        opened: set[ModuleCall],
        repeats: bool = True,
    ) -> None:
        self.graph = graph
        self.level, self.depth, self.opened = level, depth, opened
        self.where: dict[str, Box] = {}
        self.repeats = 0
        self.numbers: dict[str, dict[object, int]] = {}
        """For each folded node, the number of its repeat in each repeated sequence around it."""
        self.by_id = {node.id: node for node in graph.nodes}
        self.into: dict[str, list[Edge]] = {}
        self.out_of: dict[str, list[Edge]] = {}
        for edge in graph.edges:
            self.into.setdefault(edge.target, []).append(edge)
            self.out_of.setdefault(edge.source, []).append(edge)
        ops = [node for node in graph.nodes if node.kind == "op"]
        self.sizes = Counter(call for node in ops for call in _chain(node.call))
        """Number of ops in each call."""
        self.containers = {call.outer for call in graph.calls}
        self.around_opened = {outer for call in opened for outer in _chain(call)}
        self.outermost = [call for call in graph.calls if call.outer is None and not call.sweep]
        self.root = Frame()
        self._place_ops()
        # The title of the picture stands for the frame of the model.
        if len(self.root.items) == 1:
            (only,) = self.root.items
            self.root = only if isinstance(only, Frame) and not only.sweep else self.root
        for box in _boxes(self.root.items):
            box.every = list(box.nodes)
        if repeats:
            self._fold_repeats(self.root)
        self._place_leaves()

    def _is_open(self, call: ModuleCall, level: int) -> bool:
        if call in self.around_opened or any(outer in self.opened for outer in _chain(call)):
            return True
        if self.depth is not None and level >= self.depth:
            return False
        # A layer that is drawn alone is expanded: one box would show nothing.
        if self.level == "op" or [call] == self.outermost:
            return True
        return call in self.containers and not _is_layer(call)

    def _place_ops(self) -> None:
        sweeps = {node.sweep for node in self.graph.nodes}
        frames: dict[Any, Frame] = {}
        boxes: dict[ModuleCall, Box] = {}
        for node in self.graph.nodes:
            if node.kind in _LEAVES or node.kind == "output":
                continue
            frame = self.root
            if len(sweeps) > 1 and not node.sweep:
                if "forward" not in frames:
                    frames["forward"] = Frame(title="forward pass")
                    self.root.items.append(frames["forward"])
                frame = frames["forward"]
            for level, call in enumerate(_chain(node.call)):
                is_open = self._is_open(call, level)
                if is_open and self.sizes[call] == 1 and call is node.call:
                    # A frame around a single op is drawn as the op, under the frame's title.
                    self.where[node.id] = self._box("op", [node], call)
                    frame.items.append(self.where[node.id])
                    break
                if not is_open:
                    if call not in boxes:
                        boxes[call] = self._box("module", [], call)
                        frame.items.append(boxes[call])
                    boxes[call].nodes.append(node)
                    self.where[node.id] = boxes[call]
                    break
                if call not in frames:
                    frames[call] = Frame(call, sweep=call.sweep)
                    frame.items.append(frames[call])
                frame = frames[call]
            else:
                self.where[node.id] = self._box("op", [node])
                frame.items.append(self.where[node.id])

    def _box(self, kind: str, nodes: list[GraphNode], call: ModuleCall | None = None) -> Box:
        box = Box("", kind, nodes, call)
        if kind == "constant":
            box.use = self.out_of[nodes[0].id][0].input
        for node in nodes:
            self.where[node.id] = box
        return box

    # Repeated steps.

    def _fold_repeats(self, frame: Frame) -> None:
        for item in frame.items:
            if isinstance(item, Frame):
                self._fold_repeats(item)
        repeats = _Repeats(self, frame.items)
        kept: list[_Item] = []
        start = 0
        while start < len(frame.items):
            period, times = repeats.longest(start)
            if times > 1:
                kept += self._merge(frame.items[start : start + period * times], period, times)
            else:
                kept.append(frame.items[start])
            start += period * times
        frame.items = kept

    def _signature(self, item: _Item) -> Any:
        """Return what two equal items have in common, apart from the sources of their inputs.

        Items that `expand` selects equal only others that it selects. An index may differ where it
        is shown.
        """
        call = item.call
        about: Any = None
        if call is not None:
            # The paths may differ in numbers: `blocks.0.norm` and `blocks.1.norm`.
            path = re.sub(r"\d+", "0", call.path)
            trained = () if call.module is None else call.module.named_parameters()
            about = (
                path,
                call.kind,
                call.description,
                call.parameters,
                call.calls,
                tuple(parameter.requires_grad for _, parameter in trained),
                call in self.around_opened,
            )
        if isinstance(item, Frame):
            return (about, item.times, *map(self._signature, item.items))
        return (about, item.kind, item.times, *(self._about(item, node) for node in item.every))

    def _about(self, box: Box, node: GraphNode) -> Any:
        options = node.options
        sources = [self.by_id[edge.source] for edge in self.into.get(node.id, [])]
        known = sum(one.dtype is not None and one.dtype.kind in "iub" for one in sources)
        if len(_ARRAY.findall(options)) > known or "<" in options:
            options = node.id  # the text does not tell such options apart
        elif _has_free_index(box):
            options = _INTEGER.sub("0", options)
        is_view = bool(node.view_of)
        return (node.op, node.shape, str(node.dtype), node.error, is_view, options)

    def _merge(self, items: list[_Item], period: int, times: int) -> list[_Item]:
        """Fold equal periods into the first one."""
        self.repeats += 1
        key = object()
        for number in range(times):
            pairs = zip(items, items[number * period : (number + 1) * period], strict=False)
            for first, other in pairs:
                for box, equal in zip(_boxes([first]), _boxes([other]), strict=True):
                    for node in equal.every:
                        self.where[node.id] = box
                        self.numbers.setdefault(node.id, {})[key] = number
                    if number:
                        box.every += equal.every
        for item, equal_item in zip(items[:period], items[-period:], strict=True):
            for box, equal in zip(_boxes([item]), _boxes([equal_item]), strict=True):
                box.last = box.last or equal
        if period == 1:
            (only,) = items[:1]
            only.times *= times
            if isinstance(only, Frame):
                only.last = items[-1]  # type: ignore[assignment]
            return [only]
        titles = [item.call for item in items[:period] if item.call is not None]
        return [
            Frame(
                title="steps of a loop" if titles else "repeated ops",
                items=items[:period],
                times=times,
                sweep=next(_boxes(items)).sweep,
            )
        ]

    # Tensors that enter and leave.

    def _place_leaves(self) -> None:
        """Put leaves into the box that uses them, or give them boxes of their own."""
        before: dict[Box, list[Box]] = {}
        first: list[_Item] = []
        groups: dict[Any, Box] = {}
        for node in self.graph.nodes:
            if node.kind not in _LEAVES:
                continue
            edges = self.out_of.get(node.id, [])
            repeats = [self.numbers.get(edge.target, {}) for edge in edges]
            users = {self.where[edge.target]: None for edge in edges if edge.target in self.where}
            # A leaf of a later repeat stands behind the one of the first.
            if users and all(any(numbers.values()) for numbers in repeats):
                box = next(iter(users))
                if node.kind in ("parameter", "buffer"):
                    box = Box("", "hidden", [])
                self.where[node.id] = box if node.kind == "constant" else Box("", "hidden", [node])
                continue
            (user,) = users if len(users) == 1 else (None,)
            folded = user is not None and user.kind != "op"
            value = None if folded else node.value
            is_shown = value is not None and value.size <= SMALL and value.ndim <= 2
            if node.kind in ("parameter", "buffer") and node.call is not None:
                is_shown = False  # the box of its layer names it
            is_inner = folded and not (node.name or self._is_data(node, user))
            if node.kind == "constant" and is_inner:
                self.where[node.id] = user  # type: ignore[assignment]
            elif node.kind in ("parameter", "buffer") and user is not None and not is_shown:
                user.parameters.append(node)
                if len({next(iter(numbers.items()), None) for numbers in repeats}) > 1:
                    user.shared.add(node)
                self.where[node.id] = user
            elif node.kind in ("parameter", "buffer") and not is_shown:
                key = (tuple(users), node.name.rpartition(".")[0])
                if key not in groups:
                    groups[key] = self._box(node.kind, [])
                    first.append(groups[key])
                groups[key].parameters.append(node)
                groups[key].nodes.append(node)
                self.where[node.id] = groups[key]
            elif (
                node.kind == "constant"
                and user is not None
                and not (node.name and user.last)  # the initial state of a loop
            ):
                before.setdefault(user, []).append(self._box("constant", [node]))
            else:
                first.append(self._box(node.kind, [node]))
        outputs: list[_Item] = [
            self._box("output", [node]) for node in self.graph.nodes if node.kind == "output"
        ]
        _insert(self.root, before)
        self.root.items = first + self.root.items + outputs

    def _is_data(self, node: GraphNode, box: Box | None) -> bool:
        """Return whether an array is the input of a module, which reads no other."""
        if not node.shape or box is None or box.kind != "module":
            return False
        sources = {edge.source for inner in box.nodes for edge in self.into.get(inner.id, [])}
        kinds = {self.by_id[id].kind for id in sources if self.where.get(id) is not box}
        return not kinds & {"op", "input"}

    # Limits.

    def count(self) -> int:
        """Return the number of boxes."""
        return sum(1 for _ in _boxes(self.root.items))

    def fold_beginning(self, max_boxes: int) -> int:
        """Fold the earliest boxes into one, so that at most `max_boxes` remain; return how many."""
        boxes = [box for box in _boxes(self.root.items) if box.kind != "output"]
        order = {node.id: position for position, node in enumerate(self.graph.nodes)}
        kinds = ("input", "parameter", "constant", "buffer")
        ops = sorted((b for b in boxes if b.kind not in kinds), key=lambda b: order[b.nodes[0].id])
        keep = max(1, max_boxes - 2)
        while True:
            early = set(ops[: len(ops) - keep])
            gone = early | {
                box
                for box in boxes
                if box.kind in kinds
                and all(
                    self.where[edge.target] in early
                    for node in box.nodes
                    for edge in self.out_of.get(node.id, [])
                    if edge.target in self.where
                )
            }
            if len(boxes) - len(gone) + 1 <= max_boxes or keep == 1:
                break
            keep = max(1, keep - max(1, (len(boxes) - len(gone) + 1 - max_boxes) // 2))
        inside = [node for box in ops if box in early for node in box.every]
        folded = Box("", "folded", inside, every=inside)
        for node_id, box in self.where.items():
            if box in gone:
                self.where[node_id] = folded
        self.root.items = [folded, *_without(self.root.items, gone)]
        return len(gone)

    # The picture.

    def picture(self, caption: list[str]) -> Picture:
        """Number the boxes and collect the arrows."""
        shown = list(_boxes(self.root.items))
        for number, box in enumerate(shown):
            box.id = f"box{number}"
        _set_outer(self.root)
        for box in shown:
            box.results = [
                node
                for node in box.nodes
                if any(
                    self.where.get(edge.target) is not box or self._leads_to_next(edge)
                    for edge in self.out_of.get(node.id, [])
                )
            ]
        arrows: dict[Any, Arrow] = {}
        present = set(shown)
        for edge in self.graph.edges:
            source, target = self.where.get(edge.source), self.where.get(edge.target)
            if source is None or target is None or not {source, target} <= present:
                continue
            repeat = self._leads_to_next(edge)
            if source is target and not repeat:
                continue
            value = self.by_id[edge.source]
            key: tuple[Any, ...] = (source, target, value.shape, value.dtype, repeat)
            if repeat:
                # One arrow leads on to each box of the next step that reads it.
                key = (source, target, repeat)
            elif source.kind not in ("module", "folded") and source.last is None:
                key = (*key, edge.source)
                if target.kind == "op" and target.last is None:
                    key = (*key, edge.position)  # x * x takes two arrows
            if source.kind in ("parameter", "buffer"):
                key = (source, target)
            if key not in arrows:
                view = self.by_id[edge.target].view_of == edge.source and target.kind == "op"
                arrows[key] = Arrow(source, target, value, [], repeat, view)
            arrows[key].edges.append(edge)
        title = self.graph.title
        if self.root.call is not None or (len(self.outermost) == 1 and title):
            call = self.root.call or self.outermost[0]
            title = f"{call.kind}({call.description})" if call.description else call.kind
            title += f": {call.parameters:,} parameters" if call.parameters else ""
        return Picture(title, caption, self.root, list(arrows.values()), self.graph)

    def _leads_to_next(self, edge: Edge) -> bool:
        """Return whether an edge leads from one repeat of a folded sequence to a later one."""
        source, target = self.numbers.get(edge.source, {}), self.numbers.get(edge.target, {})
        return any(number != target.get(key, number) for key, number in source.items())


class _Repeats:
    """Search for repeats among the items of one frame.

    A reader takes the one step drawn for all of them. So all must read the same tensors or the
    corresponding results of the step before, and only results of the last may be read elsewhere.
    """

    def __init__(self, folding: _Folding, items: list[_Item]) -> None:
        self.folding, self.items = folding, items
        numbers: dict[Any, int] = {}
        signatures = map(folding._signature, items)
        keys = [numbers.setdefault(signature, len(numbers)) for signature in signatures]
        self.nodes = [[node for box in _boxes([one]) for node in box.every] for one in items]
        self.place = {
            node.id: (position, index)
            for position, nodes in enumerate(self.nodes)
            for index, node in enumerate(nodes)
        }
        self.equal: dict[int, list[int]] = {}
        """For each period, the number of items from each place on that equal those one later."""
        for period in range(1, min(_LONGEST_PERIOD, len(items) // 2) + 1):
            counts = [0] * (len(items) + 1)
            for start in reversed(range(len(items) - period)):
                if keys[start] == keys[start + period]:
                    counts[start] = counts[start + 1] + 1
            self.equal[period] = counts

    def longest(self, start: int) -> tuple[int, int]:
        """Return the period and number of the repeats that begin at `start`; (1, 1) for none."""
        best = (1, 1)
        for period, counts in self.equal.items():
            most = 1 + counts[start] // period
            has_calls = any(item.call for item in self.items[start : start + period])
            fewest = _FEWEST_CALLS if has_calls else _FEWEST_OPS
            if most < fewest or most * period <= best[0] * best[1]:
                continue
            times = self._wired(start, period, most)
            if times >= fewest and times * period > best[0] * best[1]:
                best = (period, times)
        return best

    def _wired(self, start: int, period: int, most: int) -> int:
        """Return how many of the repeats are wired equally."""
        first = self._inputs(start, start, period)
        second: list[Any] = []
        readers: list[list[Edge]] = []
        for number in range(most):
            begin = start + number * period
            inputs = self._inputs(start, begin, period) if number else first
            second = inputs if number == 1 else second
            # Where later steps read the step before, the first reads what comes before the loop.
            if number and (inputs != second or not _continues(first, inputs)):
                break
            if number > 1 and not self._has_progress(start, begin, period):
                break
            readers.append(self._readers(begin, period))
        joined = self._joined(readers)
        if not any(_is_of_step(entry[-1]) and entry[-1][0] < 0 for entry in second):
            return joined
        unread = next((n for n, edges in enumerate(readers) if edges), len(readers))
        has_extra = 0 < joined < len(readers) and _follows(readers[joined - 1], readers[joined])
        return max(min(unread + 1, len(readers)), joined + has_extra if joined else 0)

    def _inputs(self, start: int, begin: int, period: int) -> list[Any]:
        """Return each edge into one repeat, and what it reads."""
        own: dict[str, int] = {}
        found = []
        for position in range(begin, begin + period):
            for index, node in enumerate(self.nodes[position]):
                for edge in self.folding.into.get(node.id, []):
                    source = self.folding.by_id[edge.source]
                    where: Any = source.id
                    place = self.place.get(source.id, (-1, 0))
                    if place[0] >= start:
                        where = (place[0] - begin, place[1])
                    elif _is_free(source, node):
                        readers = self.folding.out_of[source.id]
                        places = [self.place.get(one.target, (-1, 0))[0] for one in readers]
                        if begin <= min(places) and max(places) < begin + period:
                            where = ("own", own.setdefault(source.id, len(own)))
                    elif source.kind == "constant" and source.value is not None:
                        value = source.value
                        where = (source.name, value.shape, str(value.dtype), value.tobytes())
                    found.append((position - begin, index, edge.input, edge.position, where))
        return found

    def _has_progress(self, start: int, begin: int, period: int) -> bool:
        """Return whether the indices of a repeat differ from those before as in the second."""
        for position in range(period):
            for boxes in zip(
                *(
                    _boxes([self.items[place + position]])
                    for place in (start, start + period, begin - period, begin)
                ),
                strict=True,
            ):
                texts = [box.node.options if _has_free_index(box) else "" for box in boxes]
                numbers = [[int(found) for found in _INTEGER.findall(text)] for text in texts]
                for first, second, before, last in zip(*numbers, strict=True):
                    if second - first != last - before:
                        return False
        return True

    def _readers(self, begin: int, period: int) -> list[Edge]:
        """Return the edges from one repeat to anything but itself and the next."""
        inside = range(begin, begin + 2 * period)
        return [
            edge
            for nodes in self.nodes[begin : begin + period]
            for node in nodes
            for edge in self.folding.out_of.get(node.id, [])
            if self.place.get(edge.target, (-1, 0))[0] not in inside
        ]

    def _joined(self, readers: list[list[Edge]]) -> int:
        """Return how many repeats pass one result each to the same reader, in order."""
        for number, edges in enumerate(readers):
            if len(edges) != 1 or (number and not _follows(readers[number - 1], edges)):
                return number
        return len(readers)


def _is_free(source: GraphNode, reader: GraphNode) -> bool:
    """Return whether each repeat may have such a tensor of its own, such as a dropout mask."""
    if source.kind in ("parameter", "buffer"):
        return True
    is_layer = any(call.module is not None and _is_layer(call) for call in _chain(reader.call))
    return source.kind == "constant" and bool(source.shape) and is_layer


def _is_of_step(where: Any) -> bool:
    """Return whether an input is the result of a step of the loop."""
    return isinstance(where[0], int)


def _continues(first: list[Any], later: list[Any]) -> bool:
    """Return whether a later step reads what the first reads, or the step before instead."""
    return len(first) == len(later) and all(
        one == two
        or (
            one[:-1] == two[:-1]
            and not _is_of_step(one[-1])
            and _is_of_step(two[-1])
            and two[-1][0] < 0
        )
        for one, two in zip(first, later, strict=True)
    )


def _follows(before: list[Edge], edges: list[Edge]) -> bool:
    """Return whether one of the edges leads to the reader of the step before, one input on."""
    (last,) = before
    return any(one.target == last.target and one.position > last.position for one in edges)


def _without(items: list[_Item], gone: set[Box]) -> list[_Item]:
    kept: list[_Item] = []
    for item in items:
        if isinstance(item, Frame):
            item.items = _without(item.items, gone)
            if item.items:
                kept.append(item)
        elif item not in gone:
            kept.append(item)
    return kept
