"""Draw every kind of picture that tinygrad_np makes, and collect them on one page.

    python examples/gallery.py

It shows graphs of expressions, layers and networks, gradients laid over a graph, a forward pass
that fails, an explorer that steps through a backward pass, and the figures of data, training and
trained networks. It writes the pictures and index.html, which shows each one with the code that
draws it, to runs/gallery. Nothing is downloaded: the figures use the 8x8 digits bundled with the
package and a network trained for a few seconds.

`--readme` regenerates the pictures of README.md.
"""

import argparse
import html
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import shared
from models import MLP, LeNet, MnistCNN, MnistCNNLight, ResNet
from tinygrad_np import Tensor, data, nn, optim, train, viz
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program
from tinygrad_np.files import write_bytes
from tinygrad_np.transforms import hvp

IMAGES = Path(__file__).parent / "images"


def main() -> None:
    """Write all pictures and the page that shows them."""
    args = parse_arguments()
    if args.readme:
        for name, make in README.items():
            print(viz.render(make(), IMAGES / name))
        return
    out = shared.output_folder(args.out, "runs/gallery")
    entries = []
    for title, pictures in SECTIONS.items():
        links = [f'<a href="#{make.__name__}">{summary(make)}</a>' for make in pictures]
        entries += [f"<h2>{title}</h2>", f"<p>{' · '.join(links)}</p>", '<div class="pictures">']
        entries += [entry(make, out) for make in pictures]
        entries.append("</div>")
    write_bytes(out / "index.html", (PAGE + "\n".join(entries) + "\n").encode())
    print(f"{sum(map(len, SECTIONS.values()))} pictures: {out / 'index.html'}")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="output directory (default: runs/gallery, with a number if it exists)",
    )
    parser.add_argument(
        "--readme", action="store_true", help="only regenerate the pictures of README.md"
    )
    return parser.parse_args()


def summary(make: Callable[..., Any]) -> str:
    """Return the first line of a docstring, for the page."""
    return html.escape((inspect.getdoc(make) or "").removesuffix("."))


def entry(make: Callable[..., Any], out: Path) -> str:
    """Write the picture that `make` returns; return its part of the page."""
    stem = make.__name__
    title = summary(make)
    code = html.escape(inspect.getsource(make))
    if "folder" in inspect.signature(make).parameters:
        name = make(out).name
        shown = f'<iframe src="{name}" title="{title}"></iframe>'
        shown += f'<p><a href="{name}">Open the full page</a></p>'
    else:
        picture = make()
        if isinstance(picture, viz.Figure):
            name = f"{stem}.png"
            viz.save(picture, out / name)
        else:
            name = f"{stem}.svg"
            viz.render(picture, out / name)
        shown = f'<a href="{name}"><img src="{name}" alt="{title}"></a>'
    return (
        f'<section id="{stem}"><h3>{title}</h3>\n{shown}\n'
        f"<details><summary>Code</summary><pre>{code}</pre></details></section>"
    )


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pictures made by tinygrad_np</title>
<style>
:root { color-scheme: light dark; }
body { max-width: 84rem; margin: 2rem auto; padding: 0 1rem; font-family: sans-serif; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
section { margin: 1rem; min-width: 0; }
section:has(iframe) { grid-column: 1 / -1; }
img { max-width: 100%; max-height: 48rem; }
iframe { width: 100%; height: 44rem; border: 1px solid #8884; }
pre { overflow-x: auto; background: #8881; padding: 0.8rem; }
</style>
<h1>Pictures made by tinygrad_np</h1>
<p>Drawn by <code>python examples/gallery.py</code>. Click on a picture to see it in full size;
there, point at a box of a graph to read its formula.</p>
"""


# Graphs.


def expression() -> viz.Drawing:
    """An expression with its values, gradients and local derivatives."""
    a = Tensor(2.0, requires_grad=True, name="a")
    b = Tensor(-0.5, requires_grad=True, name="b")
    c = Tensor(1.5, requires_grad=True, name="c")
    y = (a * b + c).tanh() ** 2
    y.name = "y"
    return viz.draw(y, backward=True, derivatives=True)


class TanhMLP(nn.Module):
    """Two linear layers with a tanh between them."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.hidden = nn.Linear(4, 8, generator=generator)
        self.output = nn.Linear(8, 3, generator=generator)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, 3) of features (N, 4)."""
        out: Tensor = self.output(self.hidden(features).tanh())
        return out


def mlp_layers() -> viz.Drawing:
    """A multilayer perceptron, with its layers as boxes."""
    return viz.draw(TanhMLP(), Tensor.ones(32, 4))


def mlp_loss() -> viz.Drawing:
    """Its loss, op by op, with the norm of each gradient as the width of the arrow."""
    model, generator = TanhMLP(), np.random.default_rng(1)
    features, labels = (
        generator.standard_normal((32, 4), np.float32),
        generator.integers(3, size=32),
    )

    def loss(features: Tensor, labels: Tensor) -> Tensor:
        out: Tensor = model(features).cross_entropy(labels)
        return out

    return viz.draw(loss, features, labels, level="op", backward=True)


def mnist_cnn() -> viz.Drawing:
    """MnistCNN on a batch of 64 images."""
    return viz.draw(MnistCNN(), Tensor.ones(64, 1, 28, 28))


def lenet_ops() -> viz.Drawing:
    """LeNet with every op, framed by the layer that runs it."""
    return viz.draw(LeNet(), Tensor.ones(64, 1, 28, 28), level="op")


def resnet() -> viz.Drawing:
    """ResNet: three residual blocks."""
    return viz.draw(ResNet(), Tensor.ones(64, 1, 28, 28))


def resnet_blocks() -> viz.Drawing:
    """ResNet with the blocks folded."""
    return viz.draw(ResNet(), Tensor.ones(64, 1, 28, 28), depth=1)


def lstm_step() -> viz.Drawing:
    """One step of an LSTM, op by op."""
    state = Tensor.zeros(8, 16), Tensor.zeros(8, 16)
    return viz.draw(nn.LSTMCell(10, 16), Tensor.ones(8, 10), state, level="op")


class LSTM(nn.Module):
    """An LSTM cell that reads a sequence, and a linear layer that classifies its last state."""

    def __init__(self) -> None:
        self.cell = nn.LSTMCell(10, 16)
        self.output = nn.Linear(16, 2)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return logits (N, 2) of sequences (N, T, 10)."""
        state = None
        for step in range(sequence.shape[1]):
            state = self.cell(sequence[:, step], state)
        assert state is not None
        out: Tensor = self.output(state[0])
        return out


def lstm_sequence() -> viz.Drawing:
    """The same LSTM over 32 steps: equal steps are drawn once."""
    return viz.draw(LSTM(), Tensor.ones(8, 32, 10))


class Block(nn.Module):
    """A transformer block: attention and an MLP, each with a layer norm and a residual sum."""

    def __init__(self, width: int, heads: int) -> None:
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, T, width)."""
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class GPT(nn.Module):
    """Token and position embeddings, transformer blocks, and a linear layer over the vocabulary."""

    def __init__(
        self, blocks: int, vocabulary: int = 65, width: int = 64, length: int = 32
    ) -> None:
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads=4) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (N, T, vocabulary) of tokens (N, T)."""
        positions = Tensor.arange(tokens.shape[1])
        x = self.token(tokens) + self.position(positions)
        out: Tensor = self.head(self.norm(self.blocks(x)))
        return out


def transformer_block() -> viz.Drawing:
    """One transformer block."""
    return viz.draw(Block(64, heads=4), Tensor.ones(8, 32, 64))


def gpt() -> viz.Drawing:
    """A GPT of twelve equal blocks, which are drawn once."""
    return viz.draw(GPT(blocks=12), Tensor.zeros(8, 32).int())


def attention_memory() -> viz.Drawing:
    """Its attention, op by op, colored by the memory that the backward pass needs."""
    layer, x = nn.MultiheadAttention(64, 4, batch_first=True), Tensor.ones(8, 32, 64)
    return viz.draw(lambda x: layer(x, x, x)[0], x, level="op", color_by="memory")


class Twice(nn.Module):
    """A network that applies one layer twice."""

    def __init__(self) -> None:
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 4)."""
        out: Tensor = self.layer(self.layer(x).relu())
        return out


def shared_layer() -> viz.Drawing:
    """A layer that is called twice."""
    return viz.draw(Twice(), Tensor.ones(8, 4))


def hessian_vector_product() -> viz.Drawing:
    """A Hessian-vector product: forward pass, backward pass, and the backward pass over both."""

    def function(x: Tensor) -> Tensor:
        out: Tensor = (x * x).sin().sum()
        return out

    def hessian_times_v(x: Tensor, v: Tensor) -> Tensor:
        out: Tensor = hvp(function)(x, v)
        return out

    return viz.draw(hessian_times_v, Tensor([1.0, 2.0]), Tensor([1.0, 0.0]))


def failing_forward() -> viz.Drawing:
    """A forward pass that fails, drawn up to the layer that raises."""
    return viz.draw(LeNet(), Tensor.ones(64, 1, 32, 32))


def vanishing_gradients() -> viz.Drawing:
    """Gradients that vanish in a deep network of sigmoids."""
    generator = np.random.default_rng(0)
    layers = [(nn.Linear(16, 16, generator=generator), nn.Sigmoid()) for _ in range(6)]
    model = nn.Sequential(*(layer for pair in layers for layer in pair))
    return viz.draw(model, Tensor.ones(8, 16), color_by="gradient")


def flops() -> viz.Drawing:
    """LeNet colored by the work of its layers."""
    return viz.draw(LeNet(), Tensor.ones(64, 1, 28, 28), color_by="flops")


# The explorer.


def explore_expression(folder: Path) -> Path:
    """The expression above: step through its forward and backward pass."""
    a = Tensor(2.0, requires_grad=True, name="a")
    b = Tensor(-0.5, requires_grad=True, name="b")
    c = Tensor(1.5, requires_grad=True, name="c")
    return viz.explore((a * b + c).tanh() ** 2, folder / "explore_expression.html")


def explore_cnn(folder: Path) -> Path:
    """A trained network on a batch of digits: step through it layer by layer."""
    model, test_set = trained().model, digits()[1]
    images, labels = test_set.batch(slice(0, 8))

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        out: Tensor = model(images).cross_entropy(labels)
        return out

    return viz.explore(loss, folder / "explore_cnn.html", images, labels)


# Figures.


@cache
def digits() -> tuple[data.ImageDataset, data.ImageDataset]:
    """Return the bundled digits, scaled to the size of MNIST."""
    return data.digits(size=28)


class Training:
    """A small CNN trained on the bundled digits for a few seconds, and what was recorded."""

    def __init__(self) -> None:
        train_set, self.test_set = digits()
        part, rest = train_set.split(0.1, seed=0)
        self.model = MnistCNNLight(generator=np.random.default_rng(0))
        self.histograms = viz.Histograms(every_steps=8)
        optimizer = optim.Adam(self.model.named_parameters(), lr=2e-3)
        trainer = train.Trainer(self.model, optimizer, callbacks=[self.histograms])
        loader = data.DataLoader(part, batch_size=64, shuffle=True, seed=0)
        self.history = trainer.fit(loader, 6, validation=data.DataLoader(rest, batch_size=256))
        self.logits = train.predict(self.model, data.DataLoader(self.test_set, 256))
        self.predicted = self.logits.argmax(axis=1)


@cache
def trained() -> Training:
    """Return the trained network; all figures share it."""
    return Training()


def dataset() -> viz.Figure:
    """The first images of a dataset."""
    return viz.images(digits()[0], count=20)


def curves() -> viz.Figure:
    """Loss and accuracy per epoch, with the best epoch marked."""
    return viz.curves(trained().history, "MnistCNNLight on the bundled digits")


def predictions() -> viz.Figure:
    """A random sample of predictions."""
    title = "Predicted class (green: correct, red: incorrect)"
    return viz.predictions(trained().test_set, trained().predicted, seed=1, title=title)


def most_wrong() -> viz.Figure:
    """The images that the network gets most wrong."""
    return viz.most_wrong(trained().test_set, trained().logits, count=10)


def confusion() -> viz.Figure:
    """Confusion matrix: which digits are mistaken for which."""
    matrix = train.confusion_matrix(trained().predicted, trained().test_set.labels, 10)
    return viz.confusion(matrix, trained().test_set.classes, "MnistCNNLight on the test digits")


def calibration() -> viz.Figure:
    """Calibration: whether the network is right as often as it claims."""
    result = train.calibration(trained().logits, trained().test_set.labels)
    return viz.calibration(result, "MnistCNNLight on the test digits")


def filters() -> viz.Figure:
    """The filters of the first convolution."""
    return viz.filters(trained().model.conv1)


def feature_maps() -> viz.Figure:
    """The feature maps of each layer for one image."""
    images, _ = digits()[1].batch(slice(0, 1))
    return viz.feature_maps(trained().model, images[0])


def saliency() -> viz.Figure:
    """Saliency: the pixels that affect the score of the predicted class most."""
    images, _ = digits()[1].batch(slice(0, 6))
    return viz.saliency(trained().model, images)


def occlusion() -> viz.Figure:
    """Occlusion: how far the score drops when a square of the image is hidden."""
    images, _ = digits()[1].batch(slice(0, 6))
    return viz.occlusion(trained().model, images, stride=2)


def grad_cam() -> viz.Figure:
    """Grad-CAM: where the last convolution finds evidence for the predicted class."""
    images, _ = digits()[1].batch(slice(0, 6))
    return viz.grad_cam(trained().model, images)


def class_images() -> viz.Figure:
    """Images that maximize the score of each class."""
    return viz.class_images(trained().model, (1, 28, 28), digits()[1].classes, steps=50)


def histograms() -> viz.Figure:
    """Histograms of weights and gradients during training."""
    return viz.histograms(trained().histograms, ["conv1.weight", "fc2.weight"])


def loss_surface() -> viz.Figure:
    """The loss around the trained weights, along two random directions."""
    loader = data.DataLoader(trained().test_set, batch_size=128)
    return viz.loss_surface(trained().model, loader, points=11)


def learning_rates() -> viz.Figure:
    """Which learning rates make the loss fall, and which are too large."""
    generator = np.random.default_rng(0)
    hidden, output = nn.Linear(784, 64, generator=generator), nn.Linear(64, 10, generator=generator)
    model = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), output)
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    loader = data.DataLoader(digits()[0], batch_size=64, shuffle=True, seed=0)
    return viz.learning_rates(model, optimizer, loader)


def attention() -> viz.Figure:
    """Attention maps of an untrained block: which positions of a text attend to which."""
    text = "the cat sat"
    generator = np.random.default_rng(0)
    layer = nn.MultiheadAttention(16, 2, batch_first=True, generator=generator)
    codes = generator.standard_normal((128, 16), np.float32)
    x = Tensor(codes[[ord(letter) for letter in text]][None])
    (weights,) = viz.attention_weights(lambda x: layer(x, x, x), x).values()
    return viz.attention(weights, list(text), list(text))


def decision_boundary() -> viz.Figure:
    """Decision boundary: what a small network has learned about two spirals."""
    train_set, test_set = data.spirals()
    model = MLP(np.random.default_rng(0), inputs=2, hidden=(16, 16), classes=2)
    trainer = train.Trainer(model, optim.Adam(model.named_parameters(), lr=0.02))
    trainer.fit(data.DataLoader(train_set, batch_size=32, shuffle=True, seed=0), 25)
    return viz.decision_boundary(model, test_set, "MLP on the test points of the spirals")


SECTIONS: dict[str, list[Callable[..., Any]]] = {
    "Graphs": [
        *(expression, mlp_layers, mlp_loss, mnist_cnn, lenet_ops, resnet, resnet_blocks),
        *(lstm_step, lstm_sequence, transformer_block, gpt, attention_memory, shared_layer),
        *(hessian_vector_product, failing_forward, vanishing_gradients, flops),
    ],
    "Explorers": [explore_expression, explore_cnn],
    "Data and training": [
        *(dataset, curves, predictions, most_wrong, confusion, calibration),
        *(histograms, learning_rates, loss_surface, decision_boundary),
    ],
    "Inside a network": [
        *(filters, feature_maps, saliency, occlusion, grad_cam, class_images, attention),
    ],
}
README: dict[str, Callable[[], viz.Drawing]] = {
    "expression.svg": expression,
    "mnist_cnn.svg": mnist_cnn,
}

if __name__ == "__main__":
    sys.exit(run_program(main))
