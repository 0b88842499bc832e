"""The examples in docstrings and README do not depend on the last bit of a math library."""

import doctest
import inspect
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_np import Tensor

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_examples_pass_with_different_rounding(seed):
    targets = ["tinygrad_np", "models", "tests/test_readme.py", "-k", "not links"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "tests.nudged_math", *targets],
        cwd=ROOT,
        env=os.environ | {"NUDGE_SEED": str(seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout


def test_examples_of_methods_pass():
    """Run the examples that pytest does not collect because Tensor.__module__ is tinygrad_np.

    Those of methods made from ops are collected with the ops.
    """
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    finder = doctest.DocTestFinder(recurse=False)
    for name, method in inspect.getmembers(Tensor, inspect.isroutine):
        code = getattr(inspect.unwrap(method), "__code__", None)
        is_made = code is None or code.co_name != name or "frontend" not in code.co_filename
        for example in [] if is_made else finder.find(method, globs={"Tensor": Tensor, "np": np}):
            runner.run(example)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 80
