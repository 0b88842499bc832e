"""PyTorch scripts run with PyTorch, and here after the changes listed in translate.py."""

import random
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import tinygrad_np
from tests.oracle.pytorch import torch
from tests.ports.same_random import share_random_numbers
from tests.ports.translate import EXCEPTIONS, IMPORTS, imports_of, translate, without_imports

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PATHS = {path.stem: path for path in sorted((HERE / "models").glob("*.py"))}
STEPS = 20

each_model = pytest.mark.parametrize("name", list(PATHS))


def load(name, source):
    """Run `source` as a module."""
    module = ModuleType(name)
    exec(compile(source, PATHS[name], "exec"), module.__dict__)
    return module


def seed():
    """Seed all generators of random numbers."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    tinygrad_np.manual_seed(0)


def arrays_of(module):
    """Return the state dict of a PyTorch module as arrays that later steps do not change."""
    return {key: value.numpy().copy() for key, value in module.state_dict().items()}


def run_both(name, capsys):
    """Train a model in PyTorch, then here, and return both lists of losses and both outputs."""
    source = PATHS[name].read_text()
    results = []
    weights = {}
    for code in (source, translate(name, source)):
        seed()
        port = load(name, code)
        modules = port.build()
        if not weights:
            weights = {key: arrays_of(module) for key, module in modules.items()}
        else:
            for key, module in modules.items():
                module.load_state_dict(weights[key])
        seed()
        results += [(port.train(modules, STEPS), capsys.readouterr().out)]
    (expected, expected_text), (losses, text) = results
    return losses, expected, text, expected_text


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: more are slower for these small models, and change the rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@each_model
def test_losses_match_pytorch(name, capsys, monkeypatch):
    share_random_numbers(monkeypatch)
    losses, expected, text, expected_text = run_both(name, capsys)
    assert len(expected) >= STEPS
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    assert len(set(losses)) > STEPS // 2
    # Printed numbers may be rounded differently.
    number = r"-?\d+(\.\d+)?(e[+-]\d+)?"
    assert re.sub(number, "#", text) == re.sub(number, "#", expected_text)


@each_model
def test_only_import_lines_differ(name):
    source = PATHS[name].read_text()
    ours = translate(name, source)
    assert "torch" in imports_of(source)
    assert "torch" not in imports_of(ours)
    if name not in EXCEPTIONS:
        assert without_imports(ours) == without_imports(source)


def test_table_of_imports_has_no_unused_line():
    lines = {line for path in PATHS.values() for line in path.read_text().split("\n")}
    assert set(IMPORTS) <= lines


def test_exceptions_are_explained():
    rows = re.findall(r"^\| `.*\| (.*) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in row.split(", ")} == set(EXCEPTIONS)
    for name, changes in EXCEPTIONS.items():
        lines = PATHS[name].read_text().split("\n")
        assert [lines.count(line) for line in changes] == [1] * len(changes)


def test_a_changed_model_is_noticed(capsys, monkeypatch):
    """One changed line of a model changes its losses by more than the tolerance."""
    share_random_numbers(monkeypatch)
    monkeypatch.setitem(EXCEPTIONS, "mlp", {"            nn.Tanh(),": "            nn.Sigmoid(),"})
    losses, expected, *_ = run_both("mlp", capsys)
    assert np.abs(np.subtract(losses, expected)).max() > 1e-2
