import base64
import hashlib
import json
import re

import numpy as np
import pytest

from models import MnistCNN
from tests.tools import each
from tinygrad_np import Tensor, nn, viz
from tinygrad_np.errors import ArgumentError, DataError, GraphError
from tinygrad_np.viz import explorer
from tinygrad_np.viz.graph import Edge, Graph, GraphNode, ModuleCall
from tinygrad_np.viz.theme import STYLES


def read(path):
    """Return the text of a page and the graph in it."""
    page = path.read_text(encoding="utf-8")
    (content,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return page, json.loads(content, parse_constant=pytest.fail)


def one_array(array):
    """Return the JSON entry of an array that is the value of the only node of a graph."""
    node = GraphNode("n0", "input", value=array)
    content = explorer.content(Graph("one", [node], []))
    assert content["nodes"][0]["value"] == 0
    return json.loads(json.dumps(content["arrays"][0], allow_nan=False))


def array_of(content, index):
    entry = content["arrays"][index]
    return np.array(entry["values"], entry["dtype"]).reshape(entry["shape"])


@pytest.fixture
def product(tmp_path):
    """Page of the graph of a * b with its contents."""
    a, b = Tensor([1.5, 2.0], requires_grad=True), Tensor([3.0, 0.1], requires_grad=True)
    y = a * b
    return read(viz.explore(y, tmp_path / "graph.html", names={"a": a, "b": b, "y": y, "n": 1}))


# The file.


def test_the_page_is_self_contained(product):
    page, _ = product
    script = re.search(r"<script>(.*?)</script>", page, re.S)[1]
    assert "{{" not in page.replace(script, "")
    assert re.findall(r'\b(?:src|srcset)="|@import|url\(\W?\w*:|<link', page) == []
    addresses = set(re.findall(r"https?://[^\s\"'`]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address to load


def test_the_policy_allows_only_the_style_and_script_of_the_page(product):
    page, _ = product
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page)[1]
    for element in ("style", "script"):
        text = re.search(rf"<{element}>(.*?)</{element}>", page, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_the_colors_are_those_of_pictures(product):
    page, _ = product
    style = re.search("<style>(.*?)</style>", page, re.S)[1]
    light, dark = style.split("@media (prefers-color-scheme: dark)", 1)
    assert f"--op-line: {STYLES['op'].border};" in light
    assert f"--op-line: {STYLES['op'].dark_border};" in dark
    used = set(re.findall(r"var\((--[\w-]+)\)", style))
    assert used <= set(re.findall(r"(--[\w-]+):", style))


def test_explore_returns_the_path_and_accepts_strings(tmp_path):
    x = Tensor(2.0, requires_grad=True)
    path = viz.explore(x * x, str(tmp_path / "graph.htm"))
    assert path == tmp_path / "graph.htm"
    assert path.is_file()


def test_names_cannot_become_markup(tmp_path):
    evil = "<img src=x onerror=alert(1)></script><script>alert(2)</script>{{data}}"
    x = Tensor(2.0, requires_grad=True)
    page, content = read(viz.explore(x * x, tmp_path / "graph.html", names={evil: x}))
    assert evil in [node["name"] for node in content["nodes"]]
    assert "<img" not in page
    assert page.count("</script>") == 2


def test_titles_are_escaped():
    page = explorer.page(Graph("<b>&", [], [])).text
    assert "<h1>&lt;b&gt;&amp;</h1>" in page
    assert "<b>" not in page


def test_the_page_of_a_convolutional_network_is_small(tmp_path):
    model = MnistCNN()
    loss = model(Tensor.ones(2, 1, 28, 28)).cross_entropy(Tensor([3, 5]))
    path = viz.explore(loss, tmp_path / "graph.html")
    assert path.stat().st_size < 2_000_000
    _, content = read(path)
    assert {"conv1.weight", "fc1.bias"} <= {node["name"] for node in content["nodes"]}


# The graph in it.


def test_the_page_contains_the_graph(product):
    page, content = product
    by_name = {node["name"]: node for node in content["nodes"]}
    product = by_name["y"]
    assert product["op"] == "mul"
    assert product["vjps"] == {"a": "mul(grad_out, b)", "b": "mul(grad_out, a)"}
    assert product["shape"] == [2]
    assert product["dtype"] == "float32"
    np.testing.assert_array_equal(
        array_of(content, product["value"]), np.float32([1.5, 2.0]) * np.float32([3.0, 0.1])
    )
    arrows = [(e["source"], e["input"]) for e in content["edges"] if e["target"] == product["id"]]
    assert arrows == [(by_name["a"]["id"], "a"), (by_name["b"]["id"], "b")]
    assert content["roots"] == [by_name["output"]["id"]]
    assert "<h1>Graph of y</h1>" in page


def test_the_page_contains_the_gradients(product):
    _, content = product
    (a, b) = (next(node for node in content["nodes"] if node["name"] == name) for name in "ab")
    np.testing.assert_array_equal(array_of(content, a["grad"]), np.float32([3.0, 0.1]))
    np.testing.assert_array_equal(array_of(content, b["grad"]), np.float32([1.5, 2.0]))
    grads = [e["grad"] for e in content["edges"] if e["source"] == a["id"]]
    assert grads == [a["grad"]]


def test_module_calls_are_nested(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    path = viz.explore(model, tmp_path / "graph.html", Tensor.ones(1, 3))
    _, content = read(path)
    outer, linear, relu = content["calls"]
    assert (outer["kind"], outer["path"], outer["outer"]) == ("Sequential", "", None)
    assert (linear["kind"], linear["outer"], linear["parameters"]) == ("Linear", outer["id"], 8)
    assert relu["outer"] == outer["id"]


def test_a_failing_forward_pass_is_shown_with_its_error(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    _, content = read(viz.explore(model, tmp_path / "graph.html", Tensor.ones(1, 3)))
    assert "(1, 2)" in content["error"]
    failed = [node for node in content["nodes"] if node["error"]]
    assert len(failed) == 1


def test_all_fields_arrive():
    call = ModuleCall("m0", "fc", "Linear", "2, 3", 9, call=1, calls=2, sweep=1)
    node = GraphNode(
        "n1", "op", "y", "tanh", "tanh x", {"x": "grad_out"}, "axis=1", call, (2,),
        np.dtype("float64"), 16, 10, {"out": 16}, 0.5, "a.py:1", "n0", 1, error="broken",
    )  # fmt: skip
    edge = Edge("n0", "n1", "x", 2, grad=np.ones(2))
    content = explorer.content(Graph("t", [GraphNode("n0", "input"), node], [edge], [call]))
    assert content["nodes"][1] == {
        "id": "n1", "kind": "op", "name": "y", "op": "tanh", "formula": "tanh x",
        "vjps": {"x": "grad_out"}, "options": "axis=1", "call": "m0", "shape": [2],
        "dtype": "float64", "nbytes": 16, "flops": 10, "saved": {"out": 16}, "seconds": 0.5,
        "line": "a.py:1", "view_of": "n0", "sweep": 1, "error": "broken", "value": None,
        "grad": None,
    }  # fmt: skip
    assert content["edges"] == [
        {"source": "n0", "target": "n1", "input": "x", "position": 2, "detached": False}
        | {"grad": 0, "summed": ""}
    ]
    assert content["calls"] == [
        {"id": "m0", "path": "fc", "kind": "Linear", "description": "2, 3", "parameters": 9,
         "call": 1, "calls": 2, "sweep": 1, "outer": None},
    ]  # fmt: skip


def test_the_backward_pass_starts_with_ones(product):
    _, content = product
    (output,) = [node for node in content["nodes"] if node["kind"] == "output"]
    np.testing.assert_array_equal(array_of(content, output["grad"]), [1, 1])
    (arrow,) = [edge for edge in content["edges"] if edge["target"] == output["id"]]
    assert arrow["grad"] == output["grad"]


def test_the_gradient_of_a_bias_is_summed(tmp_path):
    _, content = read(viz.explore(nn.Linear(3, 10), tmp_path / "graph.html", Tensor.ones(8, 3)))
    summed = {edge["input"]: edge["summed"] for edge in content["edges"] if edge["input"]}
    bias = ", summed over the broadcast axis (8 × 10 -> 10)"
    assert summed == {"x": "", "weight": "", "bias": bias}


def test_explore_leaves_grad_alone(tmp_path):
    x = Tensor(2.0, requires_grad=True)
    y = x * x
    viz.explore(y, tmp_path / "graph.html")
    assert x.grad is None
    y.backward()  # the graph is not freed either
    assert x.grad.item() == 4


# Arrays.


@each("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_small_arrays_are_exact(dtype):
    array = (np.arange(64).reshape(4, 16) / 3).astype(dtype)
    entry = one_array(array)
    assert entry["shape"] == [4, 16]
    assert entry["dtype"] == dtype
    np.testing.assert_array_equal(np.array(entry["values"], dtype), array.ravel())


def test_nan_and_inf_are_strings():
    assert one_array(np.float32([np.nan, np.inf, -np.inf, 1]))["values"] == [
        "nan",
        "inf",
        "-inf",
        1,
    ]


@each("array", [np.float32(2.5), np.zeros((0, 3), np.float32), np.zeros((100, 0))])
def test_scalars_and_empty_arrays_are_numbers(array):
    entry = one_array(array)
    assert entry["shape"] == list(array.shape)
    assert entry["values"] == array.ravel().tolist()


def test_each_array_is_written_once():
    nodes = [GraphNode(f"n{i}", "input", value=np.float32([i // 2, 0])) for i in range(4)]
    content = explorer.content(Graph("t", nodes, []))
    assert [node["value"] for node in content["nodes"]] == [0, 0, 1, 1]
    assert len(content["arrays"]) == 2


def test_equal_bytes_of_another_shape_are_another_array():
    nodes = [
        GraphNode("n0", "input", value=np.zeros((2, 3))),
        GraphNode("n1", "input", value=np.zeros((3, 2))),
    ]
    content = explorer.content(Graph("t", nodes, []))
    assert [entry["shape"] for entry in content["arrays"]] == [[2, 3], [3, 2]]


def levels(entry):
    maps = [np.frombuffer(base64.b64decode(text), np.uint8) for text in entry["maps"]]
    return np.array(maps, int).reshape(-1, entry["height"], entry["width"])


def test_large_arrays_become_heat_maps():
    array = np.linspace(-1, 2, 2 * 5 * 100 * 40).reshape(2, 5, 100, 40)
    entry = one_array(array)
    assert "values" not in entry
    assert (len(entry["maps"]), entry["total"]) == (8, 10)
    assert (entry["height"], entry["width"]) == (32, 32)
    assert entry["nonfinite"] == 0
    found = [entry[name] for name in ("min", "max", "mean", "norm")]
    np.testing.assert_allclose(found, [-1, 2, array.mean(), np.linalg.norm(array)])


def test_a_cell_is_the_mean_of_its_block():
    array = np.zeros((64, 96), np.float32)
    array[2:4, 3:6] = 4  # cell (1, 1) of 32 x 32 cells of 2 x 3 entries
    array[4, 3] = -6  # a sixth of cell (2, 1)
    entry = one_array(array)
    (found,) = levels(entry)
    assert entry["scale"] == 4
    assert found[1, 1] == 255
    assert found[2, 1] == 128 - round(127 / 4)
    assert (found == 128).sum() == 32 * 32 - 2


def test_uneven_blocks_cover_the_array():
    array = np.ones((33, 65))
    (found,) = levels(one_array(array))
    assert np.all(found == 255)


def test_vectors_are_one_row():
    entry = one_array(np.arange(65.0))
    assert (entry["height"], entry["width"]) == (1, 32)


@each("value", [np.nan, np.inf])
def test_cells_with_nan_or_inf_are_marked(value):
    array = np.ones((10, 10), np.float32)
    array[2, 3] = value
    entry = one_array(array)
    (found,) = levels(entry)
    assert entry["nonfinite"] == 1
    assert (entry["min"], entry["max"]) == (1, 1)
    assert found[2, 3] == 0
    assert (found == 255).sum() == 99


def test_arrays_without_finite_entries_have_no_statistics():
    entry = one_array(np.full(70, np.nan))
    assert (entry["min"], entry["norm"], entry["nonfinite"], entry["scale"]) == (None, None, 70, 0)


def test_heat_maps_of_large_graphs_are_smaller():
    nodes = [GraphNode(f"n{i}", "input", value=np.ones((40, 40))) for i in range(500)]
    (entry,) = explorer.content(Graph("t", nodes, []))["arrays"]
    assert (entry["height"], entry["width"]) == (12, 12)


# Errors.


def test_the_suffix_is_checked_before_anything_is_done(tmp_path):
    with pytest.raises(ArgumentError, match=r"^explore: expected `path` to end in \.html or \.htm"):
        viz.explore(object(), tmp_path / "graph.svg")
    assert list(tmp_path.iterdir()) == []


@each("x", [np.ones((1, 3)), Tensor.ones(1, 3), 3])
def test_inputs_before_the_path_are_refused(x):
    message = f"^explore: expected a path as second argument, got {type(x).__name__}. Use explore"
    with pytest.raises(ArgumentError, match=message):
        viz.explore(nn.Linear(3, 2), x, "a.html")


def test_a_tensor_without_a_graph_raises(tmp_path):
    with pytest.raises(GraphError, match=r"^explore: "):
        viz.explore(Tensor([1.0]), tmp_path / "graph.html")
    assert list(tmp_path.iterdir()) == []


def test_a_model_needs_inputs(tmp_path):
    with pytest.raises(ArgumentError, match=r"^explore: .* got none"):
        viz.explore(nn.Linear(2, 2), tmp_path / "graph.html")


def test_a_missing_folder_is_named(tmp_path):
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(DataError, match=r"missing.*graph\.html"):
        viz.explore(x * x, tmp_path / "missing" / "graph.html")
