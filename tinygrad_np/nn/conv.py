"""Convolution and pooling layers."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, ShapeError
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
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None
Sizes = int | Sequence[int]


def _padding(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """Return padding that is in order: one number an axis, or the flat pairs that were given."""
    pairs = pads_per_axis(name, "padding", value, rank)
    is_flat = isinstance(value, Sequence) and len(value) == 2 * rank
    return tuple(map(int, value)) if is_flat else tuple(before for before, _ in pairs)


class _ImageLayer(Layer):
    """A layer of images of `rank` axes, also of one without a batch axis, and with channels last
    where `data_format` says so.
    """

    rank: ClassVar[int] = 2
    data_format: str

    def forward(self, x: Tensor) -> Any:
        """Return images (N, C, P, Q) for images (N, C, H, W), or one for one."""
        if x.ndim == self.rank + 1:
            out = self.forward(x.unsqueeze(0))
            return tuple(o.squeeze(0) for o in out) if isinstance(out, tuple) else out.squeeze(0)
        try:
            out = self._of_batch(channels_first(x, self.data_format))
        except ShapeError as error:
            if self.data_format == "NCHW":
                raise
            raise ShapeError(
                f"{type(self).__name__}: got input {x.shape}, whose last axis is, by data_format="
                f"'NHWC', the channels; with channels first: {error}"
            ) from error
        if isinstance(out, tuple):
            return tuple(channels_back(part, self.data_format) for part in out)
        return channels_back(out, self.data_format)

    def _of_batch(self, x: Tensor) -> Any:
        """Compute from images (N, C, H, W), channels first."""
        raise NotImplementedError


class _Convolution(_ImageLayer):
    """What convolutions of any number of axes share."""

    rank: ClassVar[int]
    usual: ClassVar[dict[str, Any]] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}

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
        generator: Generator = None,
        *,
        data_format: str = "NCHW",
    ) -> None:
        name, rank = type(self).__name__, self.rank
        check_integer(name, 1, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name} groups: got {groups}, expected a divisor of in_channels={in_channels} and "
                f"of out_channels={out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, rank, 1)
        self.stride = per_axis(name, "stride", stride, rank, 1)
        self.dilation = per_axis(name, "dilation", dilation, rank, 1)
        self.padding = self._checked_padding(padding)
        self.groups = int(groups)
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

    def _weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _of_batch(self, x: Tensor) -> Tensor:
        return x.conv2d(
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def describe(self) -> str:
        """Return the sizes, and what is not at its default."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
        form = options_note(self, data_format="NCHW")
        return sizes + options_note(self, **self.usual) + bias_note(self.bias) + form


class Conv1d(_Convolution):
    """Cross-correlation of sequences (N, in_channels, L) to (N, out_channels, P).

    weight is (out_channels, in_channels / groups, *kernel_size). With data_format="NHWC" channels
    come last.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv1d(4, 8, 3, padding="same")(Tensor.ones(2, 4, 10)).shape
    (2, 8, 10)
    """

    rank = 1


class Conv2d(_Convolution):
    """Cross-correlation of images (N, in_channels, H, W) to (N, out_channels, P, Q).

    weight is (out_channels, in_channels / groups, *kernel_size). `padding` is an integer, a pair,
    four as in `pad`, or "same". With data_format="NHWC" images are (N, H, W, channels).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv2d(1, 8, 3, padding=1)(Tensor.ones(2, 1, 28, 28)).shape
    (2, 8, 28, 28)
    """

    rank = 2


class Conv3d(_Convolution):
    """Cross-correlation of volumes (N, in_channels, D, H, W) to (N, out_channels, O, P, Q).

    weight is (out_channels, in_channels / groups, *kernel_size). With data_format="NHWC" channels
    come last.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv3d(1, 2, 3)(Tensor.ones(1, 1, 4, 5, 6)).shape
    (1, 2, 2, 3, 4)
    """

    rank = 3


class ConvTranspose2d(_Convolution):
    """Transposed convolution of images (N, in_channels, P, Q) to (N, out_channels, H, W).

    weight is (in_channels, out_channels / groups, *kernel_size). Arguments are in PyTorch's order,
    which is not that of Conv2d.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(Tensor.ones(2, 8, 7, 7)).shape
    (2, 4, 14, 14)
    """

    rank = 2
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
            generator,
            data_format=data_format,
        )
        self.output_padding = per_axis("ConvTranspose2d", "output_padding", output_padding, 2, 0)

    def _checked_padding(self, padding: Any) -> Any:
        return _padding("ConvTranspose2d", padding, self.rank)

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


class _Pool(_ImageLayer):
    """What pooling layers share: the window, its stride and its padding."""

    def _set_windows(
        self, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, data_format: str
    ) -> None:
        name = type(self).__name__
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, 2, 1)
        self.stride = per_axis(name, "stride", kernel_size if stride is None else stride, 2, 1)
        self.padding = _padding(name, padding, 2)
        self.data_format = check_format(name, data_format)

    def _describe(self, **usual: Any) -> str:
        stride = short(self.kernel_size)
        note = options_note(self, stride=stride, padding=0, **usual, data_format="NCHW")
        return f"kernel_size={stride}{note}"


class MaxPool2d(_Pool):
    """Maximum over windows of images (N, C, H, W), or of one, (C, H, W) or (H, W); the stride
    is the window unless given.

    With `return_indices` the layer returns the maxima and where they were, for `max_unpool2d`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MaxPool2d(2)(Tensor.ones(2, 3, 8, 8)).shape
    (2, 3, 4, 4)
    """

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
        self.dilation = per_axis("MaxPool2d", "dilation", dilation, 2, 1)
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

    def describe(self) -> str:
        """Return the window, and what is not at its default."""
        return self._describe(dilation=1, return_indices=False, ceil_mode=False)


class AvgPool2d(_Pool):
    """Mean over windows of images (N, C, H, W), or of one, (C, H, W) or (H, W); the stride is the
    window unless given.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.AvgPool2d(2)(Tensor.ones(2, 3, 8, 8)).shape
    (2, 3, 4, 4)
    """

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

    def describe(self) -> str:
        """Return the window, and what is not at its default."""
        return self._describe(ceil_mode=False, count_include_pad=True)


class AdaptiveAvgPool2d(_ImageLayer):
    """Means of images (N, C, H, W) over windows so that (N, C, *output_size) is left.

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
                f"AdaptiveAvgPool2d output_size: got {output_size!r}, expected an integer or a pair"
            )
        self.data_format = check_format("AdaptiveAvgPool2d", data_format)

    def _of_batch(self, x: Tensor) -> Tensor:
        return x.adaptive_avg_pool2d(self.output_size)

    def describe(self) -> str:
        """Return the sizes."""
        note = options_note(self, data_format="NCHW")
        return f"output_size={short(self.output_size)}{note}"
