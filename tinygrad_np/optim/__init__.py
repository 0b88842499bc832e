"""Optimizers, gradient clipping and learning-rate schedules that follow PyTorch."""

from tinygrad_np.optim import lr_scheduler
from tinygrad_np.optim.adagrad import Adadelta, Adagrad
from tinygrad_np.optim.adam import Adam, AdamW, NAdam
from tinygrad_np.optim.clip import clip_grad_norm, clip_grad_value
from tinygrad_np.optim.ema import EMA
from tinygrad_np.optim.lamb import LAMB
from tinygrad_np.optim.lr_scheduler import *  # noqa: F403 - its __all__ is the one list of schedules
from tinygrad_np.optim.muon import Muon, MuonAdamW
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.penalties import decay_groups, l1_norm
from tinygrad_np.optim.rmsprop import RMSprop
from tinygrad_np.optim.schedule import Schedule
from tinygrad_np.optim.sgd import SGD

__all__ = [
    "EMA",
    "LAMB",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Muon",
    "MuonAdamW",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "clip_grad_norm",
    "clip_grad_value",
    "decay_groups",
    "l1_norm",
    "lr_scheduler",
    *lr_scheduler.__all__,
]
