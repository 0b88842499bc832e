"""Settings of the playground, from the command line."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where the playground finds data and models, and writes runs.

    Args:
        runs: directory of the runs, as the command line writes them.
        data_dir: directory that contains mnist/ or fashion-mnist/; None searches the usual places.
        models: the user's own model classes, as file.py:Class or package.module:Class.
    """

    runs: Path = Path("runs")
    data_dir: str | None = None
    models: tuple[str, ...] = ()
