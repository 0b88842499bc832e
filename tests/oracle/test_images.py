"""Image layers compared with PyTorch's with the same weights; resizing of uint8 images."""

import numpy as np
import pytest

from tests.oracle.pytorch import torch
from tinygrad_np import Tensor, nn

LAYERS = [
    ("Conv1d", (4, 6, 3), {"padding": "same", "groups": 2}),
    ("Conv2d", (4, 6, (3, 2), 2, 1), {"dilation": (1, 2)}),
    ("Conv2d", (4, 6, 3, 1, "same", 2, 2, False), {}),
    ("Conv3d", (4, 6, 2, 1, (0, 1, 1)), {}),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1, 2, True, 2), {}),
    ("MaxPool2d", (3, 2, 1, 2, False, True), {}),
    ("AvgPool2d", (3, 2, 1, True, False), {}),
    ("AdaptiveAvgPool2d", ((3, None),), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), LAYERS)
def test_image_layers_match_pytorch(name, arguments, options):
    """Same positional arguments, state dict names and layouts as PyTorch."""
    theirs = getattr(torch.nn, name)(*arguments, **options)
    ours = getattr(nn, name)(*arguments, **options)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    rank = int(name[-2])
    x = np.random.default_rng(0).standard_normal((2, 4, *(9, 8, 7)[:rank])).astype(np.float32)
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(Tensor(x)).numpy(), expected, rtol=1e-4, atol=1e-5)


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
