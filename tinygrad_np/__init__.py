"""An autograd micro-framework built on NumPy."""

# First, so that Ctrl-C during the other imports is handled.
import tinygrad_np.runtime.startup as _startup  # noqa: F401

# ruff: noqa: I001
# fmt: off
import typing as _typing
from importlib import import_module as _import_module

from tinygrad_np import autograd, nn, ops, optim, transforms
from tinygrad_np.autograd.dispatch import op
from tinygrad_np.checkpoint import checkpoint
from tinygrad_np.debug import debug
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.frontend import functions as _functions
from tinygrad_np.frontend.device import cuda, device
from tinygrad_np.frontend.functions import *
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.nn.functional import (
    adaptive_avg_pool2d, avg_pool2d, celu, conv2d, conv_transpose2d, cross_entropy, dropout,
    elu, gelu, hardswish, hardtanh, interpolate, leaky_relu, linear, logsigmoid, max_pool2d,
    mish, nll_loss, one_hot, pad, relu6, scaled_dot_product_attention, selu, silu, softmin,
    softplus, softsign,
)
from tinygrad_np.profiler import profile
from tinygrad_np.random import manual_seed
from tinygrad_np.runtime.state import enable_grad, no_grad
from tinygrad_np.version import __version__

__all__ = [
    "Tensor", "TinygradNpError", "__version__", "adaptive_avg_pool2d", "autograd", "avg_pool2d",
    "celu", "checkpoint", "conv2d", "conv_transpose2d", "cross_entropy", "cuda", "data", "debug",
    "device", "dropout", "elu", "enable_grad", "gelu", "get_num_threads", "gradcheck",
    "gradgradcheck", "hardswish", "hardtanh", "interpolate", "leaky_relu", "linear", "logsigmoid",
    "manual_seed", "max_pool2d", "mish", "nll_loss", "nn", "no_grad", "one_hot", "op", "ops",
    "optim", "pad", "profile", "relu6", "scaled_dot_product_attention", "selu", "set_num_threads",
    "show_config", "silu", "softmin", "softplus", "softsign", "train", "transforms", "viz",
]
__all__ += _functions.__all__

# What to use instead of some names of PyTorch.
_REPLACEMENTS = {
    "BoolTensor": "tensor(values, dtype=bool)",
    "FloatTensor": "tensor(values, dtype=float32)",
    "Generator": "np.random.default_rng(seed), passed as generator=",
    "LongTensor": "tensor(values, dtype=int64)",
    "distributions": "normal, multinomial or bernoulli, and log_softmax for log-probabilities",
    "func": "tinygrad_np.transforms: grad, vjp, jvp, jacobian, hessian and others",
    "linalg": "inv, solve, det, svd, qr, cholesky or norm of np.linalg, which accept Tensors",
    "load": "train.load(path), which reads a safetensors file",
    "save": "train.save(path, model.state_dict()), which writes a safetensors file",
    "set_grad_enabled": "`with enable_grad():` or `with no_grad():`",
    "utils": "tinygrad_np.data for datasets and loaders, or tinygrad_np.checkpoint",
}

# Imported on first use, because these import Matplotlib, Graphviz, safetensors and more. Tensors,
# ops, layers and optimizers need only NumPy and threadpoolctl.
if _typing.TYPE_CHECKING:
    from tinygrad_np import data, train, viz
    from tinygrad_np.runtime.info import get_num_threads, set_num_threads, show_config
else:

    def __getattr__(name: str) -> _typing.Any:
        if name in ("data", "train", "viz"):
            return _import_module(f"{__name__}.{name}")
        if name in ("get_num_threads", "set_num_threads", "show_config"):
            return getattr(_import_module(f"{__name__}.runtime.info"), name)
        hint = f". Use {_REPLACEMENTS[name]}." if name in _REPLACEMENTS else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
