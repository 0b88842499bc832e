"""Train a CNN on MNIST, from loading the data to plotting the predictions.

    python examples/mnist.py
    python examples/mnist.py --data fashion-mnist --model MnistCNNLight --epochs 5

Start with this example. It loads MNIST, trains a model for three epochs with Adam and a cosine
schedule, and evaluates it on the test set after each epoch. If MNIST is not on disk and cannot be
downloaded, it trains on the digits bundled with the package instead.

It prints the model summary and one line per epoch, and writes to the output directory, runs/mnist
by default: the weights (model.safetensors), the settings (config.json), the history (metrics.json),
plots of the training curves, predictions, confusion matrix and calibration, and a drawing of the
graph (graph.dot, graph.svg). `python -m tinygrad_np evaluate` and `predict` accept the directory.

For all other options of a training run, see `python -m tinygrad_np train --help`.
"""

import argparse
import sys
import time

import numpy as np

import models
import shared
from tinygrad_np import data, nn, optim, train, viz
from tinygrad_np.cli.arguments import Parser, natural, number, path
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.console import run_program
from tinygrad_np.data import DataLoader, ImageDataset

SETS = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist}
EPOCHS = {"digits": 15}  # a small dataset (1438 images, MNIST has 60,000) needs more epochs


def main() -> int:
    """Run the example; return 0, or 130 after Ctrl-C, which still saves the weights."""
    args = parse_arguments()
    start = time.perf_counter()
    found = find_data(args)
    train_set, test_set = found[0].first(args.train_samples), found[1].first(args.test_samples)
    shape = "x".join(map(str, train_set.images.shape[1:]))
    print(
        f"{train_set.name}: {len(train_set)} of {len(found[0])} training and {len(test_set)} "
        f"of {len(found[1])} test images of shape {shape}, from {train_set.origin}, loaded in "
        f"{time.perf_counter() - start:.2f} s"
    )
    model = getattr(models, args.model)(np.random.default_rng(args.seed))
    print(model.summary(train_set.images.shape[1:]))
    if args.epochs is None:
        args.epochs = EPOCHS.get(train_set.name, 3)
    config = config_of(args, train_set)
    args.out = shared.output_folder(args.out, "runs/mnist")
    # `python -m tinygrad_np evaluate` and `predict` read this file.
    config.write(args.out / "config.json")
    return fit(args, model, train_set, test_set)


def fit(
    args: argparse.Namespace, model: nn.Module, train_set: ImageDataset, test_set: ImageDataset
) -> int:
    """Train, evaluate after each epoch, and write weights, metrics and plots."""
    loader = DataLoader(train_set, args.batch_size, shuffle=True, seed=args.seed)
    test_loader = DataLoader(test_set, batch_size=500)
    optimizer = optim.Adam(model.named_parameters(), lr=args.lr)
    trainer = train.Trainer(
        model,
        optimizer,
        schedule=optim.CosineAnnealingLR(optimizer, T_max=max(1, args.epochs * len(loader))),
        callbacks=[train.Evaluate("test", test_loader), train.Progress()],
    )
    start = time.perf_counter()
    history = trainer.fit(loader, args.epochs)
    seconds = time.perf_counter() - start

    train.save(args.out / "model.safetensors", model.state_dict(), {"model": args.model})
    logits = train.predict(model, test_loader)
    accuracy = train.accuracy(logits, test_set.labels)
    metrics = {
        "dataset": train_set.name,
        "dataset_origin": train_set.origin,
        "model": args.model,
        "seed": args.seed,
        "test_accuracy": accuracy,
        "interrupted": history.interrupted,
        "seconds": seconds,
        "history": history.for_json(),
    }
    shared.write_json(args.out / "metrics.json", metrics)
    if history.epochs and not args.no_figures:
        without_picture = viz.report(args.out, model, test_set, logits, history.epochs)
        if without_picture:
            print(f"The graph was not drawn: {without_picture}", file=sys.stderr)
    print(
        f"{args.model} on {train_set.name}: test accuracy {accuracy:.2%} on {len(test_set)} "
        f"images; trained in {seconds:.1f} s; files in {args.out}/"
    )
    if history.interrupted:
        print("Interrupted. The weights so far are saved.", file=sys.stderr)
    return 130 if history.interrupted else 0


def config_of(args: argparse.Namespace, train_set: ImageDataset) -> RunConfig:
    """Return the settings of the equivalent `python -m tinygrad_np train` run."""
    return RunConfig(
        model=args.model,
        data=train_set.name,
        data_dir=None if args.data_dir is None else str(args.data_dir),
        train_samples=args.train_samples,
        test_samples=args.test_samples,
        validation=0.0,
        epochs=args.epochs,
        batch_size=args.batch_size,
        lr=args.lr,
        test_each_epoch=True,
        seed=args.seed,
    )


def find_data(args: argparse.Namespace) -> tuple[ImageDataset, ImageDataset]:
    """Return the training and test sets: with `--data auto`, MNIST or else the digits."""
    size = 8 if args.model == "DigitsCNN" else 28
    if args.data == "digits":
        return data.digits(size)
    if args.data in SETS:
        return SETS[args.data](args.data_dir)
    return shared.find(lambda: data.mnist(args.data_dir), is_quick=False)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    known = ["auto", *SETS, "digits"]
    text = f"dataset: {', '.join(known)}; auto is MNIST, or digits if it is missing (default: auto)"
    add("--data", choices=known, default="auto", metavar="NAME", help=text)
    text = "directory that contains mnist/ or fashion-mnist/"
    add("--data-dir", type=path, metavar="DIR", help=text)
    text = f"{', '.join(models.__all__)} (default: %(default)s)"
    add("--model", choices=models.__all__, default="MnistCNN", metavar="NAME", help=text)
    text = "number of epochs (default: 3, or 15 for the digits)"
    add("--epochs", type=natural, metavar="N", help=text)
    text = "batch size (default: %(default)s)"
    add("--batch-size", type=natural, default=64, metavar="N", help=text)
    text = "initial learning rate, annealed to 0 (default: %(default)s)"
    add("--lr", type=number, default=0.002, metavar="LR", help=text)
    text = "use only the first N training images"
    add("--train-samples", type=natural, metavar="N", help=text)
    text = "use only the first N test images"
    add("--test-samples", type=natural, metavar="N", help=text)
    text = "seed of weights, batch order and dropout (default: %(default)s)"
    add("--seed", type=natural, default=0, metavar="N", help=text)
    text = "output directory (default: runs/mnist, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    add("--no-figures", action="store_true", help="do not write figures")
    args = parser.parse_args()
    if args.model == "DigitsCNN" and args.data != "digits":
        parser.error("--model: DigitsCNN expects 8x8 images. Add --data digits.")
    return args


if __name__ == "__main__":
    sys.exit(run_program(main))
