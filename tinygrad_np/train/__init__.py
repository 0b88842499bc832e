"""Training: the loop, callbacks, metrics, and functions that save and load weights."""

from tinygrad_np.train.average import AverageWeights
from tinygrad_np.train.calibration import Calibration, calibration
from tinygrad_np.train.callbacks import Callback, History, Progress, State
from tinygrad_np.train.checkpoint import Checkpoint
from tinygrad_np.train.early_stopping import EarlyStopping
from tinygrad_np.train.evaluate import Evaluate
from tinygrad_np.train.metrics import accuracy, confusion_matrix, top_k_accuracy
from tinygrad_np.train.prediction import predict
from tinygrad_np.train.report import ClassificationReport, classification_report
from tinygrad_np.train.step_log import StepLog
from tinygrad_np.train.tensorboard import TensorBoard
from tinygrad_np.train.trainer import Trainer
from tinygrad_np.train.weights import load, save

__all__ = [
    "AverageWeights",
    "Calibration",
    "Callback",
    "Checkpoint",
    "ClassificationReport",
    "EarlyStopping",
    "Evaluate",
    "History",
    "Progress",
    "State",
    "StepLog",
    "TensorBoard",
    "Trainer",
    "accuracy",
    "calibration",
    "classification_report",
    "confusion_matrix",
    "load",
    "predict",
    "save",
    "top_k_accuracy",
]
