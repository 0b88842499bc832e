"""Upsampling layer."""

import math
from collections.abc import Sequence

from tinygrad_np.checks import is_finite
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Layer
from tinygrad_np.nn.parts import channels_back, channels_first, check_format, options_note
from tinygrad_np.ops.windows import per_axis
from tinygrad_np.typing import Shape

_RANKS = {"linear": 1, "bilinear": 2, "trilinear": 3}
_MODES = ("nearest", "nearest-exact", *_RANKS)


class Upsample(Layer):
    """Resize images (N, C, H, W), sequences (N, C, L) or volumes (N, C, D, H, W).

    Either `size` or `scale_factor` is given: new lengths, or factors, along all axes but N and C.

    Args:
        size: new lengths, one number per axis or one for all axes.
        scale_factor: factors, one number per axis or one for all axes. The new length is the
            product, rounded down.
        mode: "nearest", "nearest-exact" (which compares pixel centers), or "linear", "bilinear" or
            "trilinear" for inputs with three, four or five axes.
        align_corners: whether the first and last entries keep their positions; linear modes only.
            None is False.
        data_format: "NCHW", or "NHWC" if the channels are the last axis.

    Raises:
        ArgumentError: if both or neither of `size` and `scale_factor` are given, or an argument is
            invalid; or in a call, if `scale_factor` gives a length that is not a whole number,
            unless `align_corners` is set: the positions of the entries would be ambiguous.
        ShapeError: in a call, if the input has too few or too many axes, or an image is empty.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Upsample(scale_factor=2)(Tensor([[[1.0, 2.0]]]))
    Tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        *,
        data_format: str = "NCHW",
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(
                f"Upsample: expected either `size` or `scale_factor`, got size={size!r} and "
                f"scale_factor={scale_factor!r}."
            )
        if mode not in _MODES:
            raise ArgumentError(
                f"Upsample: expected `mode` to be one of {', '.join(_MODES)}, got {mode!r}."
            )
        if align_corners is not None and mode not in _RANKS:
            raise ArgumentError(
                f"Upsample: expected no `align_corners` with mode={mode!r}, got {align_corners!r}."
            )
        factors = scale_factor if isinstance(scale_factor, Sequence) else [scale_factor or 0]
        if scale_factor is not None and not all(is_finite(f) and f > 0 for f in factors):
            raise ArgumentError(
                f"Upsample: expected `scale_factor` to be above 0, got {scale_factor!r}."
            )
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.data_format = check_format("Upsample", data_format)

    def forward(self, x: Tensor) -> Tensor:
        """Return the resized images; N and C do not change."""
        ndim = _RANKS[self.mode] + 2 if self.mode in _RANKS else None
        if x.ndim not in (3, 4, 5) or x.ndim != (ndim or x.ndim):
            raise ShapeError(
                f"{self.label()}: expected input with {ndim or '3 to 5'} axes for mode="
                f"{self.mode!r}, got {x.shape}."
            )
        x = channels_first(x, self.data_format)
        mode = "linear" if self.mode in _RANKS else self.mode
        out = x.interpolate(self._lengths(x.shape[2:]), mode, bool(self.align_corners))
        return channels_back(out, self.data_format)

    def _lengths(self, lengths: Shape) -> Shape:
        """Return the new lengths of the axes."""
        rank = len(lengths)
        factor = self.scale_factor
        if factor is None:
            return per_axis("Upsample", "size", self.size or 0, rank, 1)
        factors = tuple(factor) if isinstance(factor, Sequence) else (factor,) * rank
        if len(factors) != rank:
            raise ArgumentError(
                f"Upsample: expected {rank} numbers in `scale_factor` for images of {lengths}, got "
                f"{factor!r}."
            )
        exact = [length * float(f) for length, f in zip(lengths, factors, strict=True)]
        if not self.align_corners and any(value % 1 for value in exact):
            raise ArgumentError(
                f"Upsample: expected a `scale_factor` that gives whole lengths for images of "
                f"{lengths}, got {factor!r}. Pass `size` instead."
            )
        return tuple(map(math.floor, exact))

    def extra_repr(self) -> str:
        """Return the size or factor, the mode, and other options that differ from the defaults."""
        name = "size" if self.size is not None else "scale_factor"
        note = options_note(self, align_corners=None, data_format="NCHW")
        return f"{name}={getattr(self, name)}, mode={self.mode!r}{note}"
