"""Layers: their parameters, with PyTorch's names, layouts and initial values."""

import numpy as np

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.nn import init
from tinygrad_np.nn.module import Layer, Parameter
from tinygrad_np.nn.parts import (
    bias_note,
    channels_back,
    channels_first,
    check_format,
    init_parameter,
    options_note,
)
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None


class Linear(Layer):
    """x @ weight.T + bias: x (..., in_features), weight (out_features, in_features).

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
        """Return (..., out_features)."""
        return x.linear(self.weight, self.bias)

    def describe(self) -> str:
        """Return the sizes."""
        return f"{self.in_features}, {self.out_features}{bias_note(self.bias)}"


class Identity(Layer):
    """x itself: stands where a layer may be."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x."""
        return x


class Flatten(Layer):
    """The axes from start_dim to end_dim as one; by default all but the batch.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Flatten()(Tensor.ones(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Return x flattened."""
        return x.flatten(self.start_dim, self.end_dim)

    def describe(self) -> str:
        """Return the axes where they are not the usual ones."""
        usual = (self.start_dim, self.end_dim) == (1, -1)
        return "" if usual else f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Layer):
    """In training, zero each entry with probability p and scale the rest by 1 / (1 - p).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout(0.5).eval()(Tensor([1.0, 2.0]))
    Tensor([1., 2.])
    """

    def __init__(self, p: float = 0.5, generator: Generator = None) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(
                f"{type(self).__name__} p: got {p}, expected a probability from 0 to 1"
            )
        self.p = p
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Return x with entries dropped, or x itself in evaluation."""
        return x.dropout(self.p, self.training, self.generator)

    def describe(self) -> str:
        """Return the probability."""
        return f"p={self.p}"


class Dropout2d(Dropout):
    """In training, zero each whole channel of (N, C, H, W) with probability p and scale the rest by
    1 / (1 - p) (Tompson et al. 2015). With data_format="NHWC" images are (N, H, W, channels).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Dropout2d(0.5)(Tensor.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    def __init__(
        self, p: float = 0.5, generator: Generator = None, *, data_format: str = "NCHW"
    ) -> None:
        super().__init__(p, generator)
        self.data_format = check_format("Dropout2d", data_format)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with channels dropped, or x itself in evaluation."""
        if x.ndim != 4:
            axes = ", ".join(self.data_format)
            raise ShapeError(f"Dropout2d: got input {x.shape}, expected ({axes})")
        if not self.training:
            return x
        batch, channels = channels_first(x, self.data_format).shape[:2]
        kept = Tensor(np.ones((batch, channels, 1, 1), x.dtype))
        return x * channels_back(kept.dropout(self.p, True, self.generator), self.data_format)

    def describe(self) -> str:
        """Return the probability, and the order of axes where it is not the usual."""
        return super().describe() + options_note(self, data_format="NCHW")


class Embedding(Layer):
    """Rows of weight (num_embeddings, embedding_dim) by index: an integer Tensor or array of any
    shape (...) gives (..., embedding_dim).

    The row of `padding_idx`, counted from the end where negative, begins at zeros and gets no
    gradient. Raises AxisError that names an index outside the rows, DtypeError for floats.

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
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ArgumentError(
                f"Embedding padding_idx: got {padding_idx}, expected one of the "
                f"{num_embeddings} rows"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = init.normal(
            Parameter.zeros(num_embeddings, embedding_dim), generator=generator
        )
        if self.padding_idx is not None:
            self.weight.data[self.padding_idx] = 0

    def forward(self, index: Tensor) -> Tensor:
        """Return (..., embedding_dim)."""
        if index.dtype.kind not in "iu":
            raise DtypeError(f"Embedding: got indices of dtype {index.dtype}, expected integers")
        outside = (index.data < 0) | (index.data >= self.num_embeddings)
        if outside.any():
            at = tuple(int(i) for i in np.argwhere(outside)[0])
            raise AxisError(
                f"Embedding: index {index.data[at]} at position {at} is outside the "
                f"{self.num_embeddings} rows, 0..{self.num_embeddings - 1}"
            )
        rows = self.weight[index]
        if self.padding_idx is None:
            return rows
        is_padding = (index == self.padding_idx).reshape(*index.shape, 1)
        return is_padding.where(rows.detach(), rows)

    def describe(self) -> str:
        """Return the sizes, and the padding's row."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
