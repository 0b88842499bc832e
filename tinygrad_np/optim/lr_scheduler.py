"""The learning-rate schedules, under the name of PyTorch's module."""

from tinygrad_np.optim.onecycle import OneCycleLR
from tinygrad_np.optim.plateau import ReduceLROnPlateau
from tinygrad_np.optim.schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearWarmup,
    MultiStepLR,
    SequentialLR,
    StepLR,
)

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearWarmup",
    "MultiStepLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
