"""Every op record compared with PyTorch.

The inputs are the fixed samples, shapes and numbers that hypothesis draws from the op's domain, and
numbers where formulas break.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.ops.samples import draw, is_plain, samples_of
from tests.oracle.compare import compare
from tests.oracle.counterparts import ELEMENTWISE, TABLE
from tests.tools import naming
from tinygrad_np import ops

OPS = list(ops.table.values())
# Op records without a counterpart, and why.
WITHOUT: dict[str, str] = {}

# Op records without second gradients in PyTorch: at which inputs, and why.
WITHOUT_SECOND = {
    "det": (
        lambda x: x.size and (np.linalg.matrix_rank(x) < x.shape[-1] - 1).any(),
        "PyTorch divides by singular values, and two of them are 0",
    ),
}

BOTH = [np.float64, np.float32]
both_dtypes = pytest.mark.parametrize("dtype", BOTH, ids=["float64", "float32"])


def test_every_op_has_a_counterpart():
    assert not [op.name for op in OPS if op.name not in TABLE and op.name not in WITHOUT]
    assert all(WITHOUT.values())


def sides(op, attributes):
    """Return the record and its counterpart as functions of the inputs."""
    return (
        lambda *xs: op(*xs, **attributes),
        lambda *xs: TABLE[op.name](*xs, **attributes),
    )


@pytest.mark.slow
@both_dtypes
@pytest.mark.parametrize("op", [op for op in OPS if op.name not in WITHOUT], ids=lambda op: op.name)
def test_samples_match_pytorch(op, dtype):
    is_first_only, reason = WITHOUT_SECOND.get(op.name, (lambda *_: False, "none"))
    assert reason
    for number, sample in enumerate(samples_of(op)):
        options = {name: sample.attributes.get(name, op.options[name]) for name in op.options}
        order = 1 if is_first_only(*sample.inputs) else 2
        with naming(f"sample {number}"):
            compare(*sides(op, options), sample.inputs, dtype, order=order)


PLAIN = [op for op in OPS if is_plain(op)]
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def inputs_of(draw_from, op):
    """Return arrays in the op's domain, with shapes that broadcast."""
    if len(op.inputs) == 1:
        shapes = [draw_from(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))]
    else:
        broadcast = hnp.mutually_broadcastable_shapes(
            num_shapes=len(op.inputs), min_dims=0, max_dims=5, min_side=0, max_side=3
        )
        shapes = draw_from(broadcast).input_shapes
    generator = np.random.default_rng(draw_from(SEEDS))
    return [draw(op, shape, generator) for shape in shapes]


@pytest.mark.slow
@pytest.mark.parametrize("op", PLAIN, ids=lambda op: op.name)
def test_random_inputs_match_pytorch(op):
    @settings(derandomize=True, deadline=None, database=None, max_examples=60)
    @given(arrays=inputs_of(op), dtype=st.sampled_from(BOTH))
    def check(arrays, dtype):
        compare(*sides(op, {}), arrays, dtype)

    check()


# Numbers where formulas break: limits, halves and ones of both signs, large and small numbers.
LIMITS = [0.0, -0.0, np.inf, -np.inf, np.nan]
OTHERS = [0.5, -0.5, 1.0, -1.0, 1.5, 2.0, -2.0, 3.0, -3.0, 1e-3, -1e-3, 30.0, -30.0, 800.0, -800.0]

AWKWARD = [
    op
    for op in OPS
    if op.name in ELEMENTWISE
    and not op.options
    and samples_of(op)[0].inputs[0].dtype.kind == "f"
    and all(x.dtype.kind == "f" for x in samples_of(op)[0].inputs)
]


# Gradients that differ from PyTorch's on purpose: at which inputs, and why.
DIFFERENT = {
    **dict.fromkeys(
        ("power_slope", "power_log"),
        (
            lambda a, b: (a <= 0) | ~np.isfinite(a) | ~np.isfinite(b) | (abs(b) > 100),
            "their gradients are second derivatives of a^b, the same in both orders; PyTorch's are "
            "nan or depend on the order at 0 and where a^b overflows",
        ),
    ),
    "copysign": (
        lambda a, b: ~np.isfinite(a),
        "±1 at ±inf, and 0 at nan as for abs; PyTorch divides by a and gives nan at all three",
    ),
}


def awkward_points(op):
    """Return the points above, the op's kinks, and points at and near the ends of its domain."""
    ends = [end + step for end in op.samples.domain for step in (-1e-3, 0.0, 1e-3)]
    return np.array([*LIMITS, *OTHERS, *op.samples.kinks, *ends])


@both_dtypes
@pytest.mark.parametrize("op", AWKWARD, ids=lambda op: op.name)
def test_awkward_numbers_match_pytorch(op, dtype):
    points = awkward_points(op)
    if len(op.inputs) == 1:
        arrays = [points]
    else:
        arrays = list(np.array(list(itertools.product(points, points))).T)
    if op.name in DIFFERENT:
        is_different, reason = DIFFERENT[op.name]
        assert reason
        kept = ~is_different(*arrays)
        arrays = [array[kept] for array in arrays]
    with np.errstate(all="ignore"):
        compare(
            *sides(op, {}), arrays, dtype, order=1 if op.differentiable_inputs else 0, each=True
        )
