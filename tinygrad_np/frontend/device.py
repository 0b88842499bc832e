"""The device of tensors, which is always the CPU."""

from typing import Any

import numpy as np

from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import ArgumentError

_NAMES = ("cpu", "cpu:0")


class device(str):  # noqa: N801 (PyTorch's name)
    """The device of a tensor: the string "cpu", with PyTorch's attributes `type` and `index`.

    Args:
        name: "cpu", "cpu:0" or an existing device.

    Raises:
        ArgumentError: for any other device.

    >>> device("cpu")
    device(type='cpu')
    >>> device("cpu:0").index, device("cpu") == "cpu"
    (0, True)
    """

    __slots__ = ()

    def __new__(cls, name: Any = "cpu") -> "device":
        """Return the device with this name."""
        if name not in _NAMES:
            raise ArgumentError(
                f"device: expected 'cpu', got {str(name)!r}. All tensors are on the CPU."
            )
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The kind of device."""
        return "cpu"

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number of the device, if it was given."""
        return 0 if self == "cpu:0" else None

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type='cpu'{number})"


CPU = device("cpu")


def dtype_of_target(target: Any, dtype: Any, place: Any) -> Any:
    """Return the dtype that the arguments of a `to` method ask for, or None.

    Args:
        target: a dtype, the name of a device, or a tensor whose dtype is used.
        dtype: a dtype, or None.
        place: the name of a device, or None.

    Raises:
        ArgumentError: if a device is not the CPU, there are two dtypes, or a dtype is a string.
    """
    if place is not None:
        device(place)
    if isinstance(target, str):
        if target in np.sctypeDict:
            raise ArgumentError(
                f"to: expected a device or a dtype, got the string {target!r}. Pass np.{target}."
            )
        device(target)
    elif target is not None:
        if dtype is not None:
            raise ArgumentError(f"to: expected one dtype, got {target!r} and {dtype!r}.")
        dtype = target.dtype if isinstance(target, Variable) else target
    return dtype


class cuda:  # noqa: N801 (PyTorch's name)
    """Stand-in for `torch.cuda`.

    >>> device("cuda" if cuda.is_available() else "cpu")
    device(type='cpu')
    """

    @staticmethod
    def is_available() -> bool:
        """Return False: there is no GPU support.

        >>> cuda.is_available()
        False
        """
        return False
