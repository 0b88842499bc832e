"""The autograd engine: the tape, op definitions, dispatch and the backward pass."""

from tinygrad_np.autograd.grad import grad

__all__ = ["grad"]
