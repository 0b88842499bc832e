"""Train a CNN on MNIST and leave its weights, figures and graph behind.

    python examples/mnist.py
    python examples/mnist.py --data fashion-mnist --model MnistCNNLight --epochs 5

Where MNIST can be neither found nor downloaded, the same network learns the bundled digits.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import models
from tinygrad_np import TinygradNpError, data, nn, no_grad, optim, train, viz
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.errors import ArgumentError, DataError, DataNotFoundError
from tinygrad_np.files import write_bytes

LEARNING_RATES = {"adam": 0.002, "sgd": 0.05}
EPOCHS = {"digits": 15}  # a set of 1438 images is seen more often than one of 60 000, in 3 epochs


class DivergedError(TinygradNpError):
    """The loss is no longer a finite number."""


@dataclass
class Run:
    """What a run was and what it has come to: the content of metrics.json."""

    dataset: str
    dataset_origin: str
    dataset_note: str
    model: str
    parameters: int
    config: dict[str, Any]
    seed: int
    history: list[dict[str, Any]] = field(default_factory=list)
    test_accuracy: float = 0.0
    interrupted: bool = False
    fault: str = ""
    times: dict[str, Any] = field(default_factory=dict)


def main() -> int:
    """Run the example; return 0, 1 after an error, 130 after Ctrl-C."""
    args = parse_arguments()
    kept = "nothing was trained yet"
    try:
        check_writable(args.out)
        start = time.perf_counter()
        train_set, test_set, note = find_data(args)
        loading = time.perf_counter() - start
        report_data(train_set, test_set, loading)
        model: nn.Module = getattr(models, args.model)(np.random.default_rng(args.seed))
        config = settings(args, train_set, test_set)
        count = sum(parameter.numel() for parameter in model.parameters())
        options = ", ".join(f"{name} {value}" for name, value in config.items())
        print(f"{args.model}: {count} parameters; {options}")

        run = Run(train_set.name, train_set.origin, note, args.model, count, config, args.seed)
        run.times["loading_seconds"] = loading
        fit(run, model, train_set, test_set)
        # The weights first: whatever else may fail or be interrupted, they are kept.
        train.save(args.out / "model.safetensors", model.state_dict(), {"model": args.model})
        kept = f"the weights are in {args.out}/"
        _, predicted = evaluate(model, test_set)
        run.test_accuracy = float(np.mean(predicted == test_set.labels))
        metrics = json.dumps(asdict(run), indent=2) + "\n"
        write_bytes(args.out / "metrics.json", metrics.encode())
        if not args.no_figures:
            write_figures(args.out, model, test_set, predicted, run.history)
    except TinygradNpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return 130
    return report(run, len(test_set), args.out)


def report(run: Run, count: int, out: Path) -> int:
    """Print the closing line and return the exit status."""
    seconds = run.times["training_seconds"]
    print(
        f"{run.model} on {run.dataset}: {run.test_accuracy:.2%} of {count} test images right; "
        f"{seconds:.1f} s in all, {seconds / max(1, len(run.history)):.1f} s an epoch; files in "
        f"{out}/"
    )
    if run.fault:
        print(f"error: {run.fault}", file=sys.stderr)
        return 1
    return 130 if run.interrupted else 0


def parse_arguments() -> argparse.Namespace:
    """Return the command line's flags; argparse refuses wrong values by name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    known = ["auto", "mnist", "fashion-mnist", "digits"]
    add = parser.add_argument
    add("--data", choices=known, default="auto", help="auto: MNIST, or else the digits")
    add("--data-dir", type=Path, help="folder that holds mnist/ or fashion-mnist/")
    add("--model", choices=models.__all__, default="MnistCNN", help="default: %(default)s")
    add("--epochs", type=positive_integer, help="default: 3, and 15 for the small digits")
    add("--batch-size", type=positive_integer, default=64, help="default: %(default)s")
    add("--lr", type=positive_number, help="falls to 0 in the end; default: adam 0.002, sgd 0.05")
    add("--optimizer", choices=list(LEARNING_RATES), default="adam", help="default: %(default)s")
    add("--train-samples", type=positive_integer, help="only the first so many")
    add("--test-samples", type=positive_integer, help="only the first so many")
    add("--seed", type=natural_number, default=0, help="default: %(default)s")
    add("--out", type=folder, default=Path("runs/mnist"), help="default: %(default)s")
    add("--no-figures", action="store_true", help="only metrics and weights")
    args = parser.parse_args()
    if args.model == "DigitsCNN" and args.data != "digits":
        parser.error("argument --model: DigitsCNN takes 8x8 images; add --data digits")
    return args


def natural_number(text: str) -> int:
    """Return an integer of at least 0."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return int(text)


def positive_integer(text: str) -> int:
    """Return an integer of at least 1."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def folder(text: str) -> Path:
    """Return the path of a folder."""
    if not text:
        raise argparse.ArgumentTypeError("no folder is named")
    return Path(text)


def positive_number(text: str) -> float:
    """Return a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def check_writable(out: Path) -> None:
    """Make the folder and try to write there, before any work is done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        write_bytes(probe, b"")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"--out {out}: cannot be made or written: {reason}") from error


def find_data(args: argparse.Namespace) -> tuple[Dataset, Dataset, str]:
    """Return the training and test sets, and why they are not MNIST if that was to be had."""
    note = ""
    if args.data == "fashion-mnist":
        sets = data.fashion_mnist(args.data_dir)
    elif args.data == "digits":
        sets = data.digits(size=8 if args.model == "DigitsCNN" else 28)
    else:
        try:
            sets = data.mnist(args.data_dir)
        except DataNotFoundError as error:
            if args.data == "mnist":
                raise
            note = f"{error}"
            print(
                f"{note}\n\nSo this run trains the same network on the 8x8 digits that come with "
                "the package, scaled to 28x28. Its figures are not MNIST's.\n"
            )
            sets = data.digits(size=28)
    train_set, test_set = sets
    return (
        part(train_set, args.train_samples, "--train-samples"),
        part(test_set, args.test_samples, "--test-samples"),
        note,
    )


def part(dataset: Dataset, count: int | None, flag: str) -> Dataset:
    """Return the first `count` images, or all for None."""
    if count is not None and count > len(dataset):
        raise ArgumentError(
            f"{flag} {count}: there are only {len(dataset)} such images in {dataset.name}"
        )
    return dataset.first(count)


def report_data(train_set: Dataset, test_set: Dataset, seconds: float) -> None:
    """Print what was loaded."""
    shape = "x".join(map(str, train_set.images.shape[1:]))
    print(
        f"{train_set.name}: {len(train_set)} training and {len(test_set)} test images of {shape}, "
        f"{len(train_set.classes)} classes, from {train_set.origin}, loaded in {seconds:.2f} s"
    )


def settings(args: argparse.Namespace, train_set: Dataset, test_set: Dataset) -> dict[str, Any]:
    """Return what the training is to be, with defaults filled in."""
    return {
        "data": args.data,
        "train_samples": len(train_set),
        "test_samples": len(test_set),
        "epochs": args.epochs or EPOCHS.get(train_set.name, 3),
        "batch_size": args.batch_size,
        "optimizer": args.optimizer,
        "lr": args.lr or LEARNING_RATES[args.optimizer],
    }


def fit(run: Run, model: nn.Module, train_set: Dataset, test_set: Dataset) -> None:
    """Train, test after each epoch, and report; Ctrl-C or a loss of nan ends it.

    The learning rate falls to 0 step by step, along a straight line.
    """
    lr, epochs = run.config["lr"], run.config["epochs"]
    if run.config["optimizer"] == "adam":
        optimizer: optim.Optimizer = optim.Adam(model.named_parameters(), lr=lr)
    else:
        optimizer = optim.SGD(model.named_parameters(), lr=lr, momentum=0.9)
    loader = DataLoader(train_set, run.config["batch_size"], shuffle=True, seed=run.seed)
    steps = epochs * len(loader)
    rates = iter(lr * (1 - step / steps) for step in range(steps))
    run.times["epoch_seconds"] = []
    start = time.perf_counter()
    try:
        for epoch in range(1, epochs + 1):
            began = time.perf_counter()
            title = f"epoch {epoch}/{epochs}"
            train_loss, train_accuracy = train_epoch(model, loader, optimizer, rates, title)
            test_loss, predicted = evaluate(model, test_set)
            seconds = time.perf_counter() - began
            run.times["epoch_seconds"].append(seconds)
            entry = {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "test_loss": test_loss,
                "test_accuracy": float(np.mean(predicted == test_set.labels)),
            }
            run.history.append(entry)
            print(
                f"{title}: train loss {train_loss:.4f}, accuracy {train_accuracy:.2%}; test loss "
                f"{test_loss:.4f}, accuracy {entry['test_accuracy']:.2%}; "
                f"{seconds:.1f} s",
                flush=True,
            )
    except KeyboardInterrupt:
        run.interrupted = True
        print("\ninterrupted: keeping the weights so far", file=sys.stderr)
    except DivergedError as error:
        run.fault = str(error)
    run.times["training_seconds"] = time.perf_counter() - start


def train_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: optim.Optimizer,
    rates: Iterator[float],
    title: str,
) -> tuple[float, float]:
    """Pass once over the training set; return the mean loss and accuracy on the way."""
    model.train()
    seen, loss_sum, right = 0, 0.0, 0
    progress = tqdm(loader, desc=title, leave=False, disable=not sys.stderr.isatty())
    # A training that diverges is told by its loss, before NumPy's warnings.
    with progress, np.errstate(over="ignore", invalid="ignore"):
        for images, labels in progress:
            optimizer.param_groups[0]["lr"] = next(rates)
            optimizer.zero_grad()
            logits = model(images)
            loss = logits.cross_entropy(labels)
            loss.backward()
            optimizer.step()
            seen += len(labels)
            loss_sum += loss.item() * len(labels)
            right += int((logits.data.argmax(axis=1) == labels).sum())
            if not math.isfinite(loss_sum):
                raise DivergedError(
                    f"the loss is {loss.item()} in {title} after {seen} images: training has "
                    "diverged; try a smaller --lr"
                )
            progress.set_postfix(loss=f"{loss_sum / seen:.4f}", accuracy=f"{right / seen:.2%}")
    return loss_sum / seen, right / seen


@no_grad()
def evaluate(model: nn.Module, dataset: Dataset) -> tuple[float, np.ndarray[Any, Any]]:
    """Return the mean loss on a data set and the predicted classes."""
    model.eval()
    loss_sum, predicted = 0.0, []
    for images, labels in DataLoader(dataset, batch_size=500):
        logits = model(images)
        loss_sum += logits.cross_entropy(labels, reduction="sum").item()
        predicted.append(logits.data.argmax(axis=1))
    return loss_sum / len(dataset), np.concatenate(predicted)


def write_figures(
    out: Path,
    model: nn.Module,
    test_set: Dataset,
    predicted: np.ndarray[Any, Any],
    history: list[dict[str, Any]],
) -> None:
    """Draw the curves, a grid of predictions, the confusion matrix and the model's graph."""
    name = f"{type(model).__name__} on {test_set.name}"
    matrix = train.confusion_matrix(predicted, test_set.labels, len(test_set.classes))
    viz.save(viz.curves(history, name), out / "curves.png")
    legend = f"{name}: predicted class, green right, red wrong"
    viz.save(viz.predictions(test_set, predicted, title=legend), out / "predictions.png")
    viz.save(viz.confusion(matrix, test_set.classes, name), out / "confusion.png")
    images, _ = test_set.batch(slice(0, 1))
    picture = viz.draw(model.train(), images)
    viz.render(picture, out / "graph.dot")
    try:
        viz.render(picture, out / "graph.svg")
    except DataError as error:
        print(f"no picture of the graph: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
