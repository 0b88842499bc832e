"""A model trained on MNIST, shared by the tests that need real digits."""

import os

import numpy as np
import pytest

from models import MnistCNN
from tinygrad_np import data, optim, train


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
