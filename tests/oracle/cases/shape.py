"""Shapes, as written here and in PyTorch."""

from tests.oracle.cases.tools import same

CASES = {
    "shapes": same(lambda x: x.reshape(4, 3).permute(1, 0)[1:, ::2] * x.T[:1, :2], (3, 4)),
}
