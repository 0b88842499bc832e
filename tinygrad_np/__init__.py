"""An autograd micro-framework on NumPy."""

import importlib
from typing import Any

from tinygrad_np import nn, ops, optim
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.random import manual_seed
from tinygrad_np.record import op
from tinygrad_np.tape import enable_grad, no_grad
from tinygrad_np.tensor import Tensor

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "TinygradNpError",
    "data",
    "enable_grad",
    "gradcheck",
    "gradgradcheck",
    "manual_seed",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
    "train",
    "viz",
]


def __getattr__(name: str) -> Any:
    # Imported at first use: the core needs NumPy alone, these bring requests and matplotlib.
    if name in ("data", "train", "viz"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
