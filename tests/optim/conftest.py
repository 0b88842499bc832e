"""Fixtures for the optimizer tests."""

import numpy as np
import pytest

from tinygrad_np.runtime import memory


@pytest.fixture
def dirty_memory(monkeypatch):
    """Fill scratch arrays with nan: recycled memory is never zeroed."""
    monkeypatch.setattr(memory, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
