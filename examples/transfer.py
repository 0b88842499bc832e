"""Transfer a network trained on nine digits to all ten digits, and to clothes.

    python examples/transfer.py
    python examples/transfer.py --digit 4

It shows how to freeze layers, how to give a network a new head, and when transfer helps: most when
there are few images and the new task is similar. LeNet is first trained on all digits but one. Then
three methods are compared on all ten digits and on Fashion-MNIST, each with at least 300 training
steps, in whole epochs, on 1 to 256 images per class:

    from scratch   all layers are new
    frozen         pretrained convolutions and norms, not trained further; new linear layers
    fine-tuned     pretrained convolutions and norms, trained further; new linear layers

For each task and method, the learning rate is the one of three with the lowest loss on a validation
split, found with the middle number of images and a separate seed (0). The test set is used only to
evaluate the finished runs. The tables show mean ± standard deviation over five seeds, which
determine the training images and the weights.

It prints one table per task and one for the new digit alone. The output directory, runs/transfer by
default, gets the pretrained weights (nine_digits.safetensors), every number (results.json) and a
plot (transfer.png).
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

import shared
from models import LeNet
from tinygrad_np import data, nn, optim, train, viz
from tinygrad_np.cli.arguments import Parser, natural, path
from tinygrad_np.console import run_program
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.runtime.memory import Array

Weights = dict[str, Array]
# Methods and their colors in the plot.
METHODS = {"from scratch": "#2874a6", "frozen": "#ca6f1e", "fine-tuned": "#1e8449"}
RATES = (0.0002, 0.001, 0.005)


class KeepInEvaluation(train.Callback):
    """Keep batch norms in evaluation mode, where they do not update their running statistics.

    Setting `requires_grad` to False freezes parameters only. Running statistics are buffers, which
    every forward pass in training mode updates.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules = list(modules)

    def on_epoch_start(self, state: train.State) -> None:
        """Put the modules in evaluation mode again, after `model.train()` at the epoch's start."""
        for module in self.modules:
            module.eval()


def main() -> None:
    """Train on nine digits, transfer to two tasks, and print and plot the comparison."""
    args = parse_arguments()
    out = shared.output_folder(args.out, "runs/transfer")
    train_set, test_set = shared.find(data.mnist, args.quick)
    learned = learn_nine(train_set, test_set, args.digit, args.epochs)
    train.save(out / "nine_digits.safetensors", learned.state_dict(), {"model": "LeNet"})

    results = {}
    for sets in ((train_set, test_set), clothes(args.quick)):
        task = sets[0].name
        results[task] = compare(learned.state_dict(), *sets, args)
        print_table(f"{task}: test accuracy in %", results[task], "accuracy")
        if sets[0] is train_set:
            title = f"{task}: test accuracy in % on the new digit {args.digit} alone"
            print_table(title, results[task], "new_digit_accuracy")
    shared.write_json(out / "results.json", results)
    viz.save(plot(results), out / "transfer.png")
    print(
        f"\nAll frozen weights and running statistics are unchanged, bit for bit; files in {out}/"
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line, and set the size of the study."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    text = "digit left out of the pretraining, from 0 to 9 (default: %(default)s)"
    add("--digit", type=natural, choices=range(10), default=9, metavar="N", help=text)
    text = "output directory (default: runs/transfer, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    add("--quick", action="store_true", help="short run on the bundled digits")
    args = parser.parse_args()
    args.counts, args.seeds = ([1, 4], [1, 2]) if args.quick else ([1, 4, 16, 64, 256], range(1, 6))
    args.epochs, args.steps = (3, 20) if args.quick else (2, 300)
    return args


def clothes(is_quick: bool) -> tuple[ImageDataset, ImageDataset]:
    """Return Fashion-MNIST, or the bundled digits upside down."""
    sets = data.digits(size=28) if is_quick else shared.find(data.fashion_mnist, is_quick)
    if sets[0].name != "digits":
        return sets
    print("\nUsing digits upside down in place of Fashion-MNIST.")
    train_set, test_set = (
        replace(one, images=one.images[:, :, ::-1], name="digits upside down") for one in sets
    )
    return train_set, test_set


def part(dataset: ImageDataset, where: Array) -> ImageDataset:
    """Return the images selected by a mask or by indices."""
    return replace(dataset, images=dataset.images[where], labels=dataset.labels[where])


def few(dataset: ImageDataset, count: int, seed: int) -> ImageDataset:
    """Draw `count` images per class; with the same seed, a larger draw contains a smaller one."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(dataset.labels == label) for label in range(len(dataset.classes))]
    return part(dataset, np.concatenate([generator.permutation(m)[:count] for m in members]))


def learn_nine(train_set: ImageDataset, test_set: ImageDataset, digit: int, epochs: int) -> LeNet:
    """Train a LeNet on all digits but one."""
    model = LeNet(np.random.default_rng(0))
    trainer = train.Trainer(model, optim.Adam(model.named_parameters(), lr=0.002))
    nine = part(train_set, train_set.labels != digit)
    shared.to_the_end(trainer.fit(DataLoader(nine, shuffle=True, seed=0), epochs))
    found = trainer.evaluate(DataLoader(part(test_set, test_set.labels != digit), 500))
    print(f"LeNet trained on all digits but {digit}: test accuracy {found['accuracy']:.2%}")
    return model


def compare(
    learned: Weights, train_set: ImageDataset, test_set: ImageDataset, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train with every method and every number of images.

    Returns:
        One row per method and number of images: the learning rate and the accuracies per seed.
    """
    rest, validation = train_set.split(0.1, seed=0)
    new_digit = part(test_set, test_set.labels == args.digit)
    rows = []
    for method in METHODS:
        middle = few(rest, args.counts[len(args.counts) // 2], seed=0)
        losses = {
            rate: carry_over(method, learned, middle, rate, args.steps, seed=0).evaluate(
                DataLoader(validation, 500)
            )["loss"]
            for rate in RATES
        }
        rate = min(RATES, key=losses.__getitem__)
        print(f"{rest.name}, {method}: lr {rate:g} is the best of {len(RATES)}", flush=True)
        for count in args.counts:
            row: dict[str, Any] = {"method": method, "count": count, "rate": rate}
            row |= {"accuracy": [], "new_digit_accuracy": []}
            for seed in args.seeds:
                images = few(rest, count, seed)
                trainer = carry_over(method, learned, images, rate, args.steps, seed)
                for key, dataset in (("accuracy", test_set), ("new_digit_accuracy", new_digit)):
                    row[key].append(trainer.evaluate(DataLoader(dataset, 500))["accuracy"])
            rows.append(row)
    return rows


def carry_over(
    method: str, learned: Weights, images: ImageDataset, rate: float, steps: int, seed: int
) -> train.Trainer:
    """Train a LeNet on `images` with one of the methods; return its trainer."""
    model = LeNet(np.random.default_rng(seed))
    body = {name: array for name, array in learned.items() if not name.startswith("fc")}
    callbacks = []
    if method != "from scratch":
        model.load_state_dict(model.state_dict() | body)
    if method == "frozen":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("fc")
        callbacks.append(KeepInEvaluation([model.bn1, model.bn2]))
    optimizer = optim.Adam(model.named_parameters(), lr=rate)
    trainer = train.Trainer(model, optimizer, callbacks=callbacks)
    loader = DataLoader(images, batch_size=32, shuffle=True, seed=seed)
    shared.to_the_end(trainer.fit(loader, epochs=-(-steps // len(loader))))
    if method == "frozen":
        check_unchanged(body, model)
    return trainer


def check_unchanged(body: Weights, model: LeNet) -> None:
    """Raise TinygradNpError if a frozen weight or running statistic changed at all."""
    after = model.state_dict()
    moved = [name for name, array in body.items() if not np.array_equal(array, after[name])]
    if moved:
        raise TinygradNpError(f"frozen arrays changed: {', '.join(moved)}.")


def print_table(title: str, rows: list[dict[str, Any]], key: str) -> None:
    """Print mean ± standard deviation over seeds, one row per number of images."""
    rates = {row["method"]: row["rate"] for row in rows}
    print(f"\n{title}\n{'images/class':>14}", *(f"{method:>15}" for method in METHODS))
    for count in dict.fromkeys(row["count"] for row in rows):
        cells = [100 * np.array(row[key]) for row in rows if row["count"] == count]
        print(f"{count:>14}", *(f"{f'{x.mean():.1f} ± {x.std(ddof=1):.1f}':>15}" for x in cells))
    print(f"{'lr':>14}", *(f"{rates[method]:15g}" for method in METHODS))


def plot(results: dict[str, list[dict[str, Any]]]) -> viz.Figure:
    """Plot accuracy against the number of training images, one panel per task."""
    figure = viz.Figure((11, 4.4))
    for axes, (task, rows) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        for position, (method, color) in enumerate(METHODS.items()):
            own = [row for row in rows if row["method"] == method]
            counts = np.array([row["count"] for row in own])
            values = 100 * np.array([row["accuracy"] for row in own])  # counts, seeds
            spread = values.std(axis=1, ddof=1)
            mean = values.mean(axis=1)
            beside = counts * 1.06 ** (position - 1)  # shifted, so that error bars do not overlap
            axes.errorbar(beside, mean, spread, color=color, marker="o", capsize=3, label=method)
        axes.set_xscale("log")
        axes.set_xticks(counts, map(str, counts))
        axes.minorticks_off()
        axes.set(title=task, xlabel="training images per class", ylabel="test accuracy in %")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.suptitle("Transfer from nine digits with LeNet (mean ± standard deviation over seeds)")
    return figure


if __name__ == "__main__":
    sys.exit(run_program(main))
