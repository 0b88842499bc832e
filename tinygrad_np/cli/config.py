"""Settings of a training run: one dataclass that defines the flags and the keys of config.json."""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

from tinygrad_np.cli.arguments import json_object, quote
from tinygrad_np.cli.models import FORMS, built_in_models, is_spec
from tinygrad_np.data.files import FORMS as FORMS_OF_FILES
from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.files import exists, read_json, write_bytes

# Default learning rates: each optimizer has its own scale.
LEARNING_RATES = {
    "sgd": 0.05,
    "adam": 0.002,
    "adamw": 0.002,
    "nadam": 0.002,
    "rmsprop": 0.001,
    "adagrad": 0.02,
    "adadelta": 1.0,
    "lamb": 0.01,
    "muon": 0.002,
}
POINTS = ("moons", "spirals")
DATA = ("mnist", "fashion-mnist", "digits", *POINTS)
SCHEDULES = ("constant", "step", "cosine", "onecycle", "plateau")

# Title and description of each group of flags in the help, by the field that starts the group.
_GROUPS = {
    "model": (
        "model",
        "The model's constructor receives --model-options and, if it has a parameter named "
        "`generator`, a generator seeded with --seed.",
    ),
    "data": (
        "data",
        "A directory of images has one subdirectory per class, or two such directories, train and "
        "test. Other files have images and labels: see data.load. Without a test set, a fifth of "
        "the images of each class is held out. A constructor's parameters `inputs` and `classes` "
        "receive the numbers of pixels and classes.",
    ),
    "epochs": (
        "optimization",
        "The optimizer muon updates matrices; with it, AdamW updates all other parameters. "
        "Schedules: step divides the learning rate by 10 after 1/2 and 3/4 of the steps, cosine "
        "decays it to 0, onecycle raises it to the peak and decays it to almost 0, plateau divides "
        "it by 10 after 3 epochs without a lower validation loss.",
    ),
    "shift": ("augmentation", "Random transformations of the training images."),
    "patience": ("run", None),
}

_FREE = {
    "choices": (),
    "least": -math.inf,
    "most": math.inf,
    "above": -math.inf,
    "metavar": None,
    "or_path_of": "",
}


def setting(
    default: Any,
    text: str,
    *,
    choices: Sequence[str] = (),
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    metavar: str | None = None,
    or_path_of: str = "",
) -> Any:
    """Return a field with its help text, its allowed values and its placeholder in the help.

    If a path is allowed besides the choices, `or_path_of` says what it may point to.
    """
    limits = {"choices": choices, "least": least, "most": most, "above": above}
    words = {"text": text, "metavar": metavar, "or_path_of": or_path_of}
    return field(default=default, metadata={**limits, **words})


@dataclass(frozen=True)
class RunConfig:
    """Settings of a training run: model, data, optimization, augmentation and outputs.

    `add_flags` makes a command-line flag from each field, and `write` stores all fields as JSON.

    Raises:
        ArgumentError: if a value is invalid; the message names the flag.

    >>> RunConfig(model="LabCNN", epochs=2).batch_size
    64
    """

    model: str = setting(
        "MnistCNN",
        f"{', '.join(built_in_models())}, or your own class as {FORMS}",
        metavar="NAME",
    )
    model_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            **_FREE,
            "text": "JSON object of keyword arguments, for example '{\"blocks\": 2}' for LabCNN",
            "metavar": "JSON",
        },
    )
    weights: str | None = setting(
        None,
        "start from the weights of this run (a directory or a weights file in it) instead of "
        "random weights",
        metavar="RUN",
    )
    data: str = setting("mnist", "dataset", choices=DATA, or_path_of=FORMS_OF_FILES)
    image_size: int | None = setting(
        None, "resize the images in the directory --data to NxN pixels", least=1
    )
    gray: bool | None = setting(
        None,
        "convert the images in the directory --data to gray, or to color (default: gray if none "
        "has colors)",
    )
    data_dir: str | None = setting(
        None, "directory that contains mnist/ or fashion-mnist/", metavar="DIR"
    )
    corrections: str | None = setting(
        None,
        "add the 28x28 images in this safetensors file to the training set, repeated up to 100 "
        "times so that they make up about a tenth of it",
        metavar="FILE",
    )
    train_samples: int | None = setting(None, "use only the first N training images", least=1)
    test_samples: int | None = setting(None, "use only the first N test images", least=1)
    validation: float = setting(
        0.1,
        "fraction of the training set held out for validation; 0 disables it",
        least=0,
        most=0.9,
        metavar="FRACTION",
    )
    standardise: bool = setting(
        True, "normalize the pixels to mean 0, std 1 (except those of digits)"
    )
    epochs: int = setting(3, "number of epochs", least=1)
    steps: int | None = setting(None, "stop after N steps; overrides --epochs", least=1)
    batch_size: int = setting(64, "batch size", least=1)
    optimizer: str = setting("adam", "optimizer", choices=list(LEARNING_RATES))
    lr: float | None = setting(
        None, "peak learning rate (default: depends on --optimizer)", above=0, metavar="LR"
    )
    momentum: float = setting(
        0.9, "momentum of sgd and rmsprop; onecycle overrides it", least=0, most=1
    )
    weight_decay: float = setting(0.0, "weight decay; skips biases and norms", least=0)
    l1: float = setting(0.0, "coefficient of the L1 penalty", least=0)
    label_smoothing: float = setting(
        0.0, "probability moved from the target to all classes", least=0, most=1, metavar="EPS"
    )
    schedule: str = setting("cosine", "learning rate schedule", choices=SCHEDULES)
    warmup: float = setting(
        0.0, "fraction of the steps used for linear warmup", least=0, most=0.9, metavar="FRACTION"
    )
    clip_norm: float | None = setting(None, "clip the total gradient norm to X", above=0)
    clip_value: float | None = setting(None, "clip each gradient entry to [-X, X]", above=0)
    shift: int = setting(0, "shift by up to N pixels per axis", least=0)
    rotation: float = setting(0.0, "rotate by up to DEG degrees", least=0, most=180, metavar="DEG")
    scaling: float = setting(0.0, "scale by a factor from 1 - X to 1 + X", least=0, most=0.9)
    flip: bool = setting(False, "flip each image horizontally with probability 1/2")
    noise: float = setting(
        0.0,
        "standard deviation of Gaussian noise; pixels are in [0, 1]",
        least=0,
        most=1,
        metavar="STD",
    )
    erasing: float = setting(
        0.0, "probability of erasing a rectangle", least=0, most=1, metavar="P"
    )
    patience: int | None = setting(
        None,
        "stop after N epochs without improvement of --monitor and restore the best weights",
        least=1,
    )
    monitor: str = setting(
        "validation_loss",
        "metric that defines the best epoch",
        choices=("validation_loss", "validation_accuracy", "train_loss", "train_accuracy"),
    )
    test_each_epoch: bool = setting(False, "evaluate on the test set after each epoch")
    checkpoint_every: int | None = setting(None, "save the weights every N steps", least=1)
    tensorboard: bool = setting(False, "write TensorBoard event files")
    seed: int = setting(
        0, "seed for weights, validation split, batch order, dropout and augmentation", least=0
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value = _checked(one, getattr(self, one.name))
            object.__setattr__(self, one.name, value)
        self._check_together()

    @safe
    def __repr__(self) -> str:
        """Return the settings that differ from their defaults."""
        default = {
            one.name: one.default if one.default_factory is MISSING else one.default_factory()
            for one in fields(self)
        }
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        changed = [f"{name}={value!r}" for name, value in values.items() if value != default[name]]
        return f"RunConfig({', '.join(changed)})"

    def _check_together(self) -> None:
        if self.model not in built_in_models() and not is_spec(self.model):
            raise ArgumentError(
                f"--model: expected one of {', '.join(built_in_models())}, or {FORMS}, got "
                f"{quote(self.model)}."
            )
        if self.model == "DigitsCNN" and self.data != "digits" and not self.reads_files:
            raise ArgumentError(
                f"--model DigitsCNN: expected --data digits (8x8 images), got --data {self.data}."
            )
        if self.data in POINTS:
            self._check_points()
        for name in ("image_size", "gray"):
            if getattr(self, name) is not None and not self.reads_files:
                raise ArgumentError(
                    f"{flag(name)}: expected --data to be a directory of images, got --data "
                    f"{self.data}."
                )
        if self.corrections and self.data not in ("mnist", "digits"):
            raise ArgumentError(
                f"--corrections: expected --data mnist or digits, got --data {self.data}."
            )
        validates = self.schedule == "plateau" or (
            self.patience is not None and self.monitor.startswith("validation_")
        )
        if validates and not self.validation:
            cause = f"--patience with --monitor {self.monitor}"
            if self.schedule == "plateau":
                cause = "--schedule plateau"
            raise ArgumentError(
                f"{cause}: expected a validation set, got --validation 0. Try --validation 0.1."
            )
        if self.warmup and self.schedule in ("onecycle", "plateau"):
            raise ArgumentError(
                f"--warmup: expected 0 with --schedule {self.schedule}, got {self.warmup}."
            )

    def _check_points(self) -> None:
        if self.model == "MLP":
            sizes = {name: self.model_options.get(name) for name in ("inputs", "classes")}
            if sizes != {"inputs": 2, "classes": 2}:
                options = json.dumps({"inputs": 2, "hidden": [16, 16], "classes": 2})
                raise ArgumentError(
                    f"--model MLP: expected 2 inputs and 2 classes for --data {self.data}, got "
                    f"--model-options {quote(json.dumps(self.model_options))}. Try "
                    f"--model-options '{options}'."
                )
        elif self.model in built_in_models():
            raise ArgumentError(
                f"--data {self.data}: expected --model MLP or your own model for points in the "
                f"plane, got --model {self.model}, which is made for images."
            )
        names = [one.name for one in fields(self)]
        for name in names[names.index("shift") : names.index("patience")]:
            if value := getattr(self, name):
                raise ArgumentError(
                    f"{flag(name)}: expected no augmentation with --data {self.data}, whose "
                    f"samples are points, got {value}."
                )

    @property
    def reads_files(self) -> bool:
        """Whether the data is a path, rather than the name of a dataset."""
        return self.data not in DATA

    @property
    def data_name(self) -> str:
        """The name of the dataset, or of the file or directory."""
        return Path(self.data).stem if self.reads_files else self.data

    @property
    def sample_noun(self) -> str:
        """What messages call the samples of the data: "images" or "points"."""
        return "points" if self.data in POINTS else "images"

    @property
    def learning_rate(self) -> float:
        """The learning rate: `lr`, or the default of the optimizer."""
        return LEARNING_RATES[self.optimizer] if self.lr is None else self.lr

    @property
    def model_name(self) -> str:
        """The name of the model's class, without its module or file."""
        return self.model.rpartition(":")[2]

    @property
    def fixes_length(self) -> str:
        """The setting that fixes the number of steps, or '' if epochs can be added to the run."""
        if self.steps:
            return f"--steps {self.steps}"
        if self.schedule not in ("constant", "plateau"):
            return f"--schedule {self.schedule}"
        return f"--warmup {self.warmup}" if self.warmup else ""

    def write(self, path: Path) -> None:
        """Write all fields as JSON."""
        write_bytes(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path, changes: Mapping[str, Any] | None = None) -> Self:
        """Read a config.json; fields that the file lacks have their defaults.

        Args:
            path: a file written by `write`, or a JSON object with some of the fields.
            changes: fields that replace those of the file, before the values are checked.

        Raises:
            DataError: if the file cannot be read, or a value in it or in `changes` is invalid; the
                message names the file.
        """
        if not exists(path):
            raise DataError(
                f"{path}: file not found. Expected the config.json of a run directory made by "
                "`python -m tinygrad_np train`."
            )
        found = read_json(path)
        if not isinstance(found, dict):
            raise DataError(f"{path}: expected a JSON object, got {type(found).__name__}.")
        try:
            return cls().with_changes({**found, **(changes or {})})
        except ArgumentError as error:
            raise DataError(f"{path}: {error}") from error

    def with_changes(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with some fields changed.

        Raises:
            ArgumentError: if a field is unknown or a value is invalid.
        """
        known = [one.name for one in fields(self)]
        if unknown := sorted(set(values) - set(known)):
            raise ArgumentError(
                f"RunConfig: expected only the fields {', '.join(known)}, got {', '.join(unknown)}."
            )
        return replace(self, **values)


def flag(name: str) -> str:
    """Return the command-line flag of a field."""
    return "--" + name.replace("_", "-")


def add_flags(parser: argparse.ArgumentParser) -> Any:
    """Add a flag for each field, in groups; return the last group.

    The parsed namespace contains only the flags that were given.
    """
    group: Any = parser
    for one in fields(RunConfig):
        if one.name in _GROUPS:
            group = parser.add_argument_group(*_GROUPS[one.name])
        add_flag(group, one.name)
    return group


def add_flag(parser: Any, name: str, help_text: str | None = None) -> None:
    """Add the flag of a field to a parser or group, optionally with another help text."""
    one = next(one for one in fields(RunConfig) if one.name == name)
    kinds = _kinds(one)
    text = one.metadata["text"].replace("%", "%%")
    if one.metadata["choices"]:
        text += f": {', '.join(one.metadata['choices'])}"
    if one.metadata["or_path_of"]:
        text += f", or the path of {one.metadata['or_path_of']}"
    if one.default not in (None, MISSING):
        text += f" (default: {one.default})"
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": help_text or text}
    if bool in kinds:
        options["action"] = argparse.BooleanOptionalAction
    else:
        options["type"] = _type_of(one)
        names = {int: "N", float: "X"}
        options["metavar"] = one.metadata["metavar"] or names.get(kinds[0], "NAME")
    parser.add_argument(flag(one.name), **options)


def _kinds(one: Field[Any]) -> tuple[type, ...]:
    """Return the types allowed for the value of a field."""
    hint = get_type_hints(RunConfig)[one.name]
    return (dict,) if get_origin(hint) is dict else get_args(hint) or (hint,)


def _type_of(one: Field[Any]) -> Callable[[str], Any]:
    """Return a function that parses and checks the argument of a field's flag."""
    kind = _kinds(one)[0]

    def parse(text: str) -> Any:
        if kind is dict:
            return json_object(text)
        try:
            return _checked(one, kind(text))
        except ArgumentError as error:
            message = str(error).removeprefix(f"{flag(one.name)}: ")
        except ValueError:
            message = f"expected {_describe_expected(one)}, got {quote(text)}."
        raise argparse.ArgumentTypeError(message)

    return parse


def _checked(one: Field[Any], value: Any) -> Any:
    """Return the value of a field, an integer as a float if the field is a float.

    Raises:
        ArgumentError: if the value is invalid.
    """
    kinds, limits = _kinds(one), one.metadata
    if type(value) is int and float in kinds and abs(value) < 2**1000:
        value = float(value)
    is_huge = type(value) is int and abs(value) >= 2**63
    is_valid = type(value) in kinds and not is_huge
    if is_valid and isinstance(value, str):
        is_valid = value != "" and "\0" not in value
        if limits["choices"] and value not in limits["choices"]:
            is_valid = bool(limits["or_path_of"]) and is_valid and _is_path(value)
    elif is_valid and type(value) in (int, float):
        is_valid = limits["least"] <= value <= limits["most"] and value > limits["above"]
        is_valid &= math.isfinite(value)
    if not is_valid:
        shown = quote(value)
        if is_huge:  # Python refuses to print more than 4300 digits
            shown = f"about 1e{round(math.log10(abs(value)))}, beyond 2**63"
        raise ArgumentError(f"{flag(one.name)}: expected {_describe_expected(one)}, got {shown}.")
    return value


def _is_path(text: str) -> bool:
    """Return whether a text is meant as a path: it has a separator or suffix, or it exists."""
    return Path(text).name != text or Path(text).suffix != "" or exists(text)


def _describe_expected(one: Field[Any]) -> str:
    """Describe the values that a field accepts."""
    limits = one.metadata
    if limits["choices"]:
        path = f", or the path of {limits['or_path_of']}" if limits["or_path_of"] else ""
        return f"one of {', '.join(limits['choices'])}{path}"
    words = {
        int: "an integer",
        float: "a finite number",
        bool: "true or false",
        str: "a nonempty string",
        dict: "a JSON object",
    }
    bounds = [
        f"{word} {limits[name]:g}"
        for name, word in (("above", ">"), ("least", ">="), ("most", "<="))
        if math.isfinite(limits[name])
    ]
    return " ".join([words[_kinds(one)[0]], " and ".join(bounds)]).strip()
