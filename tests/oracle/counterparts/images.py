"""Convolution, pooling and resizing in PyTorch.

Padding is a separate step, because PyTorch's padding options are symmetric.
"""

import math

import numpy as np

from tests.oracle.pytorch import F, torch
from tinygrad_np import ops

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def _padded(x, pairs, value=0.0):
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], value=value)


def _windows_of(op, *inputs, **options):
    """Return the windows that an op saves for its options."""
    zeros = [np.zeros(x.shape) for x in inputs]
    return op.forward(*zeros, **options)[-1]


def _conv(x, weight, bias=None, *, groups=1, **options):
    windows = _windows_of(ops.conv2d, x, weight, groups=groups, **options)
    return _conv_over(x, weight, windows, groups, bias)


def _conv_over(x, weight, windows, groups, bias=None):
    x = _padded(x, windows.padding)
    conv = _CONV[weight.ndim - 2]
    return conv(x, weight, bias, windows.stride, 0, windows.dilation, groups)


def _transpose(linear, grad, shape):
    """Apply the transpose of a linear function of a tensor of `shape` to `grad`."""
    point = torch.zeros(shape, dtype=grad.dtype, requires_grad=True)
    (transposed,) = torch.autograd.grad(linear(point), point, grad, create_graph=True)
    return transposed


def _conv_input_grad(grad, weight, input_shape, windows, groups):
    return _transpose(lambda x: _conv_over(x, weight, windows, groups), grad, input_shape)


def _conv_weight_grad(x, grad, windows, groups):
    shape = (grad.shape[1], x.shape[1] // groups, *windows.kernel)
    return _transpose(lambda weight: _conv_over(x, weight, windows, groups), grad, shape)


class _Windows:
    """Window geometry per axis: kernel, stride, padding (before, after), dilation, count."""

    def __init__(self, windows):
        self.kernel, self.stride, self.padding, self.dilation, self.counts = windows

    def cut(self, x, value):
        """Return x, padded or cropped to the end of the last window."""
        axes = zip(self.kernel, self.stride, self.padding, self.dilation, self.counts, strict=True)
        ends = [(count - 1) * st + d * (r - 1) + 1 for r, st, _, d, count in axes]
        starts = [before for before, _ in self.padding]
        lengths = zip(starts, ends, x.shape[2:], strict=True)
        return _padded(x, [(before, end - before - n) for before, end, n in lengths], value)

    def sums(self, x):
        """Return the sum of each window."""
        weight = torch.ones(x.shape[1], 1, *self.kernel, dtype=x.dtype)
        conv = _CONV[len(self.kernel)]
        return conv(self.cut(x, 0.0), weight, None, self.stride, 0, self.dilation, x.shape[1])

    def places(self, winners, shape):
        """Return the flat image indices of the winners, given as positions in windows."""
        offsets = np.unravel_index(winners.numpy().astype(np.int64), self.kernel)
        places = np.zeros(winners.shape, np.int64)
        for axis, offset in enumerate(offsets):
            starts = self.stride[axis] * np.arange(self.counts[axis]) - self.padding[axis][0]
            starts = starts.reshape(-1, *(1,) * (len(offsets) - 1 - axis))
            places = places * shape[2 + axis] + starts + self.dilation[axis] * offset
        return torch.as_tensor(places)


def _in_a_batch(function):
    """Extend a function of images (N, C, H, W) to inputs without N, or without N and C."""

    def call(x, *others, windows, input_shape=None, **options):
        missing = len(windows.kernel) + 2 - x.ndim
        if input_shape is not None:
            options["input_shape"] = (*(1,) * missing, *input_shape)
        images = [value[(None,) * missing] for value in (x, *others)]
        return function(*images, windows=windows, **options)[(0,) * missing]

    return call


def _max_pool(x, windows):
    windows = _Windows(windows)
    pool = _MAX_POOL[len(windows.kernel)]
    return pool(windows.cut(x, -math.inf), windows.kernel, windows.stride, 0, windows.dilation)


def _max_pool_places(x, windows):
    """Return the flat image index of each winner; the border is padded with -inf beforehand."""
    windows = _Windows(windows)
    places = torch.arange(math.prod(x.shape[2:]), dtype=x.dtype).reshape(1, 1, *x.shape[2:])
    pool = _MAX_POOL[len(windows.kernel)]
    settings = (windows.kernel, windows.stride, 0, windows.dilation)
    _, found = pool(windows.cut(x, -math.inf), *settings, return_indices=True)
    numbers = windows.cut(places.expand(x.shape), 0.0).flatten(2)
    return numbers.gather(2, found.flatten(2)).reshape(found.shape).long()


def _max_pool_grad(grad, winners, input_shape, windows):
    places = _Windows(windows).places(winners, input_shape)
    zeros = torch.zeros(*input_shape[:2], math.prod(input_shape[2:]), dtype=grad.dtype)
    return zeros.scatter_add(2, places.flatten(2), grad.flatten(2)).reshape(input_shape)


def _max_pool_gather(x, winners, windows):
    places = _Windows(windows).places(winners, x.shape)
    return x.flatten(2).gather(2, places.flatten(2)).reshape(winners.shape)


def _avg_pool(x, windows, count_include_pad=True):
    windows = _Windows(windows)
    ones = torch.ones(1, x.shape[1], *x.shape[2:], dtype=x.dtype)
    # The divisor counts image entries, and padding if requested, but nothing beyond the padding.
    counted = _padded(ones, windows.padding, 1.0 if count_include_pad else 0.0)
    whole = _Windows(_moved(windows))
    return windows.sums(x) / whole.sums(counted)


def _avg_pool2d(x, count_include_pad=True, **options):
    windows = _windows_of(ops.avg_pool2d, x, **options)
    return _in_a_batch(_avg_pool)(x, windows=windows, count_include_pad=count_include_pad)


def _moved(windows):
    """Return the same windows for an image that is already padded."""
    none = [(0, 0)] * len(windows.kernel)
    return windows.kernel, windows.stride, none, windows.dilation, windows.counts


def _avg_pool_grad(grad, input_shape, windows, ceil_mode, count_include_pad):
    return _transpose(lambda x: _avg_pool(x, windows, count_include_pad), grad, input_shape)


def _resample(x, axis, rule, lengths, transposed=False):
    """Resize rows with PyTorch's 1-d interpolate; "mean" is adaptive average pooling."""
    modes = {"linear": "linear", "corners": "linear"}

    def resize(rows):
        if rule == "mean":
            return F.adaptive_avg_pool1d(rows, lengths[1])
        corners = rule == "corners" if rule in modes else None
        return F.interpolate(rows, lengths[1], mode=modes.get(rule, rule), align_corners=corners)

    rows = x.movedim(axis, -1)
    flat = rows.reshape(1, math.prod(rows.shape[:-1]), rows.shape[-1])
    if not flat.numel():
        out = x.new_zeros(*flat.shape[:2], lengths[0 if transposed else 1]) + 0 * flat.sum()
    elif transposed:
        out = _transpose(resize, flat, (*flat.shape[:2], lengths[0]))
    else:
        out = resize(flat)
    return out.reshape(*rows.shape[:-1], -1 if out.numel() else out.shape[-1]).movedim(-1, axis)


TABLE = {
    "conv2d": _conv,
    "conv2d_input_grad": _conv_input_grad,
    "conv2d_weight_grad": _conv_weight_grad,
    "channel_sum": lambda x: x.sum([axis for axis in range(x.ndim) if axis != 1]),
    "max_pool": _in_a_batch(_max_pool),
    "max_pool_indices": _in_a_batch(_max_pool_places),
    "max_pool_grad": _in_a_batch(_max_pool_grad),
    "max_pool_gather": _in_a_batch(_max_pool_gather),
    "avg_pool2d": _avg_pool2d,
    "avg_pool_grad": _in_a_batch(_avg_pool_grad),
    "resample": _resample,
}
