"""Upsampling layer."""

from collections.abc import Sequence

from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.functional import interpolate
from tinygrad_np.nn.module import Layer
from tinygrad_np.nn.parts import channels_back, channels_first, check_format, options_note


class Upsample(Layer):
    """Resize images (N, C, H, W), sequences (N, C, L) or volumes (N, C, D, H, W).

    Either `size` or `scale_factor` is given. The options are those of `nn.functional.interpolate`,
    which checks them in a call.

    Args:
        size: new lengths of the spatial axes, one number per axis or one for all axes.
        scale_factor: factors for the lengths, one number per axis or one for all axes.
        mode: "nearest", "nearest-exact", "linear" (3 axes), "bilinear" (4), "trilinear" (5) or
            "area".
        align_corners: whether the first and last entries keep their positions; linear modes only.
        recompute_scale_factor: whether to compute positions from the two lengths; needed for a
            `scale_factor` that does not give whole lengths.
        data_format: "NCHW", or "NHWC" if the channels are the last axis.

    Raises:
        ArgumentError: if `data_format` is unknown, or in a call, if an option is invalid.
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
        recompute_scale_factor: bool | None = None,
        *,
        data_format: str = "NCHW",
    ) -> None:
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor
        self.data_format = check_format("Upsample", data_format)

    def forward(self, x: Tensor) -> Tensor:
        """Return the resized images; N and C do not change."""
        out = interpolate(
            channels_first(x, self.data_format),
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )
        return channels_back(out, self.data_format)

    def extra_repr(self) -> str:
        """Return the size or factor, the mode, and other options that differ from the defaults."""
        name = "size" if self.size is not None else "scale_factor"
        usual = {"align_corners": None, "recompute_scale_factor": None, "data_format": "NCHW"}
        return f"{name}={getattr(self, name)}, mode={self.mode!r}{options_note(self, **usual)}"
