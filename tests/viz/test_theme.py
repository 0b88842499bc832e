"""Colors are readable in light and dark, and text widths hold for other fonts."""

import itertools

import pytest

from tests.tools import each
from tinygrad_np.viz import theme

STYLES = [*theme.STYLES.values(), *theme.FRAMES, *theme.SWEEP_FRAMES.values(), *theme.SCALE]


def luminance(color):
    """Return the relative luminance of WCAG 2."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@each("style", STYLES)
def test_text_has_the_contrast_of_wcag_aa(style):
    assert contrast(theme.TEXT[0], style.fill) >= 4.5
    assert contrast(theme.TEXT[1], style.dark_fill) >= 4.5


@each("style", [*theme.FRAMES, *theme.SWEEP_FRAMES.values()])
def test_arrow_labels_have_the_contrast_of_wcag_aa(style):
    assert contrast(theme.MUTED[0], style.fill) >= 4.5
    assert contrast(theme.MUTED[1], style.dark_fill) >= 4.5


def test_each_light_color_has_one_dark_color():
    pairs = {(s.fill, s.dark_fill) for s in STYLES} | {(s.border, s.dark_border) for s in STYLES}
    assert theme.dark_colors().items() >= pairs
    assert len({light for light, _ in pairs}) == len(pairs)


def test_widths_grow_with_size_weight_and_length():
    width = theme.text_width("conv1: Conv2d", 10)
    assert theme.text_width("conv1: Conv2d", 20) == pytest.approx(2 * width, rel=0.05)
    assert theme.text_width("conv1: Conv2d", 10, bold=True) > width
    widths = [theme.text_width("x" * n, 10) for n in range(1, 5)]
    assert all(one < other for one, other in itertools.pairwise(widths))
