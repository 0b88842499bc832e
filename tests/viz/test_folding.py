"""Pictures fold modules, repeats and long graphs, and say what they fold."""

import numpy as np
import pytest

from tests.tools import each
from tests.viz.models import Block, Recurrent, Shared, Stack, batch
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError
from tinygrad_np.viz.folding import Box, Frame, fold
from tinygrad_np.viz.text import frame_title, heading, parameter_lines, shows_value
from tinygrad_np.viz.tracing import trace

pytestmark = pytest.mark.slow


def traced(model, *inputs):
    return trace("draw", model, inputs)


def headings(picture):
    return [heading(box) for box in picture.boxes()]


def frames(items):
    for item in items:
        if isinstance(item, Frame):
            yield item
            yield from frames(item.items)


def titles(picture):
    return [frame_title(frame) for frame in frames(picture.root.items)]


def is_acyclic(picture):
    """Return whether the arrows, without those between repeats, make no cycle."""
    left = {box: set() for box in picture.boxes()}
    for arrow in picture.arrows:
        if not arrow.repeat:
            left[arrow.target].add(arrow.source)
    while ready := [box for box, sources in left.items() if not sources & left.keys()]:
        for box in ready:
            del left[box]
    return not left


class Nested(nn.Module):
    """A model that contains a model, and an op of its own."""

    def __init__(self):
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        """Return (N, 2)."""
        return self.head(self.body(x).exp())


@each(
    ("level", "depth", "expected"),
    [
        ("module", None, ["x", "0: Linear(3, 4)", "1: ReLU", "exp", "head: Linear(4, 2)"]),
        ("module", 0, ["x", "Nested"]),
        ("module", 1, ["x", "body: Sequential", "exp", "head: Linear(4, 2)"]),
        ("op", 1, ["x", "body: Sequential", "exp", "head: Linear(4, 2)"]),
    ],
)
def test_level_and_depth_choose_the_boxes(level, depth, expected):
    picture = fold(traced(Nested(), batch(5, 3)), level, depth)
    assert headings(picture) == [*expected, "output"]
    assert is_acyclic(picture)


def test_level_op_draws_every_op():
    graph = traced(Block(4), batch(2, 4))
    picture = fold(graph, "op")
    ops = [node for node in graph.nodes if node.kind == "op"]
    assert sorted(n.id for b in picture.boxes() for n in b.nodes if n.kind == "op") == sorted(
        node.id for node in ops
    )
    assert all(len(box.nodes) == 1 for box in picture.boxes() if box.kind == "op")


def test_a_layer_drawn_alone_shows_its_ops():
    picture = fold(traced(nn.LSTMCell(3, 5), batch(2, 3)))
    assert headings(picture).count("lstm") == 1


def test_layers_of_nn_are_boxes_even_if_they_contain_layers():
    model = nn.Sequential(nn.LayerNorm(4), Attention())
    assert "attention: MultiheadAttention(4, 2)" in headings(fold(traced(model, batch(2, 3, 4))))


class Attention(nn.Module):
    """Self-attention."""

    def __init__(self):
        self.attention = nn.MultiheadAttention(4, 2)

    def forward(self, x):
        """Return an array of the shape of x."""
        return self.attention(x, x, x)[0] + x


@each("expand", ["body", ["body"], lambda module: isinstance(module, nn.Sequential)])
def test_expand_takes_a_path_paths_or_a_predicate(expand):
    picture = fold(traced(Nested(), batch(5, 3)), expand=expand)
    assert "body: Sequential" in titles(picture)
    linear = [box for box in picture.boxes() if box.node.op == "linear"]
    assert [(heading(box), box.kind) for box in linear] == [
        ("0: Linear(3, 4)", "op"),
        ("head: Linear(4, 2)", "module"),
    ]


def test_twelve_equal_blocks_fold_to_one():
    picture = fold(traced(Stack(), batch(2, 4)))
    assert titles(picture) == ["blocks.0 … blocks.11: Block ×12", "mlp: Sequential"]
    inside = [box.partition(":")[0] for box in headings(picture)]
    assert inside == ["x", "norm", "0", "1", "2", "add", "head", "output"]
    repeats = [heading(arrow.target) for arrow in picture.arrows if arrow.repeat]
    assert repeats == ["norm: LayerNorm((4,))", "add"]
    assert is_acyclic(picture)
    assert any("dashed" in sentence for sentence in picture.caption)


def test_an_expanded_block_is_not_folded_with_its_neighbors():
    picture = fold(traced(Stack(), batch(2, 4)), expand="blocks.5.mlp")
    blocks = [title for title in titles(picture) if "Block" in title]
    assert blocks == [
        "blocks.0 … blocks.4: Block ×5",
        "blocks.5: Block",
        "blocks.6 … blocks.11: Block ×6",
    ]


def test_equal_blocks_that_expand_selects_fold_to_one():
    graph = traced(Stack(4), batch(2, 4))
    for options in ({}, {"max_boxes": 20}):
        picture = fold(graph, expand=lambda module: isinstance(module, Block), **options)
        assert titles(picture)[0] == "blocks.0 … blocks.3: Block ×4"
        assert [box.kind for box in picture.boxes()].count("module") == 1  # the head


def test_two_blocks_are_both_drawn():
    assert titles(fold(traced(Stack(2), batch(2, 4))))[::2] == [
        "blocks.0: Block",
        "blocks.1: Block",
    ]


def test_blocks_of_different_sizes_are_not_folded():
    sizes = (4, 5, 6, 7, 8)
    layers = [nn.Linear(one, one + 1) for one in sizes]
    assert len(headings(fold(traced(nn.Sequential(*layers), batch(2, 4))))) == 7


def test_equal_layers_with_different_names_are_not_folded():
    class Net(nn.Module):
        def __init__(self):
            self.first, self.second, self.third = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            """Apply all three."""
            return self.third(self.second(self.first(x)))

    assert len(headings(fold(traced(Net(), batch(2, 4))))) == 5


def test_blocks_with_different_wiring_are_not_folded():
    class Dense(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(4)])

        def forward(self, x):
            """Feed the first result, too, to the third layer."""
            first = self.layers[0](x)
            second = self.layers[1](first)
            third = self.layers[2](first)
            return self.layers[3](second + third)

    picture = fold(traced(Dense(), batch(2, 4)))
    assert all(box.times == 1 for box in picture.boxes())
    assert is_acyclic(picture)


def test_a_loop_of_a_cell_and_an_index_folds_to_one_step():
    picture = fold(traced(Recurrent(), batch(2, 32, 3)))
    assert titles(picture) == ["steps of a loop ×32"]
    state = ["state[0]", "state[1]"]
    step, outputs = ["basic_index", "cell: LSTMCell(3, 5)"], ["output[0]", "output[1]"]
    assert headings(picture) == ["x", *state, *step, *outputs]
    assert [heading(item) for item in picture.root.items if isinstance(item, Box)][1:3] == state
    assert any(arrow.repeat for arrow in picture.arrows)
    assert is_acyclic(picture)


def test_repeats_are_drawn_one_by_one_with_gradients():
    graph = trace("draw", Stack(), [batch(2, 4)], backward=True)
    assert titles(fold(graph)).count("mlp: Sequential") == 12
    assert "blocks.0 … blocks.11: Block ×12" in titles(fold(graph, max_boxes=20))


def test_parameters_of_a_shared_module_are_drawn_once():
    picture = fold(traced(Shared(), batch(4, 10)))
    (parameters,) = (box for box in picture.boxes() if box.kind == "parameter")
    assert [node.name for node in parameters.parameters] == ["layer.weight", "layer.bias"]
    calls = [arrow.target for arrow in picture.arrows if arrow.source is parameters]
    assert [box.call.call for box in calls] == [1, 2]
    assert not any(box.parameters for box in calls)


def test_the_data_that_a_recorded_model_reads_is_drawn():
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    picture = fold(trace("draw", model(Tensor(batch(3, 4)))))
    assert [box.kind for box in picture.boxes()] == ["constant", "module", "module", "output"]
    assert headings(picture)[0] == "data"


def test_too_many_boxes_fold_modules_first():
    blocks = [Block(size) for size in (4, 4)]
    graph = traced(nn.Sequential(*blocks, nn.Linear(4, 4)), batch(2, 4))
    number = sum(1 for _ in fold(graph).boxes())
    picture = fold(graph, max_boxes=6)
    assert sum(1 for _ in picture.boxes()) <= 6
    assert f"max_boxes={number}" in " ".join(picture.caption)
    assert "depth 1" in " ".join(picture.caption)
    assert sum(1 for _ in fold(graph, max_boxes=number).boxes()) == number


@each("limit", [3, 10, 100, 299])
def test_a_flat_graph_folds_its_beginning(limit):
    x = y = Tensor(1.0, requires_grad=True)
    for step in range(300):
        y = y.sin() if step * step % 7 < 3 and step % 11 else y.exp()
    graph = trace("draw", y)
    picture = fold(graph, max_boxes=limit)
    assert len(headings(picture)) <= limit
    assert headings(picture)[0].endswith(" earlier ops")
    assert "max_boxes=" in " ".join(picture.caption)
    assert is_acyclic(picture)
    assert x.grad is None


def test_equal_ops_fold_from_eight_on():
    y = Tensor(1.0, requires_grad=True)
    for _ in range(7):
        y = y + 1.0
    assert headings(fold(trace("draw", y))).count("add") == 7
    assert "add ×8" in headings(fold(trace("draw", y + 1.0)))


def test_ten_thousand_ops_fold():
    y = Tensor(1.0, requires_grad=True)
    for _ in range(10_000):
        y = y + 1.0
    assert "add ×10000" in headings(fold(trace("draw", y)))


def test_nodes_and_boxes_correspond():
    graph = traced(Stack(2), batch(2, 4))
    picture = fold(graph)
    shown = [node.id for box in picture.boxes() for node in (*box.nodes, *box.parameters)]
    assert len(shown) == len(set(shown))
    assert all(isinstance(box, Box) and box.id for box in picture.boxes())


@each(
    ("arguments", "message"),
    [
        ({"level": "layer"}, "draw: expected `level` to be 'module' or 'op', got 'layer'"),
        ({"depth": -1}, "draw: expected `depth` to be an integer >= 0, got -1"),
        ({"max_boxes": 2}, "draw: expected `max_boxes` to be an integer >= 3, got 2"),
        ({"expand": 3}, "draw: expected `expand` to be a path, a list of paths or a predicate"),
        ({"expand": "tail"}, r"got 'tail'\. The modules are 'body', 'body.0', 'body.1', 'head'"),
    ],
)
def test_invalid_arguments_raise(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        fold(traced(Nested(), batch(5, 3)), **arguments)


def test_an_unknown_path_among_many_modules_raises():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(12)))
    with pytest.raises(ArgumentError, match=r"'0', '1', .* '7' and 4 more"):
        fold(traced(model, batch(1, 4)), expand="blocks.7")


class Layers(nn.Module):
    """Linear layers that a function applies."""

    def __init__(self, apply, count=6):
        self.ls = nn.ModuleList([nn.Linear(4, 4) for _ in range(count)])
        self.apply = apply

    def forward(self, x, y):
        """Return what the function returns."""
        return self.apply(self.ls, x, y)


def results(layers, x):
    """Return the result of each layer of a chain."""
    found = [x]
    for layer in layers:
        found.append(layer(found[-1]))
    return found[1:]


def add_either(layers, x, y):
    """Add y in the first half of the layers and x in the second."""
    h = x
    for number, layer in enumerate(layers):
        h = layer(h) + (y if number < 3 else x)
    return h


def add_two(layers, x, y):
    """Add the results of the first and the fourth layer."""
    found = results(layers[:4], x)
    return found[0] + found[3]


def three_results(layers, x, y):
    """Return the results of layers 1, 4 and 5."""
    found = results(layers, x)
    return found[1], found[4], found[5]


@each(
    ("apply", "expected"),
    [
        (add_either, [1, 1, 1, 1]),
        (add_two, [1, 3, 1]),
        (three_results, [1, 1, 3, 1]),
        (lambda layers, x, y: [layer(x) for layer in layers], [1] * 6),
    ],
)
def test_only_steps_with_equal_inputs_and_readers_are_folded(apply, expected):
    picture = fold(traced(Layers(apply), batch(2, 4), 2 * batch(2, 4)))
    assert [box.times for box in picture.boxes() if box.kind in ("op", "module")] == expected
    loops = 2 if apply is add_either else 0
    assert titles(picture) == ["steps of a loop ×3"] * loops


@each(
    "step",
    [
        lambda x, i: x * (i + 1),
        lambda x, i: x ** (1 + i / 10),
        lambda x, i: x.clip(-i - 1, i + 1),
        lambda x, i: x + np.full((2, 4), i, np.float32),
    ],
)
def test_steps_with_different_constants_are_not_folded(step):
    def loop(x):
        for i in range(10):
            x = step(x, i)
        return x

    assert not any(box.times > 1 for box in fold(traced(loop, batch(2, 4))).boxes())


def test_shared_modules_and_parameters_differ_from_others():
    one, two, three = (nn.Linear(4, 4) for _ in range(3))
    picture = fold(traced(nn.Sequential(one, one, two, one, three), batch(2, 4)))
    assert all(box.times == 1 for box in picture.boxes())
    tied = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(5)))
    for layer in tied:
        layer.weight = tied[0].weight
    (box,) = (box for box in fold(traced(tied, batch(2, 4))).boxes() if box.times == 5)
    assert parameter_lines(box)[-1] == "16 parameters"


def test_nested_repeats_are_named_after_the_first_and_counted_in_all():
    class Residual(nn.Module):
        def __init__(self):
            self.ls = nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))

        def forward(self, x):
            """Return an array of the shape of x."""
            return x + self.ls(x)

    picture = fold(traced(nn.Sequential(*(Residual() for _ in range(4))), batch(2, 4)))
    assert headings(picture)[1:3] == ["0 … 2: Linear(4, 4) ×3", "add"]
    assert [len(box.every) for box in picture.boxes()][1:3] == [12, 4]


def test_a_layer_with_two_results_shows_no_value():
    def both(cell):
        h, c = cell
        return h + c

    class Cell(nn.Module):
        def __init__(self):
            self.cell = nn.LSTMCell(1, 1)

        def forward(self, x):
            """Return the sum of both states."""
            return both(self.cell(x, (Tensor.zeros(1, 1), Tensor.zeros(1, 1))))

    (box,) = (b for b in fold(traced(Cell(), batch(1, 1))).boxes() if b.kind == "module")
    assert len(box.results) == 2
    assert not shows_value(box)
