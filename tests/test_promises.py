"""The promises in the README name tests that exist, and no file is unpickled."""

import ast
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, nn, optim, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.data import load_digit, read_idx
from tinygrad_np.errors import DataError

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROMISES = README[README.index("## What you can rely on") : README.index("## Coming from PyTorch")]

# Modules that load code or objects from files.
UNSAFE = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}


def test_every_promise_names_files_with_tests():
    rows = [line.split("|")[1:3] for line in PROMISES.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 9
    for promise, tests in rows:
        paths = re.findall(r"`(tests/[\w/.]+)`", tests)
        assert paths, promise
        for path in paths:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(r"^(def test_|@row\()", text, re.MULTILINE), path


@pytest.mark.slow
def test_the_package_imports_no_unpickling_modules():
    for path in sorted((ROOT / "tinygrad_np").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not UNSAFE & {name.split(".")[0] for name in names}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                assert "allow_pickle=False" in map(ast.unparse, node.keywords), path


class Bomb:
    """An object that fails the test when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("the file was unpickled",)


@each("reader", [train.load, read_idx, load_digit, RunConfig.read, "trainer"])
def test_a_pickle_is_refused(tmp_path, reader):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weight": np.ones(2), "bomb": Bomb()}))
    if reader == "trainer":
        model = nn.Linear(2, 2)
        reader = train.Trainer(
            model, optim.SGD(model.parameters(), lr=0.1), Tensor.cross_entropy
        ).load
    with pytest.raises(DataError, match=re.escape(str(path))):
        reader(path)
