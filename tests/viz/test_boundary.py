"""Decision boundaries: the grid of probabilities, and the figure."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

import models
from tests.tools import each
from tests.viz.tools import check_layout, drawn_texts
from tinygrad_np import Tensor, data, nn, train, viz
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.viz.boundary import CLASS_COLORS

pytestmark = pytest.mark.slow


class Halves(nn.Module):
    """Logits 0 and `slope` times x: class 1 is on the right."""

    def __init__(self, slope=4.0):
        self.slope = slope
        self.dropout = nn.Dropout(0.9)

    def forward(self, x):
        x = self.dropout(x)[:, :1, 0, 0] * self.slope
        return Tensor.cat([x * 0, x], dim=1)


def words_of(figure):
    """Return all texts that a figure shows."""
    return {text.get_text() for text in drawn_texts(figure)}


def points(xy, labels, classes=("left", "right")):
    """Return a dataset of points."""
    return data.ImageDataset(np.array(xy, np.float32)[:, :, None, None], np.array(labels), classes)


def test_grid_holds_probabilities_at_the_centers_of_cells():
    grid = viz.decision_grid(Halves(), (-2, 2, -1, 1), size=4)
    assert (grid.shape, grid.dtype, grid.flags.c_contiguous) == ((2, 4, 4), np.float32, True)
    right = 1 / (1 + np.exp(-4 * np.array([-1.5, -0.5, 0.5, 1.5])))
    np.testing.assert_allclose(grid[1], np.tile(right, (4, 1)), rtol=1e-5)
    np.testing.assert_allclose(grid.sum(axis=0), 1, rtol=1e-6)


def test_first_row_of_a_grid_is_at_the_top():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    model[1].weight.data[...] = [[0, 0], [0, 1]]  # class 1 where y is large
    model[1].bias.data[...] = 0
    grid = viz.decision_grid(model, (0, 1, -5, 3), size=8)
    assert (np.diff(grid[1], axis=0) < 0).all()
    assert grid[1][4, 0] == pytest.approx(1 / (1 + np.exp(1.5)), rel=1e-5)


def test_grid_restores_the_mode_and_casts_to_float32():
    model = Halves().astype(np.float64)
    assert viz.decision_grid(model, (-1, 1, -1, 1), 3).dtype == np.float32
    assert model.training
    assert model.dropout.training


@pytest.mark.parametrize("slope", [np.inf, np.nan])
def test_logits_that_are_not_finite_give_nan(slope):
    assert np.isnan(viz.decision_grid(Halves(slope), (-1, 1, -1, 1), 2)).any()
    with pytest.raises(ArgumentError, match="decision_boundary: expected finite logits, got nan"):
        viz.decision_boundary(Halves(slope), points([[-1, 0], [1, 0]], [0, 1]))


def test_figure_shows_classes_boundary_and_wrong_points():
    dataset = points([[-1, -1], [-1, 1], [1, -1], [1, 1], [0.5, 0]], [0, 0, 1, 1, 0])
    figure = viz.decision_boundary(Halves(), dataset, "halves")
    (axes,) = figure.axes
    (image,) = axes.get_images()
    pixels = image.get_array()
    # Far from the boundary, a mixture of paper and the color of the class; white on it.
    for column, color in ((0, CLASS_COLORS[0]), (-1, CLASS_COLORS[1])):
        assert np.argmin(pixels[0, column]) == np.argmin(to_rgb(color))
    assert pixels[0, 100].min() > 0.9
    assert image.get_extent() == pytest.approx((-1.3, 1.3, -1.3, 1.3), abs=1e-5)
    line, left, right, wrong = axes.collections
    (path,) = (one for one in line.get_paths() if len(one.vertices))
    np.testing.assert_allclose(path.vertices[:, 0], 0, atol=1e-5)
    assert left.get_offsets().tolist() == [[-1, -1], [-1, 1], [0.5, 0]]
    assert right.get_offsets().tolist() == [[1, -1], [1, 1]]
    assert wrong.get_offsets().tolist() == [[0.5, 0]]
    assert {"halves", "left", "right", "wrong prediction"} <= words_of(figure)
    check_layout(figure)


def test_figure_of_three_classes_normalizes_the_points():
    dataset = points([[-3, 0], [1, 4], [5, 0]], [0, 1, 2], ("a", "b", "c"))
    dataset = data.ImageDataset(dataset.images, dataset.labels, dataset.classes, mean=1.0, std=2.0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    model[1].weight.data[...] = [[-1, 0], [0, 1], [1, 0]]
    model[1].bias.data[...] = 0
    figure = viz.decision_boundary(model, dataset)
    assert "wrong prediction" not in words_of(figure)
    assert figure.axes[0].collections[2].get_offsets().tolist() == [[-2, -0.5]]


def test_report_of_points_shows_the_boundary_as_predictions(tmp_path):
    dataset = data.moons()[1]
    model = models.MLP(inputs=2, hidden=[4], classes=2)
    logits = train.predict(model, data.DataLoader(dataset))
    viz.report(tmp_path, model, dataset, logits, [{"train_loss": 1.0}])
    viz.save(viz.decision_boundary(model, dataset, "MLP on moons"), tmp_path / "expected.png")
    assert (tmp_path / "predictions.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


@each(
    ("call", "kind", "message"),
    [
        (
            lambda: viz.decision_grid(Halves(), (1, 0, 0, 1)),
            ArgumentError,
            r"`bounds` to be \(left, right, bottom, top\) .* got \(1, 0, 0, 1\)",
        ),
        (lambda: viz.decision_grid(Halves(), (0, np.inf, 0, 1)), ArgumentError, "`bounds`"),
        (lambda: viz.decision_grid(Halves(), 3), ArgumentError, "`bounds` .* got 3"),
        (
            lambda: viz.decision_grid(Halves(), (0, 1, 0, 1), 0),
            ArgumentError,
            "decision_grid: expected `size` to be an integer >= 1, got 0",
        ),
        (
            lambda: viz.decision_grid(len, (0, 1, 0, 1)),
            DtypeError,
            "decision_grid: expected `model` to be an instance of Module, got builtin",
        ),
        (
            lambda: viz.decision_grid(nn.Identity(), (0, 1, 0, 1), 2),
            ShapeError,
            r"logits of shape \(4, K\), got \(4, 2, 1, 1\)",
        ),
        (
            lambda: viz.decision_boundary(Halves(), np.zeros((3, 2))),
            DtypeError,
            "decision_boundary: expected `dataset` to be an ImageDataset, got numpy.ndarray",
        ),
        (
            lambda: viz.decision_boundary(Halves(), data.digits()[0]),
            ShapeError,
            r"images have shape \(N, 2, 1, 1\), got \(1438, 1, 8, 8\)",
        ),
        (
            lambda: viz.decision_boundary(Halves(), points(np.zeros((0, 2)), np.zeros(0, int))),
            ArgumentError,
            "decision_boundary: expected at least one point, got none in 'dataset'",
        ),
        (
            lambda: viz.decision_boundary(Halves(), points([[0, 0]], [2], ("a", "b", "c"))),
            ShapeError,
            "expected the model to return 3 logits, one for each class, got 2",
        ),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_model_must_return_a_tensor():
    class Wrong(nn.Module):
        def forward(self, x):
            return 3

    with pytest.raises(DtypeError, match="expected the model to return a Tensor, got int"):
        viz.decision_grid(Wrong(), (0, 1, 0, 1))
