"""Loss surfaces and range tests agree with their formulas, and leave the model unchanged."""

import numpy as np
import pytest

from tests.tools import each, normal
from tests.viz.tools import check_layout, everything, trained
from tinygrad_np import manual_seed, nn, optim, random, viz
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.viz.landscape import _direction


def squares(y, target):
    """Return the mean squared error."""
    return ((y - target) ** 2).mean()


def test_directions_have_the_norms_of_the_filters():
    weight = normal(3, 2, 5, 5)
    found = _direction(weight, np.random.default_rng(1))
    norms = [np.sqrt((each**2).sum(axis=(1, 2, 3))) for each in (found, weight)]
    np.testing.assert_allclose(*norms)
    assert abs((found * weight).sum()) < 0.5 * (weight**2).sum()


def test_surface_evaluates_the_loss_on_the_plane():
    """Rebuild each point from the directions, which the seed determines."""
    layer = nn.Linear(3, 2, generator=np.random.default_rng(0)).astype(np.float64)
    x, target = normal(5, 3), normal(5, 2, seed=1)
    batches = [(x[:3], target[:3]), (x[3:], target[3:])]
    found = viz.loss_surface_values(layer, batches, squares, span=0.5, points=3, seed=4)
    generator = np.random.default_rng(4)
    weight, bias = layer.weight.data, layer.bias.data
    first, second = (_direction(weight, generator) for _ in range(2))
    np.testing.assert_array_equal(found.steps, [-0.5, 0, 0.5])
    for i, j in np.ndindex(3, 3):
        moved = weight + found.steps[j] * first + found.steps[i] * second
        assert found.losses[i, j] == pytest.approx(((x @ moved.T + bias - target) ** 2).mean())


@pytest.mark.slow
def test_surface_leaves_the_model_unchanged_and_marks_the_weights():
    model, loader = trained()
    before, epoch = everything(model), loader.state_dict()
    figure = viz.loss_surface(model, loader, points=3)
    assert everything(model) == before
    assert loader.state_dict() == epoch
    flat = figure.axes[0]
    (star,) = flat.get_lines()
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([0], [0])
    assert (flat.get_xlabel(), flat.get_xlim()) == ("a, along direction 1", (-1, 1))
    solid = next(axes for axes in figure.axes if axes.name == "3d")
    assert solid.get_zlabel() == ""  # it would cover its ticks
    check_layout(figure)


def test_range_test_follows_the_rates():
    """SGD with one weight: w <- w - lr dloss/dw, by hand."""
    layer = nn.Linear(1, 1, bias=False).astype(np.float64)
    layer.load_state_dict({"weight": [[2.0]]})
    batch = (np.ones((1, 1)), np.zeros((1, 1)))
    found = viz.range_test(
        layer, optim.SGD(layer.parameters(), lr=9.0), [batch], squares, 0.001, 0.1, steps=5
    )
    weight, losses = 2.0, []
    for rate in np.geomspace(0.001, 0.1, 5):
        losses.append(weight**2)
        weight -= rate * 2 * weight
    np.testing.assert_allclose(found.rates, np.geomspace(0.001, 0.1, 5))
    np.testing.assert_allclose(found.losses, losses)
    assert found.rates[1] <= found.steepest <= found.rates[-1]


def test_range_test_restores_everything_bit_for_bit():
    model, loader = trained()
    model.train()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    optimizer.step()
    state, epoch = optimizer.state_dict(), loader.state_dict()
    manual_seed(0)
    before, generator = everything(model), random.state()
    viz.range_test(model, optimizer, loader, steps=7)
    assert everything(model) == before
    assert random.state() == generator
    assert loader.state_dict() == epoch
    assert str(optimizer.state_dict()) == str(state)


def test_steepest_fall_is_found_and_divergence_ends_the_test():
    """The losses are scripted: flat, a fall around step 30, flat, then divergence."""
    steps = np.arange(100)
    script = 3 - 2 / (1 + np.exp(-(steps - 30.0) / 4))
    script[70:] += np.maximum(0, steps[70:] - 70.0) ** 2
    values = iter(script)
    layer = nn.Linear(1, 1, bias=False)

    def scripted(y, target):
        return y.sum() * 0.0 + float(next(values))

    batch = (np.ones((1, 1), np.float32), None)
    found = viz.range_test(layer, optim.SGD(layer.parameters(), lr=0.1), [batch], scripted)
    assert len(found.rates) == len(found.losses) == len(found.smooth) == 74
    assert found.losses.max() <= 4 * found.losses[0]
    assert abs(np.argmin(np.abs(found.rates - found.steepest)) - 30) <= 2


def test_steepest_fall_is_before_the_minimum():
    """The loss jumps after its minimum, and falls again from there, faster than before."""
    steps = np.arange(100)
    script = 3 - 2 / (1 + np.exp(-(steps - 30.0) / 4)) + 0.001 * np.maximum(0, steps - 55)
    script[60:] += 2.5 * np.exp(-np.maximum(0, steps[60:] - 70.0) / 3)
    values = iter(script)
    layer = nn.Linear(1, 1, bias=False)
    batch = (np.ones((1, 1), np.float32), None)
    found = viz.range_test(layer, sgd(layer), [batch], lambda y, _: y.sum() * 0.0 + next(values))
    assert len(found.losses) == 100
    assert abs(np.argmin(np.abs(found.rates - found.steepest)) - 30) <= 2


@each("last", [np.nan, np.inf, 100.0])
def test_a_last_loss_that_diverges_is_left_out(last):
    values = iter([*np.linspace(3, 1, 19), last])
    layer = nn.Linear(1, 1, bias=False)
    batch = (np.ones((1, 1), np.float32), None)

    def scripted(y, target):
        return y.sum() * 0.0 + float(next(values))

    found = viz.range_test(layer, sgd(layer), [batch], scripted, steps=20)
    assert len(found.losses) == 19
    assert np.isfinite(found.smooth).all()


def test_range_test_trains_in_training_mode_and_leaves_the_loss_unchanged():
    """Also a module that belongs to the loss rather than to the copied model."""
    norm = nn.BatchNorm1d(1)
    modes = []

    class Noting(nn.Linear):
        """Layer that notes its mode."""

        def forward(self, x):
            """Return the outputs."""
            modes.append(self.training)
            return super().forward(x)

    model = Noting(2, 1).eval()
    batch = (normal(3, 2).astype(np.float32), np.zeros((3, 1), np.float32))
    viz.range_test(model, sgd(model), [batch], lambda y, t: squares(norm(y), t), steps=4)
    assert modes == [True] * 4
    assert not model.training
    np.testing.assert_array_equal(norm.running_mean.data, [0])


def test_range_test_survives_immediate_divergence():
    layer = nn.Linear(1, 1)
    batch = (np.full((1, 1), np.nan, np.float32), np.zeros((1, 1), np.float32))
    found = viz.range_test(layer, optim.SGD(layer.parameters(), lr=0.1), [batch], squares)
    assert (len(found.losses), found.steepest) == (0, 1e-5)


@pytest.mark.slow
def test_learning_rates_plot_losses_over_a_logarithmic_axis():
    model, loader = trained()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    found = viz.range_test(model, optimizer, loader, steps=12)
    figure = viz.learning_rates(model, optimizer, loader, steps=12)
    points, line, steepest = figure.axes[0].get_lines()
    np.testing.assert_array_equal(points.get_xydata(), np.c_[found.rates, found.losses])
    np.testing.assert_array_equal(line.get_ydata(), found.smooth)
    assert list(steepest.get_xdata()) == [found.steepest] * 2
    assert figure.axes[0].get_xscale() == "log"
    assert steepest.get_label() == f"steepest fall: {found.steepest:.2g}"
    check_layout(figure)


def test_models_with_two_inputs_have_a_surface_and_a_range_test():
    """The batches have 2 and 1 samples; their loss at the center is the mean over all three."""

    class Sum(nn.Linear):
        def forward(self, first, second):
            return super().forward(first + second)

    model = Sum(2, 1, generator=np.random.default_rng(0))
    x, y = np.ones((3, 2), np.float32), np.array([[1], [2], [3]], np.float32)
    batches = [(x[:2], x[:2], {"y": y[:2]}), (x[2:], x[2:], {"y": y[2:]})]

    def loss(outputs, targets):
        return squares(outputs, targets["y"])

    surface = viz.loss_surface_values(model, batches, loss, points=3)
    assert surface.losses[1, 1] == pytest.approx(squares(model(x, x), y).item(), rel=1e-5)
    assert len(viz.range_test(model, sgd(model), batches[:1], loss, 1e-6, 1e-5, 3).losses) == 3


def sgd(model):
    """Return an optimizer."""
    return optim.SGD(model.parameters(), lr=0.1)


M = nn.Linear(2, 1)
BATCH = (np.ones((1, 2), np.float32), np.ones((1, 1), np.float32))


@each(
    ("call", "error", "message"),
    [
        (lambda: viz.loss_surface(M, [], squares), ArgumentError, "the loader yielded no samples"),
        (
            lambda: viz.loss_surface(M, [BATCH], squares, span=0),
            ArgumentError,
            "loss_surface: expected `span` to be above 0, got 0.",
        ),
        (lambda: viz.loss_surface(M, [BATCH], squares, points=1), ArgumentError, "`points`"),
        (lambda: viz.loss_surface(M, 3), DtypeError, "loss_surface: expected a loader"),
        (
            lambda: viz.loss_surface(M, [BATCH], lambda y, t: y.cat(y)),
            ShapeError,
            "expected `loss` to return a Tensor with one entry",
        ),
        (
            lambda: viz.learning_rates(M, sgd(M), iter([BATCH]), squares),
            ArgumentError,
            "range_test: expected samples in every pass over the loader, got none in pass 2.",
        ),
        (
            lambda: viz.learning_rates(M, sgd(nn.Linear(2, 1)), [BATCH], squares),
            ArgumentError,
            "range_test: expected `optimizer` to have parameters of the model, got that of another",
        ),
        (
            lambda: viz.learning_rates(M, sgd(M), [BATCH], squares, lowest=1.0, highest=0.1),
            ArgumentError,
            "range_test: expected 0 < lowest < highest, got lowest=1.0 and highest=0.1.",
        ),
        (lambda: viz.learning_rates(M, sgd(M), [BATCH], steps=1), ArgumentError, "`steps`"),
        (lambda: viz.learning_rates(M, sgd(M), None), DtypeError, "range_test: expected a loader"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
