"""Linear algebra where the tables of samples cannot reach: definitions by hand, awkward points."""

import itertools

import numpy as np
import pytest

from tests.ops.samples.factorizations import positive, spread
from tinygrad_np import Tensor
from tinygrad_np.errors import MatrixError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def leaf(array):
    return Tensor(array, requires_grad=True)


# Einsum.


def by_loops(terms, wanted, arrays):
    """The sum of products as it is defined, one entry after the other."""
    sizes = {
        letter: n
        for term, x in zip(terms, arrays, strict=True)
        for letter, n in zip(term, x.shape, strict=True)
    }
    out = np.zeros([sizes[letter] for letter in wanted])
    for values in itertools.product(*map(range, sizes.values())):
        at = dict(zip(sizes, values, strict=True))
        entries = [
            x[tuple(at[letter] for letter in term)] for term, x in zip(terms, arrays, strict=True)
        ]
        out[tuple(at[letter] for letter in wanted)] += np.prod(entries)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_einsum_is_the_sum_of_products(seed):
    """Random formulas: repeated letters, letters of one term only, up to five operands."""
    generator = np.random.default_rng(seed)
    letters = list("abcdE")
    sizes = {letter: int(generator.integers(1, 4)) for letter in letters}
    terms = [
        "".join(generator.choice(letters, int(generator.integers(0, 4))))
        for _ in range(int(generator.integers(1, 6)))
    ]
    used = sorted(set("".join(terms)))
    wanted = "".join(generator.permutation(used)[: int(generator.integers(0, len(used) + 1))])
    arrays = [generator.standard_normal([sizes[letter] for letter in term]) for term in terms]
    formula = f"{','.join(terms)}->{wanted}"
    found = Tensor.einsum(formula, *map(Tensor, arrays))
    np.testing.assert_allclose(found.data, by_loops(terms, wanted, arrays), rtol=1e-10, atol=1e-12)
    gradcheck(lambda *xs: Tensor.einsum(formula, *xs), arrays)
    gradgradcheck(lambda *xs: Tensor.einsum(formula, *xs), arrays)


def test_einsum_takes_arrays_beside_tensors():
    x = leaf(np.ones((2, 3)))
    found = Tensor.einsum("ij,j", x, np.arange(3.0))
    found.sum().backward()
    assert x.grad.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_einsum_leaves_integers_and_float32_as_they_are():
    x = Tensor([[1, 2], [3, 4]])
    assert Tensor.einsum("ij,jk", x, x).tolist() == [[7, 10], [15, 22]]
    assert Tensor.einsum("ij,jk", x, x).dtype == np.int64
    assert Tensor.einsum("i...,i", x, Tensor([1.0, 0.5])).dtype == np.float32
    assert Tensor.einsum("ij,jk", x, x, dtype=np.float32).dtype == np.float32


# Determinants.


def cofactors_by_hand(x):
    """(-1)^(i + j) times the determinant of what is left without row i and column j."""
    n = len(x)
    out = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        minor = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * np.linalg.det(minor)
    return out


@pytest.mark.parametrize("rank", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_det_is_the_cofactors_at_any_rank(generator, rank, dtype):
    u, _, vh = np.linalg.svd(generator.standard_normal((4, 4)))
    x = (u * (np.arange(4.0, 0, -1) * (np.arange(4) < rank))) @ vh
    tensor = leaf(x.astype(dtype))
    tensor.det().backward()
    assert tensor.grad.dtype == dtype
    atol = 1e-4 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(tensor.grad.data, cofactors_by_hand(x), atol=atol)


def test_third_derivatives_of_det_are_those_of_a_product():
    """det diag(a, b, c) = a b c, whose third derivative is 1; for regular matrices only."""
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
    with pytest.raises(MatrixError, match="inv: got"):
        first[0, 0].gradient(singular, create_graph=True)


def test_the_sign_of_det_is_a_constant(generator):
    x = leaf(spread(generator, 3, 3))
    sign, logabsdet = x.slogdet()
    np.testing.assert_allclose(sign.data * np.exp(logabsdet.data), x.det().data)
    assert not sign.gradient(x)[0].data.any()


def test_singular_matrices_have_a_logabsdet():
    sign, logabsdet = Tensor.ones(2, 2).slogdet()
    assert sign.item() == 0
    assert logabsdet.item() == -np.inf


# Factors.


def test_cholesky_takes_the_symmetric_part(generator):
    x = positive(generator, 3, 3)
    skew = generator.standard_normal((3, 3))
    tensor = leaf(x + skew - skew.T)
    factor = tensor.cholesky()
    np.testing.assert_allclose((factor @ factor.T).data, x)
    (factor * generator.standard_normal((3, 3))).sum().backward()
    np.testing.assert_array_equal(tensor.grad.data, tensor.grad.data.T)


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3), (2, 3, 5), (0, 3), (3, 0), (0, 2, 3)])
def test_factors_multiply_to_what_was_factored(generator, shape):
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
def test_gradients_of_a_wide_qr(generator, shape, part):
    x = spread(generator, *shape)
    gradcheck(lambda x: x.qr()[part], [x])
    gradgradcheck(lambda x: x.qr()[part], [x])


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (2, 1, 3), (3, 0)])
def test_full_matrices_add_constants(generator, shape):
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
def test_singular_values_have_a_gradient_also_where_they_coincide(x):
    """U Vh, of the factors that were found: no 0 / 0."""
    tensor = leaf(x)
    u, s, vh = tensor.svd(full_matrices=False)
    np.testing.assert_allclose(s.gradient(tensor, gradient=np.ones(s.shape))[0].data, (u @ vh).data)


def test_a_vector_that_gets_no_gradient_here_still_has_a_second_one(generator):
    """A loss that is flat in U at this point, but not around it."""
    x = spread(generator, 3, 3)
    target = np.linalg.svd(x)[0][0, 0]
    gradgradcheck(lambda x: (x.svd()[0][0, 0] - target) ** 2, [x])


# Norms.


@pytest.mark.parametrize("p", [2, 3, 2.5, 1, 1.5, 0.5, 0, -1, np.inf, -np.inf])
def test_a_vector_of_zeros_has_gradients_of_zero_and_spoils_no_other(p):
    rows = np.array([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [0.5, 0.25, -4.0]])

    def derivatives(array):
        x = leaf(array)
        (first,) = x.norm(p, axis=1).gradient(
            x, gradient=Tensor(np.ones(len(array))), create_graph=True
        )
        value = (first * first * first).sum() + x.sum() * 0
        return first.data, value.gradient(x)[0].data

    for found, expected in zip(derivatives(rows), derivatives(rows[[0, 2]]), strict=True):
        np.testing.assert_array_equal(found[1], 0)
        np.testing.assert_allclose(found[[0, 2]], expected)


@pytest.mark.parametrize("p", [2, 3, 4, 1, 5.5])
def test_entries_of_zero_have_right_derivatives(p):
    """Of orders whose second derivative is smooth at 0, or 0 on both sides."""
    x = np.array([0.0, 1.0, -2.0, 0.0])
    if p > 1:
        gradcheck(lambda x: x.norm(p), [x])
    if p not in (1, 3):
        gradgradcheck(lambda x: x.norm(p), [x], tolerance=1e-5)
    tensor = leaf(x)
    (first,) = tensor.norm(p).gradient(tensor, create_graph=True)
    assert first.data[[0, 3]].tolist() == [0, 0]
    (second,) = ((first * first).sum() + tensor.sum() * 0).gradient(tensor)
    assert second.data[[0, 3]].tolist() == [0, 0]


@pytest.mark.parametrize("p", [1, 1.5, 2, 2.5, 3, 0.5])
def test_entries_of_zero_spoil_no_other_derivative(p):
    """Also of orders for which a derivative at 0 is infinite, and taken as 0."""

    def derivatives(array):
        x = leaf(array)
        (first,) = x.norm(p).gradient(x, create_graph=True)
        value = (first * first * first).sum() + x.sum() * 0
        return first.tolist(), value.gradient(x)[0].tolist()

    found = derivatives(np.array([0.0, 1.0, -2.0]))
    for with_zero, without in zip(found, derivatives(np.array([1.0, -2.0])), strict=True):
        assert with_zero == pytest.approx([0, *without])


@pytest.mark.parametrize("p", [1.5, 0.5])
def test_derivatives_that_are_infinite_at_zero_are_taken_as_zero(p):
    x = leaf(np.array([0.0, 1.0]))
    (first,) = x.norm(p).gradient(x, create_graph=True)
    assert (first * np.array([1.0, 0.0])).sum().gradient(x)[0].tolist() == [0, 0]


def test_tiny_entries_have_a_second_derivative():
    """1 / |x| overflows, but the derivative of a sign is 0."""
    x = leaf(np.array([1e-310, 1.0]))
    (first,) = x.norm(1).gradient(x, create_graph=True)
    assert first.tolist() == [1, 1]
    assert ((first * first).sum() + x.sum() * 0).gradient(x)[0].tolist() == [0, 0]


def test_the_norm_of_a_number_is_its_size():
    x = leaf(np.array(-3.0))
    for axis in (None, 0, -1, ()):
        out = x.norm(axis=axis, keepdim=axis == 0)
        assert out.tolist() == 3
        assert out.gradient(x)[0].tolist() == -1


def test_negative_orders_see_zeros_without_a_warning():
    x = leaf(np.array([0.0, 2.0]))
    out = x.norm(-1)
    out.backward()
    assert out.item() == 0
    assert x.grad.tolist() == [0, 0]


def test_the_largest_entries_share_the_gradient():
    x = leaf(np.array([1.0, -3.0, 3.0, 0.0]))
    x.norm(np.inf).backward()
    assert x.grad.tolist() == [0, -0.5, 0.5, 0]


def test_norms_of_halves_do_not_overflow():
    x = Tensor(np.full(4, 300.0, np.float16))
    assert x.norm().item() == 600
    assert x.norm().dtype == np.float16


def test_norms_of_integers_are_float32():
    assert Tensor([3, 4]).norm().dtype == np.float32
    assert Tensor([3, 4]).norm(np.float32(2), axis=np.int64(0), keepdim=True).tolist() == [5]


# Diagonals.


def test_a_diagonal_shares_memory_and_versions():
    x = Tensor(np.eye(2))
    diagonal = x.diagonal()
    x[0, 0] = 7
    assert diagonal.tolist() == [7, 1]
    assert diagonal.version is x.version


def test_inf_and_nan_outside_a_triangle_are_gone():
    x = leaf(np.array([[1.0, np.inf], [2.0, 3.0]]))
    x.tril().sum().backward()
    assert x.tril().tolist() == [[1, 0], [2, 3]]
    assert x.grad.tolist() == [[1, 0], [1, 1]]
