"""An autograd micro-framework built on NumPy."""

# First, so that Ctrl-C during the other imports is handled.
import tinygrad_np.runtime.startup as _startup  # noqa: F401

# isort: split
from importlib import import_module as _import_module
from typing import Any as _Any

from tinygrad_np import nn, ops, optim, transforms
from tinygrad_np.autograd.dispatch import op
from tinygrad_np.checkpoint import checkpoint
from tinygrad_np.debug import debug
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.profiler import profile
from tinygrad_np.random import manual_seed
from tinygrad_np.runtime.state import enable_grad, no_grad
from tinygrad_np.version import __version__

__all__ = [
    "Tensor",
    "TinygradNpError",
    "__version__",
    "checkpoint",
    "data",
    "debug",
    "enable_grad",
    "get_num_threads",
    "gradcheck",
    "gradgradcheck",
    "manual_seed",
    "nn",
    "no_grad",
    "op",
    "ops",
    "optim",
    "profile",
    "set_num_threads",
    "show_config",
    "train",
    "transforms",
    "viz",
]


def __getattr__(name: str) -> _Any:
    # Imported on first use, because these import Matplotlib, Graphviz, safetensors and more.
    # Tensors, ops, layers and optimizers need only NumPy and threadpoolctl.
    if name in ("data", "train", "viz"):
        return _import_module(f"{__name__}.{name}")
    if name in ("get_num_threads", "set_num_threads", "show_config"):
        return getattr(_import_module(f"{__name__}.runtime.info"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
