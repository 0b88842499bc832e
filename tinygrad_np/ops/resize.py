"""Resizing images: along each axis a linear map, whose transpose is its gradient."""

from collections.abc import Sequence
from typing import Any

from tinygrad_np.autograd.op import V, op
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import resize as kernels
from tinygrad_np.ops.windows import is_whole, shape_of
from tinygrad_np.runtime.memory import Array

_MODES = ("linear", "nearest", "nearest-exact")


def interpolate(x: V, size: Sequence[int], mode: str = "linear", align_corners: bool = False) -> V:
    """Return images with `size` as the lengths of their last axes, as many as it has numbers.

    "linear" is PyTorch's linear, bilinear or trilinear, and takes floats and uint8; "nearest" and
    "nearest-exact", which differ in whether entries or their middles are compared, take any dtype.
    With `align_corners` the first and last entries stay where they are. uint8 is rounded after each
    axis, the last one first; PyTorch, whose weights are coarser, differs by 1 now and then. Raises
    ShapeError where there is no such axis, ArgumentError for another mode, DtypeError for other
    integers.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[0.0, 4.0]]]).interpolate((4,))
    Tensor([[[0., 1., 3., 4.]]])
    """
    if mode not in _MODES:
        raise ArgumentError(f"interpolate mode: got {mode!r}, expected one of {', '.join(_MODES)}")
    if align_corners and mode != "linear":
        raise ArgumentError(f"interpolate align_corners: only for mode 'linear', got {mode!r}")
    shape = shape_of("interpolate", x)
    if not isinstance(size, Sequence) or not all(is_whole(n) and n > 0 for n in size):
        raise ArgumentError(
            f"interpolate size: got {size!r}, expected integers of at least 1, one for each of the "
            "last axes"
        )
    first = len(shape) - len(size)
    if first < 0 or 0 in shape[first:]:
        raise ShapeError(
            f"interpolate: got input {shape}, expected an axis, with an entry, for each of size "
            f"{tuple(size)}"
        )
    dtype = x.dtype
    if mode == "linear" and dtype.kind != "f" and dtype != "uint8":
        raise DtypeError(
            f"interpolate: got dtype {dtype}, expected floats or uint8; use .float(), or a mode "
            "that takes entries as they are"
        )
    rule = "corners" if align_corners else mode
    for axis in range(len(shape) - 1, first - 1, -1):
        lengths = (shape[axis], int(size[axis - first]))
        if lengths[0] != lengths[1]:
            x = resample(x, axis=axis, rule=rule, lengths=lengths)
    return x


def _transpose(
    grad_out: Any, axis: int, rule: str, lengths: tuple[int, int], transposed: bool
) -> Any:
    return resample(grad_out, axis=axis, rule=rule, lengths=lengths, transposed=not transposed)


def _resample_flops(
    x: Array, axis: int, rule: str, lengths: tuple[int, int], transposed: bool
) -> int:
    """Count two for each weight of each line along `axis`, and nothing where entries are taken as
    they are."""
    if rule.startswith("nearest") and not transposed:
        return 0
    return 2 * len(kernels._weights(rule, *lengths)[0]) * (x.size // x.shape[axis])


@op("x times a matrix of weights, along an axis", vjps={"x": _transpose}, flops=_resample_flops)
def resample(
    x: Array, *, axis: int, rule: str, lengths: tuple[int, int], transposed: bool = False
) -> Array:
    """Resample an axis from lengths[0] to lengths[1] entries; or apply that map's transpose."""
    if x.shape[axis] != lengths[1 if transposed else 0]:
        raise ShapeError(f"resample: got {x.shape}, expected {lengths} along axis {axis}")
    return kernels.resample(x, axis, rule, lengths, transposed)
