"""Linear algebra in PyTorch. Several factors are joined in one array, as in the op records."""

import numpy as np

from tests.oracle.pytorch import torch


def _put_diagonal(x, shape, offset, dim1, dim2):
    return torch.diagonal_scatter(torch.zeros(shape, dtype=x.dtype), x, offset, dim1, dim2)


def _norm(x, p, axis, keepdim):
    """Compute a norm; over no axes it is the norm of each entry, whereas PyTorch reduces all."""
    if axis == ():
        return torch.linalg.vector_norm(x[None], p, 0)
    return torch.linalg.vector_norm(x, p, axis, keepdim)


def _cofactors(x):
    """Return the gradient of the determinant."""
    point = x if x.requires_grad else x.detach().requires_grad_()
    (grad,) = torch.autograd.grad(torch.linalg.det(point).sum(), point, create_graph=True)
    return grad if x.requires_grad else grad.detach()


def _symmetric_cholesky(x):
    return torch.linalg.cholesky(0.5 * x + 0.5 * x.mT)


def _svd(x, full_matrices):
    """Return the SVD with the signs of NumPy's LAPACK, which may differ from PyTorch's."""
    u, s, vh = torch.linalg.svd(x, full_matrices)
    if x.numel():
        chosen = torch.as_tensor(np.linalg.svd(x.numpy(force=True), full_matrices)[0])
        k = s.shape[-1]
        signs = torch.sign((chosen * u.detach()).sum(-2))
        u = u * signs[..., None, :]
        vh = torch.cat([vh[..., :k, :] * signs[..., :k, None], vh[..., k:, :]], -2)
    return torch.cat([u.flatten(-2), s, vh.flatten(-2)], -1)


TABLE = {
    "batched_matmul": torch.matmul,
    "linear": torch.nn.functional.linear,
    "diagonal": lambda x, offset, dim1, dim2: torch.diagonal(x, offset, dim1, dim2),
    "put_diagonal": _put_diagonal,
    "tril": lambda x, diagonal: torch.tril(x, diagonal),
    "triu": lambda x, diagonal: torch.triu(x, diagonal),
    "signed_power": lambda x, p: torch.sign(x) * torch.abs(x) ** p,
    "absolute_power": lambda x, p: torch.abs(x) ** p,
    "norm": _norm,
    "contract": lambda *xs, formula: torch.einsum(formula, *xs),
    "inv": torch.linalg.inv,
    "solve": lambda a, b: torch.linalg.solve(a, b),
    "det": torch.linalg.det,
    "cofactors": _cofactors,
    "sign_and_logdet": lambda x: torch.stack(torch.linalg.slogdet(x)),
    "cholesky": _symmetric_cholesky,
    "packed_qr": lambda x: torch.cat(torch.linalg.qr(x), -2),
    "packed_svd": _svd,
}
