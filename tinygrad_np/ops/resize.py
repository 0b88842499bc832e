"""Image resizing: a linear map along each axis; its gradient is the transposed map."""

from collections.abc import Sequence

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.checks import is_integer
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import resize as kernels
from tinygrad_np.ops.windows import shape_of
from tinygrad_np.runtime.memory import Array

_MODES = ("linear", "nearest", "nearest-exact")


def interpolate(x: V, size: Sequence[int], mode: str = "linear", align_corners: bool = False) -> V:
    """Resize images to `size`, the lengths of their last axes.

    Args:
        x: images of any shape; floats or uint8 for "linear", any dtype for the other modes.
        size: new lengths of the last axes, one number per axis.
        mode: "linear" (PyTorch's linear, bilinear or trilinear), "nearest", or "nearest-exact",
            which compares pixel centers.
        align_corners: whether the first and last entries keep their positions; "linear" only.

    Returns:
        A tensor of the same dtype and rank. uint8 is rounded after each axis, last axis first;
        some entries differ by 1 from PyTorch, which uses coarser weights.

    Raises:
        ShapeError: if an image is empty, or x has too few axes.
        DtypeError: if x is neither a Tensor nor an ndarray, or the mode is "linear" and the dtype
            is neither float nor uint8.
        ArgumentError: if an option is invalid; the message names it.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[0.0, 4.0]]]).interpolate((4,))
    Tensor([[[0., 1., 3., 4.]]])
    """
    if mode not in _MODES:
        raise ArgumentError(
            f"interpolate: expected `mode` to be one of {', '.join(_MODES)}, got {mode!r}."
        )
    if align_corners and mode != "linear":
        raise ArgumentError(
            f"interpolate: expected mode='linear' with align_corners=True, got {mode!r}."
        )
    shape = shape_of("interpolate", x)
    if not isinstance(size, Sequence) or not all(is_integer(n) and n > 0 for n in size):
        raise ArgumentError(
            "interpolate: expected `size` to be a sequence of integers >= 1, one per trailing "
            f"axis to resize, got {size!r}."
        )
    first = len(shape) - len(size)
    if first < 0 or 0 in shape[first:]:
        raise ShapeError(
            f"interpolate: expected non-empty images with at least {len(size)} axes, one per entry "
            f"of size {tuple(size)}, got input {shape}."
        )
    if mode == "linear" and x.dtype.kind != "f" and x.dtype != "uint8":
        raise DtypeError(
            f"interpolate: expected floats or uint8 for mode='linear', got dtype {x.dtype}. Try "
            ".float() or mode='nearest'."
        )
    rule = "corners" if align_corners else mode
    for axis in range(len(shape) - 1, first - 1, -1):
        lengths = (shape[axis], int(size[axis - first]))
        if lengths[0] != lengths[1]:
            x = resample(x, axis, rule, lengths)
    return x


def _count_flops(x: Array, axis: int, rule: str, lengths: tuple[int, int], transposed: bool) -> int:
    """Count 2 FLOPs per weight for each line along `axis`, and 0 for copied entries."""
    if rule.startswith("nearest") and not transposed:
        return 0
    return 2 * kernels.count_weights(rule, *lengths) * (x.size // x.shape[axis])


@op(
    "x times a matrix of weights, along one axis",
    vjps={
        "x": lambda grad_out, axis, rule, lengths, transposed: resample(
            grad_out, axis, rule, lengths, not transposed
        )
    },
    flops=_count_flops,
)
def resample(
    x: Array, *, axis: int, rule: str, lengths: tuple[int, int], transposed: bool = False
) -> Array:
    """Resample an axis from lengths[0] to lengths[1] entries, or apply the transposed map.

    Raises:
        ShapeError: if the axis does not have the expected length.
    """
    if x.shape[axis] != lengths[transposed]:
        raise ShapeError(
            f"resample: expected length {lengths[transposed]} along axis {axis}, got shape "
            f"{x.shape}."
        )
    return kernels.resample(x, axis, rule, lengths, transposed)
