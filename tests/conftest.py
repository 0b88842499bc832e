"""What all tests share."""

import gc
import os
import signal

import pytest

import tests

# Doctests that take seconds: what they import imports PyTorch, where it is installed.
SLOW_DOCTESTS = {"tinygrad_np.train.tensorboard.TensorBoard"}


def pytest_configure(config):
    """Tell generated tests of a smoke run, leave each worker one BLAS thread, and restore Ctrl-C,
    which a shell makes its background processes ignore.
    """
    tests.is_smoke_run = config.option.markexpr == "not slow"
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # while tests are collected: almost all objects made then stay
    os.fsync = lambda file: None  # saves milliseconds per file; no test outlives a power cut


def pytest_ignore_collect(collection_path):
    """Do not import modules that hold slow tests only in a smoke run."""
    if tests.is_smoke_run and collection_path.suffix == ".py":
        return "\npytestmark = pytest.mark.slow\n" in collection_path.read_text() or None
    return None


def pytest_collection_finish():
    """Let the collector look at what tests make, not at pytest's items."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the slow doctests, before `-m` selects."""
    for item in items:
        if item.name in SLOW_DOCTESTS:
            item.add_marker(pytest.mark.slow)
