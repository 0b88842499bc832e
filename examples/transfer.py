"""Carry what a network has learned of nine digits over to ten, and to clothes.

    python examples/transfer.py
    python examples/transfer.py --digit 4

One learns to freeze layers, to give a network a new head, and when that pays: most where images are
few and the task is near. LeNet learns all digits but one. Then, for 1 to 256 images of each class,
three trainings of 300 steps are compared, on all ten digits and on Fashion-MNIST:

    from scratch   all weights anew
    frozen         convolutions and norms as learned, and still; new linear layers
    fine-tuned     convolutions and norms as learned, and trained on; new linear layers

Each may choose its learning rate among three, at the middle one of these numbers of images, by a
validation split and with a seed of its own (0).
The test set is seen by the finished trainings alone, of which the table has mean and standard
deviation over five seeds: other images, other weights.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import shared
from models import LeNet
from tinygrad_np import data, nn, optim, train, viz
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.files import make_folder
from tinygrad_np.runtime.memory import Array

Weights = dict[str, Array]
# In the colours of the plot.
METHODS = {"from scratch": "#2874a6", "frozen": "#ca6f1e", "fine-tuned": "#1e8449"}
RATES = (0.0002, 0.001, 0.005)


class KeepInEvaluation(train.Callback):
    """Keeps norms in evaluation, in which they use their running statistics and leave them alone.

    A frozen parameter is left alone by the optimizer, but running statistics are no parameters:
    each forward pass in training mode would move them.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.modules = list(modules)

    def on_epoch_start(self, state: train.State) -> None:
        """Undo for these modules that the epoch sets the model to training."""
        for module in self.modules:
            module.eval()


def main() -> None:
    """Train on nine digits, carry the network over to two tasks, print and draw the comparison."""
    args = parse_arguments()
    out: Path = args.out
    make_folder(out, "--out")
    train_set, test_set = shared.find(data.mnist, args.quick)
    learned = learn_nine(train_set, test_set, args.digit, args.epochs)
    train.save(out / "nine_digits.safetensors", learned.state_dict(), {"model": "LeNet"})

    results = {}
    for sets in ((train_set, test_set), clothes(args.quick)):
        task = sets[0].name
        results[task] = compare(learned.state_dict(), *sets, args)
        print_table(f"{task}: test images right, in %", results[task], "accuracy")
        if sets[0] is train_set:
            title = f"{task}: of the new digit {args.digit} alone"
            print_table(title, results[task], "new_digit_accuracy")
    shared.write_json(out / "results.json", results)
    viz.save(plot(results), out / "transfer.png")
    print(
        "\nAll that was frozen, running statistics too, came out bit for bit as it went in; "
        f"files in {out}/"
    )


def parse_arguments() -> argparse.Namespace:
    """Return the command line's flags, and how much is to be done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--digit", type=int, choices=range(10), default=9, help="left out; default: %(default)s")
    add("--out", type=Path, default=Path("runs/transfer"), help="%(default)s")
    add("--quick", action="store_true", help="two seeds and twenty steps, on the bundled digits")
    args = parser.parse_args()
    args.counts, args.seeds = ([1, 4], [1, 2]) if args.quick else ([1, 4, 16, 64, 256], range(1, 6))
    args.epochs, args.steps = (3, 20) if args.quick else (2, 300)
    return args


def clothes(is_quick: bool) -> tuple[Dataset, Dataset]:
    """Return Fashion-MNIST, or else the bundled digits upside down."""
    sets = data.digits(size=28) if is_quick else shared.find(data.fashion_mnist, is_quick)
    if sets[0].name != "digits":
        return sets
    print("\nDigits upside down stand in for clothes.")
    train_set, test_set = (
        replace(one, images=one.images[:, :, ::-1], name="digits upside down") for one in sets
    )
    return train_set, test_set


def part(dataset: Dataset, where: Array) -> Dataset:
    """Return the images at `where`, a mask or indices."""
    return replace(dataset, images=dataset.images[where], labels=dataset.labels[where])


def few(dataset: Dataset, count: int, seed: int) -> Dataset:
    """Return so many images of each class, drawn by the seed; more are the same and others."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(dataset.labels == label) for label in range(len(dataset.classes))]
    return part(dataset, np.concatenate([generator.permutation(m)[:count] for m in members]))


def learn_nine(train_set: Dataset, test_set: Dataset, digit: int, epochs: int) -> LeNet:
    """Return a LeNet that has seen all digits but one."""
    model = LeNet(np.random.default_rng(0))
    trainer = train.Trainer(model, optim.Adam(model.named_parameters(), lr=0.002))
    nine = part(train_set, train_set.labels != digit)
    shared.to_the_end(trainer.fit(DataLoader(nine, shuffle=True, seed=0), epochs))
    found = trainer.evaluate(DataLoader(part(test_set, test_set.labels != digit), 500))
    print(f"LeNet learned all digits but {digit}: {found['accuracy']:.2%} of the others right")
    return model


def compare(
    learned: Weights, train_set: Dataset, test_set: Dataset, args: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return for each method and number of images the rate and, seed by seed, the accuracies."""
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
        print(f"{rest.name}, {method}: rate {rate:g} is best of {len(RATES)}", flush=True)
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
    method: str, learned: Weights, images: Dataset, rate: float, steps: int, seed: int
) -> train.Trainer:
    """Return the trainer of a LeNet that has been trained on `images` by one of the methods."""
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
    """Raise TinygradNpError where weights or running statistics are not, bit for bit, as before."""
    after = model.state_dict()
    moved = [name for name, array in body.items() if not np.array_equal(array, after[name])]
    if moved:
        raise TinygradNpError(f"these were frozen and yet have changed: {', '.join(moved)}")


def print_table(title: str, rows: list[dict[str, Any]], key: str) -> None:
    """Print means over seeds ± standard deviation; a row for each number of images."""
    rates = {row["method"]: row["rate"] for row in rows}
    print(f"\n{title}\n{'images a class':>14}", *(f"{method:>15}" for method in METHODS))
    for count in dict.fromkeys(row["count"] for row in rows):
        cells = [100 * np.array(row[key]) for row in rows if row["count"] == count]
        print(f"{count:>14}", *(f"{f'{x.mean():.1f} ± {x.std(ddof=1):.1f}':>15}" for x in cells))
    print(f"{'rate':>14}", *(f"{rates[method]:15g}" for method in METHODS))


def plot(results: dict[str, list[dict[str, Any]]]) -> Figure:
    """Draw accuracy against the number of training images, a panel for each task."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axes, (task, rows) in zip(figure.subplots(1, len(results)), results.items(), strict=True):
        for position, (method, color) in enumerate(METHODS.items()):
            own = [row for row in rows if row["method"] == method]
            counts = np.array([row["count"] for row in own])
            values = 100 * np.array([row["accuracy"] for row in own])  # counts, seeds
            spread = values.std(axis=1, ddof=1)
            mean = values.mean(axis=1)
            beside = counts * 1.06 ** (position - 1)  # or their bars would hide each other
            axes.errorbar(beside, mean, spread, color=color, marker="o", capsize=3, label=method)
        axes.set_xscale("log")
        axes.set_xticks(counts, map(str, counts))
        axes.minorticks_off()
        axes.set(title=task, xlabel="training images of each class", ylabel="test accuracy in %")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.suptitle("What a LeNet of nine digits is worth elsewhere (mean and standard deviation)")
    return figure


if __name__ == "__main__":
    sys.exit(shared.run(main))
