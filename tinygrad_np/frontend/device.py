"""Devices, for programs written for PyTorch: every tensor is on the CPU."""

from typing import Any

from tinygrad_np.checks import kind_of
from tinygrad_np.errors import ArgumentError, DtypeError


class device:  # noqa: N801
    """The device of a tensor, as in `x.to(device)`; only the CPU exists.

    Raises:
        ArgumentError: if the name is not "cpu" or "cpu:0".
        DtypeError: if the name is neither a string nor a device.

    >>> device("cpu")
    device(type='cpu')
    """

    __slots__ = ()
    type = "cpu"
    index = None

    def __init__(self, name: "str | device" = "cpu") -> None:
        check_device("device", name)

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __str__(self) -> str:
        return "cpu"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device)

    def __hash__(self) -> int:
        return hash("cpu")


def check_device(who: str, value: Any) -> None:
    """Raise an error unless `value` is a name of the CPU, a `device` or None.

    >>> check_device("zeros", "cuda")
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: zeros: expected `device` to be "cpu", the only device, got
    'cuda'.
    """
    if value is None or isinstance(value, device):
        return
    if not isinstance(value, str):
        raise DtypeError(f"{who}: expected `device` to be a string, got {kind_of(value)}.")
    if value not in ("cpu", "cpu:0"):
        raise ArgumentError(
            f'{who}: expected `device` to be "cpu", the only device, got {value!r}.'
        )


class cuda:  # noqa: N801
    """Stand-in for `torch.cuda`."""

    @staticmethod
    def is_available() -> bool:
        """Return False: there is no GPU support.

        >>> cuda.is_available()
        False
        """
        return False
