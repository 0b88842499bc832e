"""The Train tab in Chromium: runs on digits and points, from the form to the result."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tinygrad_np import train
from tinygrad_np.playground.corrections import Corrections

pytestmark = pytest.mark.browser

SECONDS = 30_000


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
    assert f"{sum('✓' in text for text in read)} of 12 right" in page.inner_text("#train-right")
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
    expect(page.locator("#train-score")).to_contain_text("right on 359 test images")
    page.get_by_role("button", name="Train 1 more epoch").click()
    expect(page.locator("#train-facts")).to_contain_text("2 of 2", timeout=SECONDS)
    expect_status(page, "finished")
    page.get_by_text("Resume an earlier run").click()
    page.get_by_label("Epochs in all").fill("3")
    page.get_by_role("button", name="Resume", exact=True).last.click()
    expect(page.locator("#train-facts")).to_contain_text("3 of 3", timeout=SECONDS)


def picture(page):
    return page.locator("#train-canvas").evaluate("canvas => canvas.toDataURL()")


def test_decision_boundary_of_two_moons_moves(tab):
    page = tab("moons", {"epochs": 20_000, "hidden": "8, 8"})
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


def test_divergence_is_explained(tab):
    page = tab("digits", {"lr": 1e6})
    page.select_option("#train-optimizer", "sgd")
    assert page.input_value("#train-lr") == ""  # the rate of another optimizer
    page.fill("#train-lr", "1e6")
    start(page, "failed")
    expect(page.get_by_role("alert")).to_contain_text("Try a smaller learning rate")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


def test_reload_and_second_page_show_the_running_training(tab):
    page = tab("moons", {"epochs": 100_000})
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
        ("lr", "-1", "Learning rate: expected a finite number > 0, got -1."),
        ("epochs", "0", "Epochs: expected an integer >= 1, got 0."),
        ("hidden", "16, x", "Enter numbers separated by commas"),
        ("hidden", "0", "expected 1 to 8 layers"),
    ],
)
def test_errors_are_shown_at_their_field(tab, playground, name, value, words):
    page = tab("moons", {name: value})
    page.get_by_role("button", name="Start", exact=True).click()
    field = page.locator(f"#train-{name}")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#train-{name}-error")).to_contain_text(words)
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
    corrections.add(np.zeros((1, 28, 28), np.uint8), 3)
    page = tab()
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('train-corrections',"
        " { detail: { model: 'bundled' } }))"
    )
    expect(page.get_by_label("Add my 1 correction")).to_be_checked()
    assert page.input_value("#train-weights_of") == "bundled"
    assert page.input_value("#train-model") == "MnistCNNLight"
    assert page.input_value("#train-epochs") == "3"
    start(page, "finished")


@pytest.mark.parametrize("data", ["digits", "moons"])
def test_phone_needs_no_horizontal_scrolling(tab, data):
    page = tab(data, {"epochs": 1}, viewport={"width": 360, "height": 780})
    start(page, "finished")
    expect(page.locator("#train-confusion")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_lost_connection_is_reported(tab, playground):
    page = tab()
    expect(page.locator("#train-lost")).to_be_hidden()
    playground.app.extensions["training"].feed.close()
    playground.stop()
    expect(page.locator("#train-lost")).to_be_visible(timeout=SECONDS)
    playground.problems[:] = [text for text in playground.problems if "ERR_" not in text]
