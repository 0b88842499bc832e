"""Rendered SVG has tooltips, dark colors and texts centered in their boxes."""

import xml.etree.ElementTree as ET

import pytest

from tests.viz.models import Stack, batch, scalar_expression
from tinygrad_np import viz
from tinygrad_np.viz import theme
from tinygrad_np.viz.svg import finish, tooltip

SPACE = "{http://www.w3.org/2000/svg}"


def boxes_of(drawing):
    return {box.id: box for box in drawing.picture.boxes()}


def test_tooltips_show_formula_derivatives_options_line_and_sizes():
    drawing = viz.draw(Stack(1), batch(2, 4), level="op")
    (box,) = (box for box in drawing.picture.boxes() if box.node.op == "gelu")
    text = tooltip(box)
    assert "gelu" in text
    assert "d/dx: " in text
    assert "result: 2 × 8, 64 bytes" in text
    assert "saves for the backward pass: " in text
    add = [box for box in drawing.picture.boxes() if box.node.op == "add"][-1]
    assert "models.py:" in tooltip(add)
    assert "return x + self.mlp(self.norm(x))" in tooltip(add)


def test_tooltips_of_folded_boxes_list_the_ops():
    drawing = viz.draw(Stack(1), batch(2, 4), depth=0)
    (box,) = (box for box in drawing.picture.boxes() if box.kind == "module")
    text = tooltip(box)
    assert text.startswith("Stack")
    assert "linear → 2 × 8" in text
    assert "bytes for the backward pass" in text


RENDERED = f"""<svg xmlns="http://www.w3.org/2000/svg"><g id="graph0" class="graph">
<title>%0</title><polygon fill="{theme.PAGE[0]}" points="0,0 9,9"/>
<g id="node1" class="node"><title>box0</title><path d="M10,-5C10,-5 50,-5 50,0"/>
<text text-anchor="start" x="12.5">a</text></g>
<g id="edge1" class="edge"><title>box0&#45;&gt;box3</title><path d="M0,0"/></g>
<g id="edge2" class="edge"><title>frame0&#45;&gt;box3</title></g></g></svg>"""


def test_finishing_replaces_titles_and_centers_texts():
    y, names = scalar_expression()
    svg = finish(RENDERED.encode(), viz.draw(y, names=names).picture)
    root = ET.fromstring(svg)
    node, edge, other = (
        root.find(f".//{SPACE}g[@id='{name}']") for name in ("box0", "edge1", "edge2")
    )
    assert node.findtext(f"{SPACE}title").startswith("a\n")
    text = node.find(f"{SPACE}text")
    assert (text.get("text-anchor"), text.get("x")) == ("middle", "30.00")
    assert edge.findtext(f"{SPACE}title") == "scalar, from a to mul"
    assert other.find(f"{SPACE}title") is None
    assert "%0" not in svg


def test_the_style_sheet_has_a_dark_color_for_each_light_one():
    y, names = scalar_expression()
    svg = finish(RENDERED.encode(), viz.draw(y, names=names).picture)
    style = ET.fromstring(svg).findtext(f"{SPACE}style")
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    assert "user-select" in light
    for one, other in theme.dark_colors().items():
        assert f'[fill="{one}"]{{fill:{other}}}' in dark
        assert f'[stroke="{one}"]{{stroke:{other}}}' in dark


@pytest.mark.slow
def test_all_colors_of_a_rendered_picture_have_a_dark_one():
    pytest.importorskip("pygraphviz", reason="pip install tinygrad_np[graph]")
    svg = viz.draw(Stack(), batch(2, 4), backward=True).to_svg()
    known = {*theme.dark_colors(), "none", "transparent"}
    for element in ET.fromstring(svg).iter():
        for name in ("fill", "stroke"):
            assert element.get(name, "none") in known, ET.tostring(element)
