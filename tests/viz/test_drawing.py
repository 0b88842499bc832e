"""Graph drawings show the modules, ops, shapes and parameters of a graph."""

import builtins
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from models import DigitsCNN, MnistCNN
from tests.tools import each, normal
from tests.viz.models import Failing, batch
from tinygrad_np import Tensor, nn, op, viz
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, GraphError, ShapeError
from tinygrad_np.viz.drawing import _QuietFontconfig
from tinygrad_np.viz.text import heading


class Nested(nn.Module):
    """A model that contains a model."""

    def __init__(self):
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        """Return (N, 2)."""
        return self.head(self.body(x))


class Returns(nn.Module):
    """A model that applies a function to its result."""

    def __init__(self, function):
        self.layer = nn.Linear(3, 2).astype(np.float64)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


def outputs_in(drawing):
    """Return the headings of the output boxes and the number of arrows into each."""
    arrows = drawing.picture.arrows
    outputs = [box for box in drawing.picture.boxes() if box.kind == "output"]
    return {heading(box): sum(arrow.target is box for arrow in arrows) for box in outputs}


@each(
    ("function", "names"),
    [
        (lambda out: out, ["output"]),
        (lambda out: (out, out * 2), ["output[0]", "output[1]"]),
        (lambda out: [out], ["output[0]"]),
        (
            lambda out: {"logits": out, "more": [out.exp(), None]},
            ["output['logits']", "output['more'][0]"],
        ),
    ],
)
def test_outputs_in_tuples_lists_and_dicts_are_drawn(function, names):
    model = Returns(function)
    x = normal(1, 3)
    for target in ((model, x), (function(model.layer(x)),)):
        assert outputs_in(viz.draw(*target)) == dict.fromkeys(names, 1)


def test_outputs_of_a_run_are_drawn_even_without_a_gradient():
    drawing = viz.draw(Returns(lambda out: (out.argmax(1), out)), normal(1, 3))
    assert outputs_in(drawing) == {"output[0]": 1, "output[1]": 1}
    out = Returns(lambda out: out)(Tensor(normal(1, 3)))
    assert outputs_in(viz.draw((out.argmax(1), out))) == {"output[0]": 1, "output[1]": 1}


def test_models_with_several_inputs_and_outputs_are_drawn():
    x, state = Tensor.ones(2, 3), (Tensor.ones(2, 5), np.ones((2, 5), np.float32))
    two = {"output[0]": 1, "output[1]": 1}
    for inputs, count in (((x,), 1), ((x, state), 3)):
        drawing = viz.draw(nn.LSTMCell(3, 5), *inputs)
        assert outputs_in(drawing) == two
        assert [box.kind for box in drawing.picture.boxes()].count("input") == count
    q = Tensor.ones(2, 1, 4)
    attention = nn.MultiheadAttention(4, 2)
    assert outputs_in(viz.draw(attention, q, q, q)) == two
    for depth in (0, 1):
        assert outputs_in(viz.draw(attention, q, q, q, depth=depth)) == two
    assert outputs_in(viz.draw(attention, q, q, q, None, False)) == {"output[0]": 1}


@pytest.fixture(scope="module")
def mnist_source():
    """Return the DOT source of MnistCNN."""
    return viz.draw(MnistCNN(), Tensor.ones(2, 1, 28, 28)).source


@each(
    "text",
    [
        *("MnistCNN: 421,642 parameters", "320 parameters", "401,536 parameters"),
        *("conv1: Conv2d(1, 32, kernel_size=3, padding=1)", "pool: MaxPool2d(kernel_size=2)"),
        *("weight 32 × 1 × 3 × 3, bias 32", "dropout: Dropout(p=0.25)", "<b>x</b>"),
        *("2 × 32 × 28 × 28", "2 × 64 × 7 × 7", "2 × 10"),
    ],
)
def test_labels_show_layers_shapes_and_parameters(mnist_source, text):
    assert text in mnist_source


def test_all_layers_and_arrows_are_drawn(mnist_source):
    """Eleven layers, an input and an output as boxes, and an arrow from each to the next one."""
    assert len(set(re.findall(r"^\s*(box\d+) \[", mnist_source, re.MULTILINE))) == 13
    assert len(re.findall(r"box\d+ -> box\d+", mnist_source)) == 12


def test_the_same_graph_gives_the_same_source():
    model = MnistCNN()
    one, other = (viz.draw(model, Tensor.ones(2, 1, 28, 28)).source for _ in range(2))
    assert one == other
    assert not re.search(r"0x[0-9a-f]{6}", one)


@pytest.mark.slow
def test_a_module_with_exponentially_many_paths_is_drawn():
    """There are 2^60 paths to the layer, and a reference back from it."""

    class Fork(nn.Module):
        """One module under two names; one of them is called."""

        def __init__(self, inner):
            self.left = self.right = inner

        def forward(self, x):
            """Return the module's output."""
            return self.left(x)

    model = layer = nn.Linear(3, 2)
    for _ in range(60):
        model = Fork(model)
    layer.outer = model
    text = str(viz.draw(model, Tensor.ones(1, 3)))
    assert text.count("left: Fork") == 59
    assert "left: Linear(3, 2)" in text


def test_an_output_is_drawn_without_a_model():
    x = Tensor([1.0, 2.0], requires_grad=True)
    source = viz.draw((x * x).sum()).source
    assert all(text in source for text in ("mul", "sum", "value 5", "input"))


def test_the_graph_of_a_gradient_is_drawn():
    x = Tensor(2.0, requires_grad=True)
    (first,) = (x * x * x).gradient(x, create_graph=True)
    assert viz.draw(first).source.count("mul") > 3


def test_user_defined_ops_are_drawn_and_escaped():
    @op("<&>", vjps={"x": lambda grad_out: grad_out})
    def odd(x, *, text):
        return x * 1

    source = viz.draw(odd(Tensor(2.0, requires_grad=True), text="<&>")).source
    assert "odd" in source
    assert "text=&#x27;&lt;&amp;&gt;&#x27;" in source


def test_a_diamond_of_60_levels_is_drawn():
    y = Tensor(1.0, requires_grad=True)
    for _ in range(60):
        y = y + y
    assert "add ×60" in viz.draw(y).source


@each(
    ("make", "error", "message"),
    [
        (
            lambda: viz.draw(3.0),
            DtypeError,
            r"draw: expected a Tensor, or a model and its inputs, got float\.",
        ),
        (
            lambda: viz.draw(Returns(lambda out: None), np.ones((1, 3))),
            DtypeError,
            r"draw: expected Returns to return Tensors, got NoneType\.",
        ),
        (
            lambda: viz.draw(Returns(lambda out: out.numpy()), np.ones((1, 3))),
            DtypeError,
            r"draw: expected Returns to return Tensors, got ndarray\.",
        ),
        (
            lambda: viz.draw(Returns(lambda out: [out, {"loss": 1.5}]), np.ones((1, 3))),
            DtypeError,
            r"to return Tensors, got float as output\[1\]\['loss'\]\.",
        ),
        (lambda: viz.draw(MnistCNN()), ArgumentError, "an input for the model MnistCNN, got none"),
        (lambda: viz.draw(Tensor(1.0)), GraphError, "draw: no graph was recorded"),
        (lambda: viz.render(viz.draw(_freed()), "x.svg"), GraphError, r"freed by backward\(\)"),
        (
            lambda: viz.render(viz.draw(_small()), "picture"),
            ArgumentError,
            "end in one of .svg.*, got 'picture'",
        ),
        (
            lambda: viz.render(viz.draw(_small()), "a.foo"),
            ArgumentError,
            "end in one of .svg.*, got 'a.foo'",
        ),
        (
            lambda: viz.render(_small(), "a.svg"),
            DtypeError,
            r"render: expected a drawing, got Tensor\. Use viz.render\(viz.draw\(tensor\), path",
        ),
        (
            lambda: viz.draw(_small(), depth=-1),
            ArgumentError,
            "draw: expected `depth` to be an integer >= 0, got -1",
        ),
    ],
)
def test_invalid_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def _small():
    return Tensor(2.0, requires_grad=True) * 2


def _freed():
    y = _small().exp()
    y.backward()
    return y


def test_pygraphviz_renders_if_dot_is_not_installed(tmp_path, monkeypatch):
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    path = viz.render(viz.draw(DigitsCNN(), Tensor.ones(1, 1, 8, 8)), tmp_path / "graph.svg")
    assert ET.parse(path).getroot().tag.endswith("svg")
    assert "Conv2d(1, 8" in path.read_text()


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz's dot is not installed")
def test_dot_renders_if_installed(tmp_path):
    path = viz.render(viz.draw(DigitsCNN(), Tensor.ones(1, 1, 8, 8)), tmp_path / "graph.svg")
    assert ET.parse(path).getroot().tag.endswith("svg")


@pytest.fixture
def no_renderer(monkeypatch):
    """Hide Graphviz's dot and pygraphviz."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    real = builtins.__import__

    def without(name, *rest):
        if name == "pygraphviz":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)


def test_without_a_renderer_the_dot_file_is_written_and_named(tmp_path, no_renderer):
    picture = viz.draw(_small())
    with pytest.raises(DataError, match=r"Install Graphviz.*pip install \"tinygrad_np\[graph\]\""):
        viz.render(picture, tmp_path / "graph.svg")
    assert (tmp_path / "graph.dot").read_text() == picture.source
    assert not (tmp_path / "graph.svg").exists()


def test_notebooks_show_the_svg():
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    drawing = viz.draw(_small())
    bundle = drawing._repr_mimebundle_()
    assert bundle == {"image/svg+xml": drawing.to_svg(), "text/plain": str(drawing)}
    assert drawing._repr_svg_().startswith("<svg")
    assert repr(drawing) == "<Drawing of a tensor: 4 boxes>"


def test_notebooks_show_the_text_without_a_renderer(no_renderer):
    drawing = viz.draw(_small())
    assert drawing._repr_mimebundle_() == {"text/plain": str(drawing)}
    assert drawing._repr_svg_() is None
    with pytest.raises(DataError, match=r"to_svg: cannot render SVG: neither .* Install Graphviz"):
        drawing.to_svg()


def test_notebooks_show_the_text_if_the_renderer_fails(monkeypatch):
    def failing(source, kind):
        raise ValueError("Graphviz raised a layout error.")

    monkeypatch.setattr("tinygrad_np.viz.drawing._find_renderer", lambda: failing)
    drawing = viz.draw(_small())
    assert drawing._repr_mimebundle_() == {"text/plain": str(drawing)}


@each("suffix", ["svg", "png", "pdf", "dot", "gv", "json", "txt"])
def test_render_writes_each_format(suffix, tmp_path):
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    drawing = viz.draw(_small(), names={})
    content = viz.render(drawing, tmp_path / f"graph.{suffix}").read_bytes()
    starts = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "json": b"{"}
    assert content.startswith(starts.get(suffix, b""))
    if suffix in ("dot", "gv"):
        assert content.decode() == drawing.source
    if suffix == "txt":
        assert content.decode() == f"{drawing}\n"
    if suffix == "json":
        assert json.loads(content) == json.loads(json.dumps(drawing.graph.to_dict()))


def test_rendering_twice_gives_the_same_bytes():
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    one, other = (viz.draw(_small()).to_svg() for _ in range(2))
    assert one == other


@pytest.mark.slow
def test_rendering_keeps_fontconfig_off_stderr(tmp_path):
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    script = (
        "from tinygrad_np import Tensor, viz\n"
        "picture = viz.draw(Tensor(2.0, requires_grad=True) * 2)\n"
        f"viz.render(picture, {str(tmp_path / 'a.png')!r})\n"
        f"viz.render(picture, {str(tmp_path / 'a.svg')!r})\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert run.stderr == b""


def test_what_others_write_to_stderr_while_rendering_is_kept(capfd):
    with _QuietFontconfig():
        os.write(2, b"Fontconfig warning: using without calling FcInit()\nan error\n")
    assert capfd.readouterr().err == "an error\n"


def test_a_forward_that_fails_is_drawn_up_to_the_failure():
    drawing = viz.draw(Failing(), batch(4, 10))
    assert isinstance(drawing.error, ShapeError)
    assert [heading(box) for box in drawing.picture.boxes()] == [
        "x",
        "first: Linear(10, 20)",
        "relu",
        "second: Linear(30, 2)",
    ]
    assert repr(drawing).startswith("<Drawing of Failing: 4 boxes, FAILED at second: ShapeError: L")
    assert viz.draw(_small()).error is None


def test_an_error_in_the_code_of_a_forward_is_a_box_after_the_last_layer():
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    drawing = viz.draw(Returns(lambda out: out + undefined), normal(1, 3))  # noqa: F821
    assert str(drawing).splitlines()[-1] == (
        "  failed call <- layer  [FAILED: NameError: name 'undefined' is not defined]"
    )
    assert repr(drawing) == (
        "<Drawing of Returns: 3 boxes, FAILED: NameError: name 'undefined' is not defined>"
    )
    assert "failed call" in drawing.to_svg()


def test_drawing_restores_running_statistics_and_names_parameters():
    model = nn.Sequential(nn.BatchNorm2d(4))
    before = model.state_dict()
    picture = viz.draw(model, Tensor.randn(2, 4, 3, 3)).source
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert "weight 4, bias 4" in picture
