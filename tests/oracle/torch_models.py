"""The models of `models` in PyTorch, with the same layout and parameter names."""

import collections
import itertools

import numpy as np

import models
from tests.oracle.pytorch import torch

BatchNorm2d, Conv2d, Linear = torch.nn.BatchNorm2d, torch.nn.Conv2d, torch.nn.Linear


class Dropout(torch.nn.Module):
    """Multiply by `factor` in training mode; the test sets it."""

    factor = 1.0

    def forward(self, x):
        """Return x scaled."""
        return x * self.factor if self.training else x


def network(convolutions, sizes, norms=False, relu=True, dropout=False):
    """Return convolutions, each followed by relu and pooling, and linear layers.

    Args:
        convolutions: convolutions by the name of ours.
        sizes: number of features, from the input of the first linear layer to the last output.
        norms: whether batch norm follows each convolution.
        relu: whether relu follows each linear layer but the last.
        dropout: whether dropout precedes the last layer.
    """
    layers = collections.OrderedDict()
    for name, conv in convolutions.items():
        layers[name] = conv
        if norms:
            layers[name.replace("conv", "bn")] = BatchNorm2d(conv.out_channels)
        layers[f"pool of {name}"] = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    layers["flatten"] = torch.nn.Flatten()
    for number, pair in enumerate(itertools.pairwise(sizes), start=1):
        if relu and number > 1:
            layers[f"relu{number}"] = torch.nn.ReLU()
        if dropout and number == len(sizes) - 1:
            layers["dropout"] = Dropout()
        layers[f"fc{number}" if len(sizes) > 2 else "fc"] = Linear(*pair)
    return torch.nn.Sequential(layers)


def two_convolutions(first, second):
    """Return two 3x3 convolutions that preserve the image size."""
    convolutions = Conv2d(1, first, 3, padding=1), Conv2d(first, second, 3, padding=1)
    return dict(zip(("conv1", "conv2"), convolutions, strict=True))


def lab_cnn(blocks):
    """Return LabCNN with one or two blocks."""
    convolutions = {"conv": Conv2d(1, 16, 3, padding=1), "conv2": Conv2d(16, 32, 3, padding=1)}
    if blocks == 1:
        return network({"conv": convolutions["conv"]}, (16 * 14 * 14, 128, 10))
    return network(convolutions, (32 * 7 * 7, 128, 10))


def lenet():
    """Return LeNet."""
    convolutions = {"conv1": Conv2d(1, 6, 5, padding=2), "conv2": Conv2d(6, 16, 5)}
    return network(convolutions, (400, 120, 84, 10), norms=True)


class SqueezeExcitation(torch.nn.Module):
    """Squeeze-and-excitation gate of a residual block."""

    def __init__(self, channels):
        super().__init__()
        self.squeeze = Linear(channels, channels // 4)
        self.excite = Linear(channels // 4, channels)

    def forward(self, x):
        """Return images (N, C, H, W) with their channels scaled."""
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * gates[:, :, None, None]


def convolution(channels, out_channels, kernel_size, stride):
    """Return a convolution without bias that preserves the size at stride 1."""
    options = {"stride": stride, "padding": kernel_size // 2, "bias": False}
    return Conv2d(channels, out_channels, kernel_size, **options)


class Block(torch.nn.Module):
    """Residual block."""

    def __init__(self, channels, out_channels, stride, gated):
        super().__init__()
        self.conv1 = convolution(channels, out_channels, 3, stride)
        self.bn1 = BatchNorm2d(out_channels)
        self.conv2 = convolution(out_channels, out_channels, 3, 1)
        self.bn2 = BatchNorm2d(out_channels)
        self.gate = SqueezeExcitation(out_channels) if gated else torch.nn.Identity()
        self.around = torch.nn.Identity()
        if channels != out_channels:
            self.around = torch.nn.Sequential(
                convolution(channels, out_channels, 1, stride),
                BatchNorm2d(out_channels),
            )

    def forward(self, x):
        """Return images (N, out_channels, H / stride, W / stride)."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(self.gate(out) + self.around(x))


def mlp():
    """Return MLP with two hidden layers."""
    inner = torch.nn.Sequential(
        torch.nn.Flatten(),
        *(Linear(784, 32), torch.nn.ReLU(), Linear(32, 16), torch.nn.ReLU(), Linear(16, 10)),
    )
    return torch.nn.Sequential(collections.OrderedDict(layers=inner))


class ResNet(torch.nn.Module):
    """ResNet."""

    def __init__(self, gated):
        super().__init__()
        self.conv = convolution(1, 16, 3, 1)
        self.bn = BatchNorm2d(16)
        sizes = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        self.blocks = torch.nn.Sequential(*[Block(*size, gated) for size in sizes])
        self.fc = Linear(64, 10)

    def forward(self, x):
        """Return logits (N, 10)."""
        x = self.blocks(torch.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))


# Constructors by name: ours takes a generator, PyTorch's takes no arguments.
PAIRS = {
    "MnistCNN": (
        models.MnistCNN,
        lambda: network(two_convolutions(32, 64), (64 * 7 * 7, 128, 10), dropout=True),
    ),
    "MnistCNNLight": (
        models.MnistCNNLight,
        lambda: network(two_convolutions(8, 16), (16 * 7 * 7, 32, 10), dropout=True),
    ),
    "LabCNN": (models.LabCNN, lambda: lab_cnn(1)),
    "LabCNN with two blocks": (lambda g: models.LabCNN(g, blocks=2), lambda: lab_cnn(2)),
    "DigitsCNN": (
        models.DigitsCNN,
        lambda: network({"conv": Conv2d(1, 8, 3, padding=1)}, (8 * 4 * 4, 10)),
    ),
    "LeNet": (models.LeNet, lenet),
    "FashionCNN": (
        models.FashionCNN,
        lambda: network(
            two_convolutions(32, 64), (3136, 512, 10), norms=True, relu=False, dropout=True
        ),
    ),
    "MLP": (lambda g: models.MLP(g, hidden=(32, 16)), mlp),
    "ResNet": (lambda g: models.ResNet(generator=g), lambda: ResNet(False)),
    "ResNet with squeeze-excitation": (
        lambda g: models.ResNet(g, squeeze_excitation=True),
        lambda: ResNet(True),
    ),
}


def our_model(name, seed):
    """Return our model with weights drawn from `seed`."""
    return PAIRS[name][0](np.random.default_rng(seed))


def torch_model(name, weights):
    """Return PyTorch's model of the same layout and names, in float64, with these weights."""
    model = PAIRS[name][1]().double()
    model.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    return model
