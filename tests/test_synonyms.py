"""Arguments may be passed by the names of PyTorch, NumPy and tinygrad."""

import pytest

from tests.tools import each
from tinygrad_np import Tensor, op
from tinygrad_np.errors import DtypeError

X = Tensor([[1.0, 5.0], [4.0, 2.0]])


@each("name", ["axis", "dim"])
@each("keep", ["keepdim", "keepdims"])
@each("method", ["sum", "max", "var", "logsumexp"])
def test_reductions_accept_both_names(method, name, keep):
    expected = getattr(X, method)(1, True)
    assert getattr(X, method)(**{name: 1, keep: True}).tolist() == expected.tolist()


@each("name", ["axis", "dim"])
def test_shape_methods_accept_both_names(name):
    assert X.unsqueeze(**{name: 0}).shape == (1, 2, 2)
    assert X.cat(X, **{name: 1}).shape == (2, 4)
    assert Tensor.stack([X, X], **{name: 0}).shape == (2, 2, 2)
    assert X.sort(**{name: 0})[0].tolist() == [[1.0, 2.0], [4.0, 5.0]]


def test_an_argument_given_twice_raises():
    with pytest.raises(DtypeError, match=r"sum: expected the inputs .* the keywords"):
        X.sum(axis=1, dim=0)
    with pytest.raises(DtypeError, match=r"sum: expected the inputs .* got 2 positional"):
        X.sum(1, dim=0)
    with pytest.raises(TypeError, match="dim"):
        X.var(axis=1, dim=0)


@each(
    "call",
    [
        lambda: X.sum(dim=0, dims=1),
        lambda: X.clip(min=2, a_min=3),
        lambda: X.std(ddof=0, unbiased=True),
        lambda: X.permute(dims=(1, 0), axes=(0, 1)),
    ],
)
def test_two_synonyms_of_one_argument_raise(call):
    with pytest.raises(TypeError, match=r"dims|a_min|unbiased|axes"):
        call()


@each(
    "call",
    [
        lambda: X.norm(order=1),
        lambda: X.sum(axes=1),
        lambda: X.clip(low=0),
        lambda: X.lerp(stop=X, weight=0.5),
        lambda: Tensor([1, 2, 3, 4]).unflatten(0, shape=(2, 2)),
        lambda: Tensor.randint(2, min=0, max=3),
    ],
)
def test_names_that_mean_something_else_raise(call):
    with pytest.raises(TypeError, match=r"order|axes|low|stop|shape|min"):
        call()


def test_a_name_that_may_mean_two_options_raises():
    @op("x")
    def pick(x, *, dim=0, axis=0):
        return x + dim + axis

    assert pick(X, dim=1, axis=2).tolist() == (X + 3).tolist()
    with pytest.raises(DtypeError, match=r"pick: .*'dims'"):
        pick(X, dims=1)


@each("name", ["order", "dims", "axes"])
def test_permute_accepts_the_names_of_every_library(name):
    assert X.permute(**{name: (1, 0)}).tolist() == X.T.tolist()
