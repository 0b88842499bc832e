"""Counterparts: for each op record, by name, the same function of tensors and attributes as it is
written in PyTorch. Each family has its file.
"""

from tests.oracle.counterparts import (
    elementwise,
    images,
    linalg,
    losses,
    norms,
    order,
    reduce,
    shape,
)

FAMILIES = (elementwise, reduce, order, shape, linalg, images, losses, norms)
TABLE = {name: theirs for family in FAMILIES for name, theirs in family.TABLE.items()}

# Entry by entry, without attributes: what awkward numbers are tried on.
ELEMENTWISE = frozenset(elementwise.TABLE)
