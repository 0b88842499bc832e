"""Around a training loop: metrics, and weights on disk."""

from tinygrad_np.train.checkpoint import load, save
from tinygrad_np.train.metrics import accuracy, confusion_matrix

__all__ = ["accuracy", "confusion_matrix", "load", "save"]
