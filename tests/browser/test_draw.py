"""The Draw tab in Chromium: strokes of the mouse and of fingers, and what the page says."""

import base64
import io
import queue
import re
import threading

import numpy as np
import pytest
from flask import request
from PIL import Image

from tests.playground.test_library import make_run
from tinygrad_np import train

pytestmark = pytest.mark.browser

SEVEN = [(0.25, 0.22), (0.72, 0.2), (0.6, 0.5), (0.45, 0.82)]
INK = """selector => {
  const canvas = document.querySelector(selector);
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, i) => i % 4 === 3 && value > 128).length;
}"""
SMALL_SEVEN = [(0.06, 0.05), (0.32, 0.05), (0.25, 0.22), (0.17, 0.4)]


def places(page, points):
    """Return points of the sheet, as parts of its side, in pixels of the window."""
    page.locator("#draw-canvas").scroll_into_view_if_needed()
    box = page.locator("#draw-canvas").bounding_box()
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]


def draw(page, points=SEVEN):
    """Draw a stroke with the mouse."""
    first, *rest = places(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for place in rest:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def wait_for(page, selector, text):
    """Wait until the text of an element contains `text`."""
    page.locator(selector, has_text=text).wait_for()


def focused(page):
    """Return the id or the text of the element with the focus."""
    return page.evaluate("document.activeElement.id || document.activeElement.textContent")


def ink(page, selector="#draw-canvas"):
    """Return the number of pixels of a canvas that are not transparent."""
    return page.evaluate(INK, selector)


def picture_file(folder, *box):
    """Write a picture of a black box on white and return its path."""
    sheet = Image.new("L", (200, 200), "white")
    sheet.paste("black", box)
    sheet.save(folder / "picture.png")
    return folder / "picture.png"


@pytest.mark.parametrize(
    ("points", "width"), [(SEVEN, 7), (SMALL_SEVEN, 7), (SEVEN, 14), (SEVEN, 3)]
)
def test_a_seven_is_read(playground, points, width):
    page = playground.open()
    page.get_by_label("Brush").fill(str(width))
    draw(page, points)
    wait_for(page, "#draw-spoken", "Read as 7")  # the drawing has paused
    assert page.locator("#draw-answer").text_content() == "7"
    best = page.locator("#draw-bars tr.best")
    assert best.locator("th").text_content() == "7"
    assert best.locator("td").last.text_content() + " confident" == (
        page.locator("#draw-confidence").text_content()
    )


def test_an_empty_sheet_invites(playground):
    page = playground.open()
    wait_for(page, "#draw-answer", "?")
    assert page.locator("#draw-invitation").is_visible()
    assert page.locator("#draw-bars tr").count() == 10
    assert page.locator("#draw-undo").is_disabled()
    assert page.locator("#draw-clear").is_disabled()


def test_a_finger_draws(playground):
    page = playground.open(has_touch=True, viewport={"width": 390, "height": 844})
    session = page.context.new_cdp_session(page)
    wait_for(page, "#draw-model", "Bundled")
    start = places(page, SEVEN)
    before = page.evaluate("scrollY")
    for kind, (x, y) in zip(["touchStart"] + ["touchMove"] * 3, start, strict=True):
        points = [{"x": x, "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for(page, "#draw-answer", "7")
    assert page.evaluate("scrollY") == before  # the page stays where it is


def test_undo_and_clear(playground):
    page = playground.open()
    draw(page)
    one = ink(page)
    draw(page, [(0.1, 0.9), (0.9, 0.9)])
    assert ink(page) > one
    page.locator("#draw-undo").click()
    assert ink(page) == one
    page.locator("#draw-clear").click()
    assert ink(page) == 0
    wait_for(page, "#draw-answer", "?")
    page.locator("#draw-canvas").press("Control+z")  # undoes the clearing
    assert ink(page) == one
    wait_for(page, "#draw-answer", "7")
    page.locator("#draw-canvas").press("Control+z")
    assert ink(page) == 0


def test_a_picture_is_uploaded(playground, tmp_path):
    page = playground.open()
    page.get_by_label("Or upload a picture").set_input_files(
        picture_file(tmp_path, 90, 20, 110, 180)
    )
    wait_for(page, "#draw-answer", re.compile(r"\d"))
    answer = page.locator("#draw-answer").text_content()
    page.wait_for_function("() => document.querySelector('#draw-layers').children.length")
    page.wait_for_function(INK, "#draw-canvas")  # the browser has decoded it too
    draw(page)  # replaces the picture
    wait_for(page, "#draw-answer", "7")
    page.locator("#draw-undo").click()
    wait_for(page, "#draw-answer", answer)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(playground, tmp_path, way):
    page = playground.open()
    content = list(picture_file(tmp_path, 90, 20, 110, 180).read_bytes())
    page.evaluate(
        """([bytes, way]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "one.png", { type: "image/png" }));
          const options = { bubbles: true, cancelable: true };
          if (way === "drop") {
            document.getElementById("draw-sheet").dispatchEvent(
              new DragEvent("drop", { ...options, dataTransfer: transfer }));
          } else {
            document.body.dispatchEvent(
              new ClipboardEvent("paste", { ...options, clipboardData: transfer }));
          }
        }""",
        [content, way],
    )
    wait_for(page, "#draw-answer", re.compile(r"\d"))


def test_a_file_that_is_no_picture_is_reported(playground, tmp_path):
    page = playground.open()
    for name, words in (
        ("text.png", "This file: expected a PNG, JPEG,"),
        ("text.txt", "This file: expected a picture, such as a PNG or JPEG file"),
    ):
        (tmp_path / name).write_text("no picture")
        page.get_by_label("Or upload a picture").set_input_files(tmp_path / name)
        wait_for(page, "#draw-file-error", words)
    assert page.locator("#draw-invitation").is_visible()  # the file is off the sheet again
    assert page.locator("#draw-undo").is_disabled()
    assert page.locator("#draw-error").is_hidden()
    draw(page)
    wait_for(page, "#draw-answer", "7")
    assert page.locator("#draw-file-error").is_hidden()
    playground.problems[:] = [p for p in playground.problems if "status of 4" not in p]


def test_what_is_sent_depends_on_the_strokes_alone(playground):
    sent = queue.SimpleQueue()

    @playground.app.before_request
    def keep():
        if request.path == "/api/predict":
            content = request.get_data()
            x, y = SEVEN[-1]
            # With ink at its end, the stroke is whole.
            if Image.open(io.BytesIO(content)).convert("L").getpixel((280 * x, 280 * y)) < 128:
                sent.put(content)

    pictures = []
    for options in (
        {"color_scheme": "light"},
        {"color_scheme": "dark", "device_scale_factor": 2},
    ):
        draw(playground.open(**options))
        pictures.append(sent.get(timeout=10))
    light, dark = pictures
    assert light == dark
    picture = np.asarray(Image.open(io.BytesIO(light)).convert("L"))
    assert (picture.shape, picture.min(), picture.max()) == ((280, 280), 0, 255)
    assert picture.mean() > 200  # dark ink on white


def test_one_request_at_a_time_and_the_last_drawing_is_answered(playground):
    busy, most, answered = threading.Semaphore(), [], []

    @playground.app.before_request
    def begin():
        if request.path == "/api/predict":
            most.append(busy.acquire(blocking=False))

    @playground.app.after_request
    def end(response):
        if request.path == "/api/predict":
            answered.append(response.json["image"])
            busy.release()
        return response

    page = playground.open()
    draw(page)
    draw(page, [(0.3, 0.5), (0.7, 0.5)])
    wait_for(page, "#draw-spoken", "Read as")
    assert len(most) > 1
    assert all(most)
    drawn = page.evaluate(
        """() => {
          const { width, height } = document.getElementById("draw-image");
          const { data } = document.getElementById("draw-image").getContext("2d")
            .getImageData(0, 0, width, height);
          return [width, height, [...data.filter((_, i) => i % 4 === 0)]];
        }"""
    )
    assert drawn[:2] == [28, 28]
    levels = np.frombuffer(base64.b64decode(answered[-1]), np.uint8)
    # Ink is darker than paper in the light scheme.
    assert np.corrcoef(levels, drawn[2])[0, 1] < -0.999


def test_the_layers_of_the_chosen_model_are_shown(playground):
    make_run(playground.runs / "small")
    page = playground.open()
    draw(page)
    wait_for(page, "#draw-layers", "conv2")
    assert page.locator(".draw-layer").count() == 9
    assert page.get_by_role("img", name="16 maps of 7×7 of layer pool").count() == 1
    page.locator("#draw-model").select_option("run/small")
    wait_for(page, "#draw-image-caption", "8×8 pixels")
    wait_for(page, "#draw-layers", "4×4")
    assert page.locator(".draw-layer").count() == 4
    assert page.locator("#draw-labels").is_hidden()
    assert "28×28 digits" in page.locator("#draw-correct-reason").text_content()


def test_another_tab_adds_a_run_and_uses_it(playground):
    page = playground.open("train")
    make_run(playground.runs / "mine")
    page.evaluate(
        """document.dispatchEvent(new CustomEvent("use-model", { detail: { name: "run/mine" } }))"""
    )
    page.wait_for_function("() => document.getElementById('draw-model').value === 'run/mine'")
    assert page.get_by_role("tab", name="Draw").get_attribute("aria-selected") == "true"
    make_run(playground.runs / "other <img src=x>")  # names are never HTML
    page.evaluate("document.dispatchEvent(new CustomEvent('models-changed'))")
    page.locator("#draw-model option", has_text="other").wait_for(state="attached")
    assert page.locator("#draw-model").input_value() == "run/mine"


def test_using_a_model_shows_the_top_of_the_tab(playground):
    make_run(playground.runs / "mine", weights="last.safetensors")
    page = playground.open(viewport={"width": 360, "height": 780})
    page.locator("#draw-model option", has_text="mine (DigitsCNN, digits, not finished)").wait_for(
        state="attached"
    )
    page.evaluate("scrollTo(0, 500)")
    page.evaluate(
        """document.dispatchEvent(new CustomEvent("use-model", { detail: { name: "run/mine" } }))"""
    )
    assert page.evaluate("scrollY") == 0
    assert focused(page) == "tab-draw"


def test_a_broken_run_is_listed_with_the_reason(playground):
    make_run(playground.runs / "half")
    (playground.runs / "half" / "config.json").write_text("{")
    page = playground.open()
    page.get_by_text("1 run cannot be used").click()
    assert page.get_by_text("cannot parse the file as JSON").is_visible()


def test_a_correction_is_saved_and_removed(playground):
    page = playground.open()
    save = page.get_by_role("button", name="Save correction")
    assert save.is_disabled()
    draw(page)
    wait_for(page, "#draw-answer", "7")
    page.get_by_role("button", name="1", exact=True).click()
    save.click()
    wait_for(page, "#draw-saved", "Saved as 1 (1 in all).")
    found = train.load(playground.runs / "corrections.safetensors")
    assert found["labels"].tolist() == [1]
    assert found["images"].max() == 255
    page.evaluate(
        """document.addEventListener("train-corrections",
             (event) => { document.title = event.detail.model; })"""
    )
    page.get_by_role("button", name="Train on the corrections").click()
    assert page.title() == "bundled"
    assert page.get_by_role("tab", name="Train").get_attribute("aria-selected") == "true"
    page.get_by_role("tab", name="Draw").click()
    page.get_by_role("button", name="Remove last correction").click()
    page.wait_for_function("() => !document.getElementById('draw-saved').textContent")
    assert not (playground.runs / "corrections.safetensors").exists()


def test_the_graph_follows_the_drawing(playground):
    page = playground.open()
    page.get_by_role("button", name="Show the graph").click()
    frame = page.frame_locator("#draw-graph")
    frame.locator("body.embedded #graph svg").wait_for()
    first = page.locator("#draw-graph").get_attribute("data-address")
    draw(page)
    page.wait_for_function(
        "first => document.getElementById('draw-graph').dataset.address !== first", arg=first
    )
    frame.locator("body.embedded #graph svg").wait_for()
    page.get_by_role("button", name="Hide the graph").click()
    assert page.locator("#draw-graph").is_hidden()


def test_a_server_that_is_down_is_reported_until_it_answers(playground):
    page = playground.open()
    wait_for(page, "#draw-model", "Bundled")
    playground.stop()
    draw(page)
    wait_for(page, "#draw-error", "The playground is not responding.")
    assert page.locator("#draw-answer").text_content() == "?"
    playground.start()
    wait_for(page, "#draw-answer", "7")
    assert page.locator("#draw-error").is_hidden()
    playground.problems[:] = [p for p in playground.problems if "net::ERR_" not in p]


def test_a_slow_server_is_reported_until_it_answers(playground):
    go_on = threading.Event()
    playground.app.before_request(
        lambda: go_on.wait(10) and None if request.path == "/api/predict" else None
    )
    page = playground.open()
    draw(page)
    wait_for(page, "#draw-error", "The playground is slow.")
    go_on.set()
    wait_for(page, "#draw-answer", "7")
    assert page.locator("#draw-error").is_hidden()


@pytest.mark.parametrize("width", [1024, 1440])
def test_errors_and_warnings_move_nothing(playground, width):
    page = playground.open(viewport={"width": width, "height": 900})
    wait_for(page, "#draw-model", "Bundled")
    tops = "() => ['canvas', 'layers-title'].map((name) => " + (
        "document.getElementById(`draw-${name}`).getBoundingClientRect().top + scrollY)"
    )
    before = page.evaluate(tops)
    draw(page, [(0.1, 0.4), (0.9, 0.5), (0.1, 0.6), (0.9, 0.7)])
    wait_for(page, "#draw-warnings", "Low confidence")
    assert page.evaluate(tops) == before
    playground.stop()
    draw(page)
    wait_for(page, "#draw-error", "The playground is not responding.")
    wait_for(page, "#draw-confidence", "No answer.")
    assert page.evaluate(tops) == before
    page.locator("#draw-clear").click()
    assert page.locator("#draw-error").is_hidden()
    playground.problems[:] = [p for p in playground.problems if "net::ERR_" not in p]


def test_all_controls_are_reached_by_keyboard(playground):
    page = playground.open()
    draw(page)
    wait_for(page, "#draw-spoken", "Read as 7")
    page.locator("#draw-model").focus()
    reached = []
    for _ in range(16):
        page.keyboard.press("Tab")
        reached.append(focused(page))
    first = ["draw-canvas", "draw-undo", "draw-clear", "draw-width", "draw-file"]
    assert reached == [*first, *"0123456789", "draw-graph-button"]
    page.get_by_role("button", name="3", exact=True).press("Space")
    for _ in range(7):  # past the other digits
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "draw-save"
    page.keyboard.press("Enter")
    wait_for(page, "#draw-saved", "Saved as 3 (1 in all).")
    assert focused(page) == "0"  # the first digit; the button pressed is disabled
    page.locator("#draw-remove").press("Enter")
    page.wait_for_function("() => document.getElementById('draw-remove').hidden")
    assert focused(page) == "0"
    for name in ("clear", "undo", "undo"):
        page.locator(f"#draw-{name}").press("Enter")
    assert focused(page) == "draw-canvas"
    assert page.locator("#draw-undo").is_disabled()


@pytest.mark.parametrize(
    ("name", "scheme", "layer"), [("bundled", "light", "fc2"), ("run/clothes", "dark", "fc3")]
)
def test_a_phone_shows_all_without_scrolling_sideways(playground, name, scheme, layer):
    make_run(playground.runs / "clothes", model="LeNet", data="fashion-mnist")
    page = playground.open(viewport={"width": 360, "height": 780}, color_scheme=scheme)
    page.locator("#draw-model").select_option(name)
    draw(page)
    wait_for(page, "#draw-layers", layer)
    page.get_by_role("button", name="Show the graph").click()
    page.frame_locator("#draw-graph").locator("body.embedded").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    # The answer is on the first screen, below the sheet.
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#draw-answer").bounding_box()
    assert box["y"] + box["height"] < 780
