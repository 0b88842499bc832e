"""DOT text of pictures; the files in tests/viz/golden are the expected texts.

`python -m tests.viz.test_dot` writes them again.
"""

import html
import re
from pathlib import Path

import numpy as np
import pytest

from models import LeNet
from tests.tools import each
from tests.viz.models import (
    Failing,
    Recurrent,
    Stack,
    batch,
    hessian_vector_product,
    scalar_expression,
)
from tinygrad_np import Tensor, nn, viz
from tinygrad_np.errors import ArgumentError
from tinygrad_np.viz import theme

GOLDEN = Path(__file__).parent / "golden"


def draw_scalar():
    y, names = scalar_expression()
    return viz.draw(y, names=names, backward=True, derivatives=True)


def draw_product():
    product, names = hessian_vector_product()
    return viz.draw(product, names=names)


DRAWINGS = {
    "scalar": draw_scalar,
    "lenet": lambda: viz.draw(LeNet(), np.zeros((64, 1, 28, 28), np.float32)),
    "hessian_vector_product": draw_product,
}


def without_widths(source):
    """Return the text without widths, which depend on the version of FreeType."""
    return re.sub(r' (width|height)="\d+"', "", source)


@each("name", DRAWINGS)
def test_golden_files_are_current(name):
    expected = (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")
    found = without_widths(DRAWINGS[name]().source)
    assert found == expected, "look at the picture, then: python -m tests.viz.test_dot"


def leaf(*shape):
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def texts(source):
    """Return the texts of each box, by its heading."""
    found = {}
    for label in re.findall(r"^\s*box\d+ \[label=<(.*)>\]$", source, re.MULTILINE):
        lines = re.findall(r"<font [^>]*>(.*?)</font>", label)
        lines = [html.unescape(re.sub("<(?!br).*?>", "", line)) for line in lines]
        found[lines[0]] = [part for line in lines[1:] for part in line.split("<br/>")]
    return found


def test_boxes_of_scalars_show_names_values_and_gradients():
    y, names = scalar_expression()
    y.backward(retain_graph=True)
    source = viz.draw(y, names=names).source
    assert texts(source) == {
        "a": ["value 2", "grad -1.919"],
        "b": ["value -3", "grad 1.279"],
        "c": ["value 7", "grad 0.6397"],
        "mul": ["value -6"],
        "add": ["value 1"],
        "tanh": ["value 0.7616"],
        "2": [],
        "y = pow": ["value 0.58"],
        "output": ["value 0.58"],
    }


def test_derivatives_are_written_on_arrows():
    found = re.findall(r"∂ = (\S+)", draw_scalar().source)
    assert found == ["-3", "2", "1", "1", "0.42", "1.523"]


def test_a_squared_scalar_has_two_arrows():
    x = Tensor(3.0, requires_grad=True)
    assert viz.draw(x * x).source.count("box0 -> box1") == 2


def test_dtypes_other_than_float32_and_lone_lengths_are_spelled_out():
    x = Tensor(np.ones((5, 4)), requires_grad=True)
    source = viz.draw(x.exp().sum(0).exp(), names={"x": x}).source
    assert texts(source)["x"] == ["5 × 4 float64"]
    assert "5 × 4 float64" in source
    narrow = viz.draw(leaf(20).exp().exp()).source
    assert "length 20" in narrow
    assert "float32" not in narrow


def test_views_are_dotted():
    x = leaf(2, 6)
    arrows = re.findall(r"box\d+ -> box\d+.*", viz.draw(x.reshape(3, 4).exp()).source)
    assert [("dotted" in arrow, "view" in arrow) for arrow in arrows] == [
        (True, True),
        (False, False),
        (False, False),
    ]


def test_frames_have_a_title_row_above_what_is_in_them():
    source = viz.draw(Stack(2), batch(2, 4)).source
    assert source.count("subgraph cluster_") == 4
    for name in re.findall(r"subgraph cluster_(frame\d+)", source):
        assert re.search(rf"^\s*{name} \[label=", source, re.MULTILINE)
        assert re.search(rf"\t{name} -> \w+ \[style=invis", source)
    # No cluster has a label of its own, which arrows would cross.
    assert not re.search(r"graph \[[^]]*label=\w", source)


def test_options_of_a_repeated_op_show_the_first_and_the_last():
    assert "[:, 0] … [:, 31]" in viz.draw(Recurrent(), batch(2, 32, 3)).source


def test_the_failing_layer_is_red_and_says_why():
    drawing = viz.draw(Failing(), batch(4, 10))
    style = theme.STYLES["error"]
    (line,) = (x for x in drawing.source.splitlines() if "second: Linear(30, 2)" in x)
    assert style.fill in line
    assert style.border in line
    text = " ".join(texts(drawing.source)["second: Linear(30, 2)"])
    assert text.startswith("FAILED: ")
    assert "(..., 30), got (4, 20)" in text


def test_sweeps_have_frames_and_colors_of_their_own():
    source = draw_product().source
    for title in ("forward pass", "backward pass", "second backward pass"):
        assert f"<b>{title}</b>" in source
    for name in ("backward", "second"):
        assert theme.STYLES[name].fill in source


@each("color_by", ["flops", "memory", "gradient", "time"])
def test_quantities_color_the_boxes_and_have_a_legend(color_by):
    model = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(100, 2))
    source = viz.draw(model, batch(64, 10), color_by=color_by).source
    assert source.count("≤ ") == len(theme.SCALE)
    assert source.count(">grad norm ≤ ") == len(theme.SCALE) * (color_by == "gradient")
    boxes = source[source.index("box0 [") :]
    used = {style.fill for style in theme.SCALE if style.fill in boxes}
    assert theme.SCALE[-1].fill in used


def test_the_legend_names_the_kinds_that_occur():
    source = draw_scalar().source
    legend = source[: source.index("box0 [")]
    names = re.findall(r"<font[^>]*>([^<]+)</font>", legend)
    assert names == ["input", "constant", "op", "output"]


def test_gradients_set_the_widths_of_arrows():
    x = leaf(10)
    source = viz.draw(x.sin() * 0.001 + x * 100.0, backward=True).source
    widths = {float(width) for width in re.findall(r"penwidth=([\d.]+)", source)}
    assert min(widths) < 1.5 < max(widths)


@pytest.mark.parametrize(
    ("factor", "mark"),
    [
        (0.0, "gradient is zero"),
        (np.nan, "10 of 10 gradients are NaN or infinite"),
        (1e6, "gradient explodes: 1e+06 times the output's"),
        (1e-6, "gradient vanishes: 1e-06 of the output's"),
    ],
)
def test_broken_gradients_are_marked(factor, mark):
    x = leaf(10)
    y = x.sin() * Tensor.full((10,), factor)
    for _ in range(3):
        y = y.exp().log() if factor == 0 else y + 1.0
    source = viz.draw(y, backward=True).source
    assert mark in html.unescape(source)
    assert theme.STYLES["error"].fill in source


def marks(model, x):
    """Return the boxes with a warning about their gradient in a drawing of the model's mean."""
    found = texts(viz.draw(lambda x: model(x).mean(), x, backward=True, level="op").source)
    return {
        name: words for name, lines in found.items() for words in lines if "the output's" in words
    }


def test_vanishing_and_exploding_gradients_are_marked_where_they_are():
    generator = np.random.default_rng(0)
    layers = [nn.Linear(16, 16, generator=generator) for _ in range(8)]
    x = np.ones((4, 16), np.float32)
    vanishing = nn.Sequential(*(one for layer in layers for one in (layer, nn.Sigmoid())))
    found = marks(vanishing, x)
    assert found["x"].startswith("gradient vanishes: ")
    assert float(found["x"].split()[2]) < 1e-6
    assert not found.keys() & {"output", "mean", "7: Linear(16, 16)", "15: Sigmoid"}
    for layer in layers:
        layer.weight.data *= 12
    found = marks(nn.Sequential(*layers), x)
    assert found["x"].startswith("gradient explodes: ")
    assert float(found["x"].split()[2]) > 1e4
    assert not found.keys() & {"output", "mean", "7: Linear(16, 16)"}


def test_an_unknown_color_by_raises():
    with pytest.raises(ArgumentError, match="draw: expected `color_by` to be one of 'kind', "):
        viz.draw(scalar_expression()[0], color_by="speed")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, make in DRAWINGS.items():
        drawing = make()
        (GOLDEN / f"{name}.dot").write_text(without_widths(drawing.source), encoding="utf-8")
        print(GOLDEN / f"{name}.dot")
