"""Fixtures of the tests of optimizers."""

import numpy as np
import pytest

from tinygrad_np.runtime import memory


@pytest.fixture
def dirty_memory(monkeypatch):
    """Have scratch arrays come full of nan, as recycled ones come full of anything."""
    monkeypatch.setattr(memory, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
