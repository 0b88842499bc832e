"""The Convolution tab in Chromium: every cell against conv2d, pooling, and receptive fields."""

import base64

import numpy as np
import pytest

from tinygrad_np import Tensor
from tinygrad_np.data.filters import FILTERS

pytestmark = pytest.mark.browser

EXAMPLE = np.array(
    [[1, 2, 0, 1, 3], [0, 1, 2, 3, 1], [2, 1, 4, 0, 0], [1, 0, 2, 1, 2], [3, 1, 0, 2, 1]], float
)


@pytest.fixture
def page(playground):
    """Return the tab with the first step shown."""
    page = playground.open("convolution")
    page.wait_for_selector("#slide-output .current")
    return page


def choose(page, **values):
    """Set controls by the last part of their id, each after the answer to the one before."""
    for name, value in values.items():
        with page.expect_response("**/api/convolve"):
            control = page.locator(f"#slide-{name}")
            if control.evaluate("node => node.tagName") == "SELECT":
                control.select_option(value)
            else:
                control.fill(str(value))
        wait(page)


def wait(page):
    """Wait until the page shows the last answer."""
    page.locator("#slide-output[aria-busy=false]").wait_for(state="attached")


def edit(page, label, text):
    with page.expect_response("**/api/convolve"):
        page.get_by_label(label, exact=True).fill(text)
    wait(page)


def forget_refusals(playground):
    """Remove the messages of Chromium's console about answers with status 400."""
    playground.problems[:] = [one for one in playground.problems if "400" not in one]


def to_numbers(texts):
    return [float(text.replace("−", "-")) for text in texts]


def last(page):
    """Go to the last step and return the output as a matrix."""
    page.locator("#slide-step").press("End")
    cells = page.locator("#slide-output .cell")
    assert page.locator("#slide-output .unfilled").count() == 0
    numbers = to_numbers(cells.evaluate_all("cells => cells.map((cell) => cell.title)"))
    columns = int(
        page.locator("#slide-output").evaluate("b => b.style.getPropertyValue('--count')")
    )
    return np.array(numbers).reshape(-1, columns)


def sum_of(page):
    """Return the value of the sum written out, computed from its text."""
    text = page.locator("#slide-sum").inner_text().replace("−", "-").replace("·", "*")
    parts = text.split("=")
    value = sum(
        np.prod([float(factor.strip(" ()")) for factor in term.split("*")])
        for term in parts[0].replace("\n", " ").replace("+ ", "|").split("|")
        if term.strip()
    )
    return value, to_numbers([parts[-1].strip()])[0]


def conv2d(matrix, kernel, **options):
    x, weight = Tensor(matrix[None, None]), Tensor(np.array(kernel, float)[None, None])
    return x.conv2d(weight, **options).data[0, 0]


@pytest.mark.parametrize(
    ("padding", "stride", "dilation"), [(0, 1, 1), (1, 1, 1), (2, 2, 1), (3, 3, 2)]
)
def test_steps_to_the_end_give_conv2d(page, padding, stride, dilation):
    choose(page, padding=padding, stride=stride, dilation=dilation)
    kernel, _ = FILTERS["Sobel, left to right"]
    expected = conv2d(EXAMPLE, kernel, padding=padding, stride=stride, dilation=dilation)
    step = page.get_by_role("button", name="Step", exact=True)
    for count, value in enumerate(expected.flat, start=1):
        cells = page.locator("#slide-output .cell:not(.unfilled)")
        assert cells.count() == count
        assert to_numbers(cells.all_inner_texts())[-1] == value
        assert sum_of(page) == (value, value)
        assert page.locator("#slide-input .inside").count() == 9
        if count < expected.size:
            step.click()
    assert step.is_disabled()
    status = page.locator("#slide-status").inner_text()
    assert status.startswith(f"Step {expected.size} of {expected.size}: ")
    rows = expected.shape[0]
    assert page.locator("#slide-size").inner_text().endswith(f"/{stride}⌋ + 1 = {rows}")
    assert page.locator("#slide-error").is_hidden()


def test_each_kernel_gives_conv2d(page):
    choose(page, padding=2)
    for name, (weights, divisor) in FILTERS.items():
        choose(page, kernel=name)
        expected = conv2d(EXAMPLE, np.array(weights) / divisor, padding=2)
        np.testing.assert_allclose(last(page), expected, rtol=1e-5, atol=1e-9)


def test_a_divisor_is_written_out(page):
    choose(page, kernel="mean")
    assert page.locator("#slide-sum").inner_text().endswith("= 13\n  13 / 9 = 1.44444")


def test_numbers_can_be_edited(page):
    edit(page, "input row 0, column 1", "-7,5")
    edit(page, "kernel row 2, column 2", "3")
    matrix, kernel = EXAMPLE.copy(), np.array(FILTERS["Sobel, left to right"][0])
    matrix[0, 1], kernel[2, 2] = -7.5, 3
    np.testing.assert_array_equal(last(page), conv2d(matrix, kernel))
    assert page.locator("#slide-picture").input_value() == "custom"
    assert page.locator("#slide-kernel").input_value() == "custom"


def test_a_small_number_can_be_edited_as_it_is_shown(page):
    edit(page, "kernel row 0, column 0", "-2e-5")
    cell = page.get_by_label("kernel row 0, column 0", exact=True)
    cell.blur()
    assert cell.input_value() == "−2.000e−5"
    edit(page, "kernel row 0, column 0", "−3.000e−5")
    assert cell.get_attribute("aria-invalid") == "false"


def test_text_that_is_no_number_is_marked_and_not_used(page):
    before = last(page)
    cell = page.get_by_label("input row 1, column 1", exact=True)
    cell.fill("abc")
    assert cell.get_attribute("aria-invalid") == "true"
    cell.press("ArrowRight")
    assert cell.input_value() == "1"
    assert cell.get_attribute("aria-invalid") == "false"
    np.testing.assert_array_equal(last(page), before)


def test_kernels_can_be_rectangular(page):
    choose(page, rows=2, columns=5)
    kernel = np.pad(np.array(FILTERS["Sobel, left to right"][0])[:2], ((0, 0), (0, 2)))
    np.testing.assert_array_equal(last(page), conv2d(EXAMPLE, kernel))
    names = page.locator("#slide-size dt").all_inner_texts()
    assert names == ["Height", "Width"]


def test_max_pooling_shows_the_winner(page):
    choose(page, kind="max", padding=1)
    found = last(page)
    padded = np.pad(EXAMPLE, 1, constant_values=-np.inf)
    expected = [[padded[r : r + 2, c : c + 2].max() for c in (0, 2, 4)] for r in (0, 2, 4)]
    np.testing.assert_array_equal(found, expected)
    page.get_by_label("output row 1, column 1", exact=True).click()
    assert page.locator("#slide-sum").inner_text() == (
        "max(1, 2,\n    1, 4)\n= 4 at input row 2, column 2"
    )
    winner = page.locator("#slide-input .winner")
    assert winner.get_attribute("aria-label") == "input row 2, column 2"
    assert page.locator("#slide-kernel").is_hidden()


def test_a_window_of_padding_has_no_maximum(page, playground):
    choose(page, kind="max", picture="Matrices/1 to 16")
    choose(page, stride=1)
    choose(page, dilation=7, padding=4)  # the first alone does not fit
    forget_refusals(playground)
    page.get_by_label("output row 0, column 1", exact=True).click()
    assert page.locator("#slide-sum").inner_text() == "max(−∞, −∞,\n    −∞, −∞)\n= −∞"
    assert page.locator("#slide-input .winner").count() == 0
    assert page.get_by_role("alert").count() == 0


def test_average_pooling_shows_the_sum_and_the_divisor(page):
    choose(page, kind="avg")
    np.testing.assert_array_equal(last(page), [[1, 1.5], [1, 1.75]])
    assert page.locator("#slide-sum").inner_text() == "  4 + 0\n+ 2 + 1\n= 7\n  7 / 4 = 1.75"
    # Each operation keeps its options.
    choose(page, kind="conv")
    assert page.locator("#slide-stride").input_value() == "1"
    assert page.locator("#slide-rows").input_value() == "3"


def test_a_window_that_does_not_fit_is_explained(page, playground):
    choose(page, dilation=3)
    assert page.get_by_role("alert").inner_text() == (
        "The window spans 7 × 7 cells, more than the padded input, which has 5 × 5. "
        "Reduce the window or the dilation, or increase the padding."
    )
    assert page.locator("#convolution [aria-invalid=true]").get_attribute("id") == "slide-dilation"
    assert page.locator("#slide-size").inner_text().endswith("/1⌋ + 1: does not fit")
    assert page.locator("#slide-sum").is_hidden()
    shares = "cells => cells.map((cell) => cell.style.getPropertyValue('--share'))"
    assert set(page.locator("#slide-window .cell").evaluate_all(shares)) == {"0"}
    assert page.locator("#slide-output .cell").count() == 0
    assert page.get_by_role("button", name="Step", exact=True).is_disabled()
    forget_refusals(playground)
    choose(page, padding=1)
    assert page.get_by_role("alert").count() == 0
    assert page.locator("#convolution [aria-invalid=true]").count() == 0
    assert last(page).shape == (1, 1)


def test_too_much_padding_of_a_pooling_is_explained(page, playground):
    choose(page, kind="max")
    choose(page, padding=2)
    assert page.get_by_role("alert").inner_text() == (
        "The padding of a pooling is at most half of the window: at most 1 here."
    )
    assert page.locator("#convolution [aria-invalid=true]").get_attribute("id") == "slide-padding"
    forget_refusals(playground)


def test_on_a_phone_the_pictures_come_before_the_settings(playground):
    page = playground.open("convolution", viewport={"width": 360, "height": 780})
    page.wait_for_selector("#slide-output .current")
    order = ("next", "sum", "input", "output", "kind")
    tops = [page.locator(f"#slide-{name}").bounding_box()["y"] for name in order]
    assert tops == sorted(tops)
    assert page.locator("#slide-size").is_hidden()


def test_the_play_button_keeps_its_width(playground):
    page = playground.open("convolution", reduced_motion="no-preference")
    page.wait_for_selector("#slide-output .current")
    page.locator("#slide-speed").select_option("1")
    button = page.locator("#slide-play")
    before = button.bounding_box()
    button.click()
    assert button.inner_text() == "Pause"
    assert button.bounding_box() == before


def test_numbers_out_of_range_are_explained(page):
    page.locator("#slide-stride").fill("9")
    words = "Stride: enter a whole number from 1 to 7."
    assert page.get_by_role("alert").inner_text() == words
    choose(page, stride=2)
    assert page.get_by_role("alert").count() == 0


def test_an_answer_that_differs_from_the_sum_is_reported(page):
    def change(route):
        answer = route.fetch().json()
        answer["output"][1][2] += 1e-3
        route.fulfill(json=answer)

    page.route("**/api/convolve", change)
    choose(page, stride=1, padding=0)
    assert page.get_by_role("alert").inner_text().startswith("Output row 1, column 2 is ")


def test_large_pictures_are_shades_with_numbers_in_the_window(page):
    choose(page, picture="Digits, 28x28/7", kernel="Gaussian 5x5", padding=2)
    assert last(page).shape == (28, 28)
    assert page.locator("#slide-input input").count() == 0
    assert page.locator("#slide-input .cell").count() == 32 * 32
    assert page.locator("#slide-input-shades").is_visible()
    page.get_by_label("output row 14, column 14", exact=True).click()
    window = to_numbers(page.locator("#slide-window .cell").all_inner_texts())
    kernel = np.array(FILTERS["Gaussian 5x5"][0]).reshape(-1)
    assert sum_of(page)[1] == pytest.approx(np.dot(window, kernel) / 256, rel=1e-5)


def test_the_keyboard_steps_and_moves_between_cells(page):
    slider = page.get_by_label("Step", exact=True).and_(page.get_by_role("slider"))
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert page.locator("#slide-status").inner_text().startswith("Step 3 of 9")
    slider.press("End")
    assert page.locator("#slide-status").inner_text().startswith("Step 9 of 9")
    page.get_by_label("output row 2, column 2", exact=True).focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#slide-status").inner_text().startswith("Step 5 of 9")
    page.get_by_label("input row 0, column 0", exact=True).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "input row 1, column 1"
    # The grid is one stop of the Tab key.
    page.keyboard.press("Tab")
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused.startswith("kernel row")


def test_a_button_that_has_no_effect_any_more_keeps_the_focus(page):
    for name in ("End", "Start"):
        button = page.get_by_role("button", name=name, exact=True)
        button.press("Enter")
        assert button.get_attribute("aria-disabled") == "true"
        assert page.evaluate("document.activeElement.textContent") == name


def test_reduced_motion_leaves_only_steps(page):
    assert page.get_by_role("button", name="Play").count() == 0
    page.locator("#slide-step").press("Space")
    assert page.locator("#slide-status").inner_text().startswith("Step 2 of 9")


def test_play_runs_to_the_end(playground):
    page = playground.open("convolution", reduced_motion="no-preference")
    page.wait_for_selector("#slide-output .current")
    page.locator("#slide-speed").select_option("60")
    page.locator("#slide-step").press("Space")
    page.locator("#slide-status", has_text="9 of 9").wait_for()
    page.get_by_role("button", name="Play").wait_for()
    page.locator("#slide-speed").select_option("1")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()


def test_my_drawing_is_offered(page):
    image = base64.b64encode(bytes([200] * 28 + [0] * 756)).decode()
    page.evaluate(
        """(detail) => document.dispatchEvent(new CustomEvent("image-prepared", { detail }))""",
        {"image": image, "side": 28},
    )
    choose(page, picture="Draw tab/my drawing", kernel="horizontal edges")
    np.testing.assert_array_equal(last(page)[:2], [[-600] * 26, [0] * 26])


def field(page):
    """Return the rows and columns of the field on the input."""
    cells = page.locator(".field-input .cell")
    marks = cells.evaluate_all("cells => cells.map((cell) => cell.classList.contains('in-field'))")
    side = round(len(marks) ** 0.5)
    rows, columns = np.nonzero(np.array(marks).reshape(side, side))
    return rows.min(), rows.max(), columns.min(), columns.max(), len(rows)


def test_receptive_field_of_a_cell(page):
    """Two 3x3 convolutions and two poolings: 10x10 pixels, 4 pixels apart."""
    page.wait_for_selector("#field-maps canvas")
    assert page.locator("#field-model").input_value() == "MnistCNN"
    assert field(page) == (9, 18, 9, 18, 100)
    status = page.locator("#field-status").inner_text()
    assert status == (
        "Row 3, column 3 of pool (call 2) depends on 100 of 784 pixels: 10 × 10, rows 9 to 18, "
        "columns 9 to 18. The next cell's field is 4 pixels away."
    )
    with page.expect_response("**/api/receptive-field"):
        page.get_by_label("pool (call 2) row 0, column 4", exact=True).click()
    page.locator("#field-status", has_text="Row 0").wait_for()
    assert field(page) == (0, 6, 13, 22, 70)
    page.get_by_label("pool (call 2) row 0, column 4", exact=True).press("ArrowDown")
    with page.expect_response("**/api/receptive-field"):
        page.keyboard.press("Enter")
    page.locator("#field-status", has_text="Row 1").wait_for()
    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "pool (call 2) row 1, column 4"


def test_receptive_field_of_another_model(page):
    page.wait_for_selector("#field-maps canvas")
    page.locator("#field-model").select_option("DigitsCNN")
    page.locator("#field-layer").select_option("conv")
    page.locator("#field-row").fill("0")
    page.locator("#field-status", has_text="Row 0").wait_for()
    assert field(page) == (0, 1, 3, 5, 6)
    page.locator("#field-row").fill("8")
    page.wait_for_selector("#field-error:not([hidden])")
    assert page.get_by_role("alert").inner_text() == "Row: enter a whole number from 0 to 7."
    assert page.get_attribute("#field-row", "aria-invalid") == "true"
    page.locator("#field-row").fill("7")
    page.locator("#field-status", has_text="Row 7").wait_for()
    assert page.locator("#field-error").is_hidden()


def test_a_server_that_is_down_is_asked_again(playground):
    page = playground.open()
    playground.stop()
    page.click("#tab-convolution")
    page.locator("#slide-error", has_text="Is it still running?").wait_for()
    playground.start()
    page.wait_for_selector("#slide-output .current")
    page.wait_for_selector("#field-maps canvas")
    assert page.locator("#slide-error").is_hidden()
    playground.stop()
    page.locator("#slide-stride").fill("2")
    page.locator("#field-row").fill("0")
    page.locator("#slide-error", has_text="Is it still running?").wait_for()
    page.locator("#field-error", has_text="Is it still running?").wait_for()
    playground.start()
    page.locator("#field-status", has_text="Row 0").wait_for()
    page.locator("#slide-error").wait_for(state="hidden")
    wait(page)
    playground.problems[:] = [one for one in playground.problems if "net::ERR_" not in one]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_fits_a_phone(playground, scheme):
    page = playground.open(
        "convolution", viewport={"width": 360, "height": 780}, color_scheme=scheme
    )
    page.wait_for_selector("#field-maps canvas")
    choose(page, picture="Digits, 28x28/3", kernel="Gaussian 5x5", padding=7, columns=7)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 360
    outside = page.evaluate(
        """[...document.querySelectorAll("#convolution *")].filter((node) =>
             !node.closest(".scroll") && node.getBoundingClientRect().right > 361).length"""
    )
    assert outside == 0
