"""Draw a digit in the playground and save a screenshot for the README.

python -m tests.browser.screenshot

It writes examples/images/playground.png.
"""

import io
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.browser.conftest import CHROMIUM, FLAGS, Playground
from tinygrad_np.files import write_bytes

PICTURE = Path(__file__).parents[2] / "examples" / "images" / "playground.png"
# Two bows, clockwise from the upper left to the lower left.
BOWS = [(0.48, 0.335, 0.15, -2.6, 1.5), (0.48, 0.64, 0.18, -1.5, 2.6)]
THREE = [
    (x + radius * np.cos(angle), y + radius * np.sin(angle))
    for x, y, radius, start, end in BOWS
    for angle in np.linspace(start, end, 40)
]


def main():
    """Start a playground, draw a three, and save what the window shows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        playground = Playground(browser, Path(folder))
        page = playground.open(viewport={"width": 1200, "height": 1000}, device_scale_factor=1.5)
        box = page.locator("#draw-canvas").bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in THREE]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()
        page.mouse.move(0, 0)
        page.locator("#draw-layers canvas").first.wait_for()
        page.wait_for_load_state("networkidle")
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        playground.close()
        browser.close()
    packed = io.BytesIO()
    picture.quantize(128).save(packed, "PNG", optimize=True)
    write_bytes(PICTURE, packed.getvalue())
    print(f"{PICTURE}: {len(packed.getvalue()) / 1000:.0f} KB")


if __name__ == "__main__":
    main()
