"""Train a CNN on MNIST and leave its weights, figures and graph behind.

    python examples/mnist.py
    python examples/mnist.py --data fashion-mnist --model MnistCNNLight --epochs 5

Where MNIST can be neither found nor downloaded, the same network learns the bundled digits.
`python -m tinygrad_np train --help` lists all else that can be set of a training.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import models
import shared
from tinygrad_np import data, nn, optim, train, viz
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.files import make_folder

SETS = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist}
EPOCHS = {"digits": 15}  # a set of 1438 images is seen more often than one of 60 000, in 3 epochs


def main() -> int:
    """Run the example; return 0, or 130 after Ctrl-C, with the weights so far."""
    args = parse_arguments()
    make_folder(args.out, "--out")
    start = time.perf_counter()
    found = find_data(args)
    train_set, test_set = found[0].first(args.train_samples), found[1].first(args.test_samples)
    shape = "x".join(map(str, train_set.images.shape[1:]))
    print(
        f"{train_set.name}: {len(train_set)} of {len(found[0])} training and {len(test_set)} "
        f"of {len(found[1])} test images of {shape}, from {train_set.origin}, loaded in "
        f"{time.perf_counter() - start:.2f} s"
    )
    model = getattr(models, args.model)(np.random.default_rng(args.seed))
    print(model.summary(train_set.images.shape[1:]))
    return fit(args, model, train_set, test_set)


def fit(args: argparse.Namespace, model: nn.Module, train_set: Dataset, test_set: Dataset) -> int:
    """Train, test after each epoch, and write all there is to know."""
    epochs = EPOCHS.get(train_set.name, 3) if args.epochs is None else args.epochs
    loader = DataLoader(train_set, args.batch_size, shuffle=True, seed=args.seed)
    test_loader = DataLoader(test_set, batch_size=500)
    optimizer = optim.Adam(model.named_parameters(), lr=args.lr)
    trainer = train.Trainer(
        model,
        optimizer,
        schedule=optim.CosineAnnealingLR(optimizer, T_max=max(1, epochs * len(loader))),
        callbacks=[train.Evaluate("test", test_loader), train.Progress()],
    )
    start = time.perf_counter()
    history = trainer.fit(loader, epochs)
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
            print(f"no picture of the graph: {without_picture}", file=sys.stderr)
    print(
        f"{args.model} on {train_set.name}: {accuracy:.2%} of {len(test_set)} test images right; "
        f"{seconds:.1f} s; files in {args.out}/"
    )
    if history.interrupted:
        print("interrupted: these are the weights so far", file=sys.stderr)
    return 130 if history.interrupted else 0


def find_data(args: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """Return the training and test sets: the digits where MNIST is not to be had."""
    size = 8 if args.model == "DigitsCNN" else 28
    if args.data == "digits":
        return data.digits(size)
    if args.data in SETS:
        return SETS[args.data](args.data_dir)
    return shared.find(lambda: data.mnist(args.data_dir), is_quick=False)


def parse_arguments() -> argparse.Namespace:
    """Return the command line's flags; argparse refuses wrong values by name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    known = ["auto", *SETS, "digits"]
    add("--data", choices=known, default="auto", help="auto: MNIST, or else the digits")
    add("--data-dir", type=Path, help="folder that holds mnist/ or fashion-mnist/")
    add("--model", choices=models.__all__, default="MnistCNN", help="default: %(default)s")
    add("--epochs", type=natural, help="default: 3, and 15 for the small digits")
    add("--batch-size", type=natural, default=64, help="default: %(default)s")
    add("--lr", type=float, default=0.002, help="of Adam; falls to 0 in the end; %(default)s")
    add("--train-samples", type=natural, help="only the first so many")
    add("--test-samples", type=natural, help="only the first so many")
    add("--seed", type=natural, default=0, help="default: %(default)s")
    add("--out", type=Path, default=Path("runs/mnist"), help="default: %(default)s")
    add("--no-figures", action="store_true", help="only metrics and weights")
    args = parser.parse_args()
    if args.model == "DigitsCNN" and args.data != "digits":
        parser.error("argument --model: DigitsCNN takes 8x8 images; add --data digits")
    return args


def natural(text: str) -> int:
    """Return an integer of at least 0."""
    value = int(text)
    if value < 0:
        raise ValueError
    return value


if __name__ == "__main__":
    sys.exit(shared.run(main))
