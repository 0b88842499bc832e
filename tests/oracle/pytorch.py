"""Import PyTorch; test modules that import it from here are skipped if it is missing."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
F = torch.nn.functional
