"""Training steps of transformers, recurrent networks and other models, for both frameworks.

`torch` is the module `tinygrad_np` or `torch`: the names used here exist in both, so both sides run
the same source. Each workload returns the model's parameters and a function that computes the loss;
`training_step` adds the optimizer.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import Step

VOCABULARY = 65


class Training(NamedTuple):
    """The parameters of a model, and a function that computes its loss on one batch."""

    parameters: Iterable[Any]
    loss: Callable[[], Any]


def _classes(torch: Any, count: int, *shape: int) -> Any:
    return torch.tensor(np.random.default_rng(1).integers(0, count, shape))


def _normal(torch: Any, *shape: int) -> Any:
    return torch.tensor(np.random.default_rng(2).standard_normal(shape, np.float32))


def gpt(torch: Any, steps: int = 64, batch: int = 16, width: int = 64, heads: int = 4) -> Training:
    """Return a character-level GPT with two pre-norm blocks (Radford et al. 2019).

    Its input is `batch` sequences of `steps` characters.
    """
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            shape = (batch, steps, heads, width // heads)
            parts = self.qkv(self.norm1(x)).split(width, dim=-1)
            q, k, v = (part.view(*shape).transpose(1, 2) for part in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(batch, steps, width))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.characters = nn.Embedding(VOCABULARY, width)
            self.positions = nn.Embedding(steps, width)
            self.blocks = nn.Sequential(Block(), Block())
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)

        def forward(self, text: Any) -> Any:
            x = self.characters(text) + self.positions(torch.arange(steps))
            return self.head(self.norm(self.blocks(x)))

    net = GPT()
    text = _classes(torch, VOCABULARY, batch, steps + 1)
    x, target = text[:, :-1], text[:, 1:].reshape(-1)
    return Training(
        net.parameters(),
        lambda: functional.cross_entropy(net(x).reshape(-1, VOCABULARY), target),
    )


def recurrent(
    torch: Any, layer: str = "LSTM", steps: int = 32, batch: int = 32, hidden: int = 128
) -> Training:
    """Return a classifier of sequences: embedding, one LSTM, GRU or RNN layer, linear."""
    nn, functional = torch.nn, torch.nn.functional
    embedding, head = nn.Embedding(VOCABULARY, 32), nn.Linear(hidden, VOCABULARY)
    rnn = getattr(nn, layer)(32, hidden, batch_first=True)
    x = _classes(torch, VOCABULARY, batch, steps)
    target = _classes(torch, VOCABULARY, batch)

    def loss() -> Any:
        output, _ = rnn(embedding(x))
        return functional.cross_entropy(head(output[:, -1]), target)

    return Training([*embedding.parameters(), *rnn.parameters(), *head.parameters()], loss)


def lstm_cell(torch: Any, steps: int = 32, batch: int = 32, hidden: int = 128) -> Training:
    """Return the classifier of `recurrent` with a loop over an LSTMCell."""
    nn, functional = torch.nn, torch.nn.functional
    embedding, head = nn.Embedding(VOCABULARY, 32), nn.Linear(hidden, VOCABULARY)
    cell = nn.LSTMCell(32, hidden)
    x = _classes(torch, VOCABULARY, batch, steps)
    target = _classes(torch, VOCABULARY, batch)

    def loss() -> Any:
        embedded = embedding(x)
        h, c = torch.zeros(batch, hidden), torch.zeros(batch, hidden)
        for t in range(steps):
            h, c = cell(embedded[:, t], (h, c))
        return functional.cross_entropy(head(h), target)

    return Training([*embedding.parameters(), *cell.parameters(), *head.parameters()], loss)


def _classifier(torch: Any, net: Any, x: Any) -> Training:
    """Return a classifier of `x` into ten classes."""
    target = _classes(torch, 10, len(x))
    return Training(net.parameters(), lambda: torch.nn.functional.cross_entropy(net(x), target))


def mlp(torch: Any) -> Training:
    """Return an MLP of sizes 784-256-10 on 64 images."""
    nn = torch.nn
    net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return _classifier(torch, net, _normal(torch, 64, 784))


def small_mlp(torch: Any) -> Training:
    """Return an MLP of sizes 2-16-16-1 on 100 points, as for two interleaved moons."""
    nn = torch.nn
    net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    x, target = _normal(torch, 100, 2), _classes(torch, 2, 100, 1).float()
    return Training(
        net.parameters(),
        lambda: torch.nn.functional.binary_cross_entropy_with_logits(net(x), target),
    )


def residual(torch: Any, channels: int = 32) -> Training:
    """Return five residual 3x3 convolutions with batch norm on images (16, channels, 16, 16)."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(channels)

        def forward(self, x: Any) -> Any:
            return (x + self.norm(self.conv(x))).relu()

    blocks = [Block() for _ in range(5)]
    net = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    return _classifier(torch, net, _normal(torch, 16, channels, 16, 16))


def vae(torch: Any) -> Training:
    """Return a variational autoencoder 784-256-16-256-784 on 64 images (Kingma & Welling 2014)."""
    nn, functional = torch.nn, torch.nn.functional
    encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32))
    decoder = nn.Sequential(nn.Linear(16, 256), nn.ReLU(), nn.Linear(256, 784))
    x = torch.tensor(np.random.default_rng(1).random((64, 784), np.float32))

    def loss() -> Any:
        mean, log_variance = encoder(x).chunk(2, dim=-1)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        likelihood = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return (likelihood + divergence) / len(x)

    return Training([*encoder.parameters(), *decoder.parameters()], loss)


def conv1d(torch: Any) -> Training:
    """Return two 1-D convolutions with kernel size 5 on 32 signals of shape (16, 128)."""
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv1d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 32, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool1d(64),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    return _classifier(torch, net, _normal(torch, 32, 16, 128))


def mobilenet(torch: Any, channels: int = 24) -> Training:
    """Return two inverted residual blocks with depthwise convolutions (Sandler et al. 2018).

    The input is 16 images of shape (channels, 16, 16), expanded fourfold.
    """
    nn = torch.nn
    wide = 4 * channels

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.path = nn.Sequential(
                nn.Conv2d(channels, wide, 1, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU6(),
                nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
                nn.BatchNorm2d(wide),
                nn.ReLU6(),
                nn.Conv2d(wide, channels, 1, bias=False),
                nn.BatchNorm2d(channels),
            )

        def forward(self, x: Any) -> Any:
            return x + self.path(x)

    net = nn.Sequential(
        Block(), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)
    )
    return _classifier(torch, net, _normal(torch, 16, channels, 16, 16))


def unet(torch: Any) -> Training:
    """Return a U-Net with one level (Ronneberger et al. 2015) on 8 images of shape (3, 32, 32)."""
    nn = torch.nn

    class UNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
            self.bottom = nn.Sequential(
                nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, padding=1),
                nn.ReLU(),
                nn.ConvTranspose2d(32, 16, 2, stride=2),
            )
            self.up = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 1))

        def forward(self, x: Any) -> Any:
            skip = self.down(x)
            return self.up(torch.cat([skip, self.bottom(skip)], dim=1))

    net = UNet()
    x = _normal(torch, 8, 3, 32, 32)
    target = _classes(torch, 2, 8, 1, 32, 32).float()
    return Training(
        net.parameters(),
        lambda: torch.nn.functional.binary_cross_entropy_with_logits(net(x), target),
    )


class Workload(NamedTuple):
    """A model and the optimizer that trains it."""

    make: Callable[..., Training]
    optimizer: str
    rate: float
    sizes: str
    """Sizes of the model and the batch, as shown in the table."""


WORKLOADS = {
    "GPT": Workload(gpt, "AdamW", 1e-3, "2 layers, width 64, T 64, batch 16"),
    "LSTM": Workload(recurrent, "Adam", 1e-3, "32 steps, batch 32, 32 to 128"),
    "GRU": Workload(partial(recurrent, layer="GRU"), "Adam", 1e-3, "32 steps, batch 32, 32 to 128"),
    "LSTMCell": Workload(lstm_cell, "Adam", 1e-3, "loop of 32 steps, batch 32"),
    "residual": Workload(residual, "SGD", 1e-2, "5 convs, 32 channels, 16x16, batch 16"),
    "MLP": Workload(mlp, "Adam", 1e-3, "784-256-10, batch 64"),
    "small MLP": Workload(small_mlp, "SGD", 1e-2, "2-16-16-1, batch 100"),
    "VAE": Workload(vae, "Adam", 1e-3, "784-256-16-256-784, batch 64"),
    "conv1d": Workload(conv1d, "Adam", 1e-3, "16 to 32 channels, length 128, batch 32"),
    "MobileNet": Workload(mobilenet, "SGD", 1e-2, "2 blocks, 24 channels, 16x16, batch 16"),
    "U-Net": Workload(unet, "Adam", 1e-3, "1 level, 16 channels, 32x32, batch 8"),
}


def training_step(torch: Any, name: str, **sizes: int) -> Step:
    """Return a function that runs one training step of the named workload."""
    make, optimizer_name, rate, _ = WORKLOADS[name]
    torch.manual_seed(0)
    parameters, loss = make(torch, **sizes)
    optimizer = getattr(torch.optim, optimizer_name)(parameters, lr=rate)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step
