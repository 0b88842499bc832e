"""The form of the Train tab: what it offers, and the run configuration that it asks for."""

import functools
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from tinygrad_np import random
from tinygrad_np.cli.config import DATA, LEARNING_RATES, POINTS, RunConfig
from tinygrad_np.cli.models import absolute_spec, built_in_models
from tinygrad_np.cli.parts import check_images, make_model
from tinygrad_np.cli.runs import run_folders
from tinygrad_np.cli.training import CORRECTIONS, SNAPSHOT, WEIGHTS
from tinygrad_np.data import sources
from tinygrad_np.errors import ArgumentError, DataError, TinygradNpError
from tinygrad_np.files import exists, read_json
from tinygrad_np.playground.corrections import Corrections
from tinygrad_np.playground.library import BUNDLED, BUNDLED_CONFIG, BUNDLED_WEIGHTS
from tinygrad_np.playground.settings import Settings

TITLES = {
    "data": "Data",
    "model": "Model",
    "optimizer": "Optimizer",
    "lr": "Learning rate",
    "schedule": "Schedule",
    "batch_size": "Batch size",
    "epochs": "Epochs",
    "train_samples": "Training samples",
    "momentum": "Momentum",
    "weight_decay": "Weight decay",
    "seed": "Seed",
    "shift": "Shift",
    "rotation": "Rotation",
    "scaling": "Scaling",
    "noise": "Noise",
    "erasing": "Erasing",
    "flip": "Mirror",
}
"""Titles of the settings that the page may change, by the name of their field in RunConfig."""

_HELP = {
    "schedule": "of the learning rate",
    "batch_size": "samples per update",
    "epochs": "passes over the data",
    "momentum": "of sgd and rmsprop; onecycle overrides it",
    "weight_decay": "pulls weights toward 0, except biases and norms",
    "seed": "the same seed gives the same run",
    "shift": "moves each image at random, at most this far",
    "rotation": "turns each image at random, at most this far",
    "scaling": "0.1 shrinks or enlarges by up to 10%",
    "noise": "Gaussian, added to pixels from 0 to 1",
    "erasing": "of erasing a rectangle in an image",
    "flip": "mirrors half of the images, left to right",
}
_UNITS = {
    "shift": "pixels",
    "rotation": "degrees",
    "scaling": "fraction",
    "noise": "deviation",
    "erasing": "probability",
}
_OTHERS = ("hidden", "corrections", "weights_of")
_DATA = {
    "digits": ("Digits, bundled (1,797 images)", None),
    "moons": ("Two moons (points)", None),
    "spirals": ("Spirals (points)", None),
    "mnist": ("MNIST (70,000 digits)", sources.MNIST),
    "fashion-mnist": ("Fashion-MNIST (70,000 clothes)", sources.FASHION_MNIST),
}
_MEGABYTES = {"mnist": 12, "fashion-mnist": 31}
# What gives a good result within seconds, by dataset.
_PRESETS: dict[str, dict[str, Any]] = {
    "digits": {"model": "LeNet", "epochs": 20, "batch_size": 32},
    "mnist": {"model": "MnistCNNLight", "epochs": 2, "train_samples": 5000},
    "fashion-mnist": {"model": "MnistCNNLight", "epochs": 3, "train_samples": 5000},
    "moons": {"model": "MLP", "hidden": [16, 16], "epochs": 200, "batch_size": 32, "lr": 0.003},
    "spirals": {"model": "MLP", "hidden": [32, 32], "epochs": 300, "batch_size": 32, "lr": 0.005},
}
_MOST_RUNS = 100
_MOST_UNITS, _MOST_LAYERS = 512, 8
_MOST_EPOCHS, _MOST_STEPS = 10_000, 10_000_000
_LEAST_SAMPLES = 100
_LIMITS = {"epochs": {"most": _MOST_EPOCHS}, "train_samples": {"least": _LEAST_SAMPLES}}
# Largest number of training samples, by dataset.
_SAMPLES = {
    "mnist": 60_000,
    "fashion-mnist": 60_000,
    "digits": 1437,
    "moons": 1000,
    "spirals": 1000,
}


def make_config(given: Mapping[str, Any], settings: Settings) -> RunConfig:
    """Return the configuration that a request asks for.

    Raises:
        ArgumentError: if a field is unknown or a value invalid.
    """
    known = [*TITLES, *_OTHERS]
    if unknown := sorted(set(given) - set(known)):
        raise ArgumentError(
            f"training: expected only the fields {', '.join(known)}, got {', '.join(unknown)}."
        )
    if given.get("data", RunConfig.data) not in DATA:  # a request must not name files on the server
        raise ArgumentError(
            f"--data: expected one of {', '.join(DATA)}, got {given['data']!r:.80}."
        )
    specs = model_specs(settings)
    values = {name: value for name, value in given.items() if name in TITLES}
    name = values.get("model", RunConfig.model)
    if not isinstance(name, str) or name not in specs:
        raise ArgumentError(f"--model: expected one of {', '.join(specs)}, got {name!r:.80}.")
    values["model"] = specs[name]
    if values["model"] == "MLP":
        hidden = _hidden_sizes(given.get("hidden", [16, 16]))
        values["model_options"] = _model_options("MLP", values.get("data"), hidden)
    elif "hidden" in given:
        raise ArgumentError(f"hidden: expected hidden layers only for the model MLP, got {name}.")
    if given.get("corrections", False):
        path = settings.runs / CORRECTIONS
        if not exists(path):
            raise ArgumentError("corrections: expected saved corrections, got none.")
        values["corrections"] = str(path.resolve())
    if (start := given.get("weights_of")) is not None:
        weights = weight_choices(settings.runs, find_runs(settings.runs))
        if not isinstance(start, str) or start not in weights:
            raise ArgumentError(f"weights_of: expected a trained model, got {start!r:.80}.")
        config, path = weights[start]
        values["weights"] = str(path.resolve())
        if config.model == values["model"]:  # the weights fit only a model of the same sizes
            values["model_options"] = config.model_options
            values["standardise"] = config.standardise
    config = RunConfig(**{**values, "data_dir": settings.data_dir})
    if config.train_samples is not None and config.train_samples < _LEAST_SAMPLES:
        raise ArgumentError(
            f"--train-samples: expected at least {_LEAST_SAMPLES}, got {config.train_samples}."
        )
    check_length(config)
    return config


def check_length(config: RunConfig) -> None:
    """Raise ArgumentError if a run would take days."""
    if config.epochs > _MOST_EPOCHS:
        raise ArgumentError(f"--epochs: expected at most {_MOST_EPOCHS:,}, got {config.epochs:,}.")
    samples = min(config.train_samples or _SAMPLES[config.data], _SAMPLES[config.data])
    steps = config.epochs * -(-samples // config.batch_size)
    if steps > _MOST_STEPS:
        raise ArgumentError(
            f"--epochs: expected at most {_MOST_STEPS:,} steps, got {steps:,}. Use fewer epochs or "
            "a larger batch size."
        )


def _model_options(spec: str, data: Any, hidden: list[int]) -> dict[str, Any]:
    if spec != "MLP":
        return {}
    inputs, classes = (2, 2) if data in POINTS else (28 * 28, 10)
    return {"inputs": inputs, "hidden": hidden, "classes": classes}


def _hidden_sizes(value: Any) -> list[int]:
    is_valid = isinstance(value, list) and 1 <= len(value) <= _MOST_LAYERS
    if not is_valid or any(type(one) is not int or not 1 <= one <= _MOST_UNITS for one in value):
        raise ArgumentError(
            f"hidden: expected 1 to {_MOST_LAYERS} layers with 1 to {_MOST_UNITS} units each, such "
            f"as 16, 16, got {value!r:.80}."
        )
    return list(value)


def error_for_page(error: TinygradNpError | str) -> dict[str, str | None]:
    """Return an error's message with the titles of controls in place of flags, and its field.

    Of the advice on a run that has diverged, it keeps what the page can do.

    >>> error_for_page(ArgumentError("--lr: expected a finite number > 0, got -1."))
    {'error': 'Learning rate: expected a finite number > 0, got -1.', 'field': 'lr'}
    """
    found: list[str] = []

    def replace_flag(match: re.Match[str]) -> str:
        name = match[1].replace("-", "_")
        found.append(name)
        return TITLES.get(name, match[0])

    message = re.sub(r"--([a-z][a-z0-9-]*)", replace_flag, str(error))
    if diverged := re.fullmatch(r"Trainer\.fit: (.*Try a smaller learning rate).*", message):
        message = f"{diverged[1][0].upper()}{diverged[1][1:]}."
    first = found[0] if found else message.partition(":")[0]
    return {"error": message, "field": first if first in (*TITLES, *_OTHERS) else None}


@functools.cache
def model_specs(settings: Settings) -> dict[str, str]:
    """Return the models to choose from: the specs by the names that requests use."""
    specs = {name: name for name in built_in_models()}
    for spec in map(absolute_spec, settings.models):
        name = first = spec.rpartition(":")[2]
        number = 1
        while name in specs:
            number += 1
            name = f"{first} ({number})"
        specs[name] = spec
    return specs


@functools.cache
def fitting_data(spec: str) -> tuple[str, ...]:
    """Return the datasets whose samples a model accepts."""
    found = []
    with random.own_default():
        for name in DATA:
            options = _model_options(spec, name, [4])
            try:
                config = RunConfig(model=spec, model_options=options, data=name)
                check_images(make_model(spec, options), config)
            except ArgumentError:
                continue
            found.append(name)
    return tuple(found)


def choices(settings: Settings) -> dict[str, Any]:
    """Return what the form needs: models, data, fields with help and limits, and earlier runs."""
    runs = find_runs(settings.runs)
    metrics = {name: _metrics(settings.runs / name) for name in runs}
    described = {
        one.name: {
            "title": TITLES[one.name],
            "unit": _UNITS.get(one.name),
            "help": _HELP.get(one.name),
            "default": None if one.default is MISSING else one.default,
            **{
                name: one.metadata[name]
                for name in ("choices", "least", "most", "above")
                if one.metadata[name] not in ((), float("inf"), -float("inf"))
            },
            **_LIMITS.get(one.name, {}),
        }
        for one in fields(RunConfig)
        if one.name in TITLES
    }
    names = {spec: name for name, spec in model_specs(settings).items()}
    try:
        corrections = sum(Corrections(settings.runs / CORRECTIONS).counts())
    except DataError:  # damaged; the Draw tab says so
        corrections = 0
    return {
        "fields": described,
        "corrections": corrections,
        "rates": LEARNING_RATES,
        "models": [
            {"name": name, "data": fitting_data(spec), "is_own": spec not in built_in_models()}
            for name, spec in model_specs(settings).items()
        ],
        "data": [
            {
                "name": name,
                "title": title,
                "kind": _kind(name),
                "is_here": source is None or sources.is_here(source, settings.data_dir),
                "megabytes": _MEGABYTES.get(name),
                "preset": _PRESETS[name],
            }
            for name, (title, source) in _DATA.items()
        ],
        "resumable": [
            {
                "name": name,
                "epochs": config.epochs,
                "fixes_length": _describe_length(config),
                "is_finished": metrics[name]["test_accuracy"] is not None,
                "has_diverged": bool(metrics[name]["fault"]),
            }
            for name, config in runs.items()
            if exists(settings.runs / name / SNAPSHOT)
        ],
        "weights": [
            {
                "name": name,
                "title": "the bundled model" if name == BUNDLED else path.parent.name,
                "model": names[config.model],
                "hidden": config.model_options.get("hidden"),
                "data": config.data,
                "kind": _kind(config.data),
            }
            for name, (config, path) in weight_choices(settings.runs, runs).items()
            if config.model in names
        ],
    }


def weight_choices(
    folder: Path, runs: Mapping[str, RunConfig]
) -> dict[str, tuple[RunConfig, Path]]:
    """Return the trained weights to start from: the bundled model's, and those of runs.

    Runs that have diverged are left out.

    Args:
        folder: the directory of the runs.
        runs: their configurations, as `find_runs` returns them.

    Returns:
        For each model, by its name in requests, its configuration and its file.
    """
    found = {BUNDLED: (BUNDLED_CONFIG, BUNDLED_WEIGHTS)}
    for name, config in runs.items():
        if exists(folder / name / WEIGHTS) and not _metrics(folder / name)["fault"]:
            found[f"run/{name}"] = config, folder / name / WEIGHTS
    return found


def _kind(data: str) -> str:
    return "points" if data in POINTS else "images"


def find_runs(folder: Path) -> dict[str, RunConfig]:
    """Return the configurations of the runs in a directory, the newest run first.

    Runs on the user's own images are left out: the page cannot show or continue them.
    """
    found = {}
    for path in run_folders(folder)[:_MOST_RUNS]:
        try:
            config = RunConfig.read(path / "config.json")
        except DataError:  # another program's file, or a damaged one
            continue
        if not config.reads_files:
            found[path.name] = config
    return found


def check_is_unfinished(folder: Path, config: RunConfig) -> None:
    """Raise ArgumentError if a run has its results and would do no more epochs."""
    metrics = _metrics(folder)
    done = metrics["epochs"]
    has_ended = metrics["config"] == asdict(config) or config.epochs <= done
    if metrics["test_accuracy"] is not None and has_ended:
        advice = "Start a new run" if config.fixes_length else "Ask for more epochs"
        count = f"{done} epoch{'' if done == 1 else 's'}"
        raise ArgumentError(f"training: {folder.name} has completed {count}. {advice}.")


def _metrics(folder: Path) -> dict[str, Any]:
    """Return what is needed of a run's metrics.json: as of an unfinished run, if it is missing."""
    names = ("test_accuracy", "fault", "epochs", "config")
    try:
        found = read_json(folder / "metrics.json")
        return {name: found[name] for name in names}
    except (DataError, LookupError, TypeError):
        return dict.fromkeys(names)


def _describe_length(config: RunConfig) -> str:
    """Say what fixes the length of a run, or return ''."""
    if config.steps:
        return f"Its limit of {config.steps} steps fixes its length."
    if not config.fixes_length:
        return ""
    part = "warmup" if config.schedule == "constant" else f"{config.schedule} schedule"
    return f"Its {part} fixes its length."
