"""FLOP counts of all ops, on their samples and against counts by hand."""

import numpy as np

from tests.ops.samples import samples_of
from tests.tools import each, naming
from tinygrad_np import Tensor as T
from tinygrad_np import nn, ops, profile
from tinygrad_np.profiler import count_flops

OPS = list(ops.table.values())


each_op = each("op", OPS, ids=lambda op: op.name)


def run(op, sample):
    """Return the output of an op on a sample."""
    return op(*sample.inputs, **sample.attributes)


def count_of(op, sample, inputs, out):
    """Return the FLOPs that the op counts for a sample."""
    return count_flops(op, inputs, {**op.options, **sample.attributes}, out)


def zeros_like(value):
    """Return zeros with the shape and dtype of an array; None for None."""
    return value if value is None else np.zeros(value.shape, value.dtype)


@each_op
def test_flops_depend_only_on_shapes(op):
    for sample in samples_of(op):
        out = run(op, sample)
        count = count_of(op, sample, sample.inputs, out)
        assert type(count) is int
        assert count >= 0
        blank = list(map(zeros_like, sample.inputs))
        assert count_of(op, sample, blank, zeros_like(out)) == count


@each_op
def test_ops_without_flops_are_views_or_elementwise(op):
    """The defaults, 0 for a view and 1 per entry otherwise, are right only for such ops."""
    if op.flops is not None or op.view:
        return
    assert not op.options, f"{op.name}: give it flops="
    for sample in samples_of(op):
        out = run(op, sample)
        entries = [array.reshape(-1) for array in np.broadcast_arrays(*sample.inputs)]
        np.testing.assert_allclose(op(*entries), out.reshape(-1), rtol=1e-12)


@each_op
def test_views_count_no_flops_and_ops_without_flops_only_move_entries(op):
    """The output of an op without FLOPs has only entries of its inputs, or padding."""
    for sample in samples_of(op):
        out = run(op, sample)
        count = count_of(op, sample, sample.inputs, out)
        if op.view:
            assert count == 0
        known = [np.ravel(value) for value in sample.inputs if value is not None]
        if count == 0 and op.name != "cast" and all(map(len, known)):
            padding = [0.0, sample.attributes.get("value", 0.0)]
            assert np.isin(out, np.concatenate([*known, padding])).all()


# Counted by hand from the shapes: images (2, 4, 9, 8), a kernel of 3 x 3, and so on.
IMAGES, WEIGHT, BIAS = T.ones(2, 4, 9, 8), T.ones(6, 4, 3, 3), T.ones(6)
COUNTS = {
    # 36 multiply-adds for each of 2 x 6 x 7 x 6 entries; the bias adds one operation to each.
    "conv2d": (lambda: IMAGES.conv2d(WEIGHT), 2 * 36 * 504),
    "conv2d, bias": (lambda: IMAGES.conv2d(WEIGHT, BIAS), 2 * 36 * 504 + 504),
    "conv2d, stride and padding": (
        lambda: IMAGES.conv2d(WEIGHT, stride=2, padding=1),
        2 * 36 * (2 * 6 * 5 * 4),
    ),
    "conv2d, groups": (lambda: IMAGES.conv2d(T.ones(6, 2, 3, 3), groups=2), 2 * 18 * 504),
    "conv2d, one axis": (lambda: T.ones(2, 3, 9).conv2d(T.ones(5, 3, 2)), 2 * 6 * (2 * 5 * 8)),
    # Each of 2 x 4 x 9 x 8 entries is multiplied by a weight and added at 5 x 3 x 3 positions.
    "conv_transpose2d": (
        lambda: IMAGES.conv_transpose2d(T.ones(4, 5, 3, 3), stride=2),
        2 * 576 * 45,
    ),
    "matmul": (lambda: T.ones(3, 4) @ T.ones(4, 5), 2 * 3 * 4 * 5),
    "matmul, batches": (lambda: T.ones(2, 1, 3, 4) @ T.ones(7, 4, 5), 2 * 14 * 3 * 4 * 5),
    "dot": (lambda: T.ones(6).dot(T.ones(6)), 12),
    "linear": (lambda: T.ones(3, 4).linear(T.ones(5, 4)), 2 * 3 * 4 * 5),
    "linear, bias": (lambda: T.ones(2, 3, 4).linear(T.ones(5, 4), T.ones(5)), 2 * 120 + 30),
    "einsum, matrices": (lambda: T.einsum("ij,jk->ik", T.ones(3, 4), T.ones(4, 5)), 2 * 60),
    "einsum, outer product": (lambda: T.einsum("i,j->ij", T.ones(3), T.ones(4)), 12),
    "einsum, batches": (lambda: T.einsum("bij,bj->bi", T.ones(7, 3, 4), T.ones(7, 4)), 2 * 84),
    # The cheapest order multiplies the matrix and the vector first.
    "einsum, three": (
        lambda: T.einsum("ij,jk,k->i", T.ones(3, 4), T.ones(4, 5), T.ones(5)),
        2 * 20 + 2 * 12,
    ),
    "einsum, one": (lambda: T.einsum("ij->j", T.ones(3, 4)), 12),
    "sum": (lambda: T.ones(3, 4).sum(axis=0), 12),
    "mean": (lambda: T.ones(3, 4).mean(), 12),
    "max": (lambda: T.ones(3, 4).max(axis=1), 12),
    "argmax": (lambda: T.ones(3, 4).argmax(), 12),
    # The mean, differences, squares, their sum, and the factor.
    "var": (lambda: T.ones(3, 4).var(), 4 * 12 + 1),
    "logsumexp": (lambda: T.ones(3, 4).logsumexp(axis=1), 4 * 12 + 2 * 3),
    "softmax": (lambda: T.ones(3, 4).softmax(), 5 * 12),
    "log_softmax": (lambda: T.ones(3, 4).log_softmax(), 5 * 12),
    "cross_entropy": (lambda: T.ones(3, 4).cross_entropy([0, 1, 2]), 5 * 12 + 2 * 3),
    # Sums, differences, squares and their sums; then a product and a sum.
    "batch_norm": (lambda: nn.BatchNorm2d(4)(IMAGES), 4 * 576 + 2 * 576),
    "max_pool2d": (lambda: IMAGES.max_pool2d(3, stride=2), 9 * (2 * 4 * 4 * 3)),
    "avg_pool2d": (lambda: IMAGES.avg_pool2d((3, 2)), 6 * (2 * 4 * 3 * 4)),
    "avg_pool2d, square": (lambda: IMAGES.avg_pool2d(3), 9 * (2 * 4 * 3 * 2)),
    "adaptive_avg_pool2d": (lambda: IMAGES.adaptive_avg_pool2d((3, 8)), 2 * 576),
    # Two weights per entry, along the last axis first.
    "interpolate": (lambda: IMAGES.interpolate((18, 16)), 4 * 8 * 9 * 16 + 4 * 8 * 18 * 16),
    "interpolate, nearest": (lambda: IMAGES.interpolate((18, 16), "nearest"), 0),
    "argsort": (lambda: T.ones(3, 8).argsort(), 24 * 3),
    "cumsum": (lambda: T.ones(3, 8).cumsum(1), 24),
    "norm": (lambda: T.ones(3, 4).norm(axis=1), 2 * 12 + 3),
    "inv": (lambda: T.eye(6).inv(), 2 * 216),
    "solve": (lambda: T.eye(6).solve(T.ones(6, 2)), 2 * 216 // 3 + 2 * 36 * 2),
    "det": (lambda: T.eye(6).det(), 2 * 216 // 3),
    "cholesky": (lambda: T.eye(6).cholesky(), 216 // 3),
    "qr": (lambda: T.ones(9, 6).qr(), 4 * 36 * 9 - 4 * 216 // 3),
    "svd": (lambda: T.ones(5, 9, 6).svd(), 5 * (4 * 81 * 6 + 8 * 9 * 36 + 9 * 216)),
    "svd, reduced": (lambda: T.ones(6, 9).svd(full_matrices=False), 14 * 9 * 36 + 8 * 216),
    "broadcast": (lambda: T.ones(3, 1) * T.ones(4), 12),
    "number": (lambda: T.ones(3) * 2, 3),
    "dropout": (lambda: T.ones(8).dropout(0.5), 16),
    # Scale the queries, multiply by the keys, softmax, multiply by the values.
    "attention": (
        lambda: T.ones(2, 3, 4).scaled_dot_product_attention(T.ones(2, 5, 4), T.ones(2, 5, 7)),
        24 + 2 * (2 * 3 * 5 * 4) + 5 * 30 + 2 * (2 * 3 * 5 * 7),
    ),
    "moved": (
        lambda: T.stack(IMAGES.flip(3), IMAGES.roll(1, 2))[0].pad((1, 1)).permute(0, 2, 1, 3),
        0,
    ),
    "read": (lambda: IMAGES[:, [0, 2]].transpose(2, 3).half(), 0),
    "nothing": (lambda: T.ones(0, 4) @ T.ones(4, 5), 0),
}


def test_flops_match_counts_by_hand():
    for name, (run, count) in COUNTS.items():
        with naming(name):
            with profile() as table:
                run()
            assert table.total().flops == count
