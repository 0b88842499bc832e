"""PyTorch's models of the same layout and names as those in `models`."""

import numpy as np

import models
from tests.oracle.pytorch import torch

max_pool2d = torch.nn.functional.max_pool2d


class TwoConv(torch.nn.Module):
    """MnistCNN and MnistCNNLight; dropout multiplies by a factor that is given from outside."""

    def __init__(self, first, second, hidden):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, first, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(first, second, 3, padding=1)
        self.fc1 = torch.nn.Linear(second * 7 * 7, hidden)
        self.fc2 = torch.nn.Linear(hidden, 10)
        self.pool = torch.nn.MaxPool2d(2)
        self.factor = 1.0

    def forward(self, x):
        """Return logits (N, 10)."""
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc2(x * self.factor)


class OneConvTwoLinear(torch.nn.Module):
    """LabCNN."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.fc1 = torch.nn.Linear(16 * 14 * 14, 128)
        self.fc2 = torch.nn.Linear(128, 10)
        self.pool = torch.nn.MaxPool2d(2)

    def forward(self, x):
        """Return logits (N, 10)."""
        x = self.pool(torch.relu(self.conv(x)))
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class OneConvOneLinear(torch.nn.Module):
    """DigitsCNN."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.fc = torch.nn.Linear(8 * 4 * 4, 10)
        self.pool = torch.nn.MaxPool2d(2)

    def forward(self, x):
        """Return logits (N, 10)."""
        return self.fc(self.pool(torch.relu(self.conv(x))).flatten(1))


class TwoConvTwoLinear(torch.nn.Module):
    """LabCNN of two blocks."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = torch.nn.Linear(32 * 7 * 7, 128)
        self.fc2 = torch.nn.Linear(128, 10)

    def forward(self, x):
        """Return logits (N, 10)."""
        x = max_pool2d(torch.relu(self.conv(x)), 2)
        x = max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class LeNet(torch.nn.Module):
    """LeNet."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 6, 5, padding=2)
        self.bn1 = torch.nn.BatchNorm2d(6)
        self.conv2 = torch.nn.Conv2d(6, 16, 5)
        self.bn2 = torch.nn.BatchNorm2d(16)
        self.fc1 = torch.nn.Linear(400, 120)
        self.fc2 = torch.nn.Linear(120, 84)
        self.fc3 = torch.nn.Linear(84, 10)

    def forward(self, x):
        """Return logits (N, 10)."""
        x = max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class FashionCNN(torch.nn.Module):
    """FashionCNN; dropout multiplies by a factor that is given from outside."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 32, 3, padding=1)
        self.bn1 = torch.nn.BatchNorm2d(32)
        self.conv2 = torch.nn.Conv2d(32, 64, 3, padding=1)
        self.bn2 = torch.nn.BatchNorm2d(64)
        self.fc1 = torch.nn.Linear(64 * 7 * 7, 512)
        self.fc2 = torch.nn.Linear(512, 10)
        self.factor = 1.0

    def forward(self, x):
        """Return logits (N, 10)."""
        x = max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        return self.fc2(self.fc1(x.flatten(1)) * self.factor)


class SqueezeExcitation(torch.nn.Module):
    """The gate of a residual block."""

    def __init__(self, channels):
        super().__init__()
        self.squeeze = torch.nn.Linear(channels, channels // 4)
        self.excite = torch.nn.Linear(channels // 4, channels)

    def forward(self, x):
        """Return images (N, C, H, W) with their channels scaled."""
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * gates[:, :, None, None]


def convolution(channels, out_channels, kernel_size, stride):
    """Return a convolution without bias that keeps the size, but for its stride."""
    options = {"stride": stride, "padding": kernel_size // 2, "bias": False}
    return torch.nn.Conv2d(channels, out_channels, kernel_size, **options)


class Block(torch.nn.Module):
    """A residual block."""

    def __init__(self, channels, out_channels, stride, gated):
        super().__init__()
        self.conv1 = convolution(channels, out_channels, 3, stride)
        self.bn1 = torch.nn.BatchNorm2d(out_channels)
        self.conv2 = convolution(out_channels, out_channels, 3, 1)
        self.bn2 = torch.nn.BatchNorm2d(out_channels)
        self.gate = SqueezeExcitation(out_channels) if gated else torch.nn.Identity()
        self.around = torch.nn.Identity()
        if channels != out_channels:
            self.around = torch.nn.Sequential(
                convolution(channels, out_channels, 1, stride),
                torch.nn.BatchNorm2d(out_channels),
            )

    def forward(self, x):
        """Return images (N, out_channels, H / stride, W / stride)."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(self.gate(out) + self.around(x))


class ResNet(torch.nn.Module):
    """ResNet."""

    def __init__(self, gated):
        super().__init__()
        self.conv = convolution(1, 16, 3, 1)
        self.bn = torch.nn.BatchNorm2d(16)
        sizes = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        self.blocks = torch.nn.Sequential(*[Block(*size, gated) for size in sizes])
        self.fc = torch.nn.Linear(64, 10)

    def forward(self, x):
        """Return logits (N, 10)."""
        x = self.blocks(torch.relu(self.bn(self.conv(x))))
        return self.fc(x.mean((2, 3)))


# Ours, of a generator, and theirs.
PAIRS = {
    "MnistCNN": (models.MnistCNN, lambda: TwoConv(32, 64, 128)),
    "MnistCNNLight": (models.MnistCNNLight, lambda: TwoConv(8, 16, 32)),
    "LabCNN": (models.LabCNN, OneConvTwoLinear),
    "LabCNN of two blocks": (lambda g: models.LabCNN(g, blocks=2), TwoConvTwoLinear),
    "DigitsCNN": (models.DigitsCNN, OneConvOneLinear),
    "LeNet": (models.LeNet, LeNet),
    "FashionCNN": (models.FashionCNN, FashionCNN),
    "ResNet": (lambda g: models.ResNet(generator=g), lambda: ResNet(False)),
    "ResNet with gates": (
        lambda g: models.ResNet(g, squeeze_excitation=True),
        lambda: ResNet(True),
    ),
}


def our_model(name, seed):
    """Return our model, its weights drawn from `seed`."""
    return PAIRS[name][0](np.random.default_rng(seed))


def torch_model(name, weights):
    """Return PyTorch's model of the same layout and names, in float64, with these weights."""
    model = PAIRS[name][1]().double()
    model.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    return model
