"""Functions with the names and signatures of torch.nn.functional: `F.relu(x)`.

Each calls the Tensor method, the op or the layer code that does the work. Arguments that PyTorch
has deprecated, such as `size_average`, are left out. A list or an ndarray where a Tensor is needed
raises a DtypeError, as in PyTorch, and so does a string where a number is needed.

>>> import tinygrad_np.nn.functional as F
>>> F.relu(Tensor([-1.0, 2.0]))
Tensor([0., 2.])
"""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from tinygrad_np import ops, random
from tinygrad_np.checks import check_probability, is_integer, is_real, kind_of
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.functions import is_tensor
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn import norm
from tinygrad_np.nn.layers import drop_channels, look_up
from tinygrad_np.nn.parts import given_axis
from tinygrad_np.ops import losses
from tinygrad_np.ops.pool import adaptive_sizes
from tinygrad_np.ops.windows import per_axis
from tinygrad_np.synonyms import accept_synonyms, rename

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "embedding",
    "gelu",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
    "threshold",
    "triplet_margin_loss",
]

# Losses and distances that already have PyTorch's signatures.
cosine_similarity = accept_synonyms(losses.cosine_similarity)
huber_loss = accept_synonyms(losses.huber_loss)
kl_div = accept_synonyms(losses.kl_div)
l1_loss = accept_synonyms(losses.l1_loss)
mse_loss = accept_synonyms(losses.mse_loss)
pairwise_distance = accept_synonyms(losses.pairwise_distance)
smooth_l1_loss = accept_synonyms(losses.smooth_l1_loss)
triplet_margin_loss = accept_synonyms(losses.triplet_margin_loss)

Sizes = int | Sequence[int]
Function = TypeVar("Function", bound=Callable[..., Any])


# What an argument must be, by its annotation.
_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    Tensor: (is_tensor, "a Tensor"),
    int: (is_integer, "an integer"),
    float: (is_real, "a number"),
}


def _checked(function: Function) -> Function:
    """Wrap a function to accept synonyms, and to check Tensors and numbers as annotated."""
    names = list(inspect.signature(function).parameters)
    expected = {}
    for name, annotation in function.__annotations__.items():
        kinds = set(get_args(annotation)) if isinstance(annotation, UnionType) else {annotation}
        for kind, check in _KINDS.items():
            if kinds <= {kind, NoneType}:
                expected[name] = (*check, NoneType in kinds)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if options:
            options = rename(names, options)
        for name, value in (*zip(names, args, strict=False), *options.items()):
            if name not in expected:
                continue
            is_valid, what, is_optional = expected[name]
            if not (is_valid(value) or (value is None and is_optional)):
                is_array = isinstance(value, list | np.ndarray) and what == "a Tensor"
                got = repr(value) if isinstance(value, str | None) else kind_of(value)
                raise DtypeError(
                    f"{function.__name__}: expected `{name}` to be {what}, got {got}."
                    + (" Wrap it in Tensor(...)." if is_array else "")
                )
        return function(*args, **options)

    return cast(Function, call)


def _run(input: Tensor, inplace: bool, function: Callable[..., Tensor], *options: Any) -> Tensor:
    """Return function(input, *options), written to the memory of `input` if `inplace`."""
    if not inplace:
        return function(input, *options)
    # The function reads a copy, whose values its gradient may need.
    input[...] = function(input.clone(), *options)
    return input


def _refuse(who: str, **options: Any) -> None:
    """Raise ArgumentError for an option of PyTorch that is set but not supported."""
    for name, value in options.items():
        if value is not None and value is not False:
            shown = kind_of(value) if isinstance(value, Tensor) else repr(value)
            raise ArgumentError(
                f"{who}: expected `{name}` to be left out, since it is not supported, got {shown}."
            )


# Activations. With inplace=True, the result replaces the entries of `input`.


@_checked
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(input, 0), with gradient 0 at 0.

    >>> relu(Tensor([-1.0, 2.0]))
    Tensor([0., 2.])
    """
    return _run(input, inplace, Tensor.relu)


@_checked
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return min(max(input, 0), 6).

    >>> relu6(Tensor([-1.0, 2.0, 8.0]))
    Tensor([0., 2., 6.])
    """
    return _run(input, inplace, Tensor.relu6)


@_checked
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return input where it is above 0, otherwise negative_slope * input.

    >>> leaky_relu(Tensor([-2.0, 2.0]), 0.1)
    Tensor([-0.2,  2. ])
    """
    return _run(input, inplace, Tensor.leaky_relu, negative_slope)


@_checked
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return input where it is above 0, otherwise alpha (e^input - 1).

    >>> elu(Tensor([-1.0, 2.0])).tolist()
    [-0.6321, 2.0]
    """
    return _run(input, inplace, Tensor.elu, alpha)


@_checked
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return input where it is above 0, otherwise alpha (e^(input / alpha) - 1).

    Raises:
        ArgumentError: if `alpha` is not above 0.

    >>> celu(Tensor([-1.0, 2.0]), 2.0).tolist()
    [-0.7869, 2.0]
    """
    return _run(input, inplace, Tensor.celu, alpha)


@_checked
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return 1.0507 elu(input, 1.6733), which preserves mean 0 and variance 1.

    >>> selu(Tensor([-1.0, 1.0])).tolist()
    [-1.1113, 1.0507]
    """
    return _run(input, inplace, Tensor.selu, 1.6732632423543772, 1.0507009873554805)


@_checked
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return input Φ(input), where Φ is the cumulative normal distribution.

    Raises:
        ArgumentError: if `approximate` is neither "none" nor "tanh".

    >>> gelu(Tensor([-1.0, 1.0])).tolist()
    [-0.1587, 0.8413]
    """
    return input.gelu(approximate)


@_checked
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return input * sigmoid(input), also called swish.

    >>> silu(Tensor([0.0, 1.0])).tolist()
    [0.0, 0.7311]
    """
    return _run(input, inplace, Tensor.silu)


@_checked
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return input * tanh(softplus(input)).

    >>> mish(Tensor([0.0, 1.0])).tolist()
    [0.0, 0.8651]
    """
    return _run(input, inplace, Tensor.mish)


@_checked
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + e^(beta input)) / beta, or input itself where beta * input > threshold.

    Raises:
        ArgumentError: if `beta` is not above 0.

    >>> softplus(Tensor([0.0, 30.0])).tolist()
    [0.6931, 30.0]
    """
    smooth = input.softplus(beta)
    return (input * beta > threshold).where(input, smooth)


@_checked
def softsign(input: Tensor) -> Tensor:
    """Return input / (1 + |input|).

    >>> softsign(Tensor([-1.0, 3.0]))
    Tensor([-0.5 ,  0.75])
    """
    return input.softsign()


@_checked
def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + e^-input).

    >>> sigmoid(Tensor([0.0]))
    Tensor([0.5])
    """
    return input.sigmoid()


@_checked
def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent.

    >>> tanh(Tensor([0.0]))
    Tensor([0.])
    """
    return input.tanh()


@_checked
def logsigmoid(input: Tensor) -> Tensor:
    """Return log(sigmoid(input)), accurate in both tails.

    >>> logsigmoid(Tensor([-400.0, 0.0])).tolist()
    [-400.0, -0.6931]
    """
    return input.logsigmoid()


@_checked
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return relu6(input + 3) / 6, a piecewise linear approximation of the sigmoid.

    >>> hardsigmoid(Tensor([-4.0, 0.0, 4.0]))
    Tensor([0. , 0.5, 1. ])
    """
    return _run(input, inplace, Tensor.hardsigmoid)


@_checked
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return input * relu6(input + 3) / 6.

    >>> hardswish(Tensor([-4.0, 1.5, 4.0])).tolist()
    [0.0, 1.125, 4.0]
    """
    return _run(input, inplace, Tensor.hardswish)


@_checked
def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """Return input clipped to the range from min_val to max_val, with gradient 0 at both bounds.

    >>> hardtanh(Tensor([-2.0, 0.5]))
    Tensor([-1. ,  0.5])
    """
    return _run(input, inplace, Tensor.hardtanh, min_val, max_val)


@_checked
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return input where it is above `threshold`, otherwise `value`.

    >>> threshold(Tensor([0.5, 2.0]), 1.0, -1.0)
    Tensor([-1.,  2.])
    """
    return _run(input, inplace, _threshold, threshold, value)


def _threshold(x: Tensor, bound: float, value: float) -> Tensor:
    return (x <= bound).where(value, x)  # as in PyTorch, nan is kept


@_checked
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return input where it is above 0, otherwise weight * input (He et al. 2015, eq. 1).

    `weight` holds one slope, or one per channel of an input (N, C, ...).

    Raises:
        ShapeError: if `weight` is neither a single number nor of shape (C,).

    >>> prelu(Tensor([-2.0, 2.0]), Tensor([0.5]))
    Tensor([-1.,  2.])
    """
    slopes = weight.numel()
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or slopes not in (1, channels):
        raise ShapeError(
            f"prelu: expected `weight` of shape (1,) or ({channels},) for input {input.shape}, got "
            f"shape {weight.shape}."
        )
    shape = (slopes, *[1] * (input.ndim - 2)) if slopes > 1 else ()
    return (input > 0).where(input, input * weight.reshape(shape))


@_checked
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return a * sigmoid(b), where a and b are the halves of `input` along `dim`.

    Raises:
        AxisError: if `dim` is out of range.
        ShapeError: if the axis has an odd length.

    From Dauphin et al. 2017, section 2.

    >>> glu(Tensor([2.0, 0.0]))
    Tensor([1.])
    """
    if input.ndim and -input.ndim <= dim < input.ndim and input.shape[dim] % 2:
        raise ShapeError(f"glu: expected an even length along axis {dim}, got {input.shape}.")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


@_checked
def softmax(input: Tensor, dim: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the softmax along `dim`, e^input / Σ e^input; convert to `dtype` first, if given.

    Raises:
        ArgumentError: if `dim` is None.
        AxisError: if `dim` is out of range.

    >>> softmax(Tensor([0.0, 0.0]), dim=0)
    Tensor([0.5, 0.5])
    """
    return input.softmax(given_axis("softmax", dim), dtype)


@_checked
def softmin(input: Tensor, dim: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the softmax of -input along `dim`; convert to `dtype` first, if given.

    Raises:
        ArgumentError: if `dim` is None.
        AxisError: if `dim` is out of range.

    >>> softmin(Tensor([0.0, 1000.0]), dim=0)
    Tensor([1., 0.])
    """
    return input.softmin(given_axis("softmin", dim), dtype)


@_checked
def log_softmax(input: Tensor, dim: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the logarithm of the softmax along `dim`; convert to `dtype` first, if given.

    Raises:
        ArgumentError: if `dim` is None.
        AxisError: if `dim` is out of range.

    >>> log_softmax(Tensor([0.0, 1000.0]), dim=0)
    Tensor([-1000.,     0.])
    """
    return input.log_softmax(given_axis("log_softmax", dim), dtype)


@_checked
def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Sample from the Gumbel-softmax distribution along `dim` (Jang et al. 2017, eq. 2).

    Args:
        logits: unnormalized log-probabilities.
        tau: temperature; small values give samples near one-hot.
        hard: whether to return one-hot samples, with the gradient of the soft ones.
        eps: not used, as in PyTorch.
        dim: the axis of the classes.

    Raises:
        ArgumentError: if `tau` is not above 0.
        AxisError: if `dim` is out of range.

    >>> gumbel_softmax(Tensor.zeros(2, 3), hard=True).sum(axis=1)
    Tensor([1., 1.])
    """
    if not tau > 0:
        raise ArgumentError(f"gumbel_softmax: expected `tau` to be above 0, got {tau!r}.")
    exponential = random.resolve(None).standard_exponential(logits.shape)
    gumbel = Tensor(-np.log(exponential), dtype=logits.dtype)
    soft = ((logits + gumbel) / tau).softmax(dim)
    if not hard:
        return soft
    winner = np.expand_dims(soft.detach().argmax(dim).data, dim)
    one_hot = np.zeros(soft.shape, soft.dtype)
    np.put_along_axis(one_hot, winner, 1, dim)
    return soft - soft.detach() + Tensor.from_numpy(one_hot)


# Losses that check their options or differ from those of `ops.losses`.


@_checked
def cross_entropy(
    input: Tensor,
    target: Tensor | ArrayLike,
    weight: Tensor | ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Compute the cross-entropy of logits (N, C, ...) against classes or probabilities.

    See `Tensor.cross_entropy` for the arguments and errors.

    >>> round(cross_entropy(Tensor([[0.0, 0.0]]), Tensor([1])).item(), 4)
    0.6931
    """
    return ops.cross_entropy(input, target, reduction, label_smoothing, weight, ignore_index)


@_checked
def nll_loss(
    input: Tensor,
    target: Tensor | ArrayLike,
    weight: Tensor | ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Compute the negative log-likelihood of log-probabilities (N, C, ...) against classes.

    See `Tensor.nll_loss` for the arguments and errors.

    >>> nll_loss(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), Tensor([1, -100]))
    Tensor(2.)
    """
    return ops.nll_loss(input, target, weight, ignore_index, reduction)


@_checked
def binary_cross_entropy(
    input: Tensor,
    target: Tensor | ArrayLike,
    weight: Tensor | ArrayLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the cross-entropy of probabilities against targets from 0 to 1.

    See `Tensor.binary_crossentropy` for the arguments and errors.

    >>> round(binary_cross_entropy(Tensor([0.5]), Tensor([1.0])).item(), 4)
    0.6931
    """
    return ops.binary_crossentropy(input, target, reduction, weight)


@_checked
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor | ArrayLike,
    weight: Tensor | ArrayLike | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | ArrayLike | None = None,
) -> Tensor:
    """Compute the cross-entropy of sigmoid(input) against targets from 0 to 1.

    See `Tensor.binary_crossentropy_logits` for the arguments and errors.

    >>> round(binary_cross_entropy_with_logits(Tensor([0.0]), Tensor([1.0])).item(), 4)
    0.6931
    """
    return ops.binary_crossentropy_logits(input, target, reduction, pos_weight, weight)


# Linear maps and convolutions.


@_checked
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return input @ weight.T + bias, for an input (..., in) and a weight (out, in).

    Raises:
        ShapeError: if the shapes do not match.

    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[1.0, 1.0]]), Tensor([0.5]))
    Tensor([[3.5]])
    """
    return input.linear(weight, bias)


def _convolve(
    who: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    function: Callable[..., Tensor],
    bias: Tensor | None,
    **options: Any,
) -> Tensor:
    """Run a convolution over `rank` axes; the batch axis of the input may be missing."""
    if weight.ndim != rank + 2 or input.ndim not in (rank + 1, rank + 2):
        raise ShapeError(
            f"{who}: expected `input` with {rank + 1} or {rank + 2} axes and `weight` with "
            f"{rank + 2}, got shapes {input.shape} and {weight.shape}."
        )
    if options["padding"] == "valid":
        options["padding"] = 0
    if input.ndim == rank + 1:
        return function(input.unsqueeze(0), weight, bias, **options).squeeze(0)
    return function(input, weight, bias, **options)


@_checked
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Apply a 1-D convolution (cross-correlation) to (N, C, L) or (C, L).

    The arguments and errors are those of `conv2d`.

    >>> conv1d(Tensor([[[1.0, 2.0, 4.0]]]), Tensor([[[-1.0, 1.0]]]))
    Tensor([[[1., 2.]]])
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolve("conv1d", 1, input, weight, Tensor.conv2d, bias, **options)


@_checked
def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Apply a 2-D convolution (cross-correlation) to (N, C, H, W) or (C, H, W).

    Args:
        input: images.
        weight: kernels of shape (K, C / groups, R, S).
        bias: one value per output channel, of shape (K,).
        stride: step between windows.
        padding: zeros added on each side, "same" or "valid".
        dilation: step between the entries of a window.
        groups: number of groups into which the channels are split.

    Raises:
        ArgumentError: if an option is invalid; the message names it.
        ShapeError: if the shapes do not match.

    >>> conv2d(Tensor.ones(1, 1, 4, 4), Tensor.ones(1, 1, 3, 3)).shape
    (1, 1, 2, 2)
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolve("conv2d", 2, input, weight, Tensor.conv2d, bias, **options)


@_checked
def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Apply a 3-D convolution (cross-correlation) to (N, C, D, H, W) or (C, D, H, W).

    The arguments and errors are those of `conv2d`.

    >>> conv3d(Tensor.ones(1, 1, 3, 4, 5), Tensor.ones(2, 1, 2, 2, 2)).shape
    (1, 2, 2, 3, 4)
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return _convolve("conv3d", 3, input, weight, Tensor.conv2d, bias, **options)


@_checked
def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """Apply a 1-D transposed convolution to (N, C, L) or (C, L).

    The arguments and errors are those of `conv_transpose2d`.

    >>> conv_transpose1d(Tensor([[[1.0, 2.0]]]), Tensor([[[1.0, 1.0]]]))
    Tensor([[[1., 3., 2.]]])
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options["output_padding"] = output_padding
    name = "conv_transpose1d"
    return _convolve(name, 1, input, weight, Tensor.conv_transpose2d, bias, **options)


@_checked
def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """Apply a 2-D transposed convolution to (N, C, P, Q) or (C, P, Q).

    Args:
        input: images.
        weight: kernels of shape (C, K / groups, R, S).
        bias: one value per output channel, of shape (K,).
        stride: step between windows of the output.
        padding: rows and columns cropped from the output.
        output_padding: rows and columns added at the end.
        groups: number of groups into which the channels are split.
        dilation: step between the entries of a window.

    Raises:
        ArgumentError: if an option is invalid; the message names it.
        ShapeError: if the shapes do not match.

    >>> conv_transpose2d(Tensor.ones(1, 1, 2, 2), Tensor.ones(1, 1, 2, 2), stride=2).shape
    (1, 1, 4, 4)
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    options["output_padding"] = output_padding
    name = "conv_transpose2d"
    return _convolve(name, 2, input, weight, Tensor.conv_transpose2d, bias, **options)


# Pooling and resizing.


@_checked
def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum over 1-D windows of (N, C, L) or (C, L).

    The arguments and errors are those of `max_pool2d`.

    >>> max_pool1d(Tensor([[1.0, 5.0, 2.0, 3.0]]), 2)
    Tensor([[5., 3.]])
    """
    kernel = per_axis("max_pool1d", "kernel_size", kernel_size, 1, 1)
    return input.max_pool2d(kernel, stride, dilation, padding, ceil_mode, return_indices)


@_checked
def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum over 2-D windows of (N, C, H, W) or (C, H, W).

    Args:
        input: images.
        kernel_size: window size.
        stride: step between windows; defaults to `kernel_size`.
        padding: rows and columns of -inf added on each side; at most half of the window.
        dilation: step between the entries of a window.
        ceil_mode: whether the last window may extend beyond the padded image.
        return_indices: whether to return the pair (maxima, indices).

    Raises:
        ArgumentError: if an option is invalid; the message names it.
        ShapeError: if the input has too few or too many axes, or the window does not fit.

    >>> max_pool2d(Tensor([[[1.0, 5.0], [3.0, 4.0]]]), 2)
    Tensor([[[5.]]])
    """
    kernel = per_axis("max_pool2d", "kernel_size", kernel_size, 2, 1)
    return input.max_pool2d(kernel, stride, dilation, padding, ceil_mode, return_indices)


@_checked
def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Take the mean over 1-D windows of (N, C, L) or (C, L).

    The arguments and errors are those of `avg_pool2d`.

    >>> avg_pool1d(Tensor([[1.0, 5.0, 2.0, 4.0]]), 2)
    Tensor([[3., 3.]])
    """
    kernel = per_axis("avg_pool1d", "kernel_size", kernel_size, 1, 1)
    return input.avg_pool2d(kernel, stride, 1, padding, ceil_mode, count_include_pad)


@_checked
def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Take the mean over 2-D windows of (N, C, H, W) or (C, H, W).

    Args:
        input: images.
        kernel_size: window size.
        stride: step between windows; defaults to `kernel_size`.
        padding: rows and columns of zeros added on each side; at most half of the window.
        ceil_mode: whether the last window may extend beyond the padded image.
        count_include_pad: whether the mean counts the zeros of the padding.
        divisor_override: not supported; must be None.

    Raises:
        ArgumentError: if an option is invalid; the message names it.
        ShapeError: if the input has too few or too many axes, or the window does not fit.

    >>> avg_pool2d(Tensor([[[1.0, 5.0], [3.0, 4.0]]]), 2)
    Tensor([[[3.25]]])
    """
    _refuse("avg_pool2d", divisor_override=divisor_override)
    kernel = per_axis("avg_pool2d", "kernel_size", kernel_size, 2, 1)
    return input.avg_pool2d(kernel, stride, 1, padding, ceil_mode, count_include_pad)


@_checked
def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Tensor:
    """Take means over windows of (N, C, L) or (C, L) chosen to give an output length.

    Raises:
        ArgumentError: if `output_size` is not an integer >= 1.
        ShapeError: if a sequence is empty, or the input has too few axes.

    >>> adaptive_avg_pool1d(Tensor([[1.0, 2.0, 6.0]]), 1)
    Tensor([[3.]])
    """
    sizes = per_axis("adaptive_avg_pool1d", "output_size", output_size, 1, 1)
    return input.adaptive_avg_pool2d(sizes)


@_checked
def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Take means over windows of (N, C, H, W) or (C, H, W) chosen to give an output size.

    `output_size` is one integer or a pair; None keeps the length of the input.

    Raises:
        ArgumentError: if a size is not an integer >= 1 or None, or there are not two.
        ShapeError: if an image is empty, or the input has too few axes.

    >>> adaptive_avg_pool2d(Tensor([[[1.0, 5.0], [3.0, 4.0]]]), 1)
    Tensor([[[3.25]]])
    """
    sizes = adaptive_sizes(
        "adaptive_avg_pool2d", (None,) * 2 if output_size is None else output_size
    )
    if len(sizes) != 2:
        raise ArgumentError(
            "adaptive_avg_pool2d: expected `output_size` to be an integer or a pair, got "
            f"{output_size!r}."
        )
    return input.adaptive_avg_pool2d(sizes)


_LINEAR_MODES = {"linear": 1, "bilinear": 2, "trilinear": 3}
_INTERPOLATIONS = ("nearest", "nearest-exact", "area", *_LINEAR_MODES)


@_checked
def interpolate(
    input: Tensor,
    size: Sizes | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize (N, C, L), (N, C, H, W) or (N, C, D, H, W) to a size or by a factor.

    Args:
        input: images.
        size: new length of the spatial axes: one number, or one per axis.
        scale_factor: factor for the lengths, instead of `size`: one number, or one per axis. The
            new length is rounded down.
        mode: "nearest", "nearest-exact", "linear" (3 axes), "bilinear" (4), "trilinear" (5) or
            "area" (adaptive average pooling).
        align_corners: whether the first and last entries keep their positions; only for the linear
            modes.
        recompute_scale_factor: whether to compute positions from the two lengths. A
            `scale_factor` that does not give whole lengths needs True, because PyTorch otherwise
            uses the factor itself.
        antialias: not supported; must be False.

    Raises:
        ArgumentError: if an option is invalid, or `size` and `scale_factor` are both given or both
            None; the message names it.
        ShapeError: if the input does not have three to five axes, or an image is empty.

    >>> interpolate(Tensor([[[1.0, 2.0]]]), scale_factor=2)
    Tensor([[[1., 1., 2., 2.]]])
    """
    who = "interpolate"
    _refuse(who, antialias=antialias)
    rank = input.ndim - 2
    if rank not in (1, 2, 3):
        raise ShapeError(f"{who}: expected input (N, C, ...) with 3 to 5 axes, got {input.shape}.")
    if mode not in _INTERPOLATIONS:
        raise ArgumentError(
            f"{who}: expected `mode` to be one of {', '.join(_INTERPOLATIONS)}, got {mode!r}."
        )
    if _LINEAR_MODES.get(mode, rank) != rank:
        raise ArgumentError(
            f"{who}: expected input with {_LINEAR_MODES[mode] + 2} axes for mode={mode!r}, got "
            f"{input.shape}."
        )
    if align_corners is not None and mode not in _LINEAR_MODES:
        raise ArgumentError(
            f"{who}: expected a linear mode with `align_corners`, got {align_corners!r} and "
            f"mode={mode!r}."
        )
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            f"{who}: expected either `size` or `scale_factor`, got {size!r} and {scale_factor!r}."
        )
    if size is not None:
        sizes = per_axis(who, "size", size, rank, 1)
    else:
        # With aligned corners and in areas, positions depend on the lengths only.
        by_lengths = recompute_scale_factor or align_corners or mode == "area"
        sizes = _scaled(input.shape[2:], scale_factor, bool(by_lengths))
    if mode == "area":
        return input.adaptive_avg_pool2d(sizes)
    kind = "linear" if mode in _LINEAR_MODES else mode
    return input.interpolate(sizes, kind, bool(align_corners))


def _scaled(lengths: Sequence[int], scale_factor: Any, by_lengths: bool) -> tuple[int, ...]:
    """Return the lengths times their factors, rounded down."""
    is_list = isinstance(scale_factor, Sequence)
    factors = tuple(scale_factor) if is_list else (scale_factor,) * len(lengths)
    if len(factors) != len(lengths) or not all(is_real(f) and 0 < f < math.inf for f in factors):
        raise ArgumentError(
            f"interpolate: expected `scale_factor` to be a number above 0, or {len(lengths)} of "
            f"them, got {scale_factor!r}."
        )
    exact = [n * factor for n, factor in zip(lengths, factors, strict=True)]
    if not by_lengths and any(length != math.floor(length) for length in exact):
        raise ArgumentError(
            f"interpolate: expected `scale_factor` to give whole lengths, got {scale_factor!r} for "
            f"lengths {tuple(lengths)}. Pass `size`, or recompute_scale_factor=True."
        )
    return tuple(math.floor(length) for length in exact)


@_checked
def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pad the last axes: `pad` is (left, right, top, bottom, ...), last axis first.

    Args:
        input: tensor of any shape.
        pad: numbers of entries to add; negative numbers crop.
        mode: "constant", "reflect", "replicate" or "circular".
        value: the constant for mode "constant"; 0 by default.

    Raises:
        ArgumentError: if `mode` is unknown, or `value` is given for another mode.
        ShapeError: if `pad` does not fit the shape, or exceeds what the mode allows.

    >>> pad(Tensor([1, 2, 3]), (1, 2))
    Tensor([0, 1, 2, 3, 0, 0])
    """
    if mode != "constant" and value:
        raise ArgumentError(f"pad: expected no `value` in mode {mode!r}, got {value!r}.")
    if not isinstance(pad, list | tuple):
        got = repr(pad) if is_integer(pad) else kind_of(pad)
        raise DtypeError(f"pad: expected `pad` to be a list or tuple of integers, got {got}.")
    return input.pad(tuple(pad), mode, value or 0.0)


# Normalization.


def _check_channels(who: str, input: Tensor, **values: Tensor | None) -> None:
    """Raise ShapeError unless the input is (N, C, ...) and each value is None or (C,)."""
    if input.ndim < 2:
        raise ShapeError(f"{who}: expected input of shape (N, C, ...), got {input.shape}.")
    for name, value in values.items():
        if value is not None and value.shape != input.shape[1:2]:
            raise ShapeError(
                f"{who}: expected `{name}` of shape {input.shape[1:2]} for input {input.shape}, "
                f"got {value.shape}."
            )


@_checked
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of (N, C, ...), then scale and shift (Ioffe and Szegedy 2015).

    Args:
        input: values of shape (N, C, ...).
        running_mean: means (C,), used unless `training`, and then updated in place.
        running_var: variances (C,), likewise; updated with the unbiased variance of the batch.
        weight: one factor per channel, or None.
        bias: one offset per channel, or None.
        training: whether to use the mean and the biased variance of the batch.
        momentum: weight of the batch in the running statistics.
        eps: number added to the variance.

    Raises:
        ArgumentError: if a running statistic is missing outside training.
        ShapeError: if the shapes do not match, or each channel has a single value in training.

    >>> batch_norm(Tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    Tensor([[-1.],
            [ 1.]])
    """
    who = "batch_norm"
    running = {"running_mean": running_mean, "running_var": running_var}
    _check_channels(who, input, **running, weight=weight, bias=bias)
    if training:
        if input.numel() == input.shape[1]:
            raise ShapeError(
                f"{who}: expected more than one value per channel in training, got {input.shape}."
            )
        stats = (running_mean, running_var)
        return norm.by_batch_statistics(input, stats, weight, bias, momentum, eps)
    if running_mean is None or running_var is None:
        raise ArgumentError(
            f"{who}: expected `running_mean` and `running_var` outside training, got None. Pass "
            "training=True to use the statistics of the batch."
        )
    return norm.by_running_statistics(input, running_mean, running_var, weight, bias, eps)


@_checked
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of each sample of (N, C, ...) (Ulyanov et al. 2016).

    The arguments are those of `batch_norm`, with `use_input_stats` for `training`.

    Raises:
        ArgumentError: if a running statistic is missing without `use_input_stats`.
        ShapeError: if the shapes do not match, or a channel has a single value.

    >>> instance_norm(Tensor([[[1.0, 3.0]]]), eps=0.0)
    Tensor([[[-1.,  1.]]])
    """
    who = "instance_norm"
    running = {"running_mean": running_mean, "running_var": running_var}
    _check_channels(who, input, **running, weight=weight, bias=bias)
    if use_input_stats:
        if math.prod(input.shape[2:]) == 1:
            raise ShapeError(
                f"{who}: expected more than one value per channel, got {input.shape}. The variance "
                "would be 0."
            )
        stats = (running_mean, running_var)
        return norm.by_image_statistics(input, stats, weight, bias, momentum, eps)
    if running_mean is None or running_var is None:
        raise ArgumentError(
            f"{who}: expected `running_mean` and `running_var` with use_input_stats=False, got "
            "None."
        )
    return norm.by_running_statistics(input, running_mean, running_var, weight, bias, eps)


@_checked
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each group of channels of each sample of (N, C, ...) (Wu and He 2018).

    Raises:
        ArgumentError: if `num_groups` does not divide the number of channels.
        ShapeError: if the shapes do not match.

    >>> group_norm(Tensor([[1.0, 3.0, 5.0, 9.0]]), 2, eps=0.0)
    Tensor([[-1.,  1., -1.,  1.]])
    """
    _check_channels("group_norm", input, weight=weight, bias=bias)
    channels = input.shape[1]
    if not is_integer(num_groups) or num_groups < 1 or channels % num_groups:
        raise ArgumentError(
            f"group_norm: expected `num_groups` to divide the number of channels, {channels}, got "
            f"{num_groups!r}."
        )
    return ops.group_norm(input, weight, bias, num_groups, eps)


def _check_last(who: str, input: Tensor, shape: Sequence[int], **values: Tensor | None) -> int:
    """Return the number of normalized axes; raise ShapeError unless all shapes match."""
    if not isinstance(shape, list | tuple):
        got = repr(shape) if is_integer(shape) else kind_of(shape)
        raise DtypeError(f"{who}: expected `normalized_shape` to be a list or tuple, got {got}.")
    sizes = tuple(shape)
    if not sizes or input.shape[-len(sizes) :] != sizes:
        raise ShapeError(
            f"{who}: expected `normalized_shape` to be the last axes of input {input.shape}, got "
            f"{sizes}."
        )
    for name, value in values.items():
        if value is not None and value.shape != sizes:
            raise ShapeError(f"{who}: expected `{name}` of shape {sizes}, got {value.shape}.")
    return len(sizes)


@_checked
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize over the last axes, of shape `normalized_shape` (Ba et al. 2016).

    Raises:
        ShapeError: if `normalized_shape` is not that of the last axes of the input, or not the
            shape of `weight` and `bias`.

    >>> layer_norm(Tensor([[1.0, 3.0]]), (2,), eps=0.0)
    Tensor([[-1.,  1.]])
    """
    rank = _check_last("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return norm.by_own_statistics(input, rank, weight, bias, eps)


@_checked
def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root mean square of the last axes (Zhang and Sennrich 2019).

    `eps` is added to the mean square; it defaults to the machine epsilon of the input's dtype.

    Raises:
        ShapeError: if `normalized_shape` is not that of the last axes of the input, or not the
            shape of `weight`.

    >>> rms_norm(Tensor([[3.0, -3.0]]), (2,), eps=0.0)
    Tensor([[ 1., -1.]])
    """
    rank = _check_last("rms_norm", input, normalized_shape, weight=weight)
    return norm.by_root_mean_square(input, rank, weight, eps)


@_checked
def normalize(
    input: Tensor,
    p: float = 2.0,
    dim: int | Sequence[int] = 1,
    eps: float = 1e-12,
    out: None = None,
) -> Tensor:
    """Divide by the p-norm along `dim`, or by `eps` where the norm is below `eps`.

    Raises:
        ArgumentError: if `p` is nan, or `out`, which is not supported, is given.
        AxisError: if `dim` is out of range.
        DtypeError: if `p` is not a number.

    >>> normalize(Tensor([[3.0, 4.0]])).tolist()
    [[0.6, 0.8]]
    """
    _refuse("normalize", out=out)
    return input.normalize(p, dim, eps)


# Dropout, embedding and attention.


@_checked
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Set each entry to 0 with probability p, and multiply the others by 1 / (1 - p).

    Raises:
        ArgumentError: if `p` is not between 0 and 1.

    Pass `training=self.training` in a module: the default is True, as in PyTorch.

    >>> dropout(Tensor([1.0, 2.0]), training=False)
    Tensor([1., 2.])
    """
    return _run(input, inplace and training, Tensor.dropout, p, training)


@_checked
def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Set each channel of (N, C, H, W) to 0 with probability p, and scale the others.

    Raises:
        ArgumentError: if `p` is not between 0 and 1.
        ShapeError: if the input does not have four axes.

    >>> dropout2d(Tensor.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """
    check_probability("dropout2d", p=p)
    if input.ndim != 4:
        raise ShapeError(f"dropout2d: expected input of shape (N, C, H, W), got {input.shape}.")
    return _run(input, inplace, drop_channels, p) if training else input


@_checked
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of `weight` (V, D) at the indices `input` (...), of shape (..., D).

    The row `padding_idx` receives no gradient. `max_norm`, `scale_grad_by_freq` and `sparse` are
    not supported.

    Raises:
        ArgumentError: if `padding_idx` is out of range, or an option is not supported.
        AxisError: if an index is outside the range from 0 to V - 1.
        DtypeError: if the indices are not integers.
        ShapeError: if `weight` is not a matrix.

    >>> embedding(Tensor([1, 0]), Tensor([[1.0, 2.0], [3.0, 4.0]]))
    Tensor([[3., 4.],
            [1., 2.]])
    """
    who = "embedding"
    _refuse(who, max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    if weight.ndim != 2:
        raise ShapeError(f"{who}: expected `weight` of shape (V, D), got {weight.shape}.")
    rows = weight.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise ArgumentError(
            f"{who}: expected `padding_idx` to be from {-rows} to {rows - 1}, got {padding_idx}."
        )
    return look_up(who, input, weight, None if padding_idx is None else padding_idx % rows)


@_checked
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Convert class indices (...) to rows (..., num_classes) with a 1 at the index.

    If `num_classes` is -1, it is the largest index + 1.

    Raises:
        ArgumentError: if an index is not from 0 to num_classes - 1, or if `num_classes` is -1 and
            the input is empty.
        DtypeError: if the input does not contain integers.

    >>> one_hot(Tensor([2, 0]))
    Tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if num_classes == -1:
        if not input.numel():
            raise ArgumentError(
                "one_hot: expected `num_classes` for an empty input, got -1, which infers it."
            )
        num_classes = int(input.data.max()) + 1
    return input.one_hot(num_classes)


@_checked
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute softmax(scale query keyᵀ + mask) value, with scale = 1 / √E by default.

    See `Tensor.scaled_dot_product_attention` for the arguments and errors.

    >>> query, key = Tensor([[0.0, 0.0]]), Tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> scaled_dot_product_attention(query, key, Tensor([[1.0], [3.0]]))
    Tensor([[2.]])
    """
    if scale is not None:
        query = query * (scale * math.sqrt(query.shape[-1]))
    return query.scaled_dot_product_attention(
        key, value, attn_mask, dropout_p, is_causal, enable_gqa
    )
