"""An autograd micro-framework on NumPy."""

from tinygrad_np import nn, ops, optim
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.random import manual_seed
from tinygrad_np.record import op
from tinygrad_np.tape import enable_grad, no_grad
from tinygrad_np.tensor import Tensor

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "TinygradNpError",
    "enable_grad",
    "manual_seed",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
]
