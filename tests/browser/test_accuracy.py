"""Real digits of MNIST, drawn on the sheet with the mouse and read by MnistCNN."""

import numpy as np
import pytest

from tinygrad_np import data, train
from tinygrad_np.cli.config import RunConfig

pytestmark = [pytest.mark.browser, pytest.mark.slow]


PAGES = 4  # drawn on in turn, so that waits for one are spent on the others


def strokes(image):
    """Return the runs of ink in the rows of an image as zigzag strokes, with points from 0 to 1.

    A stroke goes on in the next row where the ink does.
    """
    open_strokes, found = [], []
    for row, ink in enumerate(image > 100):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], ink, [False]]).astype(int)))
        y, above, open_strokes = (row + 0.5) / 28, open_strokes, []
        for start, end in edges.reshape(-1, 2):
            points = [((start + 0.5) / 28, y), ((end - 0.5) / 28, y)]
            touching = [one for one in above if one[0] < end and start < one[1]]
            if touching:
                above.remove(touching[0])
                stroke = touching[0][2]
                stroke += points[::-1] if len(stroke) % 4 else points
            else:
                found.append(stroke := points)
            open_strokes.append((start, end, stroke))
    return found


def draw(page, image):
    box = page.locator("#draw-canvas").bounding_box()
    for first, *rest in strokes(image):
        page.mouse.move(box["x"] + first[0] * box["width"], box["y"] + first[1] * box["height"])
        page.mouse.down()
        for x, y in rest:
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.mouse.up()


def test_digits_of_mnist_are_read(playground, mnist_cnn):
    run = playground.runs / "trained"
    run.mkdir(parents=True)
    RunConfig(model="MnistCNN").write(run / "config.json")
    train.save(run / "model.safetensors", mnist_cnn.state_dict())
    pages = [playground.open() for _ in range(PAGES)]
    for page in pages:
        page.locator("#draw-model").select_option("run/trained")
        page.get_by_label("Brush").fill("4")
        page.locator("#draw-canvas").scroll_into_view_if_needed()
    _, test_set = data.mnist()
    right = 0
    for start in range(0, 100, PAGES):
        part = slice(start, start + PAGES)
        for page, image in zip(pages, test_set.images[part, 0], strict=True):
            draw(page, image)
        for page, label in zip(pages, test_set.labels[part], strict=True):
            page.locator("#draw-spoken", has_text="Read as").wait_for()
            right += page.locator("#draw-answer").text_content() == str(label)
            page.get_by_role("button", name="Clear").click()
        for page in pages:
            page.locator("#draw-spoken:empty").wait_for(state="attached")
    assert right >= 95, f"{right} of 100 digits were read correctly"
