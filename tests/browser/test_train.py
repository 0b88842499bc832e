"""The Train tab in Chromium: runs on digits and points, from the form to the result."""

import itertools
import json
import re
from contextlib import suppress

import numpy as np
import pytest

from tests.playground.test_library import make_run
from tinygrad_np import train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.playground.corrections import Corrections

with suppress(ImportError):  # without playwright, the fixture `browser` skips or fails the test
    from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SECONDS = 30_000

# The place of an element on the page, wherever the page is scrolled to.
TOP = "element => Math.round(element.getBoundingClientRect().top + scrollY)"


@pytest.fixture
def tab(playground):
    """Return a function that opens the Train tab with a filled form; at the end, stop its run."""

    def open_tab(data=None, settings=(), **options):
        page = playground.open("train", **options)
        page.wait_for_selector("#train-data")
        if data is not None:
            page.select_option("#train-data", data)
        for name, value in dict(settings).items():
            page.fill(f"#train-{name}", str(value))
        return page

    yield open_tab
    playground.app.extensions["training"].close()


def start(page, status="running"):
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#train-status")).to_have_text(status, timeout=SECONDS)


def expect_status(page, status):
    expect(page.locator("#train-status")).to_have_text(status, timeout=SECONDS)


def curve_length(page):
    """Return the number of points of the training loss."""
    return page.locator("#train-loss path.training").get_attribute("d").count("L") + 1


def wait_for_curve(page, length):
    page.wait_for_function(
        "n => (document.querySelector('#train-loss path.training')?.getAttribute('d') ?? '')"
        ".split('L').length > n",
        arg=length,
        timeout=SECONDS,
    )


def wait_for_step(page, step):
    page.wait_for_function(
        "n => document.querySelector('#train-progress').value >= n", arg=step, timeout=SECONDS
    )


def test_digits_are_trained_paused_stopped_and_used(tab, playground):
    page = tab("digits", {"epochs": 2000})
    start(page)
    wait_for_curve(page, 3)
    before = curve_length(page)
    wait_for_curve(page, before)
    page.get_by_role("button", name="Pause").click()
    expect_status(page, "paused")
    step = page.locator("#train-progress").evaluate("bar => bar.value")
    expect(page.locator("#train-digits figure")).to_have_count(12)
    read = page.locator("#train-digits figure .read").all_inner_texts()
    assert all(text[-1] in "✓✗" for text in read)
    assert f"{sum('✓' in text for text in read)} of 12 correct" in page.inner_text("#train-right")
    page.get_by_role("button", name="Continue").click()
    expect_status(page, "running")
    wait_for_step(page, step + 1)
    expect(page.locator("#train-matrix td")).to_have_count(100, timeout=SECONDS)
    page.get_by_role("button", name="Stop").click()
    expect_status(page, "stopped")
    command = page.inner_text("#train-command")
    assert command == f"python -m tinygrad_np train --resume {playground.runs / 'LeNet-digits'}"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download weights").click()
    assert download.value.suggested_filename == "LeNet-digits.safetensors"
    assert train.load(download.value.path())
    page.get_by_role("button", name="Use in Draw").click()
    expect(page.get_by_role("tab", name="Draw")).to_have_attribute("aria-selected", "true")


def test_finished_run_shows_its_accuracy_and_trains_on(tab):
    page = tab("digits", {"epochs": 1, "train_samples": 300})
    page.select_option("#train-schedule", "constant")
    start(page, "finished")
    expect(page.locator("#train-score")).to_contain_text("correct on 359 test images")
    page.get_by_role("button", name="Train 1 more epoch").click()
    expect(page.locator("#train-facts")).to_contain_text("2 of 2", timeout=SECONDS)
    expect_status(page, "finished")
    page.get_by_text("Resume an earlier run").click()
    page.get_by_label("Total epochs").fill("3")
    page.get_by_role("button", name="Resume", exact=True).last.click()
    expect(page.locator("#train-facts")).to_contain_text("3 of 3", timeout=SECONDS)


def picture(page):
    return page.locator("#train-canvas").evaluate("canvas => canvas.toDataURL()")


def test_decision_boundary_of_two_moons_moves(tab):
    page = tab("moons", {"epochs": 10_000, "hidden": "8, 8"})
    start(page)
    wait_for_curve(page, 1)
    first = picture(page)
    page.wait_for_function(
        "first => document.querySelector('#train-canvas').toDataURL() !== first",
        arg=first,
        timeout=SECONDS,
    )
    expect(page.locator("#train-legend")).to_contain_text("upper moon")
    expect(page.locator("#train-matrix td")).to_have_count(4, timeout=SECONDS)
    expect(page.locator("#train-samples")).to_be_hidden()
    page.get_by_role("button", name="Stop").click()
    expect_status(page, "stopped")
    expect(page.get_by_role("button", name="Use in Draw")).to_be_hidden()


def expect_texts_apart(page):
    """Check that all texts of the charts are inside their picture and do not overlap."""
    for chart in page.locator("svg.chart").all():
        boxes = chart.evaluate(
            """svg => [svg, ...svg.querySelectorAll("text")].map(one => {
              const { left, right, top, bottom } = one.getBoundingClientRect();
              return [left, right, top, bottom];
            })"""
        )
        (left, right, top, bottom), *texts = boxes
        assert texts
        for text in texts:
            assert left <= text[0] <= text[1] <= right, text
            assert top <= text[2] <= text[3] <= bottom, text
        for a, b in itertools.combinations(texts, 2):
            assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] + 2 or b[3] <= a[2] + 2, (a, b)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("high", [2.5e-7, 8e5, 7.3e20])
def test_long_runs_and_high_losses_have_room_for_their_labels(tab, width, high):
    page = tab(viewport={"width": width, "height": 800})
    page.evaluate(
        """async high => {
          const { lineChart } = await import("/static/chart.js");
          const box = document.querySelector("#train-loss");
          box.replaceChildren();
          const show = lineChart(box, { title: "Loss", xTitle: "step" });
          const points = [[1, 1], [80000, high]];
          show([{ name: "training", className: "training", points }], 80000);
        }""",
        high,
    )
    expect_texts_apart(page)


def test_divergence_is_explained(tab):
    page = tab("digits", {"lr": 1e6})
    page.select_option("#train-optimizer", "sgd")
    assert float(page.input_value("#train-lr")) == 1e6
    start(page, "failed")
    expect(page.get_by_role("alert")).to_have_text(re.compile("^The .* smaller learning rate.$"))
    expect(page.locator("#train-digits .read").first).to_have_text("– ✗")
    expect(page.locator("#train-right")).to_have_text("The outputs are not finite.")
    expect_texts_apart(page)
    assert all("yet" not in text for text in page.locator(".chart text").all_text_contents())
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


def test_reload_and_second_page_show_the_running_training(tab):
    page = tab("moons", {"epochs": 10_000})
    start(page)
    wait_for_curve(page, 2)
    other = tab()
    page.reload()
    for one in (page, other):
        expect_status(one, "running")
        wait_for_curve(one, 2)
        expect(one.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    other.get_by_role("button", name="Stop").click()
    expect_status(page, "stopped")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", "1000000000", "Expected at most 10,000, got 1,000,000,000."),
        ("train_samples", "5", "Expected at least 100, got 5."),
        ("lr", "-1", "Expected a finite number > 0, got -1."),
        ("epochs", "0", "Expected an integer >= 1, got 0."),
        ("hidden", "16, x", "Enter numbers separated by commas"),
        ("hidden", "0", "Expected 1 to 8 layers"),
    ],
)
def test_errors_are_shown_at_their_field(tab, playground, name, value, words):
    page = tab("moons", {name: value})
    page.get_by_role("button", name="Start", exact=True).click()
    field = page.locator(f"#train-{name}")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#train-{name}-error")).to_have_text(re.compile(f"^{words}"))
    assert field.evaluate("input => input === document.activeElement")
    # Chromium reports each answer with an error status.
    playground.problems[:] = [text for text in playground.problems if "400" not in text]


def test_models_and_fields_follow_the_data(tab):
    page = tab()
    offered = "#train-model option"
    assert "DigitsCNN" in page.locator(offered).all_inner_texts()
    page.select_option("#train-data", "spirals")
    assert page.locator(offered).all_inner_texts() == ["MLP"]
    expect(page.locator("#train-hidden")).to_be_visible()
    expect(page.locator("#train-augmentation")).to_be_hidden()
    page.select_option("#train-data", "digits")
    expect(page.locator("#train-hidden")).to_be_hidden()
    page.select_option("#train-optimizer", "sgd")
    assert page.get_attribute("#train-lr", "placeholder") == "0.05"


def test_typed_rate_is_kept_and_that_of_a_preset_is_not(tab):
    page = tab("spirals")
    assert page.input_value("#train-lr") == "0.005"
    page.select_option("#train-optimizer", "sgd")
    assert page.input_value("#train-lr") == ""
    page.select_option("#train-data", "digits")
    page.fill("#train-lr", "0.02")
    page.select_option("#train-optimizer", "sgd")
    page.select_option("#train-model", "DigitsCNN")
    assert page.input_value("#train-lr") == "0.02"


def test_charts_are_read_by_keyboard(tab):
    page = tab("digits", {"epochs": 1})
    start(page, "finished")
    page.locator("#train-loss svg").focus()
    page.keyboard.press("End")
    expect(page.locator("#train-loss .reading")).to_contain_text("step 41: training")
    page.keyboard.press("Home")
    expect(page.locator("#train-loss .reading")).to_contain_text("step 1: training")


def test_corrections_prepare_a_fine_tuning(tab, playground):
    playground.runs.mkdir(parents=True)
    corrections = Corrections(playground.runs / "corrections.safetensors")
    corrections.add(np.ones((1, 28, 28), np.uint8), 3)
    page = tab()
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('train-corrections',"
        " { detail: { model: 'bundled' } }))"
    )
    expect(page.get_by_label("Add my correction")).to_be_checked()
    assert page.input_value("#train-weights_of") == "bundled"
    assert page.input_value("#train-model") == "MnistCNNLight"
    assert page.input_value("#train-epochs") == "3"
    start(page, "finished")
    corrections.add(np.ones((1, 28, 28), np.uint8), 3)
    page.reload()
    expect(page.get_by_label("Add my 2 corrections")).to_be_visible()


def test_alert_of_a_failure_is_written_once(tab, playground):
    page = tab("digits", {"epochs": 10_000})
    page.evaluate(
        """() => {
          window.written = [];
          new MutationObserver(() => written.push(document.querySelector("#train-message")
            .textContent)).observe(document.querySelector("#train-message"), { childList: true });
        }"""
    )
    page.route(
        "**/api/training/pause", lambda route: route.fulfill(status=409, json={"error": "x"})
    )
    start(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("alert")).to_have_text("x")
    step = page.locator("#train-progress").evaluate("bar => bar.value")
    wait_for_step(page, step + 1)
    expect(page.get_by_role("alert")).to_have_text("x")
    assert [text for text in page.evaluate("written") if text] == ["x"]
    page.get_by_role("button", name="Stop").click()
    expect_status(page, "stopped")
    page.select_option("#train-optimizer", "sgd")
    page.fill("#train-lr", "1e6")
    page.evaluate("written.length = 0")
    start(page, "failed")
    expect(page.get_by_role("alert")).to_contain_text("smaller learning rate")
    assert len([text for text in page.evaluate("written") if text]) == 1
    playground.problems[:] = [text for text in playground.problems if "409" not in text]


def focused(page):
    return page.evaluate("document.activeElement.id")


def test_focus_stays_at_the_run(tab):
    page = tab("moons", {"epochs": 10_000})
    page.select_option("#train-schedule", "constant")
    page.locator("#train-start").press("Enter")
    expect_status(page, "running")
    assert focused(page) == "train-name"
    page.locator("#train-pause").press("Enter")
    expect_status(page, "paused")
    assert focused(page) == "train-pause"
    page.locator("#train-stop").press("Enter")
    expect_status(page, "stopped")
    assert focused(page) == "train-name"
    page.locator("#train-resume").press("Enter")
    expect_status(page, "running")
    assert focused(page) == "train-name"


@pytest.mark.parametrize("width", [1440, 1024])
def test_curves_do_not_move_during_a_run(tab, width):
    page = tab("digits", {"epochs": 2000}, viewport={"width": width, "height": 900})
    curves, pause = page.locator("#train-curves"), page.locator("#train-pause")
    page.wait_for_selector("#train-facts dd")
    places, widths = [], []
    start(page)
    wait_for_curve(page, 2)
    places.append(curves.evaluate(TOP))
    widths.append(pause.bounding_box()["width"])
    pause.click()
    expect_status(page, "paused")
    widths.append(pause.bounding_box()["width"])
    page.get_by_role("button", name="Stop").click()
    expect_status(page, "stopped")
    places.append(curves.evaluate(TOP))
    page.fill("#train-epochs", "1")
    start(page, "finished")
    places.append(curves.evaluate(TOP))
    assert len(set(places)) == len(set(widths)) == 1, (places, widths)
    tops = page.locator("#train-facts dt").evaluate_all("all => all.map(one => one.offsetTop)")
    assert len(set(tops)) == {1440: 1, 1024: 2}[width]


def test_a_run_that_is_over_before_its_first_event_is_offered(tab, playground):
    page = tab("moons")
    expect(page.locator("#train-weights_of")).to_be_hidden()
    options = {"inputs": 2, "hidden": [4], "classes": 2}
    make_run(playground.runs / "short", model="MLP", data="moons", model_options=options)
    config = {"model": "MLP", "data": "moons", "optimizer": "adam", "lr": 0.003, "epochs": 1}
    config |= {"schedule": "cosine", "batch_size": 32}
    playground.app.extensions["training"].feed.restart(
        status="finished",
        name="short",
        config=config,
        can_extend=False,
        commands={"resume": "", "evaluate": ""},
    )
    expect(page.locator("#train-weights_of")).to_be_visible()


def test_weights_bring_the_hidden_layers(tab):
    page = tab("moons", {"epochs": 1, "hidden": "5, 4"})
    start(page, "finished")
    page.fill("#train-hidden", "7")
    page.select_option("#train-weights_of", "run/MLP-moons")
    expect(page.locator("#train-hidden")).to_be_disabled()
    assert page.input_value("#train-hidden") == "5, 4"
    page.locator("#train-start").click()
    expect(page.locator("#train-name")).to_have_text("MLP-moons-2")
    expect_status(page, "finished")
    page.select_option("#train-weights_of", "")
    assert page.input_value("#train-hidden") == "7"


def test_phone_keeps_the_buttons_in_sight(tab):
    page = tab("digits", {"epochs": 2000}, viewport={"width": 360, "height": 780})
    start(page)
    expect(page.locator("#train-confusion")).to_be_visible(timeout=SECONDS)
    page.locator("#train-confused").scroll_into_view_if_needed()
    expect(page.locator("#train-pause")).to_be_in_viewport()
    expect(page.locator("#train-stop")).to_be_in_viewport()


@pytest.mark.parametrize("data", ["digits", "moons"])
def test_phone_needs_no_horizontal_scrolling(tab, data):
    page = tab(data, {"epochs": 1}, viewport={"width": 360, "height": 780})
    start(page, "finished")
    expect(page.locator("#train-confusion")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_interrupted_run_is_offered_first(tab, playground):
    for name, fault in (("old", ""), ("cut", None), ("bad", "nan")):
        folder = playground.runs / name
        folder.mkdir(parents=True)
        config = RunConfig(data="digits", model="LeNet", schedule="constant")
        config.write(folder / "config.json")
        for file in ("model", "training"):
            (folder / f"{file}.safetensors").touch()
        if fault is not None:
            metrics = {"fault": fault, "test_accuracy": None if fault else 0.5, "epochs": 1}
            (folder / "metrics.json").write_text(json.dumps({**metrics, "config": {}}))
    page = tab()
    expect(page.get_by_text("Resume an earlier run: cut is not finished")).to_be_visible()
    expect(page.locator("#train-run")).to_be_visible()
    runs = page.locator("#train-run option").all_inner_texts()
    assert runs[0] == "cut (not finished)"
    assert sorted(runs[1:]) == ["bad (diverged)", "old"]
    page.locator("#train-run").select_option("old")
    expect(page.locator("#train-run-note")).to_have_text("Planned: 3 epochs.")


def test_lost_connection_is_reported(tab, playground):
    page = tab("moons", {"epochs": 10_000})
    start(page)
    expect(page.locator("#train-lost")).to_be_hidden()
    playground.app.extensions["training"].feed.close()
    playground.stop()
    expect(page.locator("#train-lost")).to_be_visible(timeout=SECONDS)
    expect_status(page, "disconnected")
    for name in ("pause", "stop"):
        expect(page.locator(f"#train-{name}")).to_be_disabled()
    playground.problems[:] = [text for text in playground.problems if "ERR_" not in text]
