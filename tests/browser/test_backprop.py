"""The Backprop tab in a real browser."""

import re

import pytest

from tests.tools import each
from tinygrad_np import Tensor

pytestmark = pytest.mark.browser


@pytest.fixture
def tab(playground):
    """Return a function that opens the tab with an expression, once its graph is shown."""

    def open_tab(expression=None, **options):
        page = playground.open("backprop", **options)
        if expression is not None:
            page.fill("#bp-expression", expression)
        wait(page)
        return page

    return open_tab


def frame(page):
    return page.frame_locator("#bp-frame")


def wait(page):
    """Wait until all answers have arrived and the graph shows the last."""
    page.locator("#backprop[aria-busy=false]").wait_for()
    frame(page).locator("svg .box").first.wait_for()


def number(text):
    """Return the last number in a text of the page."""
    return float(re.findall(r"[−-]?[\d.]+(?:e[−+-]?\d+)?", text)[-1].replace("−", "-"))


def grad_in_graph(page, name):
    """Return the gradient in the box of a variable, or None if it has not arrived."""
    title = page.frame_locator("#bp-frame").locator("text.title", has_text=re.compile(f"^{name}$"))
    row = frame(page).locator("svg .box").filter(has=title).locator(".row.grad")
    return number(row.text_content()) if row.count() else None


def grad_in_list(page, name):
    row = page.locator(".bp-variable", has=page.locator(f"label[for=bp-value-{name}]"))
    return number(row.locator(".gradient").inner_text())


def result(page):
    return " ".join(page.inner_text("#bp-result").split())


def caption(page):
    return frame(page).locator("#caption").inner_text()


def expected(a, b, c):
    """Return the result and gradients of (a*b + c).tanh()**2 + a."""
    leaves = [Tensor(value, dtype="float64", requires_grad=True) for value in (a, b, c)]
    found = (leaves[0] * leaves[1] + leaves[2]).tanh() ** 2 + leaves[0]
    found.backward()
    return found.item(), [leaf.grad.item() for leaf in leaves]


EXPRESSION = "(a*b + c).tanh()**2 + a"


def test_the_gradients_at_the_end_are_those_of_backward(tab):
    page = tab(EXPRESSION)
    for name, value in zip("abc", ("0.5", "-1.5", "0.25"), strict=True):
        page.fill(f"#bp-value-{name}", value)
    wait(page)
    value, grads = expected(0.5, -1.5, 0.25)
    inside = frame(page)
    inside.locator("#first").click()
    assert grad_in_graph(page, "a") is None
    captions = []
    while inside.locator("#step").is_enabled():
        inside.locator("#step").click()
        captions.append(caption(page))
    assert "Backward of tanh" in " ".join(captions)
    assert captions[-1].startswith("End: all gradients have arrived")
    assert number(result(page)) == pytest.approx(value, rel=1e-3)
    for name, grad in zip("abc", grads, strict=True):
        assert grad_in_graph(page, name) == pytest.approx(grad, rel=1e-3)
        assert grad_in_list(page, name) == pytest.approx(grad, rel=1e-3)


def test_an_edited_value_moves_everything_at_the_same_step(tab):
    page = tab(EXPRESSION)
    frame(page).locator("#last").click()
    for _ in range(2):
        frame(page).locator("#back").click()
    before = caption(page)
    page.frames[-1].evaluate("document.title = 'not loaded again'")
    for name, value in zip("abc", ("1.5", "0.5", "-1"), strict=True):
        page.fill(f"#bp-value-{name}", value)
    wait(page)
    value, grads = expected(1.5, 0.5, -1.0)
    assert number(result(page)) == pytest.approx(value, rel=1e-3)
    assert [grad_in_list(page, n) for n in "abc"] == pytest.approx(grads, rel=1e-3)
    assert grad_in_graph(page, "c") == pytest.approx(grads[2], rel=1e-3)
    assert caption(page) == before
    assert page.frames[-1].title() == "not loaded again"


def test_the_slider_moves_the_number_and_the_result(tab):
    page = tab("x*x")
    page.locator(".bp-variable input[type=range]").fill("3")
    wait(page)
    assert page.input_value("#bp-value-x") == "3"
    assert result(page) == "Result = 9"


def test_small_negative_numbers_have_real_minus_signs(tab):
    page = tab("x*1e-7")
    page.fill("#bp-value-x", "-3")
    wait(page)
    assert result(page) == "Result = −3.000e−7"


def test_another_structure_shows_another_graph(tab):
    page = tab("x*x")
    entries = page.evaluate("history.length")
    page.fill("#bp-expression", "y = x*x\nsin(y)")
    frame(page).locator("text.title", has_text="y = mul").wait_for()
    wait(page)
    assert result(page).startswith("Result = ")
    assert page.evaluate("history.length") == entries
    page.click("text=The tape as a table")
    assert page.locator("#bp-tape tr").all_inner_texts()[0].split("\t")[:2] == ["y", "x * x"]


def test_a_bad_expression_keeps_the_graph_and_marks_the_column(tab, playground):
    page = tab("a*b")
    page.fill("#bp-expression", "a*b\na +* b")
    page.locator("#bp-error").wait_for()
    message, mark = page.inner_text("#bp-error").split("\n", 1)
    assert message.startswith("Expected a number, a name or `(`, got `*` at line 2, column 4.")
    assert mark.split("\n")[-2:] == ["a +* b", "   ^"]
    assert page.get_attribute("#bp-expression", "aria-invalid") == "true"
    assert message.endswith("The graph shows the last valid expression.")
    assert page.locator("#bp-frame").evaluate("node => getComputedStyle(node).opacity") < "1"
    assert frame(page).locator("text.title", has_text="mul").count() == 1
    page.fill("#bp-expression", "a*b + 1")
    page.locator("#bp-error").wait_for(state="hidden")
    assert page.get_attribute("#bp-expression", "aria-invalid") == "false"
    assert page.locator("#bp-frame").evaluate("node => getComputedStyle(node).opacity") == "1"
    page.fill("#bp-expression", "+".join(f"v{place}" for place in range(13)))
    page.locator("#bp-error").wait_for()
    assert page.inner_text("#bp-error") == (
        "Expected at most 12 variables, got 13. The graph shows the last valid expression."
    )
    assert [p for p in playground.problems if "400" not in p] == []
    playground.problems.clear()


def test_a_number_that_is_not_valid_changes_nothing(tab):
    page = tab("x*x")
    page.fill("#bp-value-x", "3")
    alert = page.get_by_role("alert")
    assert alert.all_inner_texts() == []
    for text in ("2e6", "", "2000000"):
        page.fill("#bp-value-x", text)
        assert alert.inner_text() == "x: enter a number from −1,000,000 to 1,000,000."
    wait(page)
    assert page.get_attribute("#bp-value-x", "aria-invalid") == "true"
    assert result(page) == "Result = 9"
    assert page.input_value("#bp-value-x") == "2000000"
    page.fill("#bp-value-x", "2")
    alert.wait_for(state="hidden")
    assert page.get_attribute("#bp-value-x", "aria-invalid") == "false"


def test_a_server_that_is_down_is_asked_again(playground):
    page = playground.open()
    playground.stop()
    page.click("#tab-backprop")
    page.locator("#bp-error", has_text="Is it still running?").wait_for()
    playground.start()
    page.locator("#bp-error").wait_for(state="hidden")
    wait(page)
    playground.problems[:] = [one for one in playground.problems if "net::ERR_" not in one]


def test_a_result_that_is_not_finite_is_explained(tab):
    page = tab()
    page.select_option("#bp-example", label="Overflow")
    page.locator("#bp-messages .warning").wait_for()
    assert "exp(800) gives inf" in page.inner_text("#bp-messages")
    assert result(page) == "Result = inf"
    page.fill("#bp-value-x", "1")
    page.locator("#bp-messages .warning").wait_for(state="detached")


def test_screen_readers_get_the_result_once(tab):
    page = tab("x*x")
    page.clock.install()
    page.evaluate(
        """() => {
          window.changes = 0;
          new MutationObserver(() => { window.changes += 1; }).observe(
            document.getElementById("bp-spoken"), { childList: true });
        }"""
    )
    for value in range(1, 8):
        page.fill("#bp-value-x", str(value))
    wait(page)
    page.clock.run_for(1000)
    assert page.evaluate("changes") == 1
    assert page.text_content("#bp-spoken") == "Result = 49"


@each("width", [768, 1024])
def test_the_graph_has_room_on_a_tablet(tab, width):
    page = tab(viewport={"width": width, "height": 1024})
    output = frame(page).locator(".box.output").last.bounding_box()
    drawn = frame(page).locator("#graph svg").bounding_box()
    assert output["x"] + output["width"] <= drawn["x"] + drawn["width"]
    assert output["y"] + output["height"] <= drawn["y"] + drawn["height"]


def test_all_examples_work(tab):
    page = tab()
    titles = page.locator("#bp-example option:not([hidden])").all_inner_texts()
    assert len(titles) > 5
    for title in titles:
        page.select_option("#bp-example", label=title)
        wait(page)
        names = page.locator(".bp-variable label").all_inner_texts()
        assert page.is_hidden("#bp-error")
        expression = page.input_value("#bp-expression")
        assert names
        assert all(name in expression for name in names)


def test_the_tab_works_by_keyboard_alone(tab):
    page = tab("x*x")
    press = page.keyboard.press
    page.focus("#bp-expression")
    press("Control+A")
    page.keyboard.type("x*x*x")
    press("Tab")  # the help
    wait(page)
    press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"
    press("Home")
    press("Tab")
    wait(page)
    assert page.input_value(":focus") == "-5"
    page.keyboard.type("2")  # replaces the selected number
    wait(page)
    assert result(page) == "Result = 8"
    for _ in range(5):
        press("Tab")
        if page.evaluate("document.activeElement.id") == "bp-frame":
            break
    press("Home")
    assert caption(page).startswith("Start:")
    press("ArrowRight")
    assert caption(page).startswith("Forward, mul of x, x")
    press("End")
    assert grad_in_graph(page, "x") == 12


@each("scheme", ["light", "dark"])
@each("width,height", [(360, 780), (1440, 900)])
def test_nothing_overflows(tab, width, height, scheme):
    page = tab(viewport={"width": width, "height": height}, color_scheme=scheme)
    page.select_option("#bp-example", label="Sigmoid and cross-entropy")
    wait(page)
    page.click("text=The tape as a table")
    page.click("text=Supported syntax")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    card = page.locator("[aria-labelledby=bp-graph]").bounding_box()
    for part in page.locator("[aria-labelledby=bp-graph] > *").all():
        box = part.bounding_box()
        assert box["x"] + box["width"] <= card["x"] + card["width"]
    sizes = page.frames[-1].evaluate(
        """() => {
            const { scrollWidth, clientWidth, scrollHeight, clientHeight } =
                document.documentElement;
            return [scrollWidth - clientWidth, scrollHeight - clientHeight];
        }"""
    )
    assert sizes == [0, 0]  # the frame has no scroll bars of its own
