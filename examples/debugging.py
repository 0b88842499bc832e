"""Break a training in five ways, and see what each looks like, what names it and what mends it.

    python examples/debugging.py

One learns to read a loss that stays at 2.30, one that explodes, one that is nan, an error about
shapes, and memory that fills. Every symptom below is a real one, of small networks on the bundled
digits; the gradients of the first part are drawn into runs/debugging/gradients.png.
"""

import argparse
import math
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import shared
from tinygrad_np import Tensor, data, debug, nn, no_grad, optim, profile, viz
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.errors import NotFiniteError, ShapeError
from tinygrad_np.files import make_folder
from tinygrad_np.train import Callback, State, Trainer

DIGITS, _ = data.digits()  # 1438 images of 1x8x8
IMAGES, LABELS = DIGITS.batch(slice(0, 64))


def main() -> None:
    """Show each fault, the tool that names it, and the cure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--out", type=Path, default=Path("runs/debugging"), help="%(default)s")
    add("--quick", action="store_true", help="train for fewer epochs")
    args = parser.parse_args()
    epochs = 3 if args.quick else 10
    norms = stuck(epochs)
    exploding(epochs)
    not_a_number(epochs)
    shapes()
    memory()
    make_folder(args.out, "--out")
    viz.save(picture(norms), args.out / "gradients.png")
    print(f"\nThe gradients of part 1 as a picture: {args.out / 'gradients.png'}")


# ---- What the parts share -----------------------------------------------------------------------


def network(activation: type[nn.Module], *, he: bool = True) -> nn.Sequential:
    """Return six hidden layers of 32 units, initialised after He or by the layers' default."""
    generator = np.random.default_rng(0)
    layers: list[nn.Module] = [nn.Flatten()]
    for width in [64] + [32] * 5:
        layers += [nn.Linear(width, 32, generator=generator), activation()]
    model = nn.Sequential(*layers, nn.Linear(32, 10, generator=generator))
    for parameter in model.parameters() if he else []:
        if parameter.ndim > 1:
            nn.init.kaiming_normal(parameter, generator=generator)
        else:
            nn.init.zeros(parameter)
    return model


def train(
    model: nn.Module, lr: float, epochs: int, dataset: Dataset = DIGITS, **options: Any
) -> list[float]:
    """Train by plain SGD; return the mean loss of each epoch."""
    trainer = Trainer(model, optim.SGD(model.named_parameters(), lr=lr), **options)
    loader = DataLoader(dataset, 64, shuffle=True, seed=0)
    history = shared.to_the_end(trainer.fit(loader, epochs))
    return [entry["train_loss"] for entry in history.epochs]


def heading(text: str) -> None:
    """Print a title."""
    print(f"\n{text}\n{'=' * len(text)}")


def say(label: str, text: object) -> None:
    """Print a paragraph behind a label."""
    print(textwrap.fill(f"{label:>10}  {text}", 98, subsequent_indent=" " * 12))


def format_losses(losses: list[float]) -> str:
    """Return losses side by side."""
    return ", ".join(f"{loss:.2f}" if loss < 100 else f"{loss:.0e}" for loss in losses)


# ---- The five parts -----------------------------------------------------------------------------


def stuck(epochs: int) -> dict[str, dict[str, float]]:
    """Show three networks that learn nothing and one that does; return their gradients' norms."""
    heading("1. The loss stays at 2.30")
    say("why 2.30", "-ln(1/10) = 2.303 is the loss where all ten classes seem equally likely.")
    models = {
        "all zero": set_to(network(nn.ReLU), weight=0.0, bias=0.0),
        "sigmoids": network(nn.Sigmoid, he=False),
        "dead relus": set_to(network(nn.ReLU), bias=-10.0),  # as after a step far too long
        "He and relu": network(nn.ReLU),
    }
    norms = {name: gradient_norms(model) for name, model in models.items()}
    alive = relus_alive(models["dead relus"])
    for name, model in models.items():
        say("seen", f"{name}: loss by epoch {format_losses(train(model, 0.1, epochs))}")
    say("tool", "the norm of each weight's gradient, by optim.clip_grad_norm([weight], math.inf):")
    print("\n" + " " * 20 + "".join(f"{name:>13}" for name in models))
    for layer in norms["all zero"]:
        print(f"{layer:>20}" + "".join(f"{found[layer]:13.1e}" for found in norms.values()))
    print()
    say("all zero", "weights of 0 pass no gradient on, and all units of a layer stay alike.")
    say("sigmoids", "none is steeper than 1/4: layer by layer the gradient shrinks, it vanishes.")
    say("dead relus", f"{alive} of their outputs, seen by register_forward_hook, are above 0.")
    say("cure", "the last column: He initialisation, biases of 0, relu, and shorter steps.")
    return norms


def set_to(model: nn.Sequential, **values: float) -> nn.Sequential:
    """Fill the parameters whose names end in `weight` or `bias` with one value each."""
    for name, parameter in model.named_parameters():
        kind = name.split(".")[-1]
        if kind in values:
            nn.init.uniform(parameter, values[kind], values[kind])
    return model


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Return the norm of the gradient of each weight, for one batch."""
    model.zero_grad()
    model(IMAGES).cross_entropy(LABELS).backward()
    weights = [(name, weight) for name, weight in model.named_parameters() if weight.ndim > 1]
    return {name: optim.clip_grad_norm([weight], math.inf) for name, weight in weights}


def relus_alive(model: nn.Module) -> str:
    """Return the part of the outputs of all relus that is above 0."""
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
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_batch_end(self, state: State) -> None:
        """Note the loss of a step."""
        self.seen.append(state.loss)


def exploding(epochs: int) -> None:
    """Take steps that are too long, then shorter ones."""
    heading("2. The loss explodes")
    losses = Losses()
    try:
        train(network(nn.ReLU), 2.0, epochs=1, callbacks=[losses])
    except NotFiniteError as error:
        say(
            "seen",
            f"learning rate 2: loss by step {format_losses(losses.seen)}, and then no number",
        )
        say("tool", f"the Trainer's NotFiniteError: {error}")
    say("why", "a step crosses the valley and ends higher up, where the slope is steeper still.")
    say("cure", f"lr 0.1: loss by epoch {format_losses(train(network(nn.ReLU), 0.1, epochs))}")
    clipped = train(network(nn.ReLU), 2.0, epochs, clip_norm=0.1)
    say("cure", f"lr 2, clip_norm 0.1: loss by epoch {format_losses(clipped)}")
    say("why", "a step of SGD is no longer than lr times clip_norm, which is 0.2 here.")


def own_loss(logits: Tensor, labels: Any) -> Tensor:
    """Return -log softmax(logits)[label], written as the formula is, which is not how to do it."""
    chosen = logits.softmax()[np.arange(len(labels)), labels]
    return -chosen.log().mean()


def not_a_number(epochs: int) -> None:
    """Take the logarithm of 0, and the slope of a root at 0."""
    heading("3. The loss is inf or nan")
    bright = replace(DIGITS, scale=16 / 255)  # pixels from 0 to 255, as if nobody had scaled them
    try:
        train(network(nn.ReLU), 0.1, 1, bright, loss=own_loss)
    except NotFiniteError as error:
        say("seen", error)
    try:
        with debug():
            train(network(nn.ReLU), 0.1, 1, bright, loss=own_loss)
    except NotFiniteError as error:
        say("tool", error)
    say("why", "among large logits softmax rounds a small probability to 0, and log(0) = -inf.")
    found = train(network(nn.ReLU), 0.1, epochs)
    say("cure", f"scaled pixels and cross_entropy, which takes no log of 0: {format_losses(found)}")

    print()
    try:
        train_with_decay(0.0, 1)
    except NotFiniteError as error:
        say("seen", f"now the norm of the biases, which start at 0, is added to the loss: {error}")
    try:
        with debug():
            train_with_decay(0.0, 1)
    except NotFiniteError as error:
        say("tool", error)
    say("why", "sqrt is infinitely steep at 0, and 0 times inf is nan: the gradient, not the loss.")
    say("cure", f"sqrt(x + 1e-12): loss by epoch {format_losses(train_with_decay(1e-12, epochs))}")


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
    """Give a linear layer another number of features than the layers before it put out."""
    heading("4. The shapes do not fit")
    before = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    try:
        nn.Sequential(*before, nn.Linear(8 * 8 * 8, 10))(IMAGES)
    except ShapeError as error:
        say("seen", error)
    say("tool", "before.summary((1, 8, 8)), of the layers before it:")
    print("\n" + textwrap.indent(before.summary((1, 8, 8)), " " * 12) + "\n")
    say("why", "pooling made 4x4 of 8x8, so there are 8x4x4 = 128 features and not 8x8x8 = 512.")
    cured = nn.Sequential(*before, nn.Linear(8 * 4 * 4, 10))
    say("cure", f"nn.Linear(8 * 4 * 4, 10): logits of shape {cured(IMAGES).shape}")


def memory() -> None:
    """Keep the losses of an evaluation, with the graphs behind them and without."""
    heading("5. Memory fills up")
    model = network(nn.ReLU)

    def keep(losses: list[Any], images: Any, labels: Any) -> None:
        losses.append(model(images).cross_entropy(labels))

    def keep_number(losses: list[Any], images: Any, labels: Any) -> None:
        with no_grad():
            losses.append(model(images).cross_entropy(labels).item())

    say(
        "seen",
        f"losses.append(loss), over the 1438 images: {count_bytes(keep):,} bytes are held after it",
    )
    with profile() as table:
        loss = model(IMAGES).cross_entropy(LABELS)
    say("tool", f"profile(): one batch makes {table.total().nbytes:,} bytes of results, and")
    say("", f"loss.requires_grad is {loss.requires_grad}: the loss holds the graph it came from.")
    say("why", "backward() frees a graph as it goes; without it, it lives as long as its loss.")
    say("cure", f"no_grad() and loss.item(): {count_bytes(keep_number):,} bytes")
    say("else", "where a training itself needs too much: smaller batches, or checkpoint(fn, x).")


def count_bytes(evaluate: Callable[[list[Any], Any, Any], None]) -> int:
    """Return by how many bytes memory grew for the losses that `evaluate` keeps."""
    losses: list[Any] = []
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for images, labels in DataLoader(DIGITS, 64):
        evaluate(losses, images, labels)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


def picture(norms: dict[str, dict[str, float]]) -> Figure:
    """Show the norms of the gradients, layer by layer."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for (name, found), style in zip(norms.items(), ("o-", "o-", "x--", "o-"), strict=True):
        axes.plot(list(found), list(found.values()), style, label=name)
    # Linear near 0, which has no logarithm.
    axes.set_yscale("symlog", linthresh=1e-6)
    axes.set(xlabel="weight, from the input to the loss", ylabel="norm of the gradient")
    axes.set_title("Six hidden layers before training: the gradient that reaches each weight")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


if __name__ == "__main__":
    sys.exit(shared.run(main))
