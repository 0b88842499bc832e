"""Commands that inspect models and runs: evaluate, predict, summary, graph, gradcheck."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np import nn, train, viz
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.doubts import find_doubts
from tinygrad_np.cli.models import describe_error
from tinygrad_np.cli.parts import (
    Sets,
    check_images,
    check_unchanged,
    fit_model,
    image_shape,
    make_like,
    make_model,
    make_sets,
    read_data_facts,
    restore_normalization,
)
from tinygrad_np.cli.runs import load_run
from tinygrad_np.cli.training import DATA_FACTS
from tinygrad_np.console import show
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.data.files import holds_images, read_image
from tinygrad_np.data.photo import read_digit
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.files import is_folder, make_folder
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.gradcheck import GradientError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad

# Step sizes of the central differences, and the largest relative error allowed. A ReLU or a pooling
# window that switches inside a step distorts the difference; fewer switch inside a shorter step.
_STEPS, _TOLERANCE = (1e-5, 1e-6, 1e-7), 1e-4


def evaluate(
    run: Path,
    part: str,
    data_dir: str | None,
    model_spec: str | None = None,
    data: str | None = None,
) -> None:
    """Evaluate a trained model on the test or validation set and print a report.

    Args:
        run: run directory, or a weights file in one.
        part: "test" or "validation".
        data_dir: directory of the named datasets.
        model_spec: location of the model's class, if it has moved.
        data: path of the run's data, if it has moved.

    Raises:
        ArgumentError: if the run has no validation set, or `data` is given for a named
            dataset.
        DataError: if a file is missing or damaged, the data has changed its classes or shape, or
            the set is held out from files that have changed; `data` skips the last check.
    """
    config, model = load_run(run, model_spec)
    if data is not None:
        if not config.reads_files:
            raise ArgumentError(
                f"evaluate --data: expected a run trained on files, got {run}, which was trained "
                f"on {config.data}."
            )
        config = config.with_changes({"data": data})
        if not holds_images(data):  # which cannot be resized
            config = config.with_changes({"image_size": None, "gray": None})
    if data_dir is not None:
        config = config.with_changes({"data_dir": data_dir})
    sets = make_sets(config.with_changes({"corrections": None}))  # only for training
    if config.reads_files:
        sets = restore_normalization(sets, _facts_file(run))
        if data is None:
            _check_held_out(sets, part, run)
    dataset = sets.test if part == "test" else sets.validation
    if dataset is None:
        raise ArgumentError(
            f"evaluate --on validation: expected a run with a validation set, got {run}, which was "
            "trained with --validation 0."
        )
    logits = train.predict(model, DataLoader(dataset, 500))
    labels, classes = dataset.labels, dataset.classes
    size = f"{len(dataset)} {config.sample_noun}"
    print(f"{config.model_name} on the {part} set of {dataset.name} ({size})")
    line = f"loss {_loss(logits, labels):.4f}, accuracy {train.accuracy(logits, labels):.2%}"
    if logits.shape[1] > 3:
        line += f", top-3 accuracy {train.top_k_accuracy(logits, labels, 3):.2%}"
    print(f"{line}\n")
    predicted = logits.argmax(axis=1)
    print(train.classification_report(predicted, labels, len(classes), classes))
    print(f"\n{train.calibration(logits, labels)}")


def _check_held_out(sets: Sets, part: str, run: Path) -> None:
    """Raise DataError if a held-out set may now contain training images.

    If any file changes, another set is drawn. A separate test set is not affected.
    """
    if part == "test" and sets.test.origin != sets.train.origin:
        return
    remedy = (
        f"The {part} set is held out from these files, so it may now contain images that the model "
        "was trained on. Restore the files, or pass --data to evaluate on them anyway."
    )
    check_unchanged(sets, _facts_file(run), ("test" if part == "test" else "train",), remedy)


def _facts_file(run: Path) -> Path:
    return (run if is_folder(run) else run.parent) / DATA_FACTS


def _loss(logits: Any, labels: Any) -> float:
    return float(Tensor(logits).cross_entropy(labels.astype(np.int64)).item())


def predict(run: Path, pictures: Sequence[Path], model_spec: str | None = None) -> int:
    """Print the three most likely classes for each image, preprocessed like the run's data.

    Returns:
        The exit status: 1 if a picture could not be read; the others are still predicted.
    """
    config, model = load_run(run, model_spec)
    if config.reads_files:
        return _predict_classes(model, read_data_facts(_facts_file(run)), pictures)
    if config.data not in ("mnist", "digits"):
        raise ArgumentError(
            f"predict: expected a model for digits, got {run} ({config.model_name}, trained "
            f"on {config.data}). Try one trained with --data mnist."
        )
    side = image_shape(config)[-1]
    images, shapes, notes = {}, {}, []
    for place, path in enumerate(pictures):
        try:
            images[place], shapes[place] = read_digit(path, side=side)
        except DataError as error:
            notes.append(f"error: {error}")
    if images:
        dataset = make_like(config, np.stack(list(images.values())))
        logits = train.predict(model, DataLoader(dataset, 500))
        probabilities = Tensor(logits).softmax().data
        for place, outputs, row in zip(images, logits, probabilities, strict=True):
            _print_likely(pictures[place], row, dataset.classes)
            doubts = find_doubts(images[place], outputs, shapes[place])
            notes += [f"warning: {pictures[place]}: {doubt}" for doubt in doubts]
    for note in notes:
        show(note, sys.stderr)
    return int(len(images) < len(pictures))


def _predict_classes(model: nn.Module, facts: Mapping[str, Any], pictures: Sequence[Path]) -> int:
    """Implement `predict` for a run on files: read pictures like those of an image folder."""
    channels, *sides = facts["shape"]
    images, status = {}, 0
    for path in pictures:
        try:
            images[path] = read_image(path, (sides[0], sides[1]), channels == 1)
        except DataError as error:
            show(f"error: {error}", sys.stderr)
            status = 1
    if images:
        constants = {name: facts[name] for name in ("mean", "std")}
        dataset = ImageDataset(
            np.stack(list(images.values())),
            np.zeros(len(images), np.int64),
            facts["classes"],
            scale=255.0,
            **constants,
        )
        logits = train.predict(model, DataLoader(dataset, 500))
        for path, row in zip(images, Tensor(logits).softmax().data, strict=True):
            _print_likely(path, row, dataset.classes)
    return status


def _print_likely(path: Path, probabilities: Array, classes: Sequence[str]) -> None:
    best = np.argsort(-probabilities)[:3]
    likely = ", ".join(f"{classes[one]}: {probabilities[one]:.1%}" for one in best)
    print(f"{path}: {classes[best[0]]}  ({likely})")


def _with_shape(config: RunConfig) -> tuple[RunConfig, ImageDataset | None, tuple[int, ...]]:
    """Return the config with options that fit its data, the data at a path, and the image shape."""
    if not config.reads_files:
        return config, None, image_shape(config)
    train_set = make_sets(config.with_changes({"validation": 0.0})).train
    return fit_model(config, train_set), train_set, train_set.images.shape[1:]


def summary(config: RunConfig) -> None:
    """Print a table of the model's layers."""
    config, dataset, shape = _with_shape(config)
    model = make_model(config.model, config.model_options, config.seed)
    check_images(model, config, dataset)
    print(model.summary(shape))


def graph(config: RunConfig, path: Path, options: Mapping[str, Any]) -> int:
    """Draw the graph of a model to a file; the suffix selects the format.

    If the forward pass fails, the picture ends at the op that failed.

    Args:
        config: the model and the dataset that gives the image shape.
        path: the file to write; .html gives an interactive page with all levels.
        options: keyword arguments of `viz.draw`.

    Returns:
        The exit status: 1 if the forward pass failed.

    Raises:
        ArgumentError: if `path` is a page and `options` differ from the defaults.
    """
    is_page = path.suffix in (".html", ".htm")
    usual = inspect.signature(viz.draw).parameters
    changed = [name for name, value in options.items() if value != usual[name].default]
    if is_page and changed:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise ArgumentError(
            f"graph: expected no {flags} with --out {path}, a page that shows every level."
        )
    config, dataset, shape = _with_shape(config)
    model = make_model(config.model, config.model_options, config.seed)
    # Two images: batch norm cannot normalize the features of a single one.
    generator = np.random.default_rng(config.seed)
    images = generator.random((2, *shape), np.float32)
    make_folder(path.parent, "--out")
    drawing = viz.draw(model, images, **options)
    print(viz.explore(model, path, images) if is_page else viz.render(drawing, path))
    if drawing.error is None:
        return 0
    try:
        check_images(model, config, dataset)
    except ArgumentError as error:
        show(f"error: {error}", sys.stderr)
    else:
        show(f"error: {describe_error(drawing.error)}", sys.stderr)
    return 1


def check_gradients(config: RunConfig) -> None:
    """Check the gradient of each parameter against central differences, and print a table.

    Computes in float64, on the loss of four random images. For each parameter, the directional
    derivative along the sum of the gradient and a random direction, both scaled to norm 1, is
    compared with central differences of up to three step sizes. The table shows the difference that
    agrees best.

    Raises:
        GradientError: if no step size gives a close difference for some parameters; the message
            names them.
    """
    config, dataset, shape = _with_shape(config)
    model = make_model(config.model, config.model_options, config.seed)
    check_images(model, config, dataset)
    model = model.astype(np.float64)
    for module in model.modules():
        module.training = not isinstance(module, nn.Dropout)  # dropout would change the function
    generator = np.random.default_rng(config.seed)
    images = Tensor(generator.standard_normal((4, *shape)))
    logits = model(images)
    labels = generator.integers(0, logits.shape[1], 4)
    logits.cross_entropy(labels).backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    if unused:
        raise ArgumentError(
            f"gradcheck: expected the logits of {config.model_name} to depend on every parameter, "
            f"but they do not depend on {', '.join(unused)}."
        )

    def loss() -> float:
        with no_grad():
            return float(model(images).cross_entropy(labels).item())

    print(
        f"{config.model_name}: gradients of the loss on 4 random images, compared with central "
        "differences\n"
    )
    named = list(model.named_parameters())
    width = max(len(name) for name, _ in named)
    print(f"{'parameter':{width}} {'shape':>18} {'analytic':>14} {'numeric':>14} {'rel error':>9}")
    wrong = []
    for name, parameter in named:
        grad = parameter.grad.data
        direction = generator.standard_normal(grad.shape)
        direction = direction / np.linalg.norm(direction) + grad / (np.linalg.norm(grad) or 1.0)
        analytic, apart, numeric = float(np.sum(grad * direction)), np.inf, np.nan
        for eps in _STEPS:
            found = _difference(loss, parameter, direction, eps)
            # The lower bound serves zero gradients, for example of a bias before batch norm.
            relative = abs(analytic - found) / max(abs(analytic), abs(found), 1e-3)
            if relative < apart:
                apart, numeric = relative, found
            if apart <= _TOLERANCE:
                break
        wrong += [name] if not apart <= _TOLERANCE else []
        size = "x".join(map(str, grad.shape))
        print(f"{name:{width}} {size:>18} {analytic:14.6e} {numeric:14.6e} {apart:9.1e}")
    if wrong:
        raise GradientError(
            f"gradcheck: expected relative errors of at most {_TOLERANCE:g}, got larger ones for "
            f"{', '.join(wrong)}."
        )
    print(f"\nall {len(named)} gradients agree")


def _difference(
    loss: Callable[[], float], parameter: nn.Parameter, direction: Any, eps: float
) -> float:
    """Return the central difference of the loss along `direction` in one parameter."""
    here, values = parameter.data.copy(), []
    for sign in (1, -1):
        parameter.data[...] = here + sign * eps * direction
        values.append(loss())
    parameter.data[...] = here
    return (values[0] - values[1]) / (2 * eps)
