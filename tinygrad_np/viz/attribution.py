"""Explain a classifier: saliency, occlusion, Grad-CAM and class-maximizing images.

`saliency_map`, `occlusion_map`, `grad_cam_map` and `maximize_class` compute arrays; `saliency`,
`occlusion`, `grad_cam` and `class_images` plot them. The score that they explain is the model's
output for a class before the softmax, its logit. The model runs in evaluation mode; its modes,
gradients, buffers and random generators are restored afterwards.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.checks import check_at_least, check_integer, is_integer
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import enable_grad
from tinygrad_np.train.prediction import evaluating
from tinygrad_np.viz.figure import (
    Figure,
    draw_image,
    draw_map,
    grid,
    inputs_of,
    largest,
    name_image,
)

_BLUR = (0.25, 0.5, 0.25)
_BATCH = 256  # occluded images per forward pass


def saliency_map(model: nn.Module, images: Any, classes: Any = None) -> Array:
    """Return how strongly each pixel affects the score of a class.

        map[h, w] = max over channels c of |∂ score / ∂ x[c, h, w]|

    (Simonyan et al. 2014, section 3.)

    Args:
        model: classifier of images (N, C, H, W) that returns scores (N, K).
        images: inputs of shape (N, C, H, W) or (C, H, W), or an ImageDataset.
        classes: class to explain, one for all images or one per image; defaults to the predicted
            classes.

    Returns:
        An array of shape (N, H, W).

    Raises:
        ArgumentError: if a class is not an integer from 0 to K - 1.
        DtypeError: if `images` does not contain numbers, or the model returns no Tensor.
        ShapeError: if `images`, `classes` or the scores have another shape.

    >>> import numpy as np
    >>> from tinygrad_np import nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = model.load_state_dict({"1.weight": [[1.0, -2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]})
    >>> viz.saliency_map(model, np.ones((1, 1, 2, 2), np.float32), classes=0)
    array([[[1., 2.],
            [3., 0.]]], dtype=float32)
    """
    inputs, _ = inputs_of("saliency", images)
    with _differentiating(model):
        x = Tensor(inputs, requires_grad=True)
        score = _score("saliency", model(x), classes)
        (grad,) = score.gradient(x)
    strength: Array = np.abs(grad.data).max(axis=1)
    return strength


def occlusion_map(
    model: nn.Module,
    images: Any,
    classes: Any = None,
    size: int | None = None,
    stride: int = 1,
    fill: float = 0.0,
) -> Array:
    """Return how far the score of a class falls when a square that covers a pixel is hidden.

    A square of `size` x `size` pixels moves over the image in steps of `stride`, and also to the
    last row and column; at each position, its pixels are replaced by `fill`. The map at a pixel is
    the mean of

        score(image) - score(occluded image)

    over the positions that cover the pixel: positive where the pixels support the class, negative
    where they oppose it (Zeiler and Fergus 2014, section 4.2).

    Args:
        model: classifier of images (N, C, H, W) that returns scores (N, K).
        images: inputs of shape (N, C, H, W) or (C, H, W), or an ImageDataset.
        classes: class to explain, one for all images or one per image; defaults to the predicted
            classes.
        size: side of the square in pixels; defaults to a fifth of the image.
        stride: pixels between two positions.
        fill: value of hidden pixels; 0 is the mean of normalized images.

    Returns:
        An array of shape (N, H, W); nan at pixels that no position covers, if `stride` > `size`.

    Raises:
        ArgumentError: if `size` or `stride` is not an integer >= 1, `size` is larger than the
            image, or a class is not an integer from 0 to K - 1.
        DtypeError: if `images` does not contain numbers, or the model returns no Tensor.
        ShapeError: if `images`, `classes` or the scores have another shape.

    >>> import numpy as np
    >>> from tinygrad_np import nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = model.load_state_dict({"1.weight": [[1.0, -2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]})
    >>> viz.occlusion_map(model, np.ones((1, 1, 2, 2), np.float32), classes=0, size=1).round(4)
    array([[[ 1., -2.],
            [ 3.,  0.]]])
    """
    inputs, _ = inputs_of("occlusion", images)
    height, width = inputs.shape[2:]
    size = max(1, min(height, width) // 5) if size is None else size
    check_integer("occlusion", 1, size=size, stride=stride)
    if size > min(height, width):
        raise ArgumentError(
            f"occlusion: expected `size` to be at most {min(height, width)}, the size of the "
            f"image, got {size}."
        )
    rows, columns = (
        [*range(0, length - size, stride), length - size] for length in (height, width)
    )
    corners = [(row, column) for row in rows for column in columns]
    with evaluating(model), Trial():
        scores = _scores_of("occlusion", model(Tensor(inputs)))
        labels = _labels("occlusion", scores.data, classes)
        maps = np.empty((len(inputs), height, width))
        for n, image in enumerate(inputs):
            total, count = np.zeros((height, width)), np.zeros((height, width))
            for start in range(0, len(corners), _BATCH):
                chosen = corners[start : start + _BATCH]
                hidden = np.repeat(image[None], len(chosen), axis=0)
                for one, (row, column) in zip(hidden, chosen, strict=True):
                    one[:, row : row + size, column : column + size] = fill
                found = model(Tensor(hidden)).data[:, labels[n]]
                for (row, column), score in zip(chosen, found, strict=True):
                    under = (slice(row, row + size), slice(column, column + size))
                    total[under] += scores.data[n, labels[n]] - score
                    count[under] += 1
            maps[n] = total / np.where(count, count, np.nan)
    return maps


def grad_cam_map(
    model: nn.Module, images: Any, classes: Any = None, layer: nn.Module | None = None
) -> Array:
    """Return where the features of a layer support a class (Grad-CAM).

    With the feature maps A_k of the layer,

        weight_k = mean over positions (i, j) of ∂ score / ∂ A_k[i, j]
        map = relu(sum over k of weight_k A_k)

    resized bilinearly to the image (Selvaraju et al. 2017, equations 1 and 2).

    Args:
        model: classifier of images (N, C, H, W) that returns scores (N, K).
        images: inputs of shape (N, C, H, W) or (C, H, W), or an ImageDataset.
        classes: class to explain, one for all images or one per image; defaults to the predicted
            classes.
        layer: module of the model that returns feature maps (N, K, P, Q); if it is called several
            times, the last call is used. Defaults to the convolution that is called last.

    Returns:
        An array of shape (N, H, W).

    Raises:
        ArgumentError: if the model has no convolution and `layer` is None, `layer` is not called,
            or a class is not an integer from 0 to K - 1.
        DtypeError: if `images` does not contain numbers, or the model returns no Tensor.
        GraphError: if the scores do not depend on the layer.
        ShapeError: if `images`, `classes`, the scores or the layer's output have another shape.

    >>> import numpy as np
    >>> from tinygrad_np import nn, viz
    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    >>> viz.grad_cam_map(model, np.ones((1, 1, 4, 4), np.float32)).shape
    (1, 4, 4)
    """
    inputs, _ = inputs_of("grad_cam", images)
    watched = [m for m in model.modules() if m is layer or (layer is None and _is_conv(m))]
    outputs: list[Any] = []
    with _differentiating(model), _hooks(watched, lambda module, given, out: outputs.append(out)):
        score = _score("grad_cam", model(Tensor(inputs, requires_grad=True)), classes)
        if not outputs:
            raise ArgumentError(
                "grad_cam: expected `layer` to be a module that the model calls, got "
                f"{'none, and the model calls no Conv2d' if layer is None else repr(layer)}."
            )
        maps = outputs[-1]
        if not isinstance(maps, Tensor) or maps.ndim != 4:
            got = maps.shape if isinstance(maps, Tensor) else type(maps).__name__
            raise ShapeError(
                "grad_cam: expected `layer` to return feature maps of shape (N, K, P, Q), got "
                f"{got}. Try a convolution or pooling layer."
            )
        (grad,) = score.gradient(maps)
    weights = grad.data.mean(axis=(2, 3), keepdims=True)  # N, K, 1, 1
    cam = Tensor(np.maximum(0, (weights * maps.data).sum(axis=1, keepdims=True)))  # N, 1, P, Q
    resized: Array = cam.interpolate(inputs.shape[2:]).data[:, 0]
    return resized


def maximize_class(
    model: nn.Module,
    shape: Sequence[int],
    label: int,
    steps: int = 100,
    lr: float = 0.1,
    decay: float = 1.0,
    seed: int = 0,
) -> Array:
    """Return an image that maximizes the score of a class, found by gradient ascent from noise.

        x <- (1 - lr decay) x + lr g / sqrt(mean(g²)),   g = blur(∂ score / ∂ x)

    The noise is normal with standard deviation 0.1: at zeros, every ReLU might be off, and the
    gradient 0. The decay is that of the L2 penalty of Simonyan et al. (2014, section 2): the root
    mean square of the pixels stays below 1 / decay. The blur, a binomial 3x3 filter, suppresses
    patterns of single pixels, which networks respond to but images do not contain (Yosinski et al.
    2015).

    Args:
        model: classifier of images (N, C, H, W) that returns scores (N, K).
        shape: shape (C, H, W) of the image.
        label: class to maximize.
        steps: number of steps.
        lr: root mean square of the change of a pixel per step.
        decay: rate at which the image decays towards 0; it also removes the initial noise.
        seed: seed of the noise.

    Returns:
        An array of the given shape and the dtype of the model, normalized like its inputs.

    Raises:
        ArgumentError: if `steps` is not an integer >= 1, `seed` is not an integer >= 0, `lr` or
            `decay` is not a finite number >= 0, or `label` is not an integer from 0 to K - 1.
        DtypeError: if the model returns no Tensor.
        ShapeError: if `shape` is not (C, H, W), or the scores do not have shape (N, K).

    >>> from tinygrad_np import nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> viz.maximize_class(model, (1, 2, 2), label=1).shape
    (1, 2, 2)
    """
    check_integer("maximize_class", 1, steps=steps)
    check_integer("maximize_class", 0, seed=seed)
    check_at_least("maximize_class", 0, lr=lr, decay=decay)
    if not isinstance(shape, list | tuple) or len(shape) != 3 or not all(map(is_integer, shape)):
        raise ShapeError(
            "maximize_class: expected `shape` to be (C, H, W), for example (1, 28, 28), got "
            f"{shape}."
        )
    dtype = next((parameter.dtype for parameter in model.parameters()), np.float32)
    blur = np.tile(np.outer(_BLUR, _BLUR), (shape[0], 1, 1, 1)).astype(dtype)  # C, 1, 3, 3
    noise = np.random.default_rng(seed).standard_normal((1, *shape), np.float32)
    image: Array = (np.float32(0.1) * noise).astype(dtype)
    with _differentiating(model):
        for _ in range(steps):
            x = Tensor(image, requires_grad=True)
            (grad,) = _score("maximize_class", model(x), label).gradient(x)
            # In float32 or better: the squares of a float16 may overflow.
            smooth = grad.conv2d(Tensor(blur), padding=1, groups=shape[0]).data * np.float32(1)
            size = float(np.sqrt(np.mean(smooth**2))) or 1.0
            step = np.float32(lr / size) * smooth
            image = (np.float32(1 - lr * decay) * image + step).astype(dtype)
    found: Array = image[0]
    return found


def saliency(model: nn.Module, images: Any, classes: Any = None, title: str = "") -> Figure:
    """Plot images above their saliency maps; see `saliency_map`.

    Raises:
        ArgumentError: as in `saliency_map`.
        DtypeError: as in `saliency_map`.
        ShapeError: as in `saliency_map`.

    >>> from tinygrad_np import data, nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> figure = viz.saliency(model, data.digits()[1].first(4))
    """
    maps = saliency_map(model, images, classes)
    title = title or "Saliency: red pixels affect the score of the named class most"
    return _plot("saliency", model, images, classes, maps, "saliency\n|∂ score / ∂ pixel|", title)


def occlusion(
    model: nn.Module,
    images: Any,
    classes: Any = None,
    size: int | None = None,
    stride: int = 1,
    fill: float = 0.0,
    title: str = "",
) -> Figure:
    """Plot images above their occlusion maps; see `occlusion_map`.

    Raises:
        ArgumentError: as in `occlusion_map`.
        DtypeError: as in `occlusion_map`.
        ShapeError: as in `occlusion_map`.

    >>> from tinygrad_np import data, nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> figure = viz.occlusion(model, data.digits()[1].first(4), size=2)
    """
    maps = occlusion_map(model, images, classes, size, stride, fill)
    title = title or "Occlusion: without the red pixels, the score of the named class would fall"
    return _plot("occlusion", model, images, classes, maps, "occlusion\nfall of the score", title)


def grad_cam(
    model: nn.Module,
    images: Any,
    classes: Any = None,
    layer: nn.Module | None = None,
    title: str = "",
) -> Figure:
    """Plot images above their Grad-CAM maps; see `grad_cam_map`.

    Raises:
        ArgumentError: as in `grad_cam_map`.
        DtypeError: as in `grad_cam_map`.
        GraphError: as in `grad_cam_map`.
        ShapeError: as in `grad_cam_map`.

    >>> from tinygrad_np import data, nn, viz
    >>> conv, linear = nn.Conv2d(1, 4, 3), nn.Linear(4 * 6 * 6, 10)
    >>> model = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear)
    >>> figure = viz.grad_cam(model, data.digits()[1].first(4))
    """
    maps = grad_cam_map(model, images, classes, layer)
    title = title or "Grad-CAM: red regions hold the features that support the named class"
    return _plot("grad_cam", model, images, classes, maps, "Grad-CAM\nsupport", title)


def class_images(
    model: nn.Module,
    shape: Sequence[int],
    classes: Sequence[str],
    steps: int = 100,
    title: str = "",
) -> Figure:
    """Plot, for each class, an image that maximizes its score; see `maximize_class`.

    Inputs of one channel are red where positive and blue where negative, on one color scale.

    Args:
        model: classifier of images (N, C, H, W) that returns scores (N, K).
        shape: shape (C, H, W) of the images.
        classes: names of the first classes.
        steps: number of steps of gradient ascent.
        title: title of the figure.

    Raises:
        ArgumentError: as in `maximize_class`, or if `classes` is empty.
        DtypeError: as in `maximize_class`.
        ShapeError: as in `maximize_class`.

    >>> from tinygrad_np import data, nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> figure = viz.class_images(model, (1, 8, 8), data.digits()[0].classes)
    """
    if not len(classes):
        raise ArgumentError("class_images: expected at least one name in `classes`, got none.")
    found = [maximize_class(model, shape, label, steps) for label in range(len(classes))]
    with evaluating(model), Trial():
        scores = model(Tensor(np.stack(found))).data

    limit = largest(*found)

    def draw(axes: Any, position: int) -> None:
        if shape[0] == 1:
            draw_map(axes, found[position][0], -limit, limit)
        else:
            draw_image(axes, found[position])
        score = f"score {scores[position, position]:.3g}"
        name_image(axes, ("{}", classes[position]), (score, ""))

    signs = "\nred: positive pixels, blue: negative" if shape[0] == 1 else ""
    title = title or f"Images that maximize the score of each class{signs}"
    return grid(len(found), draw, title)


def _is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


@contextmanager
def _differentiating(model: nn.Module) -> Iterator[None]:
    """Evaluate the model with gradients, and restore its state at the end."""
    with evaluating(model), enable_grad(), Trial():
        yield


@contextmanager
def _hooks(modules: Sequence[nn.Module], function: Callable[..., None]) -> Iterator[None]:
    """Call a function after each forward pass of the modules in the block."""
    handles = [module.register_forward_hook(function) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _scores_of(who: str, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise DtypeError(
            f"{who}: expected the model to return a Tensor, got {type(output).__name__}."
        )
    if output.ndim != 2:
        raise ShapeError(
            f"{who}: expected the model to return scores of shape (N, K), got {output.shape}."
        )
    return output


def _labels(who: str, scores: Array, classes: Any) -> Array:
    """Return one class per image: the given ones, or the predicted ones."""
    if classes is None:
        predicted: Array = scores.argmax(axis=1)
        return predicted
    labels = np.asarray(classes)
    if labels.shape not in ((), (len(scores),)):
        raise ShapeError(
            f"{who}: expected `classes` to be one class, or one for each of the {len(scores)} "
            f"images, got an array of shape {labels.shape}."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= scores.shape[1]:
        raise ArgumentError(
            f"{who}: expected `classes` to be integers from 0 to {scores.shape[1] - 1}, got "
            f"{labels.tolist()}."
        )
    return np.broadcast_to(labels, len(scores))


def _score(who: str, output: Any, classes: Any) -> Tensor:
    """Return the sum over the images of the scores of their classes.

    An image affects only its own score, so the gradient of the sum holds that of each image.
    """
    scores = _scores_of(who, output)
    labels = _labels(who, scores.data, classes)
    total: Tensor = scores[np.arange(len(labels)), labels].sum()
    return total


def _plot(
    who: str,
    model: nn.Module,
    images: Any,
    classes: Any,
    maps: Array,
    label: str,
    title: str,
) -> Figure:
    """Plot images with the explained class above, and the maps below."""
    inputs, names = inputs_of(who, images)
    with evaluating(model), Trial():
        scores = model(Tensor(inputs))
    labels = _labels(who, scores.data, classes)
    chances = scores.softmax(axis=1).data[np.arange(len(labels)), labels]
    figure = Figure((max(4.2, 1.5 * len(inputs) + 1.2), 4.1))
    upper, lower = figure.subplots(2, len(inputs), squeeze=False)
    for n, (above, below) in enumerate(zip(upper, lower, strict=True)):
        draw_image(above, inputs[n])
        name = names[labels[n]] if labels[n] < len(names) else f"class {labels[n]}"
        name_image(above, (f"{{}} ({chances[n]:.1%})", name))
        limit = largest(maps[n])
        draw_map(below, maps[n], -limit if (maps[n] < 0).any() else 0, limit)
        below.set_title(f"largest {limit:.2g}", fontsize=8)
        for axes in (above, below):
            axes.set(xticks=[], yticks=[])
    upper[0].set_ylabel("image", fontsize=9)
    lower[0].set_ylabel(label, fontsize=9)
    figure.heading(title)
    return figure
