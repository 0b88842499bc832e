"""Visualization: graph drawings, and figures of data, training and results."""

from tinygrad_np.viz.attribution import (
    class_images,
    grad_cam,
    grad_cam_map,
    maximize_class,
    occlusion,
    occlusion_map,
    saliency,
    saliency_map,
)
from tinygrad_np.viz.boundary import decision_boundary, decision_grid
from tinygrad_np.viz.drawing import Drawing, draw, render
from tinygrad_np.viz.explorer import explore
from tinygrad_np.viz.figure import Figure, save
from tinygrad_np.viz.inside import (
    Histograms,
    attention,
    attention_weights,
    feature_maps,
    filters,
    histograms,
)
from tinygrad_np.viz.landscape import (
    RangeTest,
    Surface,
    learning_rates,
    loss_surface,
    loss_surface_values,
    range_test,
)
from tinygrad_np.viz.plots import (
    calibration,
    confusion,
    curves,
    images,
    most_wrong,
    predictions,
)
from tinygrad_np.viz.report import REPORT_FILES, report

__all__ = [
    "REPORT_FILES",
    "Drawing",
    "Figure",
    "Histograms",
    "RangeTest",
    "Surface",
    "attention",
    "attention_weights",
    "calibration",
    "class_images",
    "confusion",
    "curves",
    "decision_boundary",
    "decision_grid",
    "draw",
    "explore",
    "feature_maps",
    "filters",
    "grad_cam",
    "grad_cam_map",
    "histograms",
    "images",
    "learning_rates",
    "loss_surface",
    "loss_surface_values",
    "maximize_class",
    "most_wrong",
    "occlusion",
    "occlusion_map",
    "predictions",
    "range_test",
    "render",
    "report",
    "saliency",
    "saliency_map",
    "save",
]
