"""Resizing images: along each axis a linear map, whose transpose is its gradient."""

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
        x: images of any shape; floats or uint8 for "linear", any dtype otherwise.
        size: new lengths of the last axes, as many as it has numbers.
        mode: "linear" (PyTorch's linear, bilinear or trilinear), "nearest", or "nearest-exact",
            which compares the centers of entries.
        align_corners: whether the first and last entries stay where they are; "linear" only.

    uint8 is rounded after each axis, last axis first. PyTorch, whose weights are coarser, differs
    by 1 in some entries.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[0.0, 4.0]]]).interpolate((4,))
    Tensor([[[0., 1., 3., 4.]]])
    """
    if mode not in _MODES:
        raise ArgumentError(f"interpolate mode: expected one of {', '.join(_MODES)}, got {mode!r}")
    if align_corners and mode != "linear":
        raise ArgumentError(f"interpolate align_corners: expected mode 'linear', got {mode!r}")
    shape = shape_of("interpolate", x)
    if not isinstance(size, Sequence) or not all(is_integer(n) and n > 0 for n in size):
        raise ArgumentError(
            "interpolate size: expected integers of at least 1, one for each of the last axes, "
            f"got {size!r}"
        )
    first = len(shape) - len(size)
    if first < 0 or 0 in shape[first:]:
        raise ShapeError(
            f"interpolate: expected an axis with entries for each of size {tuple(size)}, got input "
            f"{shape}"
        )
    if mode == "linear" and x.dtype.kind != "f" and x.dtype != "uint8":
        raise DtypeError(
            f"interpolate: expected floats or uint8, got dtype {x.dtype}. Try .float(), or a mode "
            "that takes any dtype."
        )
    rule = "corners" if align_corners else mode
    for axis in range(len(shape) - 1, first - 1, -1):
        lengths = (shape[axis], int(size[axis - first]))
        if lengths[0] != lengths[1]:
            x = resample(x, axis, rule, lengths)
    return x


def _count_flops(x: Array, axis: int, rule: str, lengths: tuple[int, int], transposed: bool) -> int:
    """Count 2 per weight for each line along `axis`; copying entries counts nothing."""
    if rule.startswith("nearest") and not transposed:
        return 0
    return 2 * kernels.count_weights(rule, *lengths) * (x.size // x.shape[axis])


@op(
    "x times a matrix of weights, along an axis",
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
    """Resample an axis from lengths[0] to lengths[1] entries; or apply that map's transpose."""
    if x.shape[axis] != lengths[transposed]:
        raise ShapeError(f"resample: expected {lengths} along axis {axis}, got {x.shape}")
    return kernels.resample(x, axis, rule, lengths, transposed)
