"""Construct the parts of a run from its config: data, model, optimizer, schedule and loss."""

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np import data, nn, optim
from tinygrad_np.cli.config import POINTS, RunConfig
from tinygrad_np.cli.corrections import add_corrections, count_copies, read_corrections
from tinygrad_np.cli.models import built_in_models, describe_error, model_class
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.display import number_of
from tinygrad_np.errors import ArgumentError, DataError, DtypeError
from tinygrad_np.files import is_folder, read_json, write_bytes
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.random import manual_seed
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad
from tinygrad_np.train.prediction import evaluating

_CLASSES = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "nadam": optim.NAdam,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
    "lamb": optim.LAMB,
    "muon": optim.MuonAdamW,
}


@dataclass(frozen=True)
class Sets:
    """The datasets of a run: training, validation (None with --validation 0) and test.

    Args:
        train: training set, without the images held out.
        validation: images held out from the training set.
        test: test set.
        found: numbers of training and test images available before any selection.
        fingerprints: of all training and test images at a path; see `_fingerprint`.
        corrections: `images` and `labels` that were added to the training set, if any.
        copies: how often each of them was added.
    """

    train: ImageDataset
    validation: ImageDataset | None
    test: ImageDataset
    found: tuple[int, int]
    fingerprints: dict[str, Any]
    corrections: dict[str, Array] | None = None
    copies: int = 0


def make_sets(config: RunConfig) -> Sets:
    """Load the data of a run and split it.

    Raises:
        DataNotFoundError: if the files are missing; the message lists the places searched.
        DataError: if the corrections, or the files at the path `config.data`, cannot be read.
        ArgumentError: if more samples are requested than there are.
    """
    if config.data == "digits":
        train_set, test_set = data.digits(size=image_shape(config)[-1])
    elif config.data in POINTS:
        train_set, test_set = data.moons() if config.data == "moons" else data.spirals()
    elif config.reads_files:
        sets = data.load(config.data, size=config.image_size, gray=config.gray)
        train_set, test_set = map(_shuffle, sets)
    else:
        find = data.mnist if config.data == "mnist" else data.fashion_mnist
        train_set, test_set = find(config.data_dir)
    if not config.standardise:
        train_set, test_set = (replace(one, mean=0.0, std=1.0) for one in (train_set, test_set))
    found = len(train_set), len(test_set)
    fingerprints = {}
    if config.reads_files:
        fingerprints = {"train": _fingerprint(train_set), "test": _fingerprint(test_set)}
    train_set = _part(train_set, config.train_samples, "--train-samples", config.sample_noun)
    test_set = _part(test_set, config.test_samples, "--test-samples", config.sample_noun)
    held_out, corrections, copies = None, None, 0
    if config.validation:
        try:
            train_set, held_out = train_set.split(config.validation, seed=config.seed)
        except ArgumentError as error:
            raise ArgumentError(f"{error} Pass --validation 0 to disable it.") from error
    if config.corrections:
        corrections = read_corrections(config.corrections, len(train_set.classes))
        copies = count_copies(len(corrections["labels"]), len(train_set))
        train_set = add_corrections(train_set, corrections, copies)
    return Sets(train_set, held_out, test_set, found, fingerprints, corrections, copies)


def _fingerprint(dataset: ImageDataset) -> dict[str, Any]:
    """Return the number of images, and a SHA-256 over their pixels and labels."""
    digest = hashlib.sha256()
    for array in (dataset.images, dataset.labels):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return {"count": len(dataset), "sha256": digest.hexdigest()}


def _shuffle(dataset: ImageDataset) -> ImageDataset:
    """Return a dataset in a fixed random order: the images of a directory are sorted by class."""
    order = np.random.default_rng(0).permutation(len(dataset))
    return replace(dataset, images=dataset.images[order], labels=dataset.labels[order])


def image_shape(config: RunConfig) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of the model's input images, for a named dataset.

    It is the shape of the dataset's images, but the 8x8 digits are enlarged to 28x28 for the
    built-in models other than DigitsCNN.
    """
    return _image_shape(config.model, config.data)


def _image_shape(model: str, source: str) -> tuple[int, int, int]:
    if source in POINTS:
        return 2, 1, 1
    is_small = model == "DigitsCNN" or model not in built_in_models()
    return (1, 8, 8) if source == "digits" and is_small else (1, 28, 28)


def make_like(config: RunConfig, images: Array) -> ImageDataset:
    """Wrap images with values from 0 to 255 in a dataset, standardized like the run's data."""
    source = data.sources.FASHION_MNIST if config.data == "fashion-mnist" else data.sources.MNIST
    # The bundled digits are scaled but not standardized.
    mean, std = (0.0, 1.0)
    if config.standardise and config.data != "digits":
        mean, std = source.mean, source.std
    labels = np.zeros(len(images), np.int64)
    return ImageDataset(images, labels, source.classes, scale=255.0, mean=mean, std=std)


def write_data_facts(path: Path, sets: Sets) -> None:
    """Write what `read_data_facts` reads: a data.json with what a trained model expects.

    It has the names of the classes, the image shape, the constants that normalize the pixels, and
    the fingerprints of the training and test images.
    """
    facts = {name: getattr(sets.train, name) for name in ("classes", "scale", "mean", "std")}
    facts["shape"] = sets.train.images.shape[1:]
    facts["fingerprints"] = sets.fingerprints
    write_bytes(path, (json.dumps(facts, indent=2) + "\n").encode())


def read_data_facts(path: Path) -> dict[str, Any]:
    """Return the facts in the data.json of a run on files.

    Raises:
        DataError: if the file cannot be read or is not such a file.
    """
    facts: dict[str, Any] = read_json(path)
    try:
        facts["classes"], facts["shape"] = tuple(facts["classes"]), tuple(facts["shape"])
        # Checks the constants.
        blank = np.zeros((0, *facts["shape"]), np.uint8)
        constants = {name: facts[name] for name in ("scale", "mean", "std")}
        ImageDataset(blank, np.zeros(0, np.int64), facts["classes"], **constants)
        for part in ("train", "test"):
            fingerprint = facts["fingerprints"][part]
            fingerprint["count"], fingerprint["sha256"]
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"{path}: expected the data.json of a run ({error}).") from error
    return facts


def restore_normalization(sets: Sets, path: Path) -> Sets:
    """Return the datasets of a run on files, normalized as they were when it started.

    Raises:
        DataError: if the data.json at `path` has other classes or another image shape.
    """
    facts = read_data_facts(path)
    for name, got in (("classes", sets.train.classes), ("shape", sets.train.images.shape[1:])):
        if facts[name] != got:
            raise DataError(
                f"{sets.train.origin}: expected the {name} {', '.join(map(str, facts[name]))} that "
                f"the run was trained with ({path}), got {', '.join(map(str, got))}."
            )
    constants = {name: facts[name] for name in ("scale", "mean", "std")}
    parts = {name: getattr(sets, name) for name in ("train", "validation", "test")}
    return replace(
        sets, **{name: part and replace(part, **constants) for name, part in parts.items()}
    )


def check_unchanged(sets: Sets, path: Path, parts: Sequence[str], remedy: str) -> None:
    """Raise DataError if the images or labels of a run on files have changed since it started.

    Args:
        sets: the datasets as they are now.
        path: the data.json of the run.
        parts: which of "train" and "test" to check.
        remedy: the end of the message.
    """
    before, changes = read_data_facts(path)["fingerprints"], []
    for part, name in (("train", "training"), ("test", "test")):
        expected, found = before[part], sets.fingerprints[part]
        if expected["count"] != found["count"]:
            changes.append(f"{found['count']} {name} images instead of {expected['count']}")
        elif expected != found:
            changes.append(f"{found['count']} {name} images, not all of them the same")
    if any(before[part] != sets.fingerprints[part] for part in parts):
        raise DataError(
            f"{sets.train.origin}: expected the images and labels that the run was trained with "
            f"({path}), got {', and '.join(changes)}. {remedy}"
        )


def _part(dataset: ImageDataset, count: int | None, flag: str, noun: str) -> ImageDataset:
    if count is not None and count > len(dataset):
        raise ArgumentError(
            f"{flag}: expected at most {len(dataset)}, the number of {noun} in {dataset.name}, got "
            f"{count}."
        )
    return dataset.first(count)


def make_model(spec: str, options: dict[str, Any], seed: int = 0) -> nn.Module:
    """Construct a model with initial weights that depend only on the seed.

    The constructor receives the options as keyword arguments, and a seeded `generator` if it has a
    parameter with this name; otherwise the default generator is seeded.

    Raises:
        ArgumentError: if the class is not found, rejects an option, or cannot be constructed.
    """
    kind = model_class(spec)
    parameters = inspect.signature(kind).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [one.name for one in parameters if one.kind in named]
    known = [name for name in names if name != "generator"]
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters)
    if (unknown := sorted(set(options) - set(known))) and not takes_any:
        raise ArgumentError(
            f"--model-options: expected {', '.join(known) or 'no options'} for {kind.__name__}, "
            f"got {', '.join(unknown)}."
        )
    given = dict(options)
    if "generator" in names:
        given["generator"] = np.random.default_rng(seed)
    else:
        manual_seed(seed)
    try:
        return kind(**given)
    except Exception as error:
        arguments = ", ".join(f"{name}=..." for name in given) or "no arguments"
        raise ArgumentError(
            f"{spec}: constructing the class with {arguments} failed with {describe_error(error)}. "
            "Give its parameters default values; train and summary also take --model-options."
        ) from error


def fit_model(config: RunConfig, dataset: ImageDataset) -> RunConfig:
    """Return the config with the model's options `inputs` and `classes` set for the dataset.

    They are set for data at a path only, if the model's constructor has them and the user did not
    give them.
    """
    if not config.reads_files:
        return config
    sizes = {"inputs": dataset.images[0].size, "classes": len(dataset.classes)}
    names = inspect.signature(model_class(config.model)).parameters
    found = {name: size for name, size in sizes.items() if name in names}
    return config.with_changes({"model_options": {**found, **config.model_options}})


def check_images(model: nn.Module, config: RunConfig, dataset: ImageDataset | None = None) -> None:
    """Raise ArgumentError if the model fails for an image of the run's shape.

    Args:
        model: the model.
        config: settings of the run.
        dataset: the data of a run on files. The number of its classes is checked, too.
    """
    shape = image_shape(config) if dataset is None else dataset.images.shape[1:]
    error = _failure(model, shape)
    if error is None:
        if dataset is not None and config.reads_files:
            _check_outputs(model, config, dataset)
        return
    size, remedy = "x".join(map(str, shape)), ""
    for other in ("mnist", "digits", "moons"):
        other_shape = _image_shape(config.model, other)
        if other_shape != shape and not _failure(model, other_shape):
            remedy = f" Try --data {other}."
            if config.reads_files:
                remedy = f" It takes images of shape {'x'.join(map(str, other_shape))}."
                if is_folder(config.data) and other != "moons":
                    remedy += f" Try --image-size {other_shape[-1]} --gray."
            break
    raise ArgumentError(
        f"{config.model}: expected a model for images of shape {size} (--data {config.data}), got "
        f"one that fails.{remedy} The error is {describe_error(error)}."
    ) from error


def _check_outputs(model: nn.Module, config: RunConfig, dataset: ImageDataset) -> None:
    """Raise ArgumentError unless the model returns one logit per class."""
    with no_grad(), evaluating(model):
        got = model(np.zeros((1, *dataset.images.shape[1:]), np.float32)).shape
    count = len(dataset.classes)
    if got != (1, count):
        raise ArgumentError(
            f"{config.model}: expected logits of shape (1, {count}) for an image, because --data "
            f"{config.data} has {number_of(count, 'class', 'classes')}, got {got}. Use a model "
            "whose constructor has a parameter `classes`, which then receives this number."
        )


def _failure(model: nn.Module, shape: tuple[int, ...]) -> Exception | None:
    """Return the error that the model raises for an image of zeros, if any."""
    try:
        with no_grad(), evaluating(model):
            out = model(np.zeros((1, *shape), np.float32))
        if not isinstance(out, Tensor):
            got = type(out).__name__
            raise DtypeError(f"expected forward to return a Tensor of logits, got {got}.")
    except Exception as error:
        return error
    return None


def make_loader(config: RunConfig, dataset: ImageDataset) -> DataLoader:
    """Return the loader of the training set, with shuffling and augmentation."""
    names = ("shift", "rotation", "scaling", "flip", "noise", "erasing")
    wanted = {name: getattr(config, name) for name in names}
    augmentation = data.Augmentation(**wanted) if any(wanted.values()) else None
    return DataLoader(
        dataset, config.batch_size, shuffle=True, seed=config.seed, augmentation=augmentation
    )


def make_optimizer(config: RunConfig, model: nn.Module) -> optim.Optimizer:
    """Return the optimizer, with weight decay except for biases and norm layers."""
    options: dict[str, Any] = {"lr": config.learning_rate}
    if config.optimizer in ("sgd", "rmsprop"):
        options["momentum"] = config.momentum
    groups = optim.decay_groups(model.named_parameters(), config.weight_decay)
    made: optim.Optimizer = _CLASSES[config.optimizer](groups, **options)
    return made


def make_schedule(
    config: RunConfig, optimizer: optim.Optimizer, steps: int
) -> tuple[optim.Schedule | None, str]:
    """Return the schedule for a run of `steps` steps, and its unit: "step" or "epoch"."""
    if config.schedule == "plateau":
        return optim.ReduceLROnPlateau(optimizer, patience=2), "epoch"
    if config.schedule == "onecycle":
        swings = bool({"momentum", "betas"} & set(optimizer.param_groups[0]))
        highest = config.learning_rate
        return optim.OneCycleLR(
            optimizer, highest, total_steps=steps, cycle_momentum=swings
        ), "step"
    warmup = round(config.warmup * steps)
    after: optim.Schedule | None = None
    if config.schedule == "cosine":
        after = optim.CosineAnnealingLR(optimizer, T_max=max(1, steps - warmup))
    elif config.schedule == "step":
        milestones = [int((steps - warmup) * part) for part in (0.5, 0.75)]
        after = optim.MultiStepLR(optimizer, milestones=milestones, gamma=0.1)
    if not warmup:
        return after, "step"
    rise = optim.LinearWarmup(optimizer, warmup, start_factor=0.01)
    if after is None:
        return rise, "step"
    return optim.SequentialLR(optimizer, [rise, after], milestones=[warmup]), "step"


def make_loss(config: RunConfig, model: nn.Module) -> Callable[[Tensor, Any], Tensor]:
    """Return the loss function: the cross-entropy of logits and labels.

    Label smoothing and the L1 penalty apply only in training mode, so validation losses of
    different settings can be compared.
    """

    def loss(logits: Tensor, labels: Any) -> Tensor:
        if not model.training:
            return logits.cross_entropy(labels)
        found = logits.cross_entropy(labels, label_smoothing=config.label_smoothing)
        return found + config.l1 * optim.l1_norm(model.parameters()) if config.l1 else found

    return loss
