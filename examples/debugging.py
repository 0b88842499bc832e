"""Show five ways training fails: the symptom, the tool that finds the cause, and the fix.

    python examples/debugging.py

The five failures are a loss that stays at 2.30, a loss that explodes, a loss that is inf or nan, a
shape error, and memory that grows. Each one really happens below, in small networks on the digits
bundled with the package. The script prints what you would see, then how to find the cause and how
to fix it. It saves a plot of the gradients of part 1 to runs/debugging/gradients.png.
"""

import math
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import shared
from tinygrad_np import Tensor, data, debug, nn, no_grad, optim, profile, viz
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.errors import NotFiniteError, ShapeError
from tinygrad_np.train import Callback, State, Trainer

DIGITS, _ = data.digits()  # 1438 images of 1x8x8
IMAGES, LABELS = DIGITS.batch(slice(0, 64))


def main() -> None:
    """Show each failure, the tool that finds its cause, and the fix."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    text = "output directory (default: runs/debugging, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    add("--quick", action="store_true", help="short run: fewer epochs")
    args = parser.parse_args()
    epochs = 3 if args.quick else 10
    norms = stuck(epochs)
    exploding(epochs)
    not_a_number(epochs)
    shapes()
    memory()
    out = shared.output_folder(args.out, "runs/debugging")
    viz.save(picture(norms), out / "gradients.png")
    print(f"\nplot of the gradients of part 1: {out / 'gradients.png'}")


# ---- Helpers ------------------------------------------------------------------------------------


def network(activation: type[nn.Module], *, he: bool = True) -> nn.Sequential:
    """Return a network with six hidden layers of 32 units, with He or default initialization."""
    generator = np.random.default_rng(0)
    layers: list[nn.Module] = [nn.Flatten()]
    for width in [64] + [32] * 5:
        layers += [nn.Linear(width, 32, generator=generator), activation()]
    model = nn.Sequential(*layers, nn.Linear(32, 10, generator=generator))
    for parameter in model.parameters() if he else []:
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)
    return model


def train(
    model: nn.Module, lr: float, epochs: int, dataset: ImageDataset = DIGITS, **options: Any
) -> list[float]:
    """Train by plain SGD; return the mean loss of each epoch."""
    trainer = Trainer(model, optim.SGD(model.named_parameters(), lr=lr), **options)
    loader = DataLoader(dataset, 64, shuffle=True, seed=0)
    history = shared.to_the_end(trainer.fit(loader, epochs))
    return [entry["train_loss"] for entry in history.epochs]


def heading(text: str) -> None:
    """Print an underlined title."""
    print(f"\n{text}\n{'=' * len(text)}")


def say(label: str, text: object) -> None:
    """Print a labeled paragraph."""
    print(textwrap.fill(f"{label:>10}  {text}", 98, subsequent_indent=" " * 12))


def format_losses(losses: list[float]) -> str:
    """Format losses on one line."""
    return ", ".join(f"{loss:.2f}" if loss < 100 else f"{loss:.0e}" for loss in losses)


# ---- The five failures --------------------------------------------------------------------------


def stuck(epochs: int) -> dict[str, dict[str, float]]:
    """Show three networks that do not learn and one that does; return their gradient norms."""
    heading("1. The loss stays at 2.30")
    say("why 2.30", "-ln(1/10) = 2.303 is the loss of predicting ten equally likely classes.")
    models = {
        "all zero": set_to(network(nn.ReLU), weight=0.0, bias=0.0),
        "sigmoids": network(nn.Sigmoid, he=False),
        "dead relus": set_to(network(nn.ReLU), bias=-10.0),  # as after a huge step
        "He and relu": network(nn.ReLU),
    }
    norms = {name: gradient_norms(model) for name, model in models.items()}
    alive = relus_alive(models["dead relus"])
    for name, model in models.items():
        say("symptom", f"{name}: loss by epoch {format_losses(train(model, 0.1, epochs))}")
    say("tool", "optim.clip_grad_norm([weight], math.inf) returns the norm of a weight's gradient:")
    print("\n" + " " * 20 + "".join(f"{name:>13}" for name in models))
    for layer in norms["all zero"]:
        print(f"{layer:>20}" + "".join(f"{found[layer]:13.1e}" for found in norms.values()))
    print()
    say("all zero", "zero weights pass no gradient back, and the units of a layer stay identical.")
    say("sigmoids", "their derivative is at most 1/4, so the gradient vanishes layer by layer.")
    say("dead relus", f"{alive} of their outputs are above 0, as register_forward_hook shows.")
    say("fix", "the last column: He initialization, zero biases, relu, and smaller steps.")
    return norms


def set_to(model: nn.Sequential, **values: float) -> nn.Sequential:
    """Fill the parameters whose names end in `weight` or `bias` with the given value."""
    for name, parameter in model.named_parameters():
        kind = name.split(".")[-1]
        if kind in values:
            nn.init.uniform_(parameter, values[kind], values[kind])
    return model


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Return the gradient norm of each weight, for one batch."""
    model.zero_grad()
    model(IMAGES).cross_entropy(LABELS).backward()
    weights = [(name, weight) for name, weight in model.named_parameters() if weight.ndim > 1]
    return {name: optim.clip_grad_norm([weight], math.inf) for name, weight in weights}


def relus_alive(model: nn.Module) -> str:
    """Return the percentage of relu outputs above 0, averaged over the layers."""
    parts: list[float] = []

    def note(module: Any, inputs: Any, output: Tensor) -> None:
        parts.append(float(np.mean(output.data > 0)))

    relus = [module for module in model.modules() if isinstance(module, nn.ReLU)]
    handles = [relu.register_forward_hook(note) for relu in relus]
    with no_grad():
        model(IMAGES)
    for handle in handles:
        handle.remove()
    return f"{np.mean(parts):.0%}"


class Losses(Callback):
    """Record the loss of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_batch_end(self, state: State) -> None:
        """Record the loss of a step."""
        self.seen.append(state.loss)


def exploding(epochs: int) -> None:
    """Show a learning rate that is too large; fix it with a smaller one, or with clipping."""
    heading("2. The loss explodes")
    losses = Losses()
    try:
        train(network(nn.ReLU), 2.0, epochs=1, callbacks=[losses])
    except NotFiniteError as error:
        say(
            "symptom",
            f"learning rate 2: loss by step {format_losses(losses.seen)}, then not finite",
        )
        say("tool", f"the NotFiniteError names the step and learning rate: {error}")
    say("why", "each step overshoots the minimum and lands where the gradient is larger.")
    say("fix", f"lr 0.1: loss by epoch {format_losses(train(network(nn.ReLU), 0.1, epochs))}")
    clipped = train(network(nn.ReLU), 2.0, epochs, clip_norm=0.1)
    say("fix", f"lr 2, clip_norm 0.1: loss by epoch {format_losses(clipped)}")
    say("why", "clipping limits the length of an SGD step to lr times clip_norm, here 0.2.")


def own_loss(logits: Tensor, labels: Any) -> Tensor:
    """Return -log softmax(logits)[label], computed literally, which is numerically unstable."""
    chosen = logits.softmax()[np.arange(len(labels)), labels]
    return -chosen.log().mean()


def not_a_number(epochs: int) -> None:
    """Show the logarithm of 0, and the gradient of a square root at 0."""
    heading("3. The loss is inf or nan")
    bright = replace(DIGITS, scale=16 / 255)  # unscaled pixels, from 0 to 255
    try:
        train(network(nn.ReLU), 0.1, 1, bright, loss=own_loss)
    except NotFiniteError as error:
        say("symptom", error)
    try:
        with debug():
            train(network(nn.ReLU), 0.1, 1, bright, loss=own_loss)
    except NotFiniteError as error:
        say("tool", error)
    say("why", "with large logits, softmax rounds small probabilities to 0, and log(0) = -inf.")
    found = train(network(nn.ReLU), 0.1, epochs)
    say("fix", f"scaled pixels and cross_entropy, which avoids log(0): {format_losses(found)}")

    print()
    try:
        train_with_decay(0.0, 1)
    except NotFiniteError as error:
        say("symptom", f"the norm of the biases, initially 0, is added to the loss: {error}")
    try:
        with debug():
            train_with_decay(0.0, 1)
    except NotFiniteError as error:
        say("tool", error)
    say("why", "sqrt has derivative inf at 0, so 0 * inf = nan in the gradient, not in the loss.")
    say("fix", f"sqrt(x + 1e-12): loss by epoch {format_losses(train_with_decay(1e-12, epochs))}")


def train_with_decay(eps: float, epochs: int) -> list[float]:
    """Train with 0.01 sqrt(|biases|^2 + eps) added to the loss."""
    model = network(nn.ReLU)
    biases = [bias for name, bias in model.named_parameters() if name.endswith("bias")]

    def loss(logits: Tensor, labels: Any) -> Tensor:
        norm = (Tensor.cat(*biases).square().sum() + eps).sqrt()
        total: Tensor = logits.cross_entropy(labels) + 0.01 * norm
        return total

    return train(model, 0.1, epochs, loss=loss)


def shapes() -> None:
    """Show a linear layer whose number of input features is wrong."""
    heading("4. The shapes do not match")
    before = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    try:
        nn.Sequential(*before, nn.Linear(8 * 8 * 8, 10))(IMAGES)
    except ShapeError as error:
        say("symptom", error)
    say("tool", "before.summary((1, 8, 8)) lists the layers before it:")
    print("\n" + textwrap.indent(str(before.summary((1, 8, 8))), " " * 12) + "\n")
    say("why", "pooling halves 8x8 to 4x4: 8 * 4 * 4 = 128 features, not 8 * 8 * 8 = 512.")
    cured = nn.Sequential(*before, nn.Linear(8 * 4 * 4, 10))
    say("fix", f"nn.Linear(8 * 4 * 4, 10): logits of shape {cured(IMAGES).shape}")


def memory() -> None:
    """Show that keeping losses keeps their graphs, and how to keep only the numbers."""
    heading("5. Memory grows")
    model = network(nn.ReLU)

    def keep(losses: list[Any], images: Any, labels: Any) -> None:
        losses.append(model(images).cross_entropy(labels))

    def keep_number(losses: list[Any], images: Any, labels: Any) -> None:
        with no_grad():
            losses.append(model(images).cross_entropy(labels).item())

    say(
        "symptom",
        f"losses.append(loss) over the 1438 images keeps {count_bytes(keep):,} bytes in memory",
    )
    with profile() as table:
        loss = model(IMAGES).cross_entropy(LABELS)
    say("tool", f"profile(): one batch allocates {table.total().nbytes:,} bytes of results, and")
    say("", f"loss.requires_grad is {loss.requires_grad}: the loss keeps its graph alive.")
    say(
        "why",
        "backward() frees the graph; without backward(), the graph lives as long as its loss.",
    )
    say("fix", f"no_grad() and loss.item(): {count_bytes(keep_number):,} bytes")
    say("also", "if training itself needs too much memory: smaller batches, or checkpoint(fn, x).")


def count_bytes(evaluate: Callable[[list[Any], Any, Any], None]) -> int:
    """Return the number of bytes that the losses collected by `evaluate` keep allocated."""
    losses: list[Any] = []
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for images, labels in DataLoader(DIGITS, 64):
        evaluate(losses, images, labels)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def picture(norms: dict[str, dict[str, float]]) -> viz.Figure:
    """Plot the gradient norms, layer by layer."""
    figure = viz.Figure((8, 4.5))
    axes = figure.subplots()
    for (name, found), style in zip(norms.items(), ("o-", "o-", "x--", "o-"), strict=True):
        axes.plot(list(found), list(found.values()), style, label=name)
    # Linear near 0, so that zero gradients are visible.
    axes.set_yscale("symlog", linthresh=1e-6)
    axes.set(xlabel="weight, from input to output", ylabel="gradient norm")
    axes.set_title("Gradient norm of each weight before training (six hidden layers)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


if __name__ == "__main__":
    sys.exit(run_program(main))
