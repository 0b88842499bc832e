"""Loading of runs: the directories that the train command writes."""

from pathlib import Path

from tinygrad_np import nn, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.models import absolute_spec
from tinygrad_np.cli.parts import make_model
from tinygrad_np.cli.training import SNAPSHOT, WEIGHTS
from tinygrad_np.errors import DataError
from tinygrad_np.files import exists, is_folder


def load_run(run: Path, model_spec: str | None = None) -> tuple[RunConfig, nn.Module]:
    """Load the config and the trained model of a run.

    Args:
        run: run directory, which means its model.safetensors, or a weights file in one.
        model_spec: location of the model's class, if it differs from the one in the config.

    Raises:
        DataError: if a file is missing or damaged.
        ArgumentError: if the model cannot be constructed.
        ShapeError: if the weights have other shapes than the model.
    """
    path = run / WEIGHTS if is_folder(run) else run
    if not exists(path):
        if exists(run / SNAPSHOT):
            raise DataError(
                f"{run}: the run is not finished, so there is no {WEIGHTS}. Resume it with "
                f"`python -m tinygrad_np train --resume {run}`, or pass a weights file in it, such "
                f"as {run / 'last.safetensors'}."
            )
        raise DataError(
            f"{path}: file not found. Expected a run directory made by `python -m tinygrad_np "
            "train`, or a weights file in one."
        )
    config = RunConfig.read(path.parent / "config.json")
    if model_spec is not None:
        config = config.with_changes({"model": absolute_spec(model_spec)})
    model = make_model(config.model, config.model_options)
    model.load_state_dict(train.load(path))
    return config, model
