"""Real digits of MNIST, drawn on the sheet with the mouse and read by MnistCNN."""

import numpy as np
import pytest

from tinygrad_np import data, train
from tinygrad_np.cli.config import RunConfig

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def strokes(image):
    """Return the horizontal runs of ink in an image, as points from 0 to 1."""
    found = []
    for row, ink in enumerate(image > 100):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], ink, [False]]).astype(int)))
        for start, end in edges.reshape(-1, 2):
            y = (row + 0.5) / 28
            found.append([((start + 0.5) / 28, y), ((end - 0.5) / 28, y)])
    return found


def test_digits_of_mnist_are_read(playground, mnist_cnn):
    run = playground.runs / "trained"
    run.mkdir(parents=True)
    RunConfig(model="MnistCNN").write(run / "config.json")
    train.save(run / "model.safetensors", mnist_cnn.state_dict())
    page = playground.open()
    page.locator("#draw-model").select_option("run/trained")
    page.get_by_label("Brush").fill("4")
    page.locator("#draw-canvas").scroll_into_view_if_needed()
    box = page.locator("#draw-canvas").bounding_box()
    _, test_set = data.mnist()
    right = 0
    for image, label in zip(test_set.images[:100, 0], test_set.labels[:100], strict=True):
        for start, end in strokes(image):
            for (x, y), act in ((start, page.mouse.down), (end, page.mouse.up)):
                page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
                act()
        page.locator("#draw-spoken", has_text="Read as").wait_for()
        right += page.locator("#draw-answer").text_content() == str(label)
        page.get_by_role("button", name="Clear").click()
        page.locator("#draw-spoken:empty").wait_for(state="attached")
    assert right >= 95
