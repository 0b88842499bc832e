"""Determinants and factorizations: definitions, and gradients at singular points."""

import numpy as np
import pytest

from tests.ops.samples.factorizations import positive, spread
from tests.tools import leaf
from tinygrad_np import Tensor
from tinygrad_np.errors import MatrixError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck


@pytest.fixture
def generator():
    return np.random.default_rng(0)


# Determinants.


def cofactors_by_hand(x):
    """Return (-1)^(i + j) times the determinant of x without row i and column j."""
    n = len(x)
    out = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        minor = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return out


@pytest.mark.parametrize("rank", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_of_det_is_the_cofactor_matrix_at_any_rank(generator, rank, dtype):
    u, _, vh = np.linalg.svd(generator.standard_normal((4, 4)))
    x = (u * (np.arange(4.0, 0, -1) * (np.arange(4) < rank))) @ vh
    tensor = leaf(x.astype(dtype))
    tensor.det().backward()
    assert tensor.grad.dtype == dtype
    atol = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(tensor.grad.data, cofactors_by_hand(x), atol=atol)


def test_third_derivative_of_det_needs_an_invertible_matrix():
    """det(diag(a, b, c)) = a b c has third derivative 1; singular matrices have none."""
    entries = leaf(np.array([2.0, 3.0, 5.0]))
    value = entries.diag().det()
    for place, expected in enumerate([15.0, 5.0, 1.0]):
        (grad,) = value.gradient(entries, create_graph=True)
        value = grad[place]
        assert value.item() == pytest.approx(expected)
    singular = leaf(np.zeros((3, 3)))
    (first,) = singular.det().gradient(singular, create_graph=True)
    (second,) = first[0, 0].gradient(singular)
    assert second.shape == (3, 3)
    with pytest.raises(MatrixError, match="inv: expected invertible"):
        first[0, 0].gradient(singular, create_graph=True)


def test_sign_of_det_has_zero_gradient(generator):
    x = leaf(spread(generator, 3, 3))
    sign, logabsdet = x.slogdet()
    np.testing.assert_allclose(sign.data * np.exp(logabsdet.data), x.det().data)
    assert not sign.gradient(x)[0].data.any()


def test_slogdet_of_a_singular_matrix_is_0_and_minus_inf():
    sign, logabsdet = Tensor.ones(2, 2).slogdet()
    assert sign.item() == 0
    assert logabsdet.item() == -np.inf


# Factors.


def test_cholesky_uses_the_symmetric_part(generator):
    x = positive(generator, 3, 3)
    skew = generator.standard_normal((3, 3))
    tensor = leaf(x + skew - skew.T)
    factor = tensor.cholesky()
    np.testing.assert_allclose((factor @ factor.T).data, x)
    (factor * generator.standard_normal((3, 3))).sum().backward()
    np.testing.assert_array_equal(tensor.grad.data, tensor.grad.data.T)


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 3, 5), (0, 3), (3, 0), (0, 2, 3)])
def test_qr_and_svd_reconstruct_the_matrix(generator, shape):
    x = generator.standard_normal(shape)
    m, n = shape[-2:]
    k = min(m, n)
    q, r = Tensor(x).qr()
    assert q.shape[-2:] == (m, k)
    np.testing.assert_allclose((q @ r).data, x, atol=1e-12)
    np.testing.assert_array_equal(r.data, r.triu().data)
    for full in (True, False):
        u, s, vh = Tensor(x).svd(full)
        assert u.shape[-2:] == (m, m if full else k)
        assert vh.shape[-2:] == (n if full else k, n)
        np.testing.assert_allclose(
            (u.data[..., :k] * s.data[..., None, :]) @ vh.data[..., :k, :], x, atol=1e-12
        )
        for factor in (u.data, vh.data.swapaxes(-1, -2)):
            gram = factor.swapaxes(-1, -2) @ factor
            np.testing.assert_allclose(gram, gram * 0 + np.eye(factor.shape[-1]), atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 4), (3, 1), (2, 2, 3), (0, 3)])
@pytest.mark.parametrize("part", [0, 1])
def test_qr_gradients_of_wide_matrices_match_central_differences(generator, shape, part):
    x = spread(generator, *shape)
    gradcheck(lambda x: x.qr()[part], [x])
    gradgradcheck(lambda x: x.qr()[part], [x])


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (2, 1, 3), (3, 0)])
def test_extra_vectors_of_full_svd_have_no_gradient(generator, shape):
    x = leaf(spread(generator, *shape))
    k = min(shape[-2:])
    for factor, slim in zip(x.svd(), x.svd(full_matrices=False), strict=True):
        first = np.zeros(factor.shape)
        part = first[tuple(slice(n) for n in slim.shape)]
        part[...] = weight = generator.standard_normal(slim.shape)
        expected = slim.gradient(x, gradient=weight)[0]
        np.testing.assert_allclose(factor.gradient(x, gradient=first)[0].data, expected.data)
        added = 1.0 - (first != 0)
        if k:
            assert not factor.gradient(x, gradient=added)[0].data.any()


@pytest.mark.parametrize(
    "x", [np.eye(3), np.zeros((3, 2)), np.diag([2.0, 1, 1]), np.ones((2, 3)), np.zeros((2, 2, 2))]
)
def test_equal_singular_values_have_a_finite_gradient(x):
    """The gradient of their sum is U Vh, without 0 / 0."""
    tensor = leaf(x)
    u, s, vh = tensor.svd(full_matrices=False)
    np.testing.assert_allclose(s.gradient(tensor, gradient=np.ones(s.shape))[0].data, (u @ vh).data)


def test_svd_has_a_second_derivative_where_the_first_is_zero(generator):
    """The loss is stationary in U at this point, but not constant around it."""
    x = spread(generator, 3, 3)
    target = np.linalg.svd(x)[0][0, 0]
    gradgradcheck(lambda x: (x.svd()[0][0, 0] - target) ** 2, [x])


def test_slogdet_of_integers_is_float32():
    sign, log = Tensor([[2, 0], [0, -3]]).slogdet()
    assert (sign.dtype, sign.tolist()) == (np.float32, -1.0)
    assert log.item() == pytest.approx(np.log(6))
