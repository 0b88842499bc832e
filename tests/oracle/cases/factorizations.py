"""Inverses, determinants and factors, as written here and in PyTorch."""

from tests.ops.samples.factorizations import positive, spread
from tests.oracle.cases.tools import ints, normal, torch
from tinygrad_np import Tensor

linalg = torch.linalg


def _stack(generator, square=True):
    """Return a shape: no axis in front or several, the matrices of any size, also empty."""
    batch = ints(generator, 0, 3, int(generator.integers(0, 4)))
    n, m = ints(generator, 0, 5)
    return (*batch, n, n if square else m)


def _square(ours, theirs, draw=spread):
    return lambda generator: (ours, theirs, [draw(generator, *_stack(generator))])


def solve(generator):
    """Vectors and matrices on the right, also broadcast, by PyTorch's rule."""
    shapes = [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (2, 3)),
        ((2, 3, 3), (3, 4)),
        ((2, 3, 3), (2, 3, 4)),
        ((2, 1, 3, 3), (4, 3, 2)),
        ((0, 3, 3), (3, 2)),
        ((0, 0), (0,)),
        ((2, 4, 3, 3), (2, 4, 3)),
        ((2, 2, 2), (2, 2)),
    ]
    a, b = shapes[int(generator.integers(len(shapes)))]
    return Tensor.solve, linalg.solve, [spread(generator, *a), normal(generator, *b)]


def _symmetric(x):
    # PyTorch reads the lower triangle but gives a symmetric gradient, which is that of this.
    return (x + x.swapaxes(-1, -2)) * 0.5


def _qr(position):
    def make(generator):
        shape = _stack(generator, square=False)
        return (
            lambda x: x.qr()[position],
            lambda x: linalg.qr(x)[position],
            [spread(generator, *shape)],
        )

    return make


def _factors(x, **options):
    """Return U, S and Vh of either side as (..., m, k), (..., 1, k) and (..., k, n)."""
    if isinstance(x, Tensor):
        u, s, vh = x.svd(**options)
    else:
        u, s, vh = linalg.svd(x, **options)
    k = s.shape[-1]
    return u[..., :k], s.reshape(*s.shape[:-1], 1, k), vh[..., :k, :]


def _svd(expression, square=False, **options):
    """An expression in which the signs of singular vectors cancel: they are anyone's choice."""

    def function(x):
        return expression(*_factors(x, **options))

    return lambda generator: (function, function, [spread(generator, *_stack(generator, square))])


CASES = {
    "inv": _square(Tensor.inv, linalg.inv),
    "det": _square(Tensor.det, linalg.det),
    "logabsdet": _square(lambda x: x.slogdet()[1], lambda x: linalg.slogdet(x)[1]),
    "sign of det": _square(lambda x: x.slogdet()[0] * x.det(), lambda x: linalg.det(x).abs()),
    "solve": solve,
    "cholesky": _square(Tensor.cholesky, lambda x: linalg.cholesky(_symmetric(x)), positive),
    "Q": _qr(0),
    "R": _qr(1),
    "singular values": _svd(lambda u, s, vh: s),
    "singular values beside full matrices": _svd(lambda u, s, vh: s, full_matrices=True),
    "U": _svd(lambda u, s, vh: u * u, full_matrices=False),
    "U of full matrices": _svd(lambda u, s, vh: u * u, full_matrices=True),
    "Vh": _svd(lambda u, s, vh: vh * vh, full_matrices=False),
    "Vh of full matrices": _svd(lambda u, s, vh: vh * vh, full_matrices=True),
    "U S Vh": _svd(lambda u, s, vh: (u * s * s) @ vh, full_matrices=False),
}
