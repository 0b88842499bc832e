"""The autograd engine: the tape, op definitions, dispatch and the backward pass."""

from tinygrad_np.autograd.functional import grad

__all__ = ["grad"]
