"""Optimizers and clipping of gradients; their numbers are PyTorch's."""

from tinygrad_np.optim.adagrad import Adadelta, Adagrad
from tinygrad_np.optim.adam import Adam, AdamW, NAdam
from tinygrad_np.optim.clip import clip_grad_norm, clip_grad_value
from tinygrad_np.optim.lamb import LAMB
from tinygrad_np.optim.muon import Muon
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.rmsprop import RMSprop
from tinygrad_np.optim.sgd import SGD

__all__ = [
    "LAMB",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Muon",
    "NAdam",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm",
    "clip_grad_value",
]
