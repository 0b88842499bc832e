"""Activation layers. Each calls the Tensor method of the same name, with PyTorch's options."""

import inspect
from typing import Any

import numpy as np

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.functional import prelu
from tinygrad_np.nn.module import Layer, Parameter
from tinygrad_np.nn.parts import check_inplace, given_axis


class Activation(Layer):
    """Base class of activations: a Tensor method as a layer without parameters.

    A subclass names the method in the class argument `method`. Further class arguments declare the
    layer's options and their defaults; the options are passed to the method in this order. The
    option `inplace`, which model code written for PyTorch passes, is not: it has no effect.

    Raises:
        ArgumentError: if the arguments do not match the options that the class declares, or
            `inplace` is not a bool.

    >>> from tinygrad_np import Tensor, nn
    >>> class Root(nn.Activation, method="sqrt"):
    ...     \"\"\"Square root.\"\"\"
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
                f"{type(self).__name__}: expected the arguments {self.__signature__}, got {values} "
                f"and {options} ({error})."
            ) from error
        bound.apply_defaults()
        check_inplace(type(self).__name__, bound.arguments.get("inplace", False))
        vars(self).update(bound.arguments)

    def _options(self) -> dict[str, Any]:
        names = self.__signature__.parameters
        return {name: getattr(self, name) for name in names if name != "inplace"}

    def forward(self, x: Tensor) -> Tensor:
        """Apply the method to x; the shape does not change."""
        out: Tensor = getattr(x, self._method)(*self._options().values())
        return out

    def extra_repr(self) -> str:
        """Return the options."""
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


class ReLU(Activation, method="relu", inplace=False):
    """Rectified linear unit: max(x, 0)."""


class ReLU6(Activation, method="relu6", inplace=False):
    """ReLU with an upper bound of 6: min(max(x, 0), 6)."""


class LeakyReLU(Activation, method="leaky_relu", negative_slope=0.01, inplace=False):
    """Leaky ReLU: x where x > 0, otherwise negative_slope x."""


class ELU(Activation, method="elu", alpha=1.0, inplace=False):
    """Exponential linear unit: x where x > 0, otherwise alpha (e^x - 1) (Clevert et al. 2016)."""


class CELU(Activation, method="celu", alpha=1.0, inplace=False):
    """Continuously differentiable ELU (Barron 2017).

    The result is x where x > 0, otherwise alpha (e^(x / alpha) - 1).

    Raises:
        ArgumentError: in a call, if `alpha` is not above 0.
    """


class PReLU(Layer):
    """Leaky ReLU with a learned slope: x where x > 0, otherwise weight x (He et al. 2015, eq. 1).

    Args:
        num_parameters: number of slopes: 1, or the number of channels C of inputs (N, C, ...).
        init: initial value of the slopes.

    Raises:
        ArgumentError: if `num_parameters` is not an integer >= 1.
        DtypeError: in a call, if the float dtype of the input differs from that of the weight.
        ShapeError: in a call, if the input does not have `num_parameters` channels.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.PReLU()(Tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        check_integer("PReLU", 1, num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, with the negative entries multiplied by the slope of their channel."""
        channels = x.shape[1] if x.ndim > 1 else 1
        if self.num_parameters not in (1, channels):
            raise ShapeError(
                f"{self.label()}: expected input of shape (N, {self.num_parameters}, ...), got "
                f"{x.shape}."
            )
        self.check_dtype(x, self.weight)
        return prelu(x, self.weight)

    def extra_repr(self) -> str:
        """Return the number of slopes."""
        return f"num_parameters={self.num_parameters}"


class SELU(
    Activation, method="selu", inplace=False, alpha=1.6732632423543772, gamma=1.0507009873554805
):
    """Scaled ELU: gamma times ELU (Klambauer et al. 2017).

    The default alpha and gamma preserve mean 0 and variance 1.
    """


class GELU(Activation, method="gelu", approximate="none"):
    """Gaussian error linear unit: x Φ(x) (Hendrycks and Gimpel 2016).

    Φ is the cumulative distribution function of the standard normal distribution. `approximate` is
    "none" for the exact function or "tanh" for the tanh approximation.

    Raises:
        ArgumentError: in a call, if `approximate` has another value.
    """


class SiLU(Activation, method="silu", inplace=False):
    """Sigmoid linear unit, also called swish: x sigmoid(x)."""


class Mish(Activation, method="mish", inplace=False):
    """Mish: x tanh(softplus(x)) (Misra 2019)."""


class Softsign(Activation, method="softsign"):
    """Softsign: x / (1 + |x|)."""


class Sigmoid(Activation, method="sigmoid"):
    """Logistic sigmoid: 1 / (1 + e^-x)."""


class LogSigmoid(Activation, method="logsigmoid"):
    """Logarithm of the sigmoid: log(1 / (1 + e^-x))."""


class Hardswish(Activation, method="hardswish", inplace=False):
    """Piecewise approximation of swish: x relu6(x + 3) / 6 (Howard et al. 2019)."""


class Hardsigmoid(Activation, method="hardsigmoid", inplace=False):
    """Piecewise linear approximation of the sigmoid: relu6(x + 3) / 6."""


class Hardtanh(Activation, method="hardtanh", min_val=-1.0, max_val=1.0, inplace=False):
    """Hard tanh: x clipped to the range from min_val to max_val."""


class Softplus(Activation, method="softplus", beta=1.0):
    """Softplus: log(1 + e^(beta x)) / beta.

    The result is accurate for large x, so PyTorch's `threshold` is not needed.

    Raises:
        ArgumentError: in a call, if `beta` is not above 0.
    """


class Tanh(Activation, method="tanh"):
    """Hyperbolic tangent: (e^x - e^-x) / (e^x + e^-x)."""


class _OverAxis(Activation, method="softmax", dim=None):
    """Base class of the softmax layers, which need an axis, as `F.softmax` does."""

    def __init__(self, *values: Any, **options: Any) -> None:
        super().__init__(*values, **options)
        given_axis(type(self).__name__, self.dim)


class Softmax(_OverAxis, method="softmax", dim=None):
    """Softmax along the axis `dim`: e^x / Σ e^x.

    Raises:
        ArgumentError: if `dim` is None: PyTorch's implicit choice, which depends on the number of
            axes, is deprecated.
        AxisError: in a call, if `dim` is out of range.
    """


class Softmin(_OverAxis, method="softmin", dim=None):
    """Softmax of -x along the axis `dim`: e^-x / Σ e^-x.

    Raises:
        ArgumentError: if `dim` is None: PyTorch's implicit choice, which depends on the number of
            axes, is deprecated.
        AxisError: in a call, if `dim` is out of range.
    """


class LogSoftmax(_OverAxis, method="log_softmax", dim=None):
    """Logarithm of the softmax along the axis `dim`: x - log Σ e^x.

    Raises:
        ArgumentError: if `dim` is None: PyTorch's implicit choice, which depends on the number of
            axes, is deprecated.
        AxisError: in a call, if `dim` is out of range.
    """
