"""Indexing, as written here and in PyTorch."""

from tests.oracle.cases.tools import same

CASES = {
    "indexing": same(lambda x: x[[0, 2, 2]] * x[:, [1, 1, 0, 3]], (3, 4)),
}
