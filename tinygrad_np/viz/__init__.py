"""Pictures: the graph of a model, and plots of its training."""

from tinygrad_np.viz.graph import draw, render
from tinygrad_np.viz.plots import confusion, curves, predictions, save

__all__ = ["confusion", "curves", "draw", "predictions", "render", "save"]
