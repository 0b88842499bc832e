"""The examples in docstrings and README do not depend on the last bit of a math library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
