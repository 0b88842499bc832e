"""Reasons to doubt a prediction, for `predict` and the playground."""

from functools import cache
from pathlib import Path

import numpy as np

from tinygrad_np import nn
from tinygrad_np.data.photo import describe_shapes, frame_digit
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad
from tinygrad_np.train.weights import load

_CONFIDENT = 0.8
"""Less confidence is a doubt.

This flags 21% of MNIST's test set and 69% of the errors of the playground's bundled model, which
knows the bundled digits only; and 6% and 78% for MnistCNN, trained on 20,000 images for one epoch.
"""

_STRANGE = 1.65
"""Log-odds of "no digit" above which the detector's output is a doubt.

This flags 5% of the last 2000 training images of MNIST, among them 23% of the fours and 17% of the
eights, and 29 of the 30 letters in `tests/playground/pictures.py`.
"""


def find_doubts(image: Array, logits: Array, shapes: int, noun: str = "digit") -> list[str]:
    """Return the reasons to doubt a prediction, as sentences; an empty list if there are none.

    Args:
        image: uint8 image of shape (1, 28, 28) or (1, 8, 8) from `read_digit`.
        logits: outputs of the model for the image, of shape (K,).
        shapes: number of shapes in the picture that could be digits, from `read_digit`.
        noun: what the model recognizes. Only for digits is it known which shapes are strange.
    """
    doubts = [describe_shapes(shapes, noun)] if shapes > 1 else []
    confidence = 1 / np.exp(logits - logits.max()).sum()
    if not confidence >= _CONFIDENT:  # also true of nan
        doubts.append(
            f"low confidence ({confidence:.1%}). The {noun} is hard to read, or the picture "
            "contains none."
        )
    if noun == "digit" and strangeness(image) > _STRANGE:
        doubts.append(
            "the shape does not look like a digit. A model answers with a digit for any picture."
        )
    return doubts


def strangeness(image: Array) -> float:
    """Return the detector's log-odds that a uint8 image of shape (1, H, H) shows no digit."""
    pixels = frame_digit(image[0].astype(np.float32))[None, None] / np.float32(255)
    with no_grad():
        digit, other = _detector()(Tensor(pixels)).data[0]
    return float(other - digit)


def make_detector(generator: np.random.Generator | None = None) -> nn.Sequential:
    """Return the untrained detector: logits of "digit" and "no digit" for (N, 1, 28, 28)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(784, 32, generator=generator),
        nn.ReLU(),
        nn.Dropout(0.25, generator=generator),
        nn.Linear(32, 2, generator=generator),
    )


@cache
def _detector() -> nn.Sequential:
    """Return the detector trained by `examples/bundled_model.py`, in evaluation mode."""
    detector = make_detector()
    detector.load_state_dict(load(Path(__file__).parent / "detector.safetensors"))
    detector.eval()
    return detector
