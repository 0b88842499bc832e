"""Activations as layers: each calls the Tensor method of its name, with PyTorch's options."""

import inspect
from typing import Any

from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn.module import Layer
from tinygrad_np.tensor import Tensor


class Activation(Layer):
    """A function of a Tensor as a layer without parameters.

    A subclass names the Tensor method and, with their defaults, the options that the layer takes
    and hands on in this order.

    >>> from tinygrad_np import Tensor, nn
    >>> class Root(nn.Activation, method="sqrt"):
    ...     \"\"\"√x.\"\"\"
    >>> Root()(Tensor([4.0, 9.0]))
    Tensor([2., 3.])
    """

    _method: str
    __signature__ = inspect.Signature()

    def __init_subclass__(cls, method: str, **options: Any) -> None:
        either = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cls._method = method
        cls.__signature__ = inspect.Signature(
            [inspect.Parameter(name, either, default=value) for name, value in options.items()]
        )

    def __init__(self, *values: Any, **options: Any) -> None:
        try:
            bound = self.__signature__.bind(*values, **options)
        except TypeError as error:
            raise ArgumentError(
                f"{type(self).__name__}{self.__signature__}: got {values}, {options}; {error}"
            ) from error
        bound.apply_defaults()
        vars(self).update(bound.arguments)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__signature__.parameters}

    def forward(self, x: Tensor) -> Tensor:
        """Return the function of x: of the same shape."""
        out: Tensor = getattr(x, self._method)(*self._options().values())
        return out

    def describe(self) -> str:
        """Return the options."""
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


class ReLU(Activation, method="relu"):
    """max(x, 0)."""


class ReLU6(Activation, method="relu6"):
    """min(max(x, 0), 6)."""


class LeakyReLU(Activation, method="leaky_relu", negative_slope=0.01):
    """x where x > 0, else negative_slope x."""


class ELU(Activation, method="elu", alpha=1.0):
    """x where x > 0, else alpha (e^x - 1) (Clevert et al. 2015)."""


class CELU(Activation, method="celu", alpha=1.0):
    """x where x > 0, else alpha (e^(x / alpha) - 1) (Barron 2017)."""


class SELU(Activation, method="selu", alpha=1.6732632423543772, gamma=1.0507009873554805):
    """gamma times ELU, so scaled that mean 0 and variance 1 are kept (Klambauer et al. 2017)."""


class GELU(Activation, method="gelu", approximate="none"):
    """x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016); `approximate` is
    "none" or "tanh".
    """


class SiLU(Activation, method="silu"):
    """x sigmoid(x), also called swish."""


class Mish(Activation, method="mish"):
    """x tanh(softplus(x)) (Misra 2019)."""


class Softsign(Activation, method="softsign"):
    """x / (1 + |x|)."""


class Sigmoid(Activation, method="sigmoid"):
    """1 / (1 + e^-x)."""


class LogSigmoid(Activation, method="logsigmoid"):
    """log(1 / (1 + e^-x))."""


class Hardswish(Activation, method="hardswish"):
    """x relu6(x + 3) / 6 (Howard et al. 2019)."""


class Hardtanh(Activation, method="hardtanh", min_val=-1.0, max_val=1.0):
    """x, but no less than min_val and no more than max_val."""


class Softplus(Activation, method="softplus", beta=1.0):
    """log(1 + e^(beta x)) / beta, exact for large x too, so that PyTorch's threshold is not
    needed.
    """


class Tanh(Activation, method="tanh"):
    """(e^x - e^-x) / (e^x + e^-x)."""


class Softmax(Activation, method="softmax", dim=-1):
    """e^x / Σ e^x along the axis dim."""


class Softmin(Activation, method="softmin", dim=-1):
    """e^-x / Σ e^-x along the axis dim."""


class LogSoftmax(Activation, method="log_softmax", dim=-1):
    """x - log Σ e^x along the axis dim."""
