"""Convolution and pooling layers."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Layer
from tinygrad_np.nn.parts import (
    bias_note,
    channels_back,
    channels_first,
    check_format,
    init_parameter,
    options_note,
    short,
)
from tinygrad_np.ops.conv import same_pads
from tinygrad_np.ops.pool import adaptive_sizes
from tinygrad_np.ops.windows import pads_per_axis, per_axis

Generator = np.random.Generator | None
Sizes = int | Sequence[int]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _padding(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """Validate padding and return it: one number per axis, or the flat pairs as given."""
    pairs = pads_per_axis(name, "padding", value, rank)
    is_flat = isinstance(value, Sequence) and len(value) == 2 * rank
    return tuple(map(int, value)) if is_flat else tuple(before for before, _ in pairs)


class _ImageLayer(Layer):
    """Base class of layers on images with `rank` spatial axes.

    Adds a missing batch axis, and moves the channels first if `data_format` is "NHWC".
    """

    rank: ClassVar[int] = 2
    data_format: str

    def forward(self, x: Tensor) -> Any:
        """Return images (N, K, P, Q) for images (N, C, H, W); N may be omitted."""
        if x.ndim == self.rank + 1:
            out = self.forward(x.unsqueeze(0))
            return tuple(o.squeeze(0) for o in out) if isinstance(out, tuple) else out.squeeze(0)
        try:
            out = self._of_batch(channels_first(x, self.data_format))
        except ShapeError as error:
            if self.data_format == "NCHW":
                raise
            raise ShapeError(
                f"{type(self).__name__}: expected channels-last input (data_format='NHWC') that "
                f"fits the layer, got {x.shape}. In channels-first order: {error}"
            ) from error
        if isinstance(out, tuple):
            return tuple(channels_back(part, self.data_format) for part in out)
        return channels_back(out, self.data_format)

    def _of_batch(self, x: Tensor) -> Any:
        """Compute the output for images (N, C, H, W)."""
        raise NotImplementedError


class _Convolution(_ImageLayer):
    """Base class of convolutions with any number of spatial axes."""

    rank: ClassVar[int]
    usual: ClassVar[dict[str, Any]] = {
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "padding_mode": "zeros",
    }

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        generator: Generator = None,
        *,
        data_format: str = "NCHW",
    ) -> None:
        name, rank = type(self).__name__, self.rank
        check_integer(name, 1, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: expected `groups` to divide in_channels={in_channels} and "
                f"out_channels={out_channels}, got {groups}."
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, rank, 1)
        self.stride = per_axis(name, "stride", stride, rank, 1)
        self.dilation = per_axis(name, "dilation", dilation, rank, 1)
        self.padding = self._checked_padding(padding)
        self.groups = int(groups)
        if padding_mode not in _PADDING_MODES:
            raise ArgumentError(
                f"{name}: expected `padding_mode` to be one of {', '.join(_PADDING_MODES)}, got "
                f"{padding_mode!r}."
            )
        self.padding_mode = padding_mode
        self.data_format = check_format(name, data_format)
        shape = self._weight_shape()
        fan_in = math.prod(shape[1:])
        self.weight = init_parameter(shape, fan_in, generator)
        self.bias = init_parameter((out_channels,), fan_in, generator) if bias else None

    def _checked_padding(self, padding: Any) -> Any:
        name = type(self).__name__
        if isinstance(padding, str):
            same_pads(name, padding, self.kernel_size, self.stride, self.dilation)
            return padding
        return _padding(name, padding, self.rank)

    def _flat_padding(self) -> list[int]:
        """Return the padding as `pad` takes it: a pair per axis, last axis first."""
        name = type(self).__name__
        if isinstance(self.padding, str):
            pairs = same_pads(name, self.padding, self.kernel_size, self.stride, self.dilation)
        else:
            pairs = pads_per_axis(name, "padding", self.padding, self.rank)
        return [border for pair in reversed(pairs) for border in pair]

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return images (N, K, P, Q) for images (N, C, H, W); N may be omitted."""
        shape = x.shape
        missing = self.rank + 2 - len(shape)
        channels = -1 if self.data_format == "NHWC" else 1 - missing
        if missing not in (0, 1) or shape[channels] != self.in_channels:
            raise ShapeError(f"{self.label()}: {self._wanted()}, got {shape}.{self._hint(shape)}")
        self.check_dtype(x, self.weight)
        out: Tensor = super().forward(x)
        return out

    def _wanted(self) -> str:
        axes = {1: "L", 2: "H, W", 3: "D, H, W"}[self.rank]
        one = f"{self.in_channels}, {axes}"
        if self.data_format == "NHWC":
            one = f"{axes}, {self.in_channels}"
        return f"expected input of shape (N, {one}) or ({one})"

    def _hint(self, shape: tuple[int, ...]) -> str:
        """Return how to correct an input of the wrong shape, or ''."""
        is_last, rank = self.data_format == "NHWC", self.rank
        if self.in_channels == 1 and len(shape) == rank == 2 and shape[0] != shape[1]:
            side = math.isqrt(shape[1])
            if side * side == shape[1]:
                full = (-1, side, side, 1) if is_last else (-1, 1, side, side)
                return f" Restore flattened images with x.reshape{full}."
        if self.in_channels == 1 and len(shape) in (rank, rank + 1):
            lead, axes = ["N"] * (len(shape) - rank), map(str, shape[-rank:])
            channel = -1 if is_last else len(lead)
            text = ", ".join([*lead, *axes, "1"] if is_last else [*lead, "1", *axes])
            return f" Add the channel axis with x.unsqueeze({channel}), which gives ({text})."
        position, other = (1, "NCHW") if is_last else (-1, "NHWC")
        if len(shape) == rank + 2 and shape[position] == self.in_channels:
            return f" For channels in axis {position}, pass data_format={other!r}."
        return ""

    def _of_batch(self, x: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = x.pad(self._flat_padding(), self.padding_mode), 0
        return x.conv2d(
            self.weight,
            self.bias,
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
        form = options_note(self, data_format="NCHW")
        return sizes + options_note(self, **self.usual) + bias_note(self.bias) + form


class Conv1d(_Convolution):
    """1-D convolution (cross-correlation) of sequences.

    Maps (N, in_channels, L) to (N, out_channels, P); N may be omitted. The weight has shape
    (out_channels, in_channels / groups, kernel_size). The arguments and errors are those of
    `Conv2d`, with one axis instead of two; data_format="NHWC" means sequences of shape (N, L, C).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv1d(4, 8, 3, padding="same")(Tensor.ones(2, 4, 10)).shape
    (2, 8, 10)
    """

    rank = 1


class Conv2d(_Convolution):
    """2-D convolution (cross-correlation) of images.

    Maps (N, in_channels, H, W) to (N, out_channels, P, Q), where P and Q are the numbers of windows
    along H and W; N may be omitted. For padded images x and one group:

        out[n, k, p, q] = bias[k] + Σ x[n, c, i, j] weight[k, c, r, s],  summed over c, r and s
        i = stride p + dilation r,  j = stride q + dilation s

    The weight has shape (out_channels, in_channels / groups, R, S) for kernel_size (R, S). Weight
    and bias are initialized uniformly in ±1 / sqrt(fan_in) with
    fan_in = in_channels / groups * R * S, as in PyTorch.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        kernel_size: height and width of the kernel, or one integer for both.
        stride: step between windows.
        padding: entries added around the image: one number, one per axis, (left, right, top,
            bottom) as in `pad`, or "same", which preserves the image size and requires a stride
            of 1.
        dilation: step between the entries of a window.
        groups: number of groups into which input and output channels are split; each group is
            convolved separately.
        bias: whether to add a learned bias of shape (out_channels,).
        padding_mode: "zeros", or the `mode` of `pad` that computes the added entries: "reflect",
            "replicate" or "circular".
        generator: NumPy generator for the initial values; None uses the default generator.
        data_format: "NCHW", or "NHWC" for images of shape (N, H, W, C).

    Raises:
        ArgumentError: if an argument is invalid, for example `groups` that does not divide both
            numbers of channels; the message names it.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input differs from that of the weight.
        ShapeError: if the shape of the input does not match, or a window does not fit into the
            padded image.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv2d(1, 8, 3, padding=1)(Tensor.ones(2, 1, 28, 28)).shape
    (2, 8, 28, 28)
    """

    rank = 2


class Conv3d(_Convolution):
    """3-D convolution (cross-correlation) of volumes.

    Maps (N, in_channels, D, H, W) to (N, out_channels, O, P, Q); N may be omitted. The weight has
    shape (out_channels, in_channels / groups, *kernel_size). The arguments and errors are those of
    `Conv2d`, with three axes instead of two; data_format="NHWC" means volumes of shape
    (N, D, H, W, C).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv3d(1, 2, 3)(Tensor.ones(1, 1, 4, 5, 6)).shape
    (1, 2, 2, 3, 4)
    """

    rank = 3


class _TransposedConvolution(_Convolution):
    """Base class of transposed convolutions."""

    usual: ClassVar[dict[str, Any]] = {**_Convolution.usual, "output_padding": 0}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        generator: Generator = None,
        *,
        data_format: str = "NCHW",
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            generator=generator,
            data_format=data_format,
        )
        self.output_padding = per_axis(
            type(self).__name__, "output_padding", output_padding, self.rank, 0
        )

    def _checked_padding(self, padding: Any) -> Any:
        return _padding(type(self).__name__, padding, self.rank)

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)

    def _of_batch(self, x: Tensor) -> Tensor:
        return x.conv_transpose2d(
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )


class ConvTranspose1d(_TransposedConvolution):
    """1-D transposed convolution: the gradient of `Conv1d` with respect to its input.

    Maps (N, in_channels, P) to (N, out_channels, L); N may be omitted. The weight has shape
    (in_channels, out_channels / groups, kernel_size). The arguments and errors are those of
    `ConvTranspose2d`, with one axis instead of two; data_format="NHWC" means sequences of shape
    (N, L, C).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ConvTranspose1d(8, 4, 2, stride=2)(Tensor.ones(2, 8, 7)).shape
    (2, 4, 14)
    """

    rank = 1


class ConvTranspose2d(_TransposedConvolution):
    """2-D transposed convolution: the gradient of `Conv2d` with respect to its input.

    Maps (N, in_channels, P, Q) to (N, out_channels, H, W); N may be omitted. With a kernel of
    height R:

        H = (P - 1) * stride - 2 * padding + dilation * (R - 1) + output_padding + 1

    The weight has shape (in_channels, out_channels / groups, *kernel_size). The arguments are those
    of `Conv2d`, in PyTorch's order: `output_padding`, the rows and columns added at the end,
    follows `padding`, and `dilation` comes after `bias`. The padding cannot be "same".

    Raises:
        ArgumentError: as in `Conv2d`, or in a call, if `output_padding` is not less than `stride`
            or `dilation`.
        DtypeError: as in `Conv2d`.
        ShapeError: if the shape of the input does not match, or the output would be empty.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(Tensor.ones(2, 8, 7, 7)).shape
    (2, 4, 14, 14)
    """

    rank = 2


class _Pool(_ImageLayer):
    """Base class of pooling layers: window, stride and padding."""

    def _set_windows(
        self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, data_format: str
    ) -> None:
        name = type(self).__name__
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, self.rank, 1)
        step = kernel_size if stride is None else stride
        self.stride = per_axis(name, "stride", step, self.rank, 1)
        self.padding = _padding(name, padding, self.rank)
        self.data_format = check_format(name, data_format)

    def _describe(self, **usual: Any) -> str:
        stride = short(self.kernel_size)
        note = options_note(self, stride=stride, padding=0, **usual, data_format="NCHW")
        return f"kernel_size={stride}{note}"


class _MaxPool(_Pool):
    """Base class of max pooling layers."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        data_format: str = "NCHW",
    ) -> None:
        self._set_windows(kernel_size, stride, padding, data_format)
        self.dilation = per_axis(type(self).__name__, "dilation", dilation, self.rank, 1)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _of_batch(self, x: Tensor) -> Any:
        return x.max_pool2d(
            self.kernel_size,
            self.stride,
            self.dilation,
            self.padding,
            self.ceil_mode,
            self.return_indices,
        )

    def extra_repr(self) -> str:
        """Return the window, and the options that differ from their defaults."""
        return self._describe(dilation=1, return_indices=False, ceil_mode=False)


class MaxPool1d(_MaxPool):
    """Maximum over windows of sequences.

    Maps (N, C, L) to (N, C, P); N may be omitted. The arguments and errors are those of
    `MaxPool2d`, with one axis instead of two; data_format="NHWC" means sequences of shape
    (N, L, C).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MaxPool1d(2)(Tensor([[[1.0, 5.0, 3.0, 4.0]]]))
    Tensor([[[5., 4.]]])
    """

    rank = 1


class MaxPool2d(_MaxPool):
    """Maximum over 2-D windows of images.

    Maps (N, C, H, W) to (N, C, P, Q) with
    P = (H + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1; N, or both N and C, may be
    omitted. The gradient goes to the first maximum of each window.

    Args:
        kernel_size: height and width of the window, or one integer for both.
        stride: step between windows; defaults to `kernel_size`.
        padding: rows and columns of -inf added on each side; at most half of `kernel_size`.
        dilation: step between the entries of a window.
        return_indices: whether to return the pair (maxima, indices), which `max_unpool2d` takes.
        ceil_mode: whether the last window may extend beyond the padded image.
        data_format: "NCHW", or "NHWC" for images of shape (N, H, W, C).

    Raises:
        ArgumentError: if an argument is invalid; the message names it.
        ShapeError: if the input has too few or too many axes, an image is empty, or the padded
            image is smaller than the window.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MaxPool2d(2)(Tensor.ones(2, 3, 8, 8)).shape
    (2, 3, 4, 4)
    """

    rank = 2


class _AvgPool(_Pool):
    """Base class of average pooling layers."""

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        data_format: str = "NCHW",
    ) -> None:
        self._set_windows(kernel_size, stride, padding, data_format)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def _of_batch(self, x: Tensor) -> Tensor:
        return x.avg_pool2d(
            self.kernel_size,
            self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """Return the window, and the options that differ from their defaults."""
        return self._describe(ceil_mode=False, count_include_pad=True)


class AvgPool1d(_AvgPool):
    """Mean over windows of sequences.

    Maps (N, C, L) to (N, C, P); N may be omitted. The arguments and errors are those of
    `AvgPool2d`, with one axis instead of two; data_format="NHWC" means sequences of shape
    (N, L, C).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.AvgPool1d(2)(Tensor([[[1.0, 5.0, 3.0, 4.0]]]))
    Tensor([[[3. , 3.5]]])
    """

    rank = 1


class AvgPool2d(_AvgPool):
    """Mean over 2-D windows of images.

    Maps (N, C, H, W) to (N, C, P, Q) with P = (H + 2 * padding - kernel) // stride + 1; N, or both
    N and C, may be omitted.

    Args:
        kernel_size: height and width of the window, or one integer for both.
        stride: step between windows; defaults to `kernel_size`.
        padding: rows and columns of zeros added on each side; at most half of `kernel_size`.
        ceil_mode: whether the last window may extend beyond the padded image.
        count_include_pad: whether the mean counts the zeros of the padding.
        data_format: "NCHW", or "NHWC" for images of shape (N, H, W, C).

    Raises:
        ArgumentError: if an argument is invalid; the message names it.
        ShapeError: if the input has too few or too many axes, an image is empty, or the padded
            image is smaller than the window.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.AvgPool2d(2)(Tensor.ones(2, 3, 8, 8)).shape
    (2, 3, 4, 4)
    """

    rank = 2


class AdaptiveAvgPool2d(_ImageLayer):
    """Mean over 2-D windows whose size is chosen to give a fixed output size.

    Maps (N, C, H, W) to (N, C, *output_size); N, or both N and C, may be omitted.

    Args:
        output_size: height and width of the output, or one integer for both; None keeps the size
            of the input.
        data_format: "NCHW", or "NHWC" for images of shape (N, H, W, C).

    Raises:
        ArgumentError: if `output_size` is not one or two integers >= 1 or None, or `data_format` is
            unknown.
        ShapeError: if an image is empty, or the input has too few axes.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.AdaptiveAvgPool2d(1)(Tensor.ones(2, 3, 5, 7)).shape
    (2, 3, 1, 1)
    """

    def __init__(
        self, output_size: int | Sequence[int | None], *, data_format: str = "NCHW"
    ) -> None:
        self.output_size = adaptive_sizes("AdaptiveAvgPool2d", output_size)
        if len(self.output_size) != 2:
            raise ArgumentError(
                "AdaptiveAvgPool2d: expected `output_size` to be an integer or a pair, got "
                f"{output_size!r}."
            )
        self.data_format = check_format("AdaptiveAvgPool2d", data_format)

    def _of_batch(self, x: Tensor) -> Tensor:
        return x.adaptive_avg_pool2d(self.output_size)

    def extra_repr(self) -> str:
        """Return the output size, and the data format if it is "NHWC"."""
        note = options_note(self, data_format="NCHW")
        return f"output_size={short(self.output_size)}{note}"
