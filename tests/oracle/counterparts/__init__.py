"""The counterpart of each op record in PyTorch, by name: a function of tensors and attributes.

Each family has its own file.
"""

from tests.oracle.counterparts import (
    attention,
    elementwise,
    images,
    linalg,
    losses,
    norms,
    order,
    recurrent,
    reduce,
    shape,
)

FAMILIES = (
    elementwise,
    reduce,
    order,
    shape,
    linalg,
    images,
    losses,
    norms,
    recurrent,
    attention,
)
TABLE = {name: theirs for family in FAMILIES for name, theirs in family.TABLE.items()}

# Elementwise ops without attributes, which test_records checks at awkward numbers.
ELEMENTWISE = frozenset(elementwise.TABLE)
