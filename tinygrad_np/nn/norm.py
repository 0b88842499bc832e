"""Normalization layers: mean 0 and variance 1 over some axes, then a learned scale and shift."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Layer, Parameter
from tinygrad_np.nn.parts import (
    channels_back,
    channels_first,
    check_format,
    options_note,
)
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape


def by_own_statistics(
    x: Tensor, rank: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Return x normalized over its last `rank` axes, scaled by `weight` and shifted by `bias`."""
    if rank == 1:
        return ops.layer_norm(x, weight, bias, eps=eps)
    rows = [value if value is None else value.flatten(-rank) for value in (x, weight, bias)]
    out: Tensor = ops.layer_norm(*rows, eps=eps)
    return out.reshape(x.shape)


def _update_running(
    running: Sequence[Tensor | None], moments: Array, count: int, factor: float
) -> None:
    """Move the running mean and variance by `factor` toward `moments`, the rows of (2, C).

    Statistics of several images are averaged over the batch. The biased variance of `count` values
    is multiplied by count / (count - 1), which makes it unbiased.
    """
    mean, variance = moments
    unbiased = variance * (count / (count - 1))
    for own, new in zip(running, (mean, unbiased), strict=True):
        if own is not None:
            if new.size > own.numel():
                new = new.reshape(-1, own.numel()).mean(axis=0)
            own.data[...] = (1 - factor) * own.data + factor * new
            own.mark_changed()


def by_batch_statistics(
    x: Tensor,
    running: Sequence[Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    factor: float,
    eps: float,
) -> Tensor:
    """Return x (N, C, ...) normalized by the mean and variance of each channel of the batch.

    The running mean and variance move toward them by `factor`.
    """
    count = x.numel() // x.shape[1]
    moments = ops.channel_moments(x.detach())
    if factor and count:
        _update_running(running, moments.data, count, factor)
    return ops.batch_norm(x, weight, bias, moments, eps=eps)


def by_image_statistics(
    x: Tensor,
    running: Sequence[Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    factor: float,
    eps: float,
) -> Tensor:
    """Return x (N, C, ...) normalized by the mean and variance of each channel of each image.

    The running mean and variance move toward their means over the batch by `factor`.
    """
    if factor and x.numel() and any(own is not None for own in running):
        images = x.detach().reshape(1, -1, *x.shape[2:])
        count = math.prod(x.shape[2:])
        _update_running(running, ops.channel_moments(images).data, count, factor)
    return ops.group_norm(x, weight, bias, num_groups=x.shape[1], eps=eps)


def by_running_statistics(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Return x (N, C, ...) normalized by `mean` and `variance`, scaled and shifted.

    Computed as x * scale + shift, with one scale and one shift per channel. For a large mean, the
    two terms would nearly cancel, so the mean is subtracted first.
    """
    is_half = x.dtype == mean.dtype == np.float16
    if is_half:  # float16 would lose digits in the sum
        mean, variance = mean.float(), variance.float()
    shape = _by_channel(x)
    scale = (variance + eps) ** -0.5
    if (np.abs(mean.data) * scale.data > 16).any():
        x, mean = x - mean.reshape(shape), Tensor.zeros_like(mean)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    out = x * scale.reshape(shape) + shift.reshape(shape)
    return out.half() if is_half else out


def by_root_mean_square(x: Tensor, rank: int, weight: Tensor | None, eps: float | None) -> Tensor:
    """Return x divided by the root mean square of its last `rank` axes, and scaled."""
    if eps is None:
        eps = float(np.finfo(x.dtype if x.dtype.kind == "f" else np.float32).eps)
    if rank == 1:
        return ops.rms_norm(x, weight, eps=eps)
    rows = [value if value is None else value.flatten(-rank) for value in (x, weight)]
    out: Tensor = ops.rms_norm(*rows, eps=eps)
    return out.reshape(x.shape)


def _by_channel(x: Tensor) -> Shape:
    """Return the shape, such as (C, 1, 1), that broadcasts one number per channel against x."""
    return (x.shape[1], *[1] * (x.ndim - 2))


def _describe_input(shape: str, channels: int, data_format: str) -> str:
    if data_format == "NHWC":
        return f"input with {channels} channels in the last axis"
    return f"input of shape {shape} with C = {channels}"


class _ChannelNorm(Layer):
    """Base class of batch and instance norm: weight, bias and running statistics per channel.

    Running statistics are buffers, updated in place and outside the graph.
    """

    _takes: ClassVar[dict[int, str]]
    _axis: ClassVar[int]
    """Axis of the channels in NCHW order."""
    _usual: bool

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        data_format: str,
    ) -> None:
        check_integer(type(self).__name__, 1, num_features=num_features)
        self.data_format = check_format(type(self).__name__, data_format)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter.ones(num_features) if affine else None
        self.bias = Parameter.zeros(num_features) if affine else None
        self.running_mean = Tensor.zeros(num_features) if track_running_stats else None
        self.running_var = Tensor.ones(num_features) if track_running_stats else None
        self.num_batches_tracked = Tensor(0) if track_running_stats else None

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized, scaled and shifted; the shape does not change."""
        self._check(x)
        x = channels_first(x, self.data_format)
        mean, variance = self.running_mean, self.running_var
        if self.training or mean is None or variance is None:
            out = self._by_own_statistics(x)
        else:
            out = by_running_statistics(x, mean, variance, self.weight, self.bias, self.eps)
        return channels_back(out, self.data_format)

    def _check(self, x: Tensor) -> None:
        """Raise unless the shape and dtype of x fit; subclasses check the number of values."""
        axis = -1 if self.data_format == "NHWC" else self._axis
        if x.ndim not in self._takes or x.shape[axis] != self.num_features:
            wanted = _describe_input(
                " or ".join(self._takes.values()), self.num_features, self.data_format
            )
            raise ShapeError(f"{self.label()}: expected {wanted}, got {x.shape}.")
        self.check_dtype(x, self.weight if self.weight is not None else self.running_mean)

    def _by_own_statistics(self, x: Tensor) -> Tensor:
        """Return x normalized by its own statistics, scaled and shifted; subclasses choose axes."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return the number of channels, and the options that differ from their defaults."""
        usual = {"affine": self._usual, "track_running_stats": self._usual, "data_format": "NCHW"}
        return str(self.num_features) + options_note(self, eps=1e-5, momentum=0.1, **usual)


class _BatchNorm(_ChannelNorm):
    _axis = 1
    _usual = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        data_format: str = "NCHW",
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, data_format)

    def _check(self, x: Tensor) -> None:
        super()._check(x)
        if x.numel() == self.num_features and (self.training or self.running_mean is None):
            raise ShapeError(
                f"{self.label()}: expected a batch with more than one value per channel, got "
                f"{x.shape}. The variance would be 0. Skip a last batch of one with "
                "DataLoader(..., drop_last=True) or choose another batch size; to use the running "
                "statistics, call eval()."
            )

    def _by_own_statistics(self, x: Tensor) -> Tensor:
        factor = 0.0
        tracked = self.num_batches_tracked if self.training else None
        if tracked is not None:
            tracked.data[...] += 1
            tracked.mark_changed()
            factor = 1 / tracked.item() if self.momentum is None else self.momentum
        running = (self.running_mean, self.running_var)
        return by_batch_statistics(x, running, self.weight, self.bias, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch normalization of (N, C) or (N, C, L) (Ioffe and Szegedy 2015).

    For each channel,

        y = (x - mean) / √(variance + eps) * weight + bias

    In training, mean and (biased) variance are computed from the batch, and the buffers
    `running_mean` and `running_var` (unbiased) are updated. Evaluation uses these buffers.

    Args:
        num_features: number of channels C.
        eps: number added to the variance.
        momentum: weight of the batch in the running statistics; None averages all batches equally.
        affine: whether to learn a weight and a bias per channel.
        track_running_stats: whether to keep running statistics; if False, evaluation uses those of
            the batch.
        data_format: "NCHW", or "NHWC" if the channels are the last axis.

    Raises:
        ShapeError: if the shape of the input does not match, or each channel has a single value in
            training or without running statistics.
        ArgumentError: if `num_features` is not an integer >= 1, or `data_format` is unknown.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.BatchNorm1d(2, eps=0.0)(Tensor([[1.0, 5.0], [3.0, 1.0]])).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    _takes: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Batch normalization of images (N, C, H, W).

    Each channel is normalized over N, H and W. Arguments and errors are those of `BatchNorm1d`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.BatchNorm2d(3)(Tensor.randn(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _takes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


class InstanceNorm2d(_ChannelNorm):
    """Instance normalization of images (N, C, H, W) or (C, H, W) (Ulyanov et al. 2016).

    Each channel of each image is normalized over H and W, by the formula of `BatchNorm1d`.
    Evaluation uses the statistics of the image as well, unless `track_running_stats` is set. As in
    PyTorch, `num_batches_tracked` stays 0.

    Args:
        num_features: number of channels C.
        eps: number added to the variance.
        momentum: weight of the batch in the running statistics; None leaves them unchanged, as in
            PyTorch.
        affine: whether to learn a weight and a bias per channel.
        track_running_stats: whether to keep running statistics and use them in evaluation.
        data_format: "NCHW", or "NHWC" if the channels are the last axis.

    Raises:
        ShapeError: if the shape of the input does not match, or an image has a single pixel in
            training or without running statistics.
        ArgumentError: if `num_features` is not an integer >= 1, or `data_format` is unknown.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.InstanceNorm2d(1, eps=0.0)(Tensor([[[1.0, 3.0]]])).tolist()
    [[[-1.0, 1.0]]]
    """

    _takes: ClassVar[dict[int, str]] = {4: "(N, C, H, W)", 3: "(C, H, W)"}
    _axis = -3
    _usual = False

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        data_format: str = "NCHW",
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, data_format)

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized, scaled and shifted; the shape does not change."""
        if x.ndim == 3:
            self._check(x)
            return super().forward(x.unsqueeze(0)).squeeze(0)
        return super().forward(x)

    def _check(self, x: Tensor) -> None:
        super()._check(x)
        height, width = x.shape[-3:-1] if self.data_format == "NHWC" else x.shape[-2:]
        if height * width == 1 and (self.training or self.running_mean is None):
            raise ShapeError(
                f"{self.label()}: expected input with more than one pixel per image, got "
                f"{x.shape}. The variance would be 0. Use larger images."
            )

    def _by_own_statistics(self, x: Tensor) -> Tensor:
        factor = (self.momentum or 0.0) if self.training else 0.0
        running = (self.running_mean, self.running_var)
        return by_image_statistics(x, running, self.weight, self.bias, factor, self.eps)


class GroupNorm(Layer):
    """Group normalization of (N, C, ...) (Wu and He 2018).

    The channels are divided into `num_groups` groups, and each group of each sample is normalized
    to mean 0 and variance 1. Weight and bias have one entry per channel.

    Args:
        num_groups: number of groups; must divide `num_channels`.
        num_channels: number of channels C.
        eps: number added to the variance.
        affine: whether to learn a weight and a bias per channel.
        data_format: "NCHW", or "NHWC" if the channels are the last axis.

    Raises:
        ShapeError: if the shape of the input does not match, or N is 1 and each group has a single
            value.
        ArgumentError: if `num_groups` or `num_channels` is not an integer >= 1, `num_groups` does
            not divide `num_channels`, or `data_format` is unknown.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GroupNorm(2, 6)(Tensor.randn(2, 6, 4, 4)).shape
    (2, 6, 4, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        data_format: str = "NCHW",
    ) -> None:
        check_integer("GroupNorm", 1, num_groups=num_groups, num_channels=num_channels)
        self.data_format = check_format("GroupNorm", data_format)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: expected `num_groups` to divide num_channels={num_channels}, got "
                f"{num_groups}."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight = Parameter.ones(num_channels) if affine else None
        self.bias = Parameter.zeros(num_channels) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized, scaled and shifted; the shape does not change."""
        given = x.shape
        self.check_dtype(x, self.weight)
        if x.ndim > 1:
            x = channels_first(x, self.data_format)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            wanted = _describe_input("(N, C, ...)", self.num_channels, self.data_format)
            raise ShapeError(f"{self.label()}: expected {wanted}, got {given}.")
        if x.numel() == self.num_groups:
            raise ShapeError(
                f"{self.label()}: expected input with more than one value per group (num_groups="
                f"{self.num_groups}), got {given}. The variance would be 0. Use a larger input."
            )
        out = ops.group_norm(x, self.weight, self.bias, self.num_groups, self.eps)
        return channels_back(out, self.data_format)

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        sizes = f"{self.num_groups}, {self.num_channels}"
        return sizes + options_note(self, eps=1e-5, affine=True, data_format="NCHW")


def _last_axes(layer: str, normalized_shape: int | Sequence[int]) -> Shape:
    """Return `normalized_shape` as a tuple of positive integers."""
    if not isinstance(normalized_shape, Sequence):
        normalized_shape = (normalized_shape,)
    shape = tuple(normalized_shape)
    if not shape:
        raise ArgumentError(
            f"{layer}: expected `normalized_shape` to have at least one size, got ()."
        )
    check_integer(layer, 1, **{f"normalized_shape[{i}]": size for i, size in enumerate(shape)})
    return shape


def _check_last(label: Callable[[], str], x: Tensor, normalized_shape: Shape) -> None:
    if x.shape[-len(normalized_shape) :] != normalized_shape:
        sizes = ", ".join(map(str, normalized_shape))
        raise ShapeError(f"{label()}: expected input of shape (..., {sizes}), got {x.shape}.")


class LayerNorm(Layer):
    """Layer normalization over the last axes (Ba et al. 2016).

        y = (x - mean) / √(variance + eps) * weight + bias

    The mean and the biased variance are taken over the last axes, which have shape
    `normalized_shape`.

    Args:
        normalized_shape: sizes of the last axes, or an integer for a single axis.
        eps: number added to the variance.
        elementwise_affine: whether to learn a weight and a bias of shape `normalized_shape`.
        bias: whether to learn the bias, if `elementwise_affine`.

    Raises:
        ArgumentError: if `normalized_shape` is empty, or a size is not an integer >= 1.
        ShapeError: if the last axes of the input do not have shape `normalized_shape`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LayerNorm(2, eps=0.0)(Tensor([[1.0, 3.0], [6.0, 2.0]])).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape = shape = _last_axes("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter.ones(shape) if elementwise_affine else None
        self.bias = Parameter.zeros(shape) if elementwise_affine and bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized, scaled and shifted; the shape does not change."""
        shape = self.normalized_shape
        _check_last(self.label, x, shape)
        self.check_dtype(x, self.weight)
        return by_own_statistics(x, len(shape), self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the shape, and the options that differ from their defaults."""
        text = f"{self.normalized_shape}" + options_note(self, eps=1e-5, elementwise_affine=True)
        return text + (", bias=False" if self.elementwise_affine and self.bias is None else "")


class RMSNorm(Layer):
    """Root mean square normalization over the last axes (Zhang and Sennrich 2019).

        y = x / √(mean(x²) + eps) * weight

    The mean square is taken over the last axes, which have shape `normalized_shape`. RMSNorm is
    LayerNorm without the mean and the bias.

    Args:
        normalized_shape: sizes of the last axes, or an integer for a single axis.
        eps: number added to the mean square; defaults to the machine epsilon of the input's dtype.
        elementwise_affine: whether to learn a weight of shape `normalized_shape`.

    Raises:
        ArgumentError: if `normalized_shape` is empty, or a size is not an integer >= 1.
        ShapeError: if the last axes of the input do not have shape `normalized_shape`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.RMSNorm(2, eps=0.0)(Tensor([[3.0, -3.0]])).tolist()
    [[1.0, -1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        self.normalized_shape = shape = _last_axes("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter.ones(shape) if elementwise_affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalized and scaled; the shape does not change."""
        shape = self.normalized_shape
        _check_last(self.label, x, shape)
        self.check_dtype(x, self.weight)
        return by_root_mean_square(x, len(shape), self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return the shape, and the options that differ from their defaults."""
        return f"{self.normalized_shape}" + options_note(self, eps=None, elementwise_affine=True)
