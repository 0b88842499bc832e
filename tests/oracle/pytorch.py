"""PyTorch. Modules that import it from here are skipped if it is not installed."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
F = torch.nn.functional
