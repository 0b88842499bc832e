"""Run examples as their users do: in a process of their own, without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import shared

ROOT = Path(__file__).parents[2]
MNIST = os.environ.get("TINYGRAD_NP_DATA")

real_mnist = pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA does not name a folder")


def environment(folder, *, data=None):
    """Return an environment without a network, with its cache in `folder`."""
    variables = {name: value for name, value in os.environ.items() if "TINYGRAD" not in name}
    # A proxy that refuses: downloads fail at once, wherever the test runs.
    refused = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    variables |= refused | {"XDG_CACHE_HOME": str(folder / "cache"), "MPLBACKEND": "Agg"}
    return variables | ({"TINYGRAD_NP_DATA": data} if data else {})


def run(name, folder, *flags, data=None, variables=()):
    """Run an example with `--out folder/out`, with the data sets in `data` if given."""
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
    """Return what an example prints that neither fails nor warns."""
    done = run(name, folder, *flags)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def run_here(module, folder, monkeypatch, *flags):
    """Run an example's `main` in this process, where parts of it can be replaced, without data sets
    and without a network; return its exit status.
    """
    for name in [name for name in os.environ if "TINYGRAD" in name]:
        monkeypatch.delenv(name)
    for name, value in environment(folder).items():
        monkeypatch.setenv(name, value)
    command = [module.__name__, "--out", str(folder / "out"), *flags]
    monkeypatch.setattr(sys, "argv", command)
    try:
        return shared.run(module.main)
    except SystemExit as end:  # by argparse
        return end.code


def results_of(folder):
    """Return what the run wrote."""
    return json.loads((folder / "out" / "results.json").read_text())


def files_of(folder):
    """Return the names of the files that the run left."""
    return {path.name for path in (folder / "out").iterdir()}
