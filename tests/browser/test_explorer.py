"""The explorer in a real browser."""

import re

import numpy as np
import pytest

from models import DigitsCNN
from tests.tools import each
from tinygrad_np import Tensor, manual_seed, nn, viz
from tinygrad_np.viz import explorer
from tinygrad_np.viz.graph import Edge, Graph, GraphNode, ModuleCall
from tinygrad_np.viz.tracing import trace

pytestmark = pytest.mark.browser


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.fc2 = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc2(self.fc1(x).tanh())


@pytest.fixture
def network(tmp_path):
    """Page of a network with a loss, and the network with its gradients."""
    manual_seed(0)
    model = MLP()
    x = Tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]])
    loss = model(x).cross_entropy(Tensor([0, 1]))
    path = viz.explore(loss, tmp_path / "graph.html", names={"x": x, "loss": loss})
    loss.backward()
    return path, model


@pytest.fixture
def expression(tmp_path):
    """Page of ((a * b + a).tanh() ** 2), with `a` used twice, and the gradient of `a`."""
    a, b = Tensor(0.5, requires_grad=True), Tensor(-3.0, requires_grad=True)
    y = (a * b + a).tanh() ** 2
    path = viz.explore(y, tmp_path / "graph.html", names={"a": a, "b": b, "y": y})
    y.backward()
    return path, a.grad.item()


def box(page, text):
    """Return the box with a title."""
    # Escaped for JavaScript, which knows no escaped spaces.
    exactly = re.compile("^" + re.sub(r"[\[\]().*+?]", r"\\\g<0>", text) + "$")
    title = page.locator("text.title", has_text=exactly)
    return page.locator("svg .box").filter(has=title)


def numbers(text):
    text = text.replace("−", "-")
    return np.array([float(found) for found in re.findall(r"-?[\d.]+(?:e[+-]?\d+)?", text)])


def caption(page):
    return page.inner_text("#caption")


def test_a_module_unfolds_and_folds_by_click_and_keyboard(show, network):
    page = show(network[0])
    assert box(page, "weight").count() == 0
    box(page, "fc1: Linear").click()
    assert box(page, "weight").count() == 1
    assert box(page, "fc1: Linear").count() == 0
    page.keyboard.press("Enter")  # the frame's title keeps the focus
    assert box(page, "fc1: Linear").count() == 1
    page.click("#unfold")
    assert box(page, "weight").count() == 2
    page.click("#fold")
    assert page.locator("svg .box").count() == 5  # MLP folded


def test_search_unfolds_what_hides_a_match(show, network):
    page = show(network[0])
    page.fill("#query", "fc2.weight")
    assert page.inner_text("#matches") == "1 match"
    page.keyboard.press("Enter")
    assert page.inner_text("#matches") == "1 of 1"
    assert "match" in box(page, "weight").get_attribute("class")
    assert page.inner_text("#details h2") == "fc2.weight"
    page.fill("#query", "nothing has this name")
    assert page.inner_text("#matches") == "0 matches"


def test_search_wraps_around(show, network):
    page = show(network[0])
    page.fill("#query", "bias")
    titles = []
    for _ in range(3):
        page.keyboard.press("Enter")
        titles.append(page.inner_text("#details h2"))
    assert titles == ["fc1.bias", "fc2.bias", "fc1.bias"]


@each("name", ["fc1.weight", "fc2.bias"])
def test_gradients_at_the_end_are_those_of_backward(show, network, name):
    path, model = network
    page = show(path)
    page.click("#first")
    page.click("#last")
    page.fill("#query", name)
    page.keyboard.press("Enter")
    found = numbers(page.inner_text('#details [data-role="gradient"]'))
    expected = dict(model.named_parameters())[name].grad.numpy()
    np.testing.assert_allclose(found, expected.ravel(), rtol=1e-3)


def test_steps_go_forward_and_then_backward(show, network):
    page = show(network[0])
    page.keyboard.press("Home")
    assert caption(page).startswith("Start:")
    captions = []
    while page.is_enabled("#step"):
        page.keyboard.press("ArrowRight")
        captions.append(caption(page))
    words = [text.split()[0] + " " + text.split()[1] for text in captions]
    forward = [place for place, text in enumerate(words) if text.startswith("Forward,")]
    backward = [place for place, text in enumerate(words) if text == "Backward of"]
    assert len(forward) == len(backward) == 4
    assert max(forward) < min(backward)
    assert "Backward of tanh" in captions[backward[2]]
    assert captions[-1].startswith("End: all gradients have arrived")
    page.keyboard.press("ArrowLeft")
    assert caption(page) == captions[-2]


@each("start", ["#step", "ArrowRight", "Space"])
def test_the_page_opens_complete_and_starts_at_the_first_step(show, network, start):
    page = show(network[0])
    assert caption(page) == "Complete graph: press Step or Play to go through it."
    assert page.inner_text("#details h2 >> nth=0") == "Complete graph"
    assert "fc2.bias" in page.inner_text("#details")
    assert page.locator("svg .grad").count() >= 4
    if start == "Space":
        page.clock.install()
        page.keyboard.press("Space")
        page.clock.run_for(1000)
        assert page.inner_text("#play") == "Pause"
    elif start == "#step":
        page.click(start)
    else:
        page.keyboard.press(start)
    assert page.inner_text("#position").startswith("1 of ")
    assert caption(page).startswith("Forward, linear in fc1")
    assert page.locator("svg .grad").count() == 0
    page.click("#last")
    assert page.is_disabled("#step")


def test_a_failed_graph_opens_with_its_error(show, tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(3, 2))
    page = show(viz.explore(model, tmp_path / "graph.html", Tensor.ones(1, 3)))
    assert caption(page) == "Graph up to the error: press Step or Play to go through it."
    assert "(1, 2)" in page.inner_text("#details .rule")
    page.click("#step")
    assert page.inner_text("#position").startswith("1 of ")


@each("target", ["#fold", "#in", "svg .box >> nth=0"])
def test_space_plays_after_a_click(show, network, target):
    page = show(network[0])
    page.clock.install()
    page.click(target)
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Pause"


def test_space_presses_the_button_that_the_keyboard_reached(show, network):
    page = show(network[0])
    page.focus("#layers")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert page.locator("svg .box").count() == 5  # folded
    assert page.inner_text("#play") == "Play"


@each("name", ["first", "last"])
def test_a_button_that_has_no_effect_any_more_keeps_the_focus(show, network, name):
    page = show(network[0])
    page.press(f"#{name}", "Enter")
    assert page.get_attribute(f"#{name}", "aria-disabled") == "true"
    assert page.evaluate("document.activeElement.id") == name


def test_values_and_gradients_arrive_one_by_one(show, expression):
    path, _ = expression
    page = show(path)
    page.click("#first")
    assert box(page, "mul").locator(".row").count() == 0
    assert box(page, "a").locator(".value").text_content() == "value0.5"
    page.click("#step")
    assert box(page, "mul").locator(".value").text_content() == "value−1.5"
    assert box(page, "add").locator(".row").count() == 0
    page.click("#last")
    assert page.locator("svg .grad").count() >= 6


def test_contributions_to_a_gradient_are_added_up(show, expression):
    path, expected = expression
    page = show(path)
    box(page, "a").click()
    parts = page.locator("#details .term pre").all_inner_texts()
    assert len(parts) == 2
    total = numbers(page.inner_text('#details [data-role="gradient"]'))
    np.testing.assert_allclose(sum(numbers(" ".join(parts))), total, rtol=1e-3)
    np.testing.assert_allclose(total, expected, rtol=1e-3)
    while "Backward of add" not in caption(page):
        page.keyboard.press("ArrowLeft")
    box(page, "a").click()
    assert "1 of 2 contributions" in page.inner_text("#details")


def test_the_panel_shows_the_rule_with_its_arrays(show, expression):
    page = show(expression[0])
    while "Backward of tanh" not in caption(page):
        page.keyboard.press("ArrowLeft")
    rule = page.locator("#details .rule")
    out = np.tanh(0.5 * -3.0 + 0.5)
    assert "grad of x = " in rule.inner_text()
    assert "grad_out" in rule.inner_text()
    found = numbers(rule.locator("pre").all_inner_texts()[-1])
    np.testing.assert_allclose(found, 2 * out * (1 - out**2), rtol=1e-3)


def test_the_rule_of_a_bias_says_that_its_gradient_is_summed(show, network):
    page = show(network[0])
    while "Backward of linear in fc2" not in caption(page):
        page.keyboard.press("ArrowLeft")
    summed = "grad of bias (fc2.bias) = grad_out, summed over the broadcast axis (2 × 2 -> 2)"
    assert summed in caption(page)
    bias = page.locator("#details .rule", has_text="fc2.bias")
    assert "grad of bias = grad_out, summed over the broadcast axis" in bias.inner_text()


def test_the_slider_sets_the_step(show, network):
    page = show(network[0])
    page.locator("#slider").fill("1")
    assert page.inner_text("#position").startswith("1 of ")
    assert caption(page).startswith("Forward, linear in fc1")


def test_play_runs_to_the_end(show, expression):
    page = show(expression[0])
    page.clock.install()
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    assert page.inner_text("#position").startswith("0 of ")
    page.clock.run_for(60_000)
    assert page.inner_text("#play") == "Play"
    assert caption(page).startswith("End:")


def test_hover_and_focus_show_details(show, network):
    page = show(network[0])
    box(page, "fc1: Linear").hover()
    assert "16" in page.inner_text("#details dl")
    page.keyboard.press("Tab")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('.box')?.textContent.includes('tanh')"):
            break
    assert page.inner_text("#details h2") == "tanh"
    assert "kind" in page.inner_text("#details dl")


def test_heat_maps_show_large_arrays(show, tmp_path):
    manual_seed(0)
    path = viz.explore(DigitsCNN(), tmp_path / "graph.html", Tensor.ones(1, 1, 8, 8))
    page = show(path)
    assert page.locator("svg image").count() > 5
    page.fill("#query", "conv1.weight")
    page.keyboard.press("Enter")
    assert page.locator("#details img").count() >= 8


def test_backward_sweeps_have_frames_of_their_own(show, tmp_path):
    x = Tensor([1.0, 2.0], requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    path = viz.explore(x.grad.sum(), tmp_path / "graph.html", names={"x": x})
    page = show(path)
    page.click("#unfold")
    assert page.locator("svg .frame.sweep1").count() >= 1
    assert page.locator("svg .box.sweep1").count() >= 2
    box(page, "x").click()
    assert "[ 6, 12]" in page.inner_text('#details [data-role="gradient"]')


def test_the_data_is_drawn_outside_the_model(show, tmp_path):
    loss = MLP()(Tensor.ones(2, 3)).cross_entropy(Tensor([0, 1]))
    page = show(viz.explore(loss, tmp_path / "graph.html"))
    page.click("#fold")
    titles = page.locator("svg .box text.title:first-of-type").all_text_contents()
    assert sorted(titles) == ["MLP", "cross_entropy_rows", "data", "output", "target"]
    assert "2 × 3" in box(page, "data").text_content()


def test_names_are_not_parsed_as_html(show, tmp_path):
    evil = "<img onerror=alert(1) src=x>"
    x = Tensor(2.0, requires_grad=True)
    page = show(viz.explore(x * x, tmp_path / "graph.html", names={evil: x}))
    assert box(page, evil).count() == 1
    box(page, evil).click()
    assert page.inner_text("#details h2") == evil
    assert page.locator("body img").count() == 0


def test_unusual_arrays_are_shown(show, tmp_path):
    arrays = {
        "nan": np.float32([np.nan, np.inf, -np.inf]),
        "many nan": np.full((20, 20), np.nan),
        "empty": np.zeros((0, 3)),
        "scalar": np.float64(1e-30),
        "flags": np.array([True, False]),
    }
    nodes = [
        GraphNode(f"n{i}", "input", name, shape=array.shape, value=array)
        for i, (name, array) in enumerate(arrays.items())
    ]
    path = tmp_path / "graph.html"
    path.write_text(explorer.page(Graph("odd", nodes, [])).text, encoding="utf-8")
    page = show(path)
    assert box(page, "nan").locator(".value").text_content().endswith("nan, inf, −inf")
    assert box(page, "flags").locator(".value").text_content().endswith("True, False")
    box(page, "many nan").click()
    assert "400 nan or inf" in page.inner_text("#details")
    assert box(page, "scalar").locator(".value").text_content() == "value1.000e−30"
    box(page, "empty").click()
    assert "empty, 0 × 3" in page.inner_text("#details")


def large_graph(blocks, ops):
    """Return a chain of residual blocks with a skip connection around each."""
    call = ModuleCall("m0", "", "Net", "", 0)
    calls = [call]
    nodes = [GraphNode("n0", "input", "x", value=np.ones(3))]
    edges = []
    for block in range(blocks):
        inner = ModuleCall(f"m{block + 1}", f"blocks.{block}", "Block", "", 0, call)
        calls.append(inner)
        start = last = nodes[-1].id
        for op in range(ops):
            node = GraphNode(f"n{len(nodes)}", "op", op="mul", call=inner, value=np.ones(3))
            nodes.append(node)
            edges.append(Edge(last, node.id, "x"))
            if op == ops - 1:
                edges.append(Edge(start, node.id, "y", 1))
            last = node.id
    return Graph("Net", nodes, edges, calls, (nodes[-1].id,))


def test_a_graph_of_500_ops_unfolds(show, tmp_path):
    path = tmp_path / "graph.html"
    path.write_text(explorer.page(large_graph(50, 10)).text, encoding="utf-8")
    page = show(path)
    assert page.locator("svg .box").count() == 51
    page.click("#unfold")
    assert page.locator("svg .box").count() == 501
    page.fill("#query", "blocks.49")
    page.keyboard.press("Enter")
    assert page.locator("svg .box.match").count() == 10


def test_repeated_blocks_open_folded(show, tmp_path):
    blocks = [nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(4)]
    model = nn.Sequential(*blocks, nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    page = show(viz.explore(model, tmp_path / "graph.html", Tensor.ones(1, 3)))
    titles = page.locator("svg .box text.title:first-of-type").all_text_contents()
    folded = [f"{place}: Sequential" for place in range(4)]
    assert sorted(titles) == sorted([*folded, "0: Linear", "1: ReLU", "output", "x"])
    box(page, "2: Sequential").click()
    assert box(page, "1: Tanh").count() == 1
    page.click("#layers")
    assert box(page, "2: Sequential").count() == 1


@each("scheme", ["light", "dark"])
@each("width", [360, 1440])
def test_nothing_is_cut_off(show, network, width, scheme):
    page = show(network[0], viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    graph = page.locator("#drawing").bounding_box()
    frame = page.locator("#graph svg").bounding_box()
    assert graph["x"] >= frame["x"]
    assert graph["x"] + graph["width"] <= frame["x"] + frame["width"]


def test_no_boxes_overlap(show, network):
    page = show(network[0])
    page.click("#unfold")
    boxes = [one.bounding_box() for one in page.locator("svg .box rect.body").all()]
    for place, a in enumerate(boxes):
        for b in boxes[:place]:
            apart = (
                a["x"] + a["width"] <= b["x"]
                or b["x"] + b["width"] <= a["x"]
                or a["y"] + a["height"] <= b["y"]
                or b["y"] + b["height"] <= a["y"]
            )
            assert apart


def contrast(one, other):
    def luminance(color):
        parts = np.array([int(part) for part in re.findall(r"\d+", color)[:3]]) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@each("scheme", ["light", "dark"])
def test_text_has_enough_contrast(show, network, scheme):
    page = show(network[0], color_scheme=scheme)
    page.click("#unfold")
    pairs = page.evaluate(
        """[...document.querySelectorAll('svg .box')].flatMap((box) =>
            [...box.querySelectorAll('text')].map((text) => [
                getComputedStyle(text).fill,
                getComputedStyle(box.querySelector('.body')).fill,
            ]))"""
    )
    assert pairs
    assert min(contrast(*pair) for pair in pairs) >= 4.5


def test_every_control_has_a_name(show, network):
    page = show(network[0])
    unnamed = page.evaluate(
        """[...document.querySelectorAll('button, input, [role=button]')].filter((one) =>
            !(one.textContent.trim() || one.getAttribute('aria-label') || one.labels?.length)
        ).map((one) => one.outerHTML)"""
    )
    assert unnamed == []


@pytest.fixture
def traced():
    """Return a function that returns the graph of a * sin(b) for some numbers."""

    def trace_product(a, b, op="sin"):
        a, b = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
        y = a * getattr(b, op)()
        return trace("test", y, names={"a": a, "b": b}, backward=True, keep=None)

    return trace_product


def test_an_update_shows_other_numbers_at_the_same_step(show, tmp_path, traced):
    path = tmp_path / "graph.html"
    path.write_text(explorer.page(traced(2.0, 0.5)).text, encoding="utf-8")
    page = show(path)
    page.click("#last")
    page.click("#back")
    before = caption(page)
    assert page.evaluate("update", explorer.content(traced(3.0, -1.0)))
    assert caption(page) == before
    assert box(page, "a").locator(".value").text_content() == "value3"
    assert box(page, "mul").locator(".value").text_content() == "value−2.524"  # 3 sin(-1)
    assert box(page, "b").locator(".grad").text_content() == "grad1.621"  # 3 cos(-1)
    page.click("#last")
    assert box(page, "a").locator(".grad").text_content() == "grad−0.8415"


def test_an_update_with_another_structure_changes_nothing(show, tmp_path, traced):
    path = tmp_path / "graph.html"
    path.write_text(explorer.page(traced(2.0, 0.5)).text, encoding="utf-8")
    page = show(path)
    assert page.evaluate("update", explorer.content(traced(3.0, -1.0, "cos"))) is False
    assert box(page, "a").locator(".value").text_content() == "value2"


def test_the_hash_of_the_address_sets_the_step_and_hides_the_title(show, expression):
    page = show(expression[0])
    assert page.is_visible("h1")
    for name, words in [("step=1", "Forward, mul"), ("end", "End: "), ("step=99", "End: ")]:
        page.evaluate("name => location.hash = name", name)
        page.locator("#caption", has_text=words).wait_for()
    page.evaluate("location.hash = 'embedded&step=0'")
    page.locator("#caption", has_text="Start:").wait_for()
    assert page.is_hidden("h1")
    assert page.is_hidden("#query")
    assert page.is_visible("#step")


def is_inside(page, *titles):
    frame = page.locator("#graph svg").bounding_box()
    parts = [box(page, title).locator(".body").bounding_box() for title in titles]
    return all(
        frame[start] <= part[start] and part[start] + part[length] <= frame[start] + frame[length]
        for part in parts
        for start, length in (("x", "width"), ("y", "height"))
    )


def test_a_step_shows_the_boxes_that_take_part(show, tmp_path):
    """On a phone: where the gradient comes from and goes to, and what an op reads."""
    x = y = Tensor(0.5, requires_grad=True)
    for _ in range(12):
        y = y.tanh()
    path = viz.explore(y, tmp_path / "graph.html", names={"x": x})
    page = show(path, viewport={"width": 360, "height": 500})
    page.evaluate("location.hash = 'embedded&step=0'")
    page.locator("#caption", has_text="Start:").wait_for()
    for step in range(1, 13):
        page.keyboard.press("ArrowRight")
        assert is_inside(page, f"tanh #{step}", f"tanh #{step - 1}" if step > 1 else "x")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert caption(page).startswith("Backward of tanh")
    for step in range(1, 12):
        assert is_inside(page, f"tanh #{step}", f"tanh #{step - 1}" if step > 1 else "x")
        page.keyboard.press("ArrowLeft")


def test_a_wide_graph_in_a_frame_stays_readable(show, tmp_path):
    parts = [Tensor(float(place), requires_grad=True) for place in range(30)]
    path = viz.explore(sum(part.tanh() for part in parts), tmp_path / "graph.html")
    page = show(path, viewport={"width": 1000, "height": 700})
    page.evaluate("location.hash = 'embedded&step=0'")
    page.locator("#caption", has_text="Start:").wait_for()
    assert page.evaluate("view.scale") >= 0.7


def test_boxes_leave_out_what_all_have_in_common(show, expression, tmp_path):
    page = show(expression[0])
    assert "scalar" not in page.text_content("#drawing")
    arrays = {"x": np.zeros(2), "y": np.float32(0)}
    nodes = [
        GraphNode(name, "input", name, shape=array.shape, dtype=array.dtype)
        for name, array in arrays.items()
    ]
    path = tmp_path / "mixed.html"
    path.write_text(explorer.page(Graph("mixed", nodes, [])).text, encoding="utf-8")
    page = show(path)
    assert box(page, "x").text_content() == "x2 float64"
    assert box(page, "y").text_content() == "yscalar"


def test_the_legend_lists_what_an_expression_contains(show, expression):
    shown = show(expression[0]).locator("#legend li:visible").all_inner_texts()
    assert shown == ["input", "op or module", "output", "constant", "backward pass"]


def test_the_legend_lists_what_a_network_contains(show, network):
    shown = show(network[0]).locator("#legend li:visible").all_inner_texts()
    assert shown[:2] == ["input", "parameter"]
    assert shown[-1].startswith("−")  # the colors of heat maps
