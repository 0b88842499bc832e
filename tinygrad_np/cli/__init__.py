"""Command line: python -m tinygrad_np train|evaluate|predict|summary|graph|gradcheck|config."""

from tinygrad_np.cli.entry import main

__all__ = ["main"]
