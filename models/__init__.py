"""Models defined by their forward pass alone, without a line of backward code.

The classes exported here classify images or points, and the command line trains them by name.
`models.char_gpt` and `models.char_rnn` are models of text; the scripts of the same names in
`examples/` train them.
"""

from .digits_cnn import DigitsCNN
from .fashion_cnn import FashionCNN
from .lab_cnn import LabCNN
from .lenet import LeNet
from .mlp import MLP
from .mnist_cnn import MnistCNN, MnistCNNLight
from .resnet import ResNet

__all__ = [
    "MLP",
    "DigitsCNN",
    "FashionCNN",
    "LabCNN",
    "LeNet",
    "MnistCNN",
    "MnistCNNLight",
    "ResNet",
]
