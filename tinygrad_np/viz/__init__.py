"""Visualization: graph drawings, and figures of data, training and results."""

from tinygrad_np.viz.drawing import Drawing, draw, render
from tinygrad_np.viz.explorer import explore
from tinygrad_np.viz.plots import (
    calibration,
    confusion,
    curves,
    images,
    predictions,
    save,
)
from tinygrad_np.viz.report import REPORT_FILES, report

__all__ = [
    "REPORT_FILES",
    "Drawing",
    "calibration",
    "confusion",
    "curves",
    "draw",
    "explore",
    "images",
    "predictions",
    "render",
    "report",
    "save",
]
