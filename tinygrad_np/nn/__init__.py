"""Layers, the Module they are, and their initial weights."""

from tinygrad_np.nn import init
from tinygrad_np.nn.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU
from tinygrad_np.nn.module import Module, Parameter, Sequential

__all__ = [
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "init",
]
