"""A user's script passes `mypy --strict`, and a misspelled name does not."""

from pathlib import Path

import pytest

import tinygrad_np

SCRIPT = """
import tinygrad_np as torch
import tinygrad_np.nn.functional as F
from tinygrad_np import Tensor, nn


class Net(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.fc = nn.Linear(2, width)
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.register_buffer("scale", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.fc(x))
        for block in self.blocks:
            x = x + block(x) * self.scale
        return torch.relu(self.blocks[0].forward(x))


def largest(q: Tensor) -> Tensor:
    return torch.max(q) + torch.min(q) + torch.median(q) + torch.max(q, torch.zeros(2))


def pick(q: Tensor) -> Tensor:
    values, _ = torch.max(q, dim=1)
    return values + torch.min(q, axis=1, keepdims=True).indices + torch.sort(q).values


def choose(q: Tensor) -> Tensor:
    rows, columns = torch.where(q > 0)
    return torch.where(q > 0, q, torch.zeros_like(q)) + rows + columns + torch.nonzero(q)


def slope(y: Tensor, x: Tensor) -> Tensor:
    return torch.autograd.grad(y, x, create_graph=True)[0]


def join(q: Tensor) -> Tensor:
    masked = q.masked_fill(q > 0, 0.0).sum(dim=1).view(-1, 2)
    return torch.cat([masked, torch.exp(q)], axis=1) @ q.T - torch.matmul(q, other=q) ** 2


def loss_of(model: Net, x: Tensor, y: Tensor) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.item())


torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
loader = torch.data.DataLoader(torch.data.TensorDataset(torch.rand(4, 2), torch.arange(4)))
losses = [loss_of(Net().to(device), x, y) for x, y in loader]
"""


def messages(script, tmp_path):
    """Return what mypy prints about a script."""
    api = pytest.importorskip("mypy.api")
    path = tmp_path / "script.py"
    path.write_text(script, encoding="utf-8")
    options = ["--strict", "--config-file=", "--follow-imports=silent", "--no-error-summary"]
    return api.run([*options, f"--cache-dir={tmp_path / 'cache'}", str(path)])[0]


@pytest.mark.slow
def test_a_script_passes_strict_type_checks(tmp_path, monkeypatch):
    monkeypatch.setenv("MYPYPATH", str(Path(tinygrad_np.__file__).parents[1]))
    assert messages(SCRIPT, tmp_path) == ""
    found = messages(SCRIPT + "\ntorch.zerso(3)\nwrong: int = torch.exp(losses)\n", tmp_path)
    assert [line.split("error: ")[1].split("  [")[0] for line in found.splitlines()] == [
        'Module has no attribute "zerso"',
        'Incompatible types in assignment (expression has type "Tensor", variable has type "int")',
    ]
