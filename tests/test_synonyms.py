"""Arguments may be passed by the names of PyTorch, NumPy and tinygrad."""

import pytest

from tests.tools import each
from tinygrad_np import Tensor
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
