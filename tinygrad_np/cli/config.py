"""What a training run is made of: a dataclass whose fields are the flags and the keys of a file."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

from tinygrad_np.cli.models import FORMS, built_in_models, is_spec
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.files import write_bytes

# Learning rates to begin with; each optimizer has its own scale.
LEARNING_RATES = {
    "sgd": 0.05,
    "adam": 0.002,
    "adamw": 0.002,
    "nadam": 0.002,
    "rmsprop": 0.001,
    "adagrad": 0.02,
    "adadelta": 1.0,
    "lamb": 0.01,
}
DATA = ("mnist", "fashion-mnist", "digits")
SCHEDULES = ("constant", "step", "cosine", "onecycle", "plateau")


_FREE = {"choices": (), "least": -math.inf, "most": math.inf, "above": -math.inf}


def setting(
    default: Any,
    text: str,
    *,
    choices: Sequence[str] = (),
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
) -> Any:
    """Return a field with its help text and the values it may have."""
    limits = {"choices": choices, "least": least, "most": most, "above": above}
    return field(default=default, metadata={**limits, "text": text})


@dataclass(frozen=True)
class RunConfig:
    """A training run: model, data, how long, by which optimizer, with which augmentation.

    Raises ArgumentError that names the field whose value cannot be used.

    >>> RunConfig(model="LabCNN", epochs=2).batch_size
    64
    """

    model: str = setting(
        "MnistCNN",
        f"the model: one of {', '.join(built_in_models())}, or your own as {FORMS}; its "
        "constructor gets --model-options, and generator= if it has this parameter",
    )
    model_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            **_FREE,
            "text": "keyword arguments of the model as JSON, such as '{\"blocks\": 2}' for LabCNN",
        },
    )
    data: str = setting("mnist", "data set", choices=DATA)
    data_dir: str | None = setting(None, "folder that holds mnist/ or fashion-mnist/")
    train_samples: int | None = setting(None, "only the first so many", least=1)
    test_samples: int | None = setting(None, "only the first so many", least=1)
    validation: float = setting(
        0.1, "part of the training set held out to choose by; 0 for none", least=0, most=0.9
    )
    standardise: bool = setting(True, "subtract the mean of the pixels, divide by their deviation")
    epochs: int = setting(3, "passes over the training set", least=1)
    steps: int | None = setting(None, "end after so many steps, not by --epochs", least=1)
    batch_size: int = setting(64, "images a step", least=1)
    optimizer: str = setting("adam", "optimizer", choices=list(LEARNING_RATES))
    lr: float | None = setting(None, "learning rate, at its highest; by optimizer", above=0)
    momentum: float = setting(0.9, "of sgd and rmsprop", least=0, most=1)
    weight_decay: float = setting(0.0, "of weights, not of biases and norms (L2)", least=0)
    l1: float = setting(0.0, "factor of the sum of |weights| in the loss", least=0)
    label_smoothing: float = setting(0.0, "part spread over all classes", least=0, most=1)
    schedule: str = setting(
        "cosine",
        "course of the rate: step divides it by 10 after a half and three quarters, cosine ends at "
        "0, plateau divides by 10 after three epochs without a better validation loss",
        choices=SCHEDULES,
    )
    warmup: float = setting(0.0, "part of the steps in which the rate rises", least=0, most=0.9)
    clip_norm: float | None = setting(None, "largest norm of all gradients", above=0)
    clip_value: float | None = setting(None, "largest entry of a gradient", above=0)
    shift: int = setting(0, "augmentation: whole pixels up, down, left, right", least=0)
    rotation: float = setting(0.0, "augmentation: degrees to either side", least=0, most=180)
    scaling: float = setting(0.0, "augmentation: factor from 1 - s to 1 + s", least=0, most=0.9)
    flip: bool = setting(False, "augmentation: every other image, left to right")
    noise: float = setting(
        0.0, "augmentation: deviation, 1 is the range of a pixel", least=0, most=1
    )
    erasing: float = setting(0.0, "augmentation: part of images with a hole", least=0, most=1)
    patience: int | None = setting(
        None, "end after so many epochs without a better one and keep the best weights", least=1
    )
    monitor: str = setting(
        "validation_loss",
        "by which epochs are compared",
        choices=("validation_loss", "validation_accuracy", "train_loss", "train_accuracy"),
    )
    test_each_epoch: bool = setting(False, "report the test set's loss and accuracy along the way")
    checkpoint_every: int | None = setting(None, "keep the weights after so many steps", least=1)
    tensorboard: bool = setting(False, "write TensorBoard's event files")
    seed: int = setting(0, "of weights, order, dropout and augmentation", least=0)

    def __post_init__(self) -> None:
        for one in fields(self):
            value, kinds = getattr(self, one.name), _kinds(one)
            if float in kinds and isinstance(value, int) and not isinstance(value, bool):
                try:
                    object.__setattr__(self, one.name, float(value))
                except OverflowError as error:
                    raise ArgumentError(
                        f"{flag(one.name)}: got a number of {len(str(value))} digits, expected "
                        f"{_describe_expected(one)}"
                    ) from error
            elif type(value) not in kinds:
                raise ArgumentError(
                    f"{flag(one.name)}: got {value!r}, expected {_describe_expected(one)}"
                )
            _check(one, value)
        self._check_together()

    def _check_together(self) -> None:
        if self.model not in built_in_models() and not is_spec(self.model):
            raise ArgumentError(
                f"--model: expected one of {', '.join(built_in_models())}, or {FORMS}, got "
                f"{self.model!r}."
            )
        if self.model == "DigitsCNN" and self.data != "digits":
            raise ArgumentError("--model DigitsCNN takes 8x8 images: add --data digits")
        validates = self.schedule == "plateau" or (
            self.patience is not None and self.monitor.startswith("validation_")
        )
        if validates and not self.validation:
            raise ArgumentError(
                "--schedule plateau and --patience need a validation set: got --validation 0, "
                "expected such as 0.1"
            )
        if self.warmup and self.schedule in ("onecycle", "plateau"):
            raise ArgumentError(f"--warmup: there is none with --schedule {self.schedule}")

    @property
    def learning_rate(self) -> float:
        """Return the rate that was asked for, or the optimizer's usual one."""
        return LEARNING_RATES[self.optimizer] if self.lr is None else self.lr

    @property
    def model_name(self) -> str:
        """Return the name of the model's class, without where it is found."""
        return self.model.rpartition(":")[2]

    @property
    def can_be_longer(self) -> bool:
        """Return whether more epochs may follow: no schedule was laid out for those there are."""
        return self.schedule in ("constant", "plateau") and not self.warmup and not self.steps

    def write(self, path: Path) -> None:
        """Write all fields as JSON."""
        write_bytes(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path, changes: Mapping[str, Any] | None = None) -> Self:
        """Return what `write` wrote, or a file with some of the fields, the others as usual; with
        some fields changed.

        Raises DataError that names the file where it cannot be read or is no such JSON.
        """
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise DataError(
                f"{path}: is not there; expected it in the folder of a run, as `train --out` makes"
            ) from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"{path}: is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise DataError(f"{path}: expected an object with names and values")
        try:
            return cls().with_changes({**found, **(changes or {})})
        except ArgumentError as error:
            raise DataError(f"{path}: {error}") from error

    def with_changes(self, values: Mapping[str, Any]) -> Self:
        """Return a run with some fields changed; raises ArgumentError for an unknown one."""
        known = [one.name for one in fields(self)]
        if unknown := sorted(set(values) - set(known)):
            raise ArgumentError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return replace(self, **values)


def flag(name: str) -> str:
    """Return the command line's flag for a field."""
    return "--" + name.replace("_", "-")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser a flag for each field; those not used leave no trace in what it returns."""
    for one in fields(RunConfig):
        kinds = _kinds(one)
        text = one.metadata["text"].replace("%", "%%")
        if one.default not in (None, MISSING):
            text += f" (default: {one.default})"
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
        if bool in kinds:
            options["action"] = argparse.BooleanOptionalAction
        elif one.metadata["choices"]:
            options["choices"] = one.metadata["choices"]
            options["metavar"] = "NAME"
            options["help"] += f"; one of {', '.join(one.metadata['choices'])}"
        else:
            options["type"] = json_object if kinds[0] is dict else kinds[0]
            options["metavar"] = {int: "N", float: "X"}.get(kinds[0], "TEXT")
        parser.add_argument(flag(one.name), **options)


def _kinds(one: Field[Any]) -> tuple[type, ...]:
    """Return the types that a field's value may have."""
    hint = get_type_hints(RunConfig)[one.name]
    return (dict,) if get_origin(hint) is dict else get_args(hint) or (hint,)


def json_object(text: str) -> dict[str, Any]:
    """Return names and values from JSON; argparse names the flag where it is none."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(text)
    return found


def _check(one: Field[Any], value: Any) -> None:
    limits = one.metadata
    if limits["choices"] and value not in limits["choices"]:
        raise ArgumentError(f"{flag(one.name)}: got {value!r}, expected {_describe_expected(one)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        inside = limits["least"] <= value <= limits["most"] and value > limits["above"]
        if not inside or not math.isfinite(value):
            raise ArgumentError(
                f"{flag(one.name)}: got {value}, expected {_describe_expected(one)}"
            )


def _describe_expected(one: Field[Any]) -> str:
    """Return in words what a field takes."""
    limits = one.metadata
    if limits["choices"]:
        return f"one of {', '.join(limits['choices'])}"
    words = {
        int: "an integer",
        float: "a finite number",
        bool: "true or false",
        str: "a text",
        dict: "names and values",
    }
    bounds = [
        f"{word} {limits[name]:g}"
        for name, word in (("above", "above"), ("least", "of at least"), ("most", "of at most"))
        if math.isfinite(limits[name])
    ]
    return " ".join([words[_kinds(one)[0]], " and ".join(bounds)]).strip()
