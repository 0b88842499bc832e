"""Finding and loading of runs: the directories that the train command writes."""

from contextlib import suppress
from pathlib import Path

from tinygrad_np import nn
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.models import absolute_spec
from tinygrad_np.cli.parts import make_model
from tinygrad_np.cli.training import find_weights, load_weights
from tinygrad_np.files import exists


def run_folders(runs: Path) -> list[Path]:
    """Return the run directories in a directory, the newest first; [] if it cannot be read.

    They contain a config.json, which may be damaged.
    """
    with suppress(OSError):
        found = [path for path in runs.iterdir() if exists(path / "config.json")]
        return sorted(found, key=lambda path: -(path / "config.json").stat().st_mtime_ns)
    return []


def load_run(run: Path, model_spec: str | None = None) -> tuple[RunConfig, nn.Module]:
    """Load the config and the trained model of a run.

    Args:
        run: run directory, which means its model.safetensors, or a weights file in one.
        model_spec: location of the model's class, if it differs from the one in the config.

    Raises:
        DataError: if a file is missing or damaged, or the weights do not fit the model.
        ArgumentError: if the model cannot be constructed.
    """
    path = find_weights(run)
    config = RunConfig.read(path.parent / "config.json")
    if model_spec is not None:
        config = config.with_changes({"model": absolute_spec(model_spec)})
    model = make_model(config.model, config.model_options)
    load_weights(model, path)
    return config, model
