"""Basic layers, with the parameter names, layouts and default initialization of PyTorch."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.checks import check_integer, check_probability, is_integer
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn import init
from tinygrad_np.nn.module import Layer, Parameter
from tinygrad_np.nn.parts import (
    bias_note,
    channels_back,
    channels_first,
    check_format,
    check_inplace,
    init_parameter,
    options_note,
)

Generator = np.random.Generator | None


class Linear(Layer):
    """Affine transformation of the last axis: x @ weight.T + bias.

    x has shape (..., in_features), weight (out_features, in_features) and bias (out_features,).
    Both parameters are initialized uniformly in ±1 / sqrt(in_features), as in PyTorch.

    Args:
        in_features: size of the last axis of the input.
        out_features: size of the last axis of the output.
        bias: whether to add a learned bias.
        generator: NumPy generator for the initial values; None uses the default generator.

    Raises:
        ArgumentError: if a size is not an integer >= 1.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input differs from that of the weights.
        ShapeError: in a call, if the last axis of the input does not have length `in_features`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Linear(3, 2)(Tensor.ones(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, generator: Generator = None
    ) -> None:
        check_integer("Linear", 1, in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = init_parameter((out_features, in_features), in_features, generator)
        self.bias = init_parameter((out_features,), in_features, generator) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return x @ weight.T + bias, of shape (..., out_features)."""
        shape = x.data.shape
        if not shape or shape[-1] != self.in_features:
            hint = ""
            if math.prod(shape[1:]) == self.in_features:
                hint = " Merge the last axes with x.flatten(1) or nn.Flatten()."
            raise ShapeError(
                f"{self.label()}: expected input of shape (..., {self.in_features}), got {shape}."
                f"{hint}"
            )
        self.check_dtype(x, self.weight)
        return x.linear(self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.in_features}, {self.out_features}{bias_note(self.bias)}"


class Identity(Layer):
    """Identity function, a placeholder where a layer is expected.

    It accepts and ignores any arguments, so that it can replace another class.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Identity()(Tensor([1.0, 2.0]))
    Tensor([1., 2.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the arguments."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x unchanged."""
        return x


class Flatten(Layer):
    """Layer that merges the axes from `start_dim` to `end_dim` into one.

    By default, all axes except the batch axis are merged.

    Raises:
        AxisError: in a call, if an axis is out of range.
        ShapeError: in a call, if `start_dim` comes after `end_dim`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Flatten()(Tensor.ones(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the axes flattened."""
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Return the axes, if they differ from the defaults."""
        usual = (self.start_dim, self.end_dim) == (1, -1)
        return "" if usual else f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Layer):
    """Layer that splits an axis into several: the inverse of `Flatten`.

    Args:
        dim: the axis to split.
        unflattened_size: lengths of the new axes; one of them may be -1.

    Raises:
        AxisError: in a call, if `dim` is out of range.
        DtypeError: in a call, if `unflattened_size` is not a tuple or list of integers.
        ShapeError: in a call, if the new lengths do not multiply to the length of the axis.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Unflatten(1, (3, 4))(Tensor.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the axis split."""
        return x.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """Return the axis and the new lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Dropout(Layer):
    """Dropout of individual entries (Srivastava et al. 2014).

    In training, each entry is set to zero with probability `p`, and the others are multiplied by
    1 / (1 - p), which keeps the expected value. In evaluation, the layer returns its input.

    Args:
        p: probability of dropping an entry.
        inplace: no effect; accepted as in the activations.
        generator: NumPy generator for the masks; None uses the default generator.

    Raises:
        ArgumentError: if `p` is not between 0 and 1.
        DtypeError: in training, if `generator` is not a NumPy generator.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout(0.5).eval()(Tensor([1.0, 2.0]))
    Tensor([1., 2.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, generator: Generator = None) -> None:
        check_probability(type(self).__name__, p=p)
        check_inplace(type(self).__name__, inplace)
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Return x with entries dropped, or x itself in evaluation mode."""
        return x.dropout(self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"


def drop_channels(x: Tensor, p: float, generator: Generator = None) -> Tensor:
    """Set each channel of images (N, C, H, W) to 0 with probability p, and scale the others."""
    kept = Tensor(np.ones((*x.shape[:2], 1, 1), x.dtype))
    return x * kept.dropout(p, True, generator)


class Dropout2d(Dropout):
    """Dropout of whole channels of images (Tompson et al. 2015).

    In training, each channel of (N, C, H, W) is set to zero with probability `p`, and the others
    are multiplied by 1 / (1 - p). In evaluation, the layer returns its input.

    Args:
        p: probability of dropping a channel.
        inplace: no effect; accepted as in the activations.
        generator: NumPy generator for the masks; None uses the default generator.
        data_format: "NCHW", or "NHWC" for images of shape (N, H, W, C).

    Raises:
        ArgumentError: if `p` is not between 0 and 1, or `data_format` is unknown.
        DtypeError: in training, if `generator` is not a NumPy generator.
        ShapeError: if the input does not have four axes.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout2d(0.5)(Tensor.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        generator: Generator = None,
        *,
        data_format: str = "NCHW",
    ) -> None:
        super().__init__(p, inplace, generator)
        self.data_format = check_format("Dropout2d", data_format)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with channels dropped, or x itself in evaluation mode."""
        if x.ndim != 4:
            axes = ", ".join(self.data_format)
            raise ShapeError(f"Dropout2d: expected input of shape ({axes}), got {x.shape}.")
        if not self.training:
            return x
        return channels_back(
            drop_channels(channels_first(x, self.data_format), self.p, self.generator),
            self.data_format,
        )

    def extra_repr(self) -> str:
        """Return the probability, and the data format if it is "NHWC"."""
        return super().extra_repr() + options_note(self, data_format="NCHW")


def look_up(who: str, index: Tensor, weight: Tensor, padding_idx: int | None) -> Tensor:
    """Return the rows of `weight` at `index`; the row `padding_idx` receives no gradient."""
    if index.dtype.kind not in "iu":
        raise DtypeError(f"{who}: expected integer indices, got dtype {index.dtype}.")
    count = weight.shape[0]
    outside = (index.data < 0) | (index.data >= count)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise AxisError(
            f"{who}: expected indices from 0 to {count - 1}, got {index.data[at]} at position {at}."
        )
    rows = weight[index]
    if padding_idx is None:
        return rows
    is_padding = (index == padding_idx).reshape(*index.shape, 1)
    return is_padding.where(rows.detach(), rows)


class Embedding(Layer):
    """Lookup table that maps integer indices to vectors.

    Indices of any shape (...), as a Tensor or an array, select rows of the weight of shape
    (num_embeddings, embedding_dim); the output has shape (..., embedding_dim). The weight is
    initialized from the standard normal distribution.

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of each row.
        padding_idx: row that starts at zero and receives no gradient; a negative index counts from
            the end.
        generator: NumPy generator for the initial values; None uses the default generator.

    Raises:
        AxisError: if an index is outside the range from 0 to num_embeddings - 1.
        DtypeError: if the indices are not integers, or `generator` is not a NumPy generator.
        ArgumentError: if a size is not an integer >= 1, or `padding_idx` is out of range.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Embedding(10, 4)(Tensor([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        generator: Generator = None,
    ) -> None:
        check_integer("Embedding", 1, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not (
            is_integer(padding_idx) and -num_embeddings <= padding_idx < num_embeddings
        ):
            raise ArgumentError(
                f"Embedding: expected `padding_idx` to be an integer from {-num_embeddings} to "
                f"{num_embeddings - 1}, got {padding_idx!r}."
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = init.normal_(
            Parameter.zeros(num_embeddings, embedding_dim), generator=generator
        )
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, index: Tensor) -> Tensor:
        """Return the rows at `index`, of shape (..., embedding_dim)."""
        return look_up("Embedding", index, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes, and `padding_idx` if it is set."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
