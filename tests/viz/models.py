"""Models and graphs whose pictures the tests look at."""

import numpy as np

from tests.tools import normal
from tinygrad_np import Tensor, nn


class Block(nn.Module):
    """A residual block of a Transformer, without its attention."""

    def __init__(self, size):
        self.norm = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, x):
        """Return an array of the shape of x."""
        return x + self.mlp(self.norm(x))


class Stack(nn.Module):
    """Twelve equal blocks and a head."""

    def __init__(self, count=12, size=4):
        self.blocks = nn.ModuleList([Block(size) for _ in range(count)])
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        """Return (N, 3)."""
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Recurrent(nn.Module):
    """A cell that is called once per step, with an indexing op between the calls."""

    def __init__(self):
        self.cell = nn.LSTMCell(3, 5)

    def forward(self, x):
        """Return the last state."""
        state = (Tensor.zeros(2, 5), Tensor.zeros(2, 5))
        for step in range(x.shape[1]):
            state = self.cell(x[:, step], state)
        return state


class Shared(nn.Module):
    """A layer that is called twice."""

    def __init__(self):
        self.layer = nn.Linear(10, 10)
        self.head = nn.Linear(10, 2)

    def forward(self, x):
        """Return (N, 2)."""
        return self.head(self.layer(self.layer(x).tanh()).tanh())


class Failing(nn.Module):
    """A model whose second layer does not fit the first."""

    def __init__(self):
        self.first = nn.Linear(10, 20)
        self.second = nn.Linear(30, 2)

    def forward(self, x):
        """Raise ShapeError."""
        return self.second(self.first(x).relu())


def scalar_expression():
    """Return the result of `tanh(a * b + c) ** 2` and the names of its tensors."""
    a, b, c = (Tensor(value, requires_grad=True) for value in (2.0, -3.0, 7.0))
    y = (a * b + c).tanh() ** 2
    return y, {"a": a, "b": b, "c": c, "y": y}


def hessian_vector_product():
    """Return the product of the Hessian of `(tanh(x) ** 2).sum()` with v, and names."""
    x, v = Tensor([1.0, 2.0], requires_grad=True), Tensor([1.0, 0.5])
    y = (x.tanh() ** 2).sum()
    (slope,) = y.gradient(x, create_graph=True)
    (product,) = (slope * v).sum().gradient(x, create_graph=True)
    return product, {"x": x, "v": v, "product": product}


def batch(*shape):
    """Return random numbers in float32."""
    return normal(*shape).astype(np.float32)
