"""Layers, the Module they are, and their initial weights."""

from tinygrad_np.nn import init
from tinygrad_np.nn.conv import Conv2d, MaxPool2d
from tinygrad_np.nn.layers import Dropout, Flatten, Linear, ReLU
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
