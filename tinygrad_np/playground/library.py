"""The models to draw with: the bundled one, and those of the runs."""

import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinygrad_np import nn, random, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.models import is_spec
from tinygrad_np.cli.parts import check_images, image_shape, make_like, make_model
from tinygrad_np.cli.runs import load_run, run_folders
from tinygrad_np.cli.training import WEIGHTS
from tinygrad_np.data.sources import CLOTHES, DIGITS
from tinygrad_np.errors import ArgumentError, DataError, TinygradNpError
from tinygrad_np.files import exists, read_json
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad

BUNDLED = "bundled"
"""Name of the bundled model; a run has the name run/NAME."""

BUNDLED_WEIGHTS = Path(__file__).with_name("bundled.safetensors")
BUNDLED_CONFIG = RunConfig(model="MnistCNNLight", data="digits")
_UNFINISHED = "last.safetensors"
_CLASSES = {"mnist": DIGITS, "digits": DIGITS, "fashion-mnist": CLOTHES}
_MAX_LOADED = 4


@dataclass(frozen=True)
class Choice:
    """A model that can be chosen; it is not loaded yet.

    Args:
        name: its name in requests.
        title: its name for people.
        config: the settings that it was trained with.
        note: what to know about it, or "".
        is_finished: whether its training run is finished.
    """

    name: str
    title: str
    config: RunConfig
    note: str
    is_finished: bool = True

    @property
    def side(self) -> int:
        """Side of the images that the model takes, 28 or 8."""
        return image_shape(self.config)[-1]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return _CLASSES[self.config.data]


_BUNDLED_CHOICE = Choice(
    BUNDLED,
    "Bundled model",
    BUNDLED_CONFIG,
    "trained on 1438 small digits; reads 89% of MNIST's test digits; train MnistCNN on MNIST for "
    "99%",
)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A loaded model in evaluation mode.

    Args:
        choice: what is known about it.
        model: the model; hold `lock` while it runs, because hooks and modes are not thread-safe.
    """

    choice: Choice
    model: nn.Module
    lock: threading.Lock = field(default_factory=threading.Lock)

    def inputs(self, image: Array) -> Array:
        """Return the model's input (1, 1, side, side) for a uint8 image (1, side, side)."""
        return make_like(self.choice.config, image[None]).batch(slice(None))[0]


class Library:
    """The bundled model and the runs in a directory, loaded when they are first used.

    A run that has been trained further is reloaded. The most recently used models stay loaded.

    Args:
        runs: the directory of the runs; it may be missing.
        bundled: the weights of the bundled model.
    """

    def __init__(self, runs: Path, bundled: Path = BUNDLED_WEIGHTS) -> None:
        self._runs = runs
        self._bundled = bundled
        self._loaded: OrderedDict[str, tuple[object, Loaded]] = OrderedDict()
        self._lock = threading.Lock()

    def choices(self) -> tuple[list[Choice], dict[str, str]]:
        """Return the models, and what is left out.

        The bundled model comes first, then the newest run; unfinished runs come last.

        Returns:
            The choices, and the reason for each run that cannot be used, by name. Neither contains
            runs on points or directories without a config.json.
        """
        found, reasons = [], {}
        for run in run_folders(self._runs):
            try:
                config = RunConfig.read(run / "config.json")
                changed = _weights(run).stat().st_mtime_ns
            except TinygradNpError as error:
                reasons[run.name] = str(error)
            except OSError:
                reasons[run.name] = f"{run} has no weights yet."
            else:
                if config.data not in _CLASSES:
                    continue
                if fault := _fault(run, config):
                    reasons[run.name] = fault
                else:
                    choice = _choice(run, config)
                    found.append((choice.is_finished, changed, choice))
        found.sort(key=lambda entry: entry[:2], reverse=True)
        return [_BUNDLED_CHOICE, *(choice for *_, choice in found)], reasons

    def load(self, name: str) -> Loaded:
        """Return the model of this name.

        Raises:
            ArgumentError: if there is no such model, or it cannot be used for drawings.
            DataError: if a file of its run is missing or damaged.
            ShapeError: if the weights have other shapes than the model.
        """
        run = None if name == BUNDLED else self._find(name)
        weights = self._bundled if run is None else _weights(run)
        with self._lock:
            state = _state(weights), None if run is None else _state(run / "config.json")
            kept = self._loaded.pop(name, None)
            if kept is None or kept[0] != state:
                kept = state, _load(run, weights)
            self._loaded[name] = kept
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.popitem(last=False)
        return kept[1]

    def _find(self, name: str) -> Path:
        # Among the directories found, so no name can lead elsewhere.
        folders = {f"run/{folder.name}": folder for folder in run_folders(self._runs)}
        if name not in folders:
            raise ArgumentError(
                f"model: expected {BUNDLED!r} or the name of a run, such as 'run/mine', got "
                f"{name[:80]!r}. Reload the list of models."
            )
        return folders[name]


def _weights(run: Path) -> Path:
    """Return the final weights, or those of the last epoch if the run is not finished."""
    return run / WEIGHTS if exists(run / WEIGHTS) else run / _UNFINISHED


def _state(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is replaced; None if it is missing."""
    with suppress(OSError):
        status = path.stat()
        return status.st_mtime_ns, status.st_size
    return None


def _fault(run: Path, config: RunConfig) -> str:
    """Return why the model of a run is of no use, as far as that is known without loading it."""
    source = config.model.rpartition(":")[0]
    if is_spec(config.model) and source.endswith(".py") and not exists(Path(source)):
        return f"{source} is missing."
    if exists(run / WEIGHTS):
        with suppress(DataError, LookupError, TypeError):
            return str(read_json(run / "metrics.json")["fault"])
    return ""


def _choice(run: Path, config: RunConfig) -> Choice:
    notes = []
    is_finished = exists(run / WEIGHTS)
    if not is_finished:
        notes.append("unfinished run, with the weights of its last epoch")
    if config.data == "fashion-mnist":
        notes.append("trained on photos of clothes, which look unlike drawings")
    return Choice(f"run/{run.name}", run.name, config, "; ".join(notes), is_finished)


def _load(run: Path | None, weights: Path) -> Loaded:
    """Load a run, or the bundled model."""
    # Constructing a model may seed the default generator, which a training run may be using.
    with random.own_default():
        if run is None:
            config, model = BUNDLED_CONFIG, make_model(BUNDLED_CONFIG.model, {})
            model.load_state_dict(train.load(weights))
        else:
            config, model = load_run(weights)
    if config.data not in _CLASSES:
        raise ArgumentError(
            f"{weights}: expected a model for images, got one trained on {config.data}."
        )
    choice = _BUNDLED_CHOICE if run is None else _choice(run, config)
    check_images(model, config)
    with no_grad():
        logits = model.eval()(np.zeros((1, 1, choice.side, choice.side), np.float32))
    expected = 1, len(choice.classes)
    if logits.shape != expected:
        raise ArgumentError(
            f"{choice.title}: expected logits of shape {expected} for one image, got "
            f"{logits.shape}."
        )
    if not np.isfinite(logits.data).all():
        raise DataError(
            f"{choice.title}: expected finite logits, got nan or inf. Choose another model."
        )
    return Loaded(choice, model)
