"""Configuration of pytest for all tests."""

import gc
import os
import signal

import numpy as np
import pytest

import tests
from models import MnistCNN
from tinygrad_np import data, optim, train

# Doctests that draw large figures, or import a package that imports PyTorch if installed.
SLOW_DOCTESTS = {
    "tinygrad_np.train.tensorboard.TensorBoard",
    "tinygrad_np.viz.attribution.class_images",
    "tinygrad_np.viz.attribution.occlusion",
    "tinygrad_np.viz.landscape.loss_surface",
}


def pytest_configure(config):
    """Detect smoke runs, give each worker one BLAS thread, and restore the Ctrl-C handler.

    A shell makes its background processes ignore Ctrl-C.
    """
    tests.is_smoke_run = config.option.markexpr == "not slow"
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # during collection, because almost all objects created then are kept
    os.fsync = lambda file: None  # saves milliseconds per file; tests need no durable files


def pytest_ignore_collect(collection_path):
    """In a smoke run, skip modules that contain only slow tests."""
    if tests.is_smoke_run and collection_path.suffix == ".py":
        return "\npytestmark = pytest.mark.slow\n" in collection_path.read_text() or None
    return None


def pytest_collection_finish():
    """Exclude pytest's items from garbage collection, and enable it again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark slow doctests before `-m` selects tests."""
    for item in items:
        if item.name in SLOW_DOCTESTS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def mnist_cnn():
    """Return MnistCNN trained on 20,000 images of MNIST for one epoch, in evaluation mode."""
    if not os.environ.get("TINYGRAD_NP_DATA"):
        pytest.skip("TINYGRAD_NP_DATA is not set")
    train_set, _ = data.mnist()
    model = MnistCNN(np.random.default_rng(0))
    trainer = train.Trainer(model, optim.Adam(model.named_parameters(), lr=0.001))
    trainer.fit(data.DataLoader(train_set.first(20_000), 64, shuffle=True, seed=0), 1)
    model.eval()
    return model
