"""Image layers compared with PyTorch's with the same weights; resizing of uint8 images."""

import warnings

import numpy as np
import pytest

from tests.oracle.compare import leaf_pair
from tests.oracle.pytorch import torch
from tests.oracle.test_nn import compare_layers, pair
from tinygrad_np import Tensor

LAYERS = [
    ("Conv1d", (4, 6, 3), {"padding": "same", "groups": 2}),
    ("Conv2d", (4, 6, (3, 2), 2, 1), {"dilation": (1, 2)}),
    ("Conv2d", (4, 6, 3, 1, "same", 2, 2, False), {}),
    ("Conv3d", (4, 6, 2, 1, (0, 1, 1)), {}),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1, 2, True, 2), {}),
    ("Conv1d", (4, 6, 3, 2, 2, 1, 2, True, "reflect"), {}),
    ("Conv2d", (4, 6, 3, 1, (1, 2), 2, 1, True, "circular"), {}),
    ("Conv2d", (4, 6, 2, 1, "same"), {"padding_mode": "replicate"}),
    ("Conv3d", (4, 6, 2, 1, (0, 1, 1)), {"padding_mode": "replicate"}),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1, 2, True, 2), {}),
    ("ConvTranspose1d", (4, 6, 3), {"bias": False}),
    ("MaxPool1d", (3, 2, 1, 2, False, True), {}),
    ("MaxPool1d", (2,), {}),
    ("AvgPool1d", (3, 2, 1, True, False), {}),
    ("MaxPool2d", (3, 2, 1, 2, False, True), {}),
    ("AvgPool2d", (3, 2, 1, True, False), {}),
    ("AdaptiveAvgPool2d", ((3, None),), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), LAYERS)
def test_image_layers_match_pytorch(name, arguments, options):
    """Same positional arguments, state dicts and gradients, with and without a batch axis."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel", UserWarning)
        ours, theirs = pair(name, arguments, options)
        rank = int(name[-2])
        for lead in ((2, 4), (4,)):
            shape = (*lead, *(9, 8, 7)[:rank])
            x, same = leaf_pair(np.random.default_rng(0).standard_normal(shape))
            compare_layers(ours, theirs, [ours(x)], [theirs(same)], [(x, same)], order=2)


def test_resize_of_uint8_is_close_to_pytorch():
    """Nearly all entries are equal: PyTorch uses coarser weights for uint8."""
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(50):
        shape, size = generator.integers(1, 30, 2), tuple(generator.integers(1, 40, 2).tolist())
        corners = bool(generator.random() < 0.5)
        image = generator.integers(0, 256, (2, 3, *shape)).astype(np.uint8)
        ours = Tensor(image).interpolate(size, align_corners=corners).numpy()
        theirs = torch.nn.functional.interpolate(
            torch.tensor(image), size, mode="bilinear", align_corners=corners
        )
        differences.append(np.abs(ours.astype(int) - theirs.numpy().astype(int)).reshape(-1))
    together = np.concatenate(differences)
    assert together.max() <= 2
    assert (together > 0).mean() < 0.03
    assert (together > 1).mean() < 1e-4
