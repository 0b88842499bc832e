"""Tracing collects ops, values, names, gradients and module calls.

`python -m tests.viz.test_tracing` writes the golden files again.
"""

import json
import operator
import threading
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from tests.tools import each, leaf, normal
from tinygrad_np import Tensor, checkpoint, enable_grad, nn, no_grad, op, ops
from tinygrad_np.autograd.backward import gradient
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tinygrad_np.viz import draw
from tinygrad_np.viz.tracing import trace

GOLDEN = Path(__file__).parent / "golden"


def scalar(value, **options):
    return Tensor(value, np.float64, requires_grad=True, **options)


def single(*shape, seed=0):
    """Return a float32 array."""
    return normal(*shape, seed=seed).astype(np.float32)


def by_name(graph):
    """Return the nodes by name, or by op if they have none."""
    return {node.name or node.op or node.kind: node for node in graph.nodes}


def arrows(graph):
    """Return the arrows as pairs of names."""
    names = {node.id: node.name or node.op or str(node.value) for node in graph.nodes}
    return [(names[edge.source], names[edge.target]) for edge in graph.edges]


def values(graph):
    return {
        name: None if node.value is None else node.value.tolist()
        for name, node in by_name(graph).items()
    }


class Gate(nn.Module):
    """A layer that is called twice, a buffer, and an index as output."""

    def __init__(self):
        self.layer = nn.Linear(3, 3)
        self.scale = Tensor([1.0, 2.0, 3.0])

    def forward(self, x, state):
        """Return the gated state and the largest entry."""
        hidden = self.layer(self.layer(x)) * self.scale
        return {"gate": hidden.sigmoid() * state[0], "best": x.argmax(1)}


# Names, constants and values of a recorded graph.


def test_scalar_expressions_show_names_constants_and_values():
    a, b, c = scalar(2.0, name="a"), scalar(-3.0), scalar(6.5)
    y = ((a * b + c).tanh() ** 2) / 4
    y.name = "y"
    graph = trace("draw", y, names={"b": b, "c": c, "other": 3})
    assert arrows(graph) == [
        ("a", "mul"),
        ("b", "mul"),
        ("mul", "add"),
        ("c", "add"),
        ("add", "tanh"),
        ("tanh", "pow"),
        ("2", "pow"),
        ("pow", "y"),
        ("4", "y"),
        ("y", "output"),
    ]
    found = values(graph)
    assert (found["a"], found["b"], found["mul"], found["add"]) == (2.0, -3.0, -6.0, 0.5)
    assert found["y"] == y.item()
    assert graph.roots == (graph.nodes[-1].id,)


def test_given_names_take_precedence():
    x = scalar(1.0, name="own")
    y = x * 2
    _ = x  # as in a notebook, where it is the last output
    assert [n.name for n in trace("draw", y, names=locals()).nodes][::2] == ["x", "y"]
    assert [n.name for n in trace("draw", y, names={"x": x, "y": y}).nodes][::2] == ["x", "y"]


@each("name", ["\x00", "a\x1bb", "\ud800", "\t", "変数"])
def test_any_name_can_be_drawn(name):
    drawing = draw(scalar(2.0, name=name) * 1.0001)
    shown = drawing.graph.nodes[0].name
    assert shown == (name if name == "変数" else name.encode("unicode_escape").decode())
    assert shown in drawing.to_svg()
    assert "mul <- " + shown + ", 1.0001" in str(drawing)


def test_gradients_of_leaves_and_retained_results_are_shown():
    x = scalar(3.0, name="x")
    y = x * 2
    y.retain_grad()
    z = y * y
    z.backward(retain_graph=True)
    nodes = by_name(trace("draw", z, names={"y": y}))
    assert (nodes["x"].grad.tolist(), nodes["y"].grad.tolist()) == (24.0, 12.0)
    assert nodes["x"].gradient.norm == 24.0


def test_saved_constants_that_are_named_are_inputs():
    x, data = scalar(3.0), Tensor([1.0, 2.0], np.float64)
    node = by_name(trace("draw", x * data, names={"data": data}))["data"]
    assert (node.kind, node.value.tolist()) == ("input", [1.0, 2.0])


def test_constants_that_were_not_saved_are_unknown():
    """An equal tensor among the names need not be the one that was added."""
    x = scalar([2.0, 3.0], name="x")
    y = x + Tensor([1.0, 1.0], np.float64)
    equal = Tensor([1.0, 1.0], np.float64)
    assert arrows(trace("draw", y * y, names={"equal": equal}))[1] == ("None", "add")


def test_arrays_name_the_tensors_made_from_them():
    images, labels, other = single(4, 3), np.array([0, 1, 1, 0]), np.zeros((4, 3))
    names = {"images": images, "labels": labels, "other": other, "text": "ignored"}
    layer = nn.Linear(3, 2).astype(np.float64)

    def loss(x):
        return layer(x + Tensor(images, np.float64)).cross_entropy(labels)

    recorded = trace("draw", layer(Tensor(images, np.float64)).cross_entropy(labels), names=names)
    run = trace("draw", loss, [other], names=names)
    for graph, inputs in ((recorded, ["images", "labels"]), (run, ["other", "images", "labels"])):
        assert [node.name for node in graph.nodes if node.kind == "input"] == inputs
        assert ("labels", "cross_entropy_rows") in arrows(graph)


def test_arrays_and_tensors_name_the_indices_of_a_recorded_embedding():
    tokens = np.array([1, 3])
    y = nn.Embedding(5, 2)(Tensor(tokens))
    for given in (tokens, Tensor(tokens)):
        graph = trace("draw", y, names={"tokens": given})
        assert ("tokens", "advanced_index") in arrows(graph)


def test_unknown_constants_have_no_dtype():
    constant = trace("draw", scalar(3.0) + Tensor(1.0, np.float64)).nodes[1]
    assert (constant.kind, constant.dtype, constant.value) == ("constant", None, None)


@each(
    "change",
    [
        lambda x: x.data.fill(7.0),
        lambda x: setattr(x, "data", np.array(7.0)),
        lambda x: x.mark_changed(),
    ],
)
def test_values_computed_from_a_changed_leaf_are_unknown(change):
    x = scalar(1.0, name="x")
    middle = x + 1
    middle.name = "middle"
    y = middle + 1
    assert values(trace("draw", y))["middle"] == 2.0
    with no_grad():
        change(x)
    found = values(trace("draw", y))
    assert (found["x"], found["middle"], found["output"]) == (None, None, 3.0)


def test_changed_results_are_unknown():
    x = scalar(1.0)
    y = x * 2
    z = y + 1
    with no_grad():
        y += 5
    assert values(trace("draw", z))["mul"] == 2.0  # recomputed from x
    assert values(trace("draw", y))["output"] == 2.0


@each("change", [lambda y: operator.imul(y, 2), lambda y: setattr(y, "data", np.array(7.0))])
def test_values_computed_from_an_overwritten_result_are_unknown(change):
    """The node of `y` does not include the change, so `z` is not what the graph says."""
    x = scalar(1.0, name="x")
    y = x + 1
    with no_grad():
        change(y)
    z = y + 1
    z.name = "z"
    assert values(trace("draw", z + 1))["z"] is None
    assert values(trace("draw", z))["z"] == z.item()


@op("x + noise", vjps={"x": lambda grad_out: grad_out})
def noisy(x):
    """Return an op of the user, which could be random."""
    return x + np.random.default_rng().random()


def test_ops_of_the_user_do_not_run_again():
    x = scalar(1.0)
    middle = noisy(x)
    assert values(trace("draw", middle + 1))["noisy"] is None
    assert values(trace("draw", middle * scalar(2.0)))["noisy"] == middle.item()  # saved


def test_in_place_changes_are_ops():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y[0] = 5.0
    y += 1
    assert [node.op for node in trace("draw", y).nodes if node.op] == ["mul", "assign", "add"]


def test_arrays_above_keep_are_dropped():
    x = Tensor(normal(3), requires_grad=True)
    for keep, is_kept in ((2, False), (3, True), (None, True)):
        graph = trace("draw", x.exp(), backward=True, keep=keep)
        for node in graph.nodes[:2]:
            assert (node.value is not None, node.grad is not None) == (is_kept, is_kept)
            assert node.gradient.size == 3
        assert (graph.edges[0].grad is not None) == is_kept


@pytest.mark.slow
def test_chains_of_10000_ops_are_traced():
    y = scalar(1.0)
    for _ in range(10_000):
        y = y + 1.0
    graph = trace("draw", y, backward=True, derivatives=True)
    assert (len(graph.edges), graph.nodes[-1].value.item()) == (20_001, 10_001.0)


def test_diamonds_of_60_levels_are_traced():
    x = scalar(1.0)
    for _ in range(60):
        x = x * x
    assert len(trace("draw", x, backward=True, derivatives=True).edges) == 121


# Runs of modules and functions.


def test_models_are_run_with_named_inputs_parameters_and_buffers():
    x, state = single(2, 3), (single(2, 3), None)
    graph = trace("draw", Gate(), [x, state])
    kinds = {node.name: node.kind for node in graph.nodes if node.name}
    assert kinds == {
        "x": "input",
        "layer.weight": "parameter",
        "layer.bias": "parameter",
        "scale": "buffer",
        "state[0]": "input",
        "output['gate']": "output",
        "output['best']": "output",
    }
    assert ("x", "argmax") in arrows(graph)  # without a gradient
    assert ("argmax", "output['best']") in arrows(graph)
    assert graph.title == "Gate"


def test_calls_of_modules_are_counted():
    calls = trace("draw", Gate(), [single(2, 3), [single(2, 3)]]).calls
    assert [(c.path, c.kind, c.description, c.parameters, c.call, c.calls) for c in calls] == [
        ("", "Gate", "", 12, 1, 1),
        ("layer", "Linear", "3, 3", 12, 1, 2),
        ("layer", "Linear", "3, 3", 12, 2, 2),
    ]
    assert calls[1].outer is calls[0]
    assert calls[1].module is calls[2].module


def test_ops_have_times_lines_flops_and_saved_bytes():
    layer = nn.Linear(3, 4)
    graph = trace("draw", lambda x: layer(x), [np.ones((2, 3), np.float32)])
    node = by_name(graph)["linear"]
    assert node.seconds > 0
    assert node.line.startswith("test_tracing.py:")
    assert "in <lambda>: graph = trace(" in node.line
    assert (node.flops, node.saved, node.nbytes) == (56, {"x": 24, "weight": 48}, 32)


def test_ops_that_no_code_outside_the_package_runs_have_no_line():
    graph = trace("draw", nn.Sequential(nn.Linear(3, 4)), [np.ones((2, 3), np.float32)])
    assert by_name(graph)["linear"].line == ""


def test_recorded_graphs_have_the_same_flops_and_saved_bytes():
    layer, x = nn.Conv2d(1, 2, 3), Tensor(single(1, 1, 5, 5))
    run, tape = trace("draw", layer, [x]), trace("draw", layer(x))
    ran, read = by_name(run)["conv2d"], by_name(tape)["conv2d"]
    assert ran.flops == read.flops > 0
    assert ran.saved == read.saved == {"x": 100, "weight": 72}


def test_views_name_their_base():
    graph = trace("draw", lambda x: x.reshape(2, 3)[0].exp(), [normal(6)])
    assert [node.view_of for node in graph.nodes] == ["", "n0", "n1", "", ""]


def test_runs_change_neither_buffers_nor_inputs_nor_generators():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    before = [b.numpy().copy() for b in model.buffers()]
    x = Tensor(normal(4, 3))
    one, other = (trace("draw", model, [x], keep=None).nodes[-1].value for _ in range(2))
    assert np.array_equal(one, other)
    assert all(map(np.array_equal, before, [b.numpy() for b in model.buffers()]))
    assert not x.requires_grad


def test_functions_that_change_an_input_in_place_run_without_its_gradient():
    x = Tensor([1.0, 2.0])

    def double(x):
        x *= 2
        return x + 1

    graph = trace("draw", double, [x])
    assert graph.error is None
    assert graph.nodes[-1].value.tolist() == [3.0, 5.0]
    assert x.tolist() == [1.0, 2.0]
    assert arrows(graph)[:3] == [("x", "mul"), ("2", "mul"), ("mul", "add")]


def test_in_place_changes_without_a_node_are_ops():
    def count(x):
        found = x.argmax(1)
        found += 1
        return found * 2

    graph = trace("draw", count, [normal(2, 3)])
    assert [node.op for node in graph.nodes if node.op] == ["argmax", "add", "mul"]


def assign_entry(x):
    x[0] = 0.0
    return x * 2


def scale_view(x):
    view = x[0:1]
    view *= 10
    return x * 2


def write_data(x):
    x.data[1] = 7.0
    return x * 2


@each(
    ("function", "changed"),
    [(assign_entry, [0.0, 2.0]), (scale_view, [10.0, 2.0]), (write_data, [1.0, 7.0])],
)
def test_inputs_changed_without_a_node_show_both_values(function, changed):
    graph = trace("draw", function, [Tensor([1.0, 2.0])])
    assert arrows(graph)[:2] == [("x", "changed in place"), ("changed in place", "mul")]
    found = values(graph)
    assert (found["x"], found["changed in place"]) == ([1.0, 2.0], changed)
    assert found["mul"] == [2 * value for value in changed]


def test_results_changed_inside_no_grad_are_drawn_in_order():
    def change(x):
        with no_grad():
            hidden = x.exp()
            hidden[0:1] = 0
            hidden *= 10
            hidden.data[1] = 5.0
            return hidden * x

    graph = trace("draw", change, [normal(100)])
    names = [node.op for node in graph.nodes if node.op]
    assert names == ["exp", "changed in place", "mul", "changed in place", "mul"]


def test_an_input_passed_twice_is_one_node():
    x = normal(2)
    graph = trace("draw", lambda a, b, *c: a * b + c[0], [x, x, 1.5])
    assert [n.name for n in graph.nodes if n.kind == "input"] == ["a, b", "c[0]"]


def test_nested_inputs_keep_their_type_and_have_names():
    State = namedtuple("State", "h c")

    def step(state, *more, scale=2.0, **options):
        return state.h * state.c + more[0]["x"] * more[1][0][0] * scale

    inputs = [State(normal(2), normal(2)), {"x": normal(2)}, [(normal(2),)]]
    names = [n.name for n in trace("draw", step, inputs).nodes if n.kind == "input"]
    assert names == ["state[0]", "state[1]", "more[0]['x']", "more[1][0][0]"]


def test_indices_are_inputs_of_an_embedding():
    graph = trace("draw", nn.Embedding(5, 2), [np.array([1, 3])])
    assert arrows(graph)[:2] == [("weight", "advanced_index"), ("index", "advanced_index")]


def test_tensors_that_a_model_creates_are_named_by_the_layer_that_reads_them():
    embedding, cell = nn.Embedding(9, 4), nn.LSTMCell(4, 4)

    def model(tokens):
        x = embedding(tokens) + embedding(Tensor.arange(3))
        return cell(x, (Tensor.zeros(3, 4), Tensor.ones(3, 4)))[0]

    graph = trace("draw", model, [np.array([5, 1, 7])])
    constants = {n.name: n.value.sum() for n in graph.nodes if n.kind == "constant" and n.name}
    assert constants == {"index": 3, "state[0]": 0, "state[1]": 12}
    assert ("index", "advanced_index") in arrows(graph)


def test_checkpoints_are_one_op():
    layer = nn.Linear(2, 2)
    graph = trace("draw", lambda x: checkpoint(layer, x).sum(), [single(1, 2)], backward=True)
    assert [node.op for node in graph.nodes if node.op] == ["checkpointed_call", "sum"]
    assert by_name(graph)["weight"].gradient.norm > 0


def test_indices_are_attributed_to_the_tensor_that_was_passed():
    table, index = Tensor(normal(3, 2)), np.array([0, 1])

    def pick(i, o):
        return table[i, o] * o.float()

    expected = [("i", "advanced_index"), ("o", "advanced_index")]
    graph = trace("draw", pick, [Tensor(index), Tensor(index)])
    assert [arrow for arrow in arrows(graph) if arrow[1] == "advanced_index"][1:] == expected
    graph = trace("draw", lambda x, o: x[index] * o.sum(), [table, Tensor(index)])
    assert [arrow for arrow in arrows(graph) if arrow[1] == "advanced_index"] == [
        ("x", "advanced_index")
    ]


def test_parameters_inside_checkpoints_have_paths():
    model, x = nn.Sequential(nn.Linear(2, 2)), Tensor(single(1, 2))
    for graph in (
        trace("draw", checkpoint(model, x)),
        trace("draw", lambda x: checkpoint(lambda x: model(x), x), [x]),
    ):
        assert {"0.weight", "0.bias"} <= by_name(graph).keys()


def test_drawing_a_part_of_a_model_renames_no_parameter():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2)))
    before = [parameter.name for parameter in model.parameters()]
    graph = trace("draw", model[0], [single(1, 2)])
    assert {"0.weight", "0.bias"} <= by_name(graph).keys()
    assert [parameter.name for _, parameter in model.named_parameters()] == before


def test_runs_are_recorded_inside_no_grad():
    with no_grad():
        assert by_name(trace("draw", ops.exp, [normal(2)], backward=True))["exp"].gradient.norm > 1


def test_functions_without_gradients_are_drawn():
    def choose(x):
        with no_grad():
            return (x * 2).argmax()

    assert [n.op for n in trace("draw", choose, [normal(3)]).nodes if n.op] == ["mul", "argmax"]


def test_outputs_without_a_graph_are_kept():
    x, constant = scalar(3.0, name="x"), Tensor(1.0)
    for graph in (
        trace("draw", (x * 2, constant, x), backward=True),
        trace("draw", lambda x: (x * 2, constant, x), [x], backward=True),
    ):
        assert [node.value.item() for node in graph.nodes if node.kind == "output"] == [6, 1, 3]
        assert [edge.target for edge in graph.edges][-3:] == list(graph.roots)
        assert by_name(graph)["x"].grad.item() == 3.0


def test_inputs_passed_on_by_detach_are_marked():
    x = scalar(3.0, name="x")
    y = x * 2
    for graph in (
        trace("draw", x.detach() * x),
        trace("draw", y.detach() * y, names={"y": y}),
        trace("draw", lambda x: x.detach() * x, [x]),
        trace("draw", lambda x: (x.detach() * 2) * x, [x]),
    ):
        assert [edge.detached for edge in graph.edges].count(True) == 1
    assert not any(edge.detached for edge in trace("draw", x * x).edges)
    assert "mul <- x (detached), x" in str(draw(x.detach() * x))
    assert "detached" in draw(x.detach() * x).source


def test_tensors_computed_before_the_run_are_inputs():
    before = scalar([1.0, 2.0]) * 5
    for name in ("", "before"):
        names = {name: before} if name else {}
        graph = trace("draw", lambda x: x * before, [normal(2)], names=names, backward=True)
        node = by_name(graph)["before (computed before)" if name else "computed before"]
        assert (node.kind, node.value.tolist()) == ("input", [5.0, 10.0])
        assert node.grad.tolist() == by_name(graph)["x"].value.tolist()
    assert trace("draw", lambda: before).nodes[0].name == "computed before"


def test_ops_of_another_thread_are_not_drawn():
    def start(x):
        found = []
        thread = threading.Thread(target=lambda: found.append(x.exp()))
        thread.start()
        thread.join()
        return found[0] * 2

    graph = trace("draw", start, [np.zeros(2)])
    assert arrows(graph)[0] == ("computed elsewhere", "mul")
    assert graph.nodes[0].value.tolist() == [1.0, 1.0]


# Failures.


class Fails(nn.Module):
    """A model whose second layer does not fit."""

    def __init__(self, function=None):
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(5, 2)
        self.function = function

    def forward(self, x):
        """Fail."""
        hidden = self.first(x)
        return self.function(hidden) if self.function else self.second(hidden.relu())


def fail(hidden):
    raise ValueError("no")


@each(
    ("target", "shapes", "failed", "error"),
    [
        (Fails(), [(2, 3)], ("failed call", "second", ["relu"]), ShapeError),
        (Fails(lambda h: h.reshape(7)), [(2, 3)], ("reshape", "", ["linear"]), ShapeError),
        (Fails(fail), [(2, 3)], ("failed call", "", ["linear"]), ValueError),
        (lambda a, b: a @ b, [(2, 3), (2, 3)], ("matmul", None, ["a", "b"]), ShapeError),
        (lambda a, b: Tensor.cat(a, b), [(2, 3), (3, 2)], ("cat", None, ["a", "b"]), ShapeError),
        (lambda a: np.spacing(a), [(2,)], ("np.spacing", None, ["a"]), DtypeError),
        (lambda a: np.median(a), [(2,)], ("np.median", None, ["a"]), DtypeError),
        (lambda a, b: np.stack([a, b]), [(2,), (3,)], ("np.stack", None, ["a", "b"]), ShapeError),
        (lambda a: a["b"], [(2,)], ("getitem", None, ["a"]), DtypeError),
        (lambda a: fail(a), [(2,)], ("failed call", None, ["a"]), ValueError),
        (lambda a: fail(nn.ReLU()(a)), [(2,)], ("failed call", None, ["relu"]), ValueError),
        (lambda a: a.exp(), [(2,), (3,)], ("failed call", None, ["a", "input[1]"]), TypeError),
    ],
)
def test_failing_runs_are_drawn_up_to_the_failure(target, shapes, failed, error):
    graph = trace("draw", target, [np.ones(shape, np.float32) for shape in shapes], backward=True)
    assert isinstance(graph.error, error)
    assert graph.roots == ()
    (node,) = [node for node in graph.nodes if node.error]
    assert node.error == f"{error.__name__}: {graph.error}"
    before = [
        n for e in graph.edges if e.target == node.id for n in graph.nodes if n.id == e.source
    ]
    assert (node.op, node.call and node.call.path, [n.name or n.op for n in before]) == failed
    assert all(n.shape for n in before)


def test_errors_that_the_function_handles_are_not_failures():
    def careful(x):
        try:
            return x.reshape(7)
        except ShapeError:
            return x * 2

    graph = trace("draw", careful, [normal(2)])
    assert graph.error is None
    assert [node.op for node in graph.nodes if node.op] == ["mul"]


def test_the_op_that_caused_a_later_error_is_marked():
    def wrap(y, bad):
        try:
            return y + bad
        except ShapeError as error:
            (y * 2).exp()
            raise RuntimeError("wrapped") from error

    graph = trace("draw", wrap, [normal(2), normal(3)])
    assert str(graph.error) == "wrapped"
    (failed,) = [node for node in graph.nodes if node.error]
    assert failed.op == "add"
    assert failed.error.startswith("ShapeError: add: ")


def test_functions_that_raise_run_once():
    calls = []

    def refuse(x):
        calls.append(x)
        raise GraphError("mine")

    assert str(trace("draw", refuse, [normal(2)]).error) == "mine"
    assert len(calls) == 1


# Gradients.


def test_gradients_are_those_of_backward():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).astype(np.float64)
    x = normal(2, 3)
    nodes = by_name(trace("draw", model, [x], backward=True))
    assert all(parameter.grad is None for parameter in model.parameters())
    leaf = Tensor(x, requires_grad=True)
    model(leaf).sum().backward()
    for name, parameter in [("x", leaf), *model.named_parameters()]:
        assert np.allclose(nodes[name].grad, parameter.grad.data)
        norm = np.linalg.norm(parameter.grad.data)
        assert np.isclose(nodes[name].gradient.norm, norm)


def test_gradients_include_hooks_like_those_of_backward():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    y = x * 2
    y.register_hook(lambda grad: grad * 3)
    x.register_hook(lambda grad: grad * 10)
    graph = trace("draw", y, backward=True)
    y.sum().backward()
    assert by_name(graph)["x"].grad.tolist() == x.grad.tolist() == [60.0, 60.0]


def test_contributions_of_arrows_add_up_to_the_gradient():
    x = Tensor(normal(3), requires_grad=True)
    y = (x * x + x.exp()).sum() + (x * 0.5).max()
    graph = trace("draw", (y, y * 2), backward=True)
    for node in graph.nodes[:-2]:
        parts = [e.grad for e in graph.edges if e.source == node.id and e.grad is not None]
        if node.kind != "constant" and parts and node.op != "add":
            assert np.allclose(sum(parts), node.grad)


def test_gradients_of_fused_ops_are_attributed_to_their_inputs():
    layer, x = nn.BatchNorm1d(3).astype(np.float64), normal(4, 3)
    graph = trace("draw", lambda x: layer(x).sigmoid(), [x], backward=True)
    named = {e.input: e.grad.shape for e in graph.edges if e.input and e.grad is not None}
    assert named == {"x": (4, 3), "weight": (3,), "bias": (3,)}


def test_outputs_have_the_gradient_one():
    x = Tensor(normal(2), requires_grad=True)
    graph = trace("draw", {"y": x * 2, "best": (x * 2).exp()}, backward=True)
    for root in graph.nodes[-2:]:
        (arrow,) = [edge for edge in graph.edges if edge.target == root.id]
        assert root.grad.tolist() == arrow.grad.tolist() == [1.0, 1.0]


def test_statistics_count_zeros_and_nonfinite_entries():
    x = Tensor([0.0, 4.0, -1.0], requires_grad=True)
    with np.errstate(all="ignore"):
        statistics = trace("draw", x.sqrt(), backward=True).nodes[0].gradient
    assert (statistics.nonfinite, statistics.size, statistics.max) == (2, 3, 0.25)


def test_local_derivatives_of_scalars():
    a, b = scalar(2.0, name="a"), scalar(-3.0, name="b")
    graph = trace("draw", (a * b).exp() ** 2 + a * a, derivatives=True)
    found = [e.derivative for e in graph.edges]
    power = np.exp(-6.0)
    expected = [-3.0, 2.0, power, 2 * power, None, 2.0, 2.0, 1.0, 1.0, None]
    assert [None if d is None else pytest.approx(d) for d in found] == expected
    assert trace("draw", (a * b).sum(), derivatives=False).edges[0].derivative is None


def test_each_use_of_a_selected_tensor_has_its_own_gradient():
    """A backward pass adds the gradients of x[0] and x[1:] in place; a trace shows them apart."""
    x = leaf(1.0, 2.0, 3.0)
    graph = trace("draw", x[0] * 2 + x[1:].sum(), backward=True, derivatives=True)
    received = [e.grad.tolist() for e in graph.edges if e.grad is not None and e.grad.shape == (3,)]
    assert sorted(received) == [[0.0, 1.0, 1.0], [2.0, 0.0, 0.0]]
    single = leaf([2.0])
    graph = trace("draw", single[...] * 3, derivatives=True)
    assert graph.edges[0].derivative == 1.0


def hvp(x, direction):
    """Return a function value, its gradient and a Hessian-vector product."""
    with enable_grad():
        value = (x * x * x).sum()
        (slope,) = gradient(value, [x], create_graph=True)
        (product,) = gradient((slope * direction).sum(), [x], create_graph=True)
    return value, slope, product


def test_sweeps_are_numbered():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    graph = trace("draw", hvp(x, Tensor([1.0, 0.0])))
    assert [call.sweep for call in graph.calls if call.kind == "backward"] == [1, 2]
    kinds = {(node.sweep, node.call and node.call.kind) for node in graph.nodes if node.op}
    assert {(1, "VJP of mul"), (2, "VJP of mul")} <= kinds
    assert {node.sweep for node in graph.nodes if node.op} == {0, 1, 2}


# Errors.


def freed():
    y = scalar(1.0) * 2
    y.backward()
    return y


def cycle():
    found = [scalar(1.0) * 2]
    found.append({"again": found})
    return found


@each(
    ("run", "error", "message"),
    [
        (
            lambda: trace("draw", 3.0),
            DtypeError,
            "draw: expected a Tensor, or a model and its inpu",
        ),
        (lambda: trace("draw", {"a": [1.5]}), DtypeError, r"got float as output\['a'\]\[0\]\."),
        (lambda: trace("draw", Tensor(1.0)), GraphError, "draw: no graph was recorded"),
        (lambda: trace("draw", lambda: Tensor(1.0)), GraphError, "draw: no graph was recorded"),
        (lambda: trace("draw", freed()), GraphError, r"draw: the graph was freed by backward\(\)"),
        (lambda: trace("draw", cycle()), ArgumentError, r"that contains itself as output\[1\]\['a"),
        (
            lambda: trace("draw", nn.ReLU(), [cycle()]),
            ArgumentError,
            r"itself as x\[1\]\['again'\]",
        ),
        (
            lambda: trace("draw", freed(), names={scalar(1.0): "x"}),
            DtypeError,
            "expected `names` t",
        ),
        (lambda: trace("draw", freed(), names=["x"]), DtypeError, "names to tensors, got list"),
        (lambda: trace("draw", nn.ReLU()), ArgumentError, "an input for the model ReLU, got none"),
        (lambda: trace("draw", nn.ReLU(), ["text"]), DtypeError, "Tensor"),
        (
            lambda: trace("draw", lambda x: x.numpy(), [np.ones(2)]),
            DtypeError,
            "draw: expected lambda to return Tensors, got ndarray",
        ),
    ],
)
def test_invalid_arguments_raise(run, error, message):
    with pytest.raises(error, match=message):
        run()


# Golden files.


def expression():
    a, b, c = scalar(2.0, name="a"), scalar(-3.0, name="b"), scalar(6.5, name="c")
    y = (a * b + c).tanh() ** 2
    y.name = "y"
    return trace("draw", y, backward=True, derivatives=True)


def lstm_step():
    cell = nn.LSTMCell(3, 2, generator=np.random.default_rng(0)).astype(np.float64)
    state = (normal(1, 2, seed=1), normal(1, 2, seed=2))
    graph = trace("draw", cell, [normal(1, 3), state], backward=True)
    for node in graph.nodes:
        node.line, node.seconds = "", None
    return graph


def hessian_vector_product():
    x = Tensor([1.0, 2.0], np.float64, requires_grad=True, name="x")
    return trace("draw", hvp(x, Tensor([1.0, -1.0], np.float64)))


EXAMPLES = [expression, lstm_step, hessian_vector_product]


def as_text(graph):
    return json.dumps(graph.to_dict(), indent=1) + "\n"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.__name__)
def test_dicts_match_the_golden_files(example):
    path = GOLDEN / f"{example.__name__}.json"
    assert as_text(example()) == path.read_text(encoding="utf-8"), (
        "if the change is intended: python -m tests.viz.test_tracing"
    )


def test_dicts_hold_errors_and_no_nan():
    with np.errstate(all="ignore"):
        graph = trace("draw", lambda x: x.log().reshape(3), [np.array([-1.0, 0.0])])
    found = json.loads(json.dumps(graph.to_dict(), allow_nan=False))
    assert found["error"].startswith("ShapeError: reshape: ")
    assert found["nodes"][1]["value"] == ["nan", "-inf"]


if __name__ == "__main__":
    for example in EXAMPLES:
        (GOLDEN / f"{example.__name__}.json").write_text(as_text(example()), encoding="utf-8")
