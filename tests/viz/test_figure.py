"""Figures display in notebooks, keep their texts inside, and draw images and maps faithfully."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.tools import each
from tests.viz.tools import arrays_of, check_layout, drawn_texts
from tinygrad_np import Tensor, data, viz
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.viz.figure import as_images, inputs_of, panels

pytestmark = pytest.mark.slow


def test_figures_display_as_png_and_are_unknown_to_pyplot():
    """Pyplot would display its figures a second time at the end of a cell."""
    figure = viz.images(np.zeros((2, 3, 3)))
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []


def test_notebook_formatters_give_one_picture():
    """IPython takes `_repr_png_` without, and its own formatter with, `%matplotlib inline`."""
    formatters = pytest.importorskip("IPython.core.formatters")
    formatter = formatters.DisplayFormatter()
    figure = viz.images(np.zeros((1, 3, 3)))
    given, _ = formatter.format(figure)
    assert sorted(given) == ["image/png", "text/plain"]
    formatter.formatters["image/png"].for_type(plt.Figure, lambda figure: b"inline")
    given, _ = formatter.format(figure)
    assert given["image/png"] == b"inline"


def test_long_titles_stay_inside():
    title = "A title that is much longer than three small images are wide, whatever the font"
    check_layout(viz.images(np.zeros((3, 4, 4)), title=title))
    check_layout(viz.images(np.zeros((4, 4)), title=title))


def test_title_keeps_a_distance_from_the_edge():
    figure = viz.images(np.zeros((3, 4, 4)), title="title")
    (box,) = (box for text, box in drawn_texts(figure).items() if text.get_text() == "title")
    assert figure.bbox.y1 - box.y1 >= 3


@each(
    ("shape", "expected"),
    [
        ((8, 9), (1, 1, 8, 9)),
        ((5, 8, 9), (5, 1, 8, 9)),
        ((1, 8, 9), (1, 1, 8, 9)),
        ((3, 8, 9), (1, 3, 8, 9)),
        ((8, 9, 3), (1, 3, 8, 9)),
        ((8, 9, 4), (1, 4, 8, 9)),
        ((5, 1, 8, 9), (5, 1, 8, 9)),
        ((5, 3, 8, 9), (5, 3, 8, 9)),
        ((5, 8, 9, 1), (5, 1, 8, 9)),
        ((5, 8, 9, 3), (5, 3, 8, 9)),
    ],
)
def test_images_have_channels_first(shape, expected):
    pixels = np.arange(np.prod(shape)).reshape(shape)
    found = as_images("images", pixels)
    assert found.shape == expected
    if shape[-1] in (3, 4):
        first = pixels if pixels.ndim == 3 else pixels[0]
        np.testing.assert_array_equal(found[0, 1], first[..., 1])
    else:
        np.testing.assert_array_equal(found.ravel(), pixels.ravel())


@each(
    ("value", "error", "message"),
    [
        (np.zeros((2, 5, 8, 9)), ShapeError, "with C in 1, 3 or 4, got (2, 5, 8, 9)."),
        (np.zeros(3), ShapeError, "expected images of shape (H, W), (N, H, W)"),
        (np.zeros((0, 4, 4)), ShapeError, "got (0, 4, 4)."),
        ("text", DtypeError, "images: expected `images` to contain numbers, got str of dtype <U4."),
        ([[1, 2], [3]], ShapeError, "images: expected `images` to be an array ("),
    ],
)
def test_other_arrays_are_errors(value, error, message):
    with pytest.raises(error) as raised:
        viz.images(value)
    assert message in str(raised.value)


def test_images_of_arrays_are_drawn_unchanged():
    gray = np.arange(8.0).reshape(2, 2, 2)
    for given in (gray, Tensor(gray), gray.tolist()):
        np.testing.assert_array_equal(arrays_of(viz.images(given)), gray)
    colors = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(arrays_of(viz.images(colors))[0], colors)
    (rescaled,) = arrays_of(viz.images(np.linspace(-1, 3, 12).reshape(3, 2, 2)))
    np.testing.assert_allclose(rescaled, np.linspace(0, 1, 12).reshape(3, 2, 2).transpose(1, 2, 0))
    assert len(arrays_of(viz.images(np.zeros((9, 2, 2)), count=4))) == 4
    with pytest.raises(ArgumentError, match=r"images: expected `count` to be an integer >= 1"):
        viz.images(gray, count=0)


def test_panels_without_negative_values_start_at_zero():
    rows = {"signed": np.array([[[-3.0, 1.0]]]), "relu": np.array([[[0.0, 1.0]], [[0.5, 0.0]]])}
    figure = panels(rows)
    limits = [image.get_clim() for axes in figure.axes for image in axes.images]
    assert limits == [(-3, 3), (0, 1), (0, 1)]
    shared = panels(rows, shared=True)
    assert {i.get_clim() for axes in shared.axes for i in axes.images} == {(-3, 3)}
    zero = [axes.images[0].to_rgba(0.0) for axes in figure.axes if axes.images]
    np.testing.assert_allclose(zero, [zero[0]] * 3, atol=0.01)
    assert min(zero[0]) > 0.95


def test_inputs_of_a_dataset_are_normalized():
    dataset = data.digits()[1]
    inputs, names = inputs_of("saliency", dataset.first(2))
    np.testing.assert_array_equal(inputs, dataset.batch(slice(2))[0])
    assert names == list(dataset.classes)
    assert inputs_of("saliency", np.zeros((1, 8, 8)))[0].shape == (1, 1, 8, 8)
    with pytest.raises(ShapeError, match=r"saliency: expected `images` of shape \(N, C, H, W\)"):
        inputs_of("saliency", np.zeros((8, 8)))
