"""Optimizers; their update rules are PyTorch's."""

from tinygrad_np.optim.adam import Adam
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
