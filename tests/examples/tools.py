"""Helpers that run examples as a user would, without network access."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_np.console import run_program

ROOT = Path(__file__).parents[2]
MNIST = os.environ.get("TINYGRAD_NP_DATA")

real_mnist = pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA is not set")


def environment(folder, *, data=None):
    """Return environment variables without network access and with the cache in `folder`."""
    variables = {name: value for name, value in os.environ.items() if "TINYGRAD" not in name}
    # Nothing listens at this proxy, so downloads fail immediately on any machine.
    refused = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    refused |= {"no_proxy": "", "NO_PROXY": ""}
    variables |= refused | {"XDG_CACHE_HOME": str(folder / "cache"), "MPLBACKEND": "Agg"}
    return variables | ({"TINYGRAD_NP_DATA": data} if data else {})


def run(name, folder, *flags, data=None, variables=()):
    """Run an example in a new process with `--out folder/out` and the datasets in `data`."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--out", str(folder / "out")]
    return subprocess.run(
        [*command, *flags],
        capture_output=True,
        text=True,
        env=environment(folder, data=data) | dict(variables),
        cwd=ROOT,
        check=False,
    )


def printed_by(name, folder, *flags):
    """Run an example, check that it neither fails nor warns, and return its output."""
    done = run(name, folder, *flags)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def run_here(module, folder, monkeypatch, *flags):
    """Run an example's `main` in this process, without datasets; return its exit status.

    In this process, a test can replace parts of the example.
    """
    for name in [name for name in os.environ if "TINYGRAD" in name]:
        monkeypatch.delenv(name)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    command = [module.__name__, "--out", str(folder / "out"), *flags]
    monkeypatch.setattr(sys, "argv", command)
    try:
        return run_program(module.main)
    except SystemExit as end:  # raised by argparse
        return end.code


def results_of(folder):
    """Return the results written by the run."""
    return json.loads((folder / "out" / "results.json").read_text())


def files_of(folder):
    """Return the names of the files written by the run."""
    return {path.name for path in (folder / "out").iterdir()}
