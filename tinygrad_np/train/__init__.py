"""Around a training loop: the loop itself, callbacks, metrics, and weights on disk."""

from tinygrad_np.train.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    Progress,
    State,
)
from tinygrad_np.train.checkpoint import load, save
from tinygrad_np.train.metrics import accuracy, confusion_matrix
from tinygrad_np.train.report import ClassificationReport, classification_report
from tinygrad_np.train.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "ClassificationReport",
    "EarlyStopping",
    "History",
    "Progress",
    "State",
    "Trainer",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "load",
    "save",
]
