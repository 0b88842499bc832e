"""Attributions agree with computations by hand, and leave the model unchanged."""

from dataclasses import replace

import numpy as np
import pytest

from tests.tools import each, normal
from tests.viz.tools import Changing, arrays_of, check_layout, everything, titles_of, trained
from tinygrad_np import Tensor, data, manual_seed, nn, no_grad, random, viz
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError

pytestmark = pytest.mark.slow


class Linear(nn.Module):
    """Scores that are linear in the pixels: score_k = sum of weight_k * image."""

    def __init__(self, weight):
        self.weight = nn.Parameter(weight)  # K, C * H * W

    def forward(self, x):
        """Return the scores."""
        return x.flatten(1) @ self.weight.T


def linear():
    """Return a linear model of 3 classes, two images (2, 5, 6), and both weights as images."""
    weight = normal(3, 60).astype(np.float32)
    return Linear(weight), normal(2, 2, 5, 6, seed=1).astype(np.float32), weight.reshape(3, 2, 5, 6)


def test_saliency_of_a_linear_model_is_its_weight():
    model, images, weight = linear()
    found = viz.saliency_map(model, images, classes=[2, 0])
    np.testing.assert_allclose(found, np.abs(weight[[2, 0]]).max(axis=1), rtol=1e-6)


def test_saliency_matches_central_differences():
    model = Changing().astype(np.float64).eval()
    images = normal(1, 1, 8, 8)
    label = int(model(Tensor(images)).data.argmax())
    found = viz.saliency_map(model, images)[0]
    for place in ((0, 0), (3, 4), (7, 5)):
        step = np.zeros_like(images)
        step[0, 0][place] = 1e-5
        high, low = (model(Tensor(images + s)).data[0, label] for s in (step, -step))
        assert found[place] == pytest.approx(abs(high - low) / 2e-5, rel=1e-5, abs=1e-9)


def test_occlusion_of_a_linear_model_is_weight_times_pixel():
    """Hiding pixels with the value f lowers a linear score by the sum of weight * (pixel - f)."""
    model, images, weight = linear()
    parts = (weight[1] * (images - 0.5)).sum(axis=1)  # N, H, W
    found = viz.occlusion_map(model, images, classes=1, size=1, fill=0.5)
    np.testing.assert_allclose(found, parts, rtol=1e-4, atol=1e-5)


def test_integer_images_are_those_of_the_same_floats():
    """Integers have no gradient, and can hold neither 0.5 nor, if unsigned, -1."""
    conv = nn.Conv2d(1, 2, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(32, 3))
    floats = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    for images in (floats.astype(np.uint8), floats.astype(np.int64)):
        for explain in (
            viz.saliency_map,
            viz.grad_cam_map,
            lambda *given: viz.occlusion_map(*given, fill=0.5),
            lambda *given: viz.occlusion_map(*given, fill=-1),
        ):
            np.testing.assert_array_equal(explain(model, images), explain(model, floats))


def test_occlusion_averages_the_squares_that_cover_a_pixel():
    model, images, weight = linear()
    parts = (weight[0] * images[0]).sum(axis=0)  # H, W
    found = viz.occlusion_map(model, images[:1], classes=0, size=2, stride=2)[0]
    for column in (0, 2, 4):
        # The last square starts at row 3, so that it covers the fifth row; row 3 is in two.
        first, second, last = (parts[r : r + 2, column : column + 2].sum() for r in (0, 2, 3))
        expected = [first, first, second, (second + last) / 2, last]
        for below in (found[:, column], found[:, column + 1]):
            np.testing.assert_allclose(below, expected, rtol=1e-4, atol=1e-5)
    dense = viz.occlusion_map(model, images[:1], classes=0, size=2)[0]
    falls = [parts[r : r + 2, c : c + 2].sum() for r in (1, 2) for c in (2, 3)]
    assert dense[2, 3] == pytest.approx(np.mean(falls), rel=1e-4, abs=1e-5)


def test_grad_cam_matches_its_formula():
    """After the convolution A, the scores are linear: score_c = sum of V_ck,ij A_k,ij."""
    generator = np.random.default_rng(0)
    conv = nn.Conv2d(1, 3, 3, padding=1, generator=generator)
    fc = nn.Linear(3 * 16, 2, generator=generator)
    model = nn.Sequential(conv, nn.Flatten(), fc)
    images = normal(2, 1, 4, 4).astype(np.float32)
    with no_grad():
        maps = conv(Tensor(images)).data  # N, 3, 4, 4
    for label in range(2):
        weights = fc.weight.data[label].reshape(3, 4, 4).mean(axis=(1, 2))
        expected = np.maximum(0, np.einsum("k,nkij->nij", weights, maps))
        found = viz.grad_cam_map(model, images, classes=label)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_explains_the_last_call_of_a_layer():
    """The scores are the sums of the second output 4 x - 1, so the weight of its map is 1."""
    conv = nn.Conv2d(1, 1, 1)
    conv.load_state_dict({"weight": [[[[-2.0]]]], "bias": [1.0]})

    class Twice(nn.Module):
        """Call a convolution twice."""

        def __init__(self):
            self.conv = conv

        def forward(self, x):
            """Return one score."""
            return self.conv(self.conv(x)).flatten(1).sum(axis=1, keepdim=True)

    images = normal(1, 1, 4, 4).astype(np.float32)
    found = viz.grad_cam_map(Twice(), images)
    np.testing.assert_allclose(found, np.maximum(0, 4 * images[:, 0] - 1), rtol=1e-5, atol=1e-6)


def test_grad_cam_resizes_maps_of_a_chosen_layer():
    pool = nn.AvgPool2d(2)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), pool, nn.Flatten(), nn.Linear(8, 2))
    images = normal(1, 1, 4, 4).astype(np.float32)
    found = viz.grad_cam_map(model, images, layer=pool)
    with no_grad():
        maps = pool(model[0](Tensor(images)))
        label = int(model(Tensor(images)).data.argmax())
        weights = model[3].weight.data[label].reshape(2, 2, 2).mean(axis=(1, 2))
        small = np.maximum(0, np.einsum("k,nkij->nij", weights, maps.data))
        expected = Tensor(small[:, None]).interpolate((4, 4)).data[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_maximized_image_raises_the_score_of_its_class():
    model, _ = trained()
    model.eval()
    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 8, 8), np.float32)
    for label in (0, 7):
        image = viz.maximize_class(model, (1, 8, 8), label, steps=40)
        with no_grad():
            before, after = (model(Tensor(x)).data[0] for x in (noise[None], image[None]))
        assert after[label] > before[label] + 1
        assert after.argmax() == label
        assert np.sqrt((image**2).mean()) < 1.1


def test_one_step_of_ascent_matches_its_formula():
    """For a linear model, the gradient is the weight of the class."""
    model, _, weight = linear()
    found = viz.maximize_class(model, (2, 5, 6), 1, steps=1, lr=0.3, decay=0.5)
    padded = np.pad(weight[1], ((0, 0), (1, 1), (1, 1)))
    row = 0.25 * padded[:, :-2] + 0.5 * padded[:, 1:-1] + 0.25 * padded[:, 2:]
    smooth = 0.25 * row[..., :-2] + 0.5 * row[..., 1:-1] + 0.25 * row[..., 2:]
    noise = 0.1 * np.random.default_rng(0).standard_normal((2, 5, 6), np.float32)
    expected = (1 - 0.3 * 0.5) * noise + 0.3 * smooth / np.sqrt((smooth**2).mean())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@each("dtype", [np.float16, np.float64])
def test_maximized_image_has_the_dtype_of_the_model(dtype):
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, generator=np.random.default_rng(0)),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 2, generator=np.random.default_rng(1)),
    )
    expected = viz.maximize_class(model, (2, 4, 4), 1, steps=3)
    found = viz.maximize_class(model.astype(dtype), (2, 4, 4), 1, steps=3)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=0.01)
    viz.class_images(model, (2, 4, 4), "ab", steps=1)


def test_class_images_name_the_score_of_their_class():
    """Not the largest one: with equal directions, class 2 always has a larger score."""
    weight = normal(60).astype(np.float32)
    model = Linear(np.stack([weight, 2 * weight, 3 * weight]))
    figure = viz.class_images(model, (2, 5, 6), "abc", steps=5)
    images = np.stack([viz.maximize_class(model, (2, 5, 6), k, steps=5) for k in range(3)])
    with no_grad():
        scores = model(Tensor(images)).data.diagonal()
    assert titles_of(figure) == [
        f"{name}\nscore {score:.3g}" for name, score in zip("abc", scores, strict=True)
    ]


CALLS = {
    "saliency": lambda model, images: viz.saliency(model, images),
    "occlusion": lambda model, images: viz.occlusion(model, images, size=4, stride=4),
    "grad_cam": lambda model, images: viz.grad_cam(model, images),
    "class_images": lambda model, images: viz.class_images(model, (1, 8, 8), "0123456789", steps=1),
}


@pytest.mark.parametrize("name", CALLS)
def test_model_is_left_unchanged(name):
    """Also inside no_grad, and the default generator is left where it was."""
    model, _ = trained()
    images = data.digits()[1].first(2)
    manual_seed(0)
    before, generator = everything(model), random.state()
    with no_grad():
        figure = CALLS[name](model, images)
    assert everything(model) == before
    assert random.state() == generator
    check_layout(figure)


def test_figures_show_images_maps_and_classes():
    model, _ = trained()
    dataset = data.digits()[1].first(3)
    inputs, _ = dataset.batch(slice(None))
    with no_grad():
        logits = model.eval()(Tensor(inputs))
    chances = logits.softmax(axis=1).data[:, 4]
    figure = viz.saliency(model, dataset, classes=4)
    maps = viz.saliency_map(model, inputs, 4)
    np.testing.assert_array_equal(arrays_of(figure), [*inputs[:, 0], *maps])
    assert titles_of(figure)[:3] == [f"4 ({chance:.1%})" for chance in chances]
    assert titles_of(viz.saliency(model, inputs, 4))[0].startswith("class 4 (")
    occluded = viz.occlusion(model, dataset, classes=4, size=3)
    found = viz.occlusion_map(model, inputs, 4, size=3)
    np.testing.assert_array_equal(arrays_of(occluded)[3:], found)
    for axes, one in zip(occluded.axes[3:], found, strict=True):
        limit = np.abs(one).max()
        assert axes.images[0].get_clim() == pytest.approx((-limit if one.min() < 0 else 0, limit))
    assert all(axes.images[0].get_clim()[0] == 0 for axes in figure.axes[3:])  # unsigned


def test_maps_without_finite_values_are_drawn():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(4, 2))
    images = np.full((1, 1, 4, 4), np.nan, np.float32)
    for plot in (viz.saliency, viz.occlusion, viz.grad_cam):
        assert plot(model, images)._repr_png_()


def test_classes_without_a_name_have_a_number():
    dataset = replace(data.digits()[1].first(1), labels=np.array([0]), classes=("cat",))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert titles_of(viz.saliency(model, dataset, 7))[0].startswith("class 7 (")


def test_images_of_other_channels_are_drawn_as_their_mean():
    images = normal(1, 2, 4, 4).astype(np.float32)
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 2))
    np.testing.assert_array_equal(arrays_of(viz.saliency(model, images))[0], images[0].mean(axis=0))


class Pair(nn.Module):
    """Return two values."""

    def forward(self, x):
        """Return the input twice."""
        return x, x


X = np.zeros((2, 1, 4, 4), np.float32)


def flat():
    """Return a linear classifier without a convolution."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


class Ignoring(nn.Module):
    """Call a convolution whose output does not affect the scores."""

    def __init__(self):
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        """Return scores."""
        self.conv(x)
        return x.flatten(1)


@each(
    ("call", "error", "message"),
    [
        (
            lambda: viz.saliency(flat(), X, classes=3),
            ArgumentError,
            "saliency: expected `classes` to be integers from 0 to 2, got 3.",
        ),
        (lambda: viz.saliency(flat(), X, classes=[0.5, 1]), ArgumentError, "got [0.5, 1.0]."),
        (
            lambda: viz.saliency(flat(), X, classes=[0, 1, 2]),
            ShapeError,
            "one class, or one for each of the 2 images, got an array of shape (3,).",
        ),
        (
            lambda: viz.saliency(Pair(), X),
            DtypeError,
            "saliency: expected the model to return a Tensor, got tuple.",
        ),
        (
            lambda: viz.occlusion(nn.ReLU(), X),
            ShapeError,
            "occlusion: expected the model to return scores of shape (N, K), got (2, 1, 4, 4).",
        ),
        (
            lambda: viz.occlusion(flat(), X, size=5),
            ArgumentError,
            "occlusion: expected `size` to be at most 4, the size of the image, got 5.",
        ),
        (lambda: viz.occlusion(flat(), X, stride=0), ArgumentError, "`stride` to be an integer"),
        (lambda: viz.grad_cam(flat(), X), ArgumentError, "got none, and the model calls no Conv2d"),
        (
            lambda: viz.grad_cam(flat(), X, layer=nn.ReLU()),
            ArgumentError,
            "grad_cam: expected `layer` to be a module that the model calls, got ReLU().",
        ),
        (
            lambda: [viz.grad_cam(model, X, layer=model[0]) for model in [flat()]],
            ShapeError,
            "expected `layer` to return feature maps of shape (N, K, P, Q), got (2, 16).",
        ),
        (lambda: viz.grad_cam(Ignoring(), X), GraphError, "was not used"),
        (
            lambda: viz.maximize_class(flat(), (1, 4, 4), 0, steps=0),
            ArgumentError,
            "maximize_class: expected `steps` to be an integer >= 1, got 0.",
        ),
        *(
            (
                lambda shape=shape: viz.class_images(flat(), shape, "abc"),
                ShapeError,
                f"expected `shape` to be (C, H, W), for example (1, 28, 28), got {shape}.",
            )
            for shape in (16, (4, 4), (1, 4, 4.0))
        ),
        (
            lambda: viz.class_images(flat(), (1, 4, 4), []),
            ArgumentError,
            "class_images: expected at least one name in `classes`, got none.",
        ),
        (
            lambda: viz.class_images(flat(), (1, 4, 4), "abcd"),
            ArgumentError,
            "maximize_class: expected `classes` to be integers from 0 to 2, got 3.",
        ),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
