"""Train on Fashion-MNIST with validation, augmentation and a schedule, and check calibration.

    python examples/fashion_mnist.py
    python examples/fashion_mnist.py --epochs 20 --patience 3

It shows how the pieces fit together: a validation split that selects the best checkpoint and, with
--patience, stops training early; augmentation (a mirrored shirt is still a shirt); a one-cycle
learning rate schedule; and label smoothing. It then shows how to read the result: which classes are
confused, and whether 90% of the predictions made with 90% confidence are correct. The test set is
used once, at the end, with the last weights, or with --patience the best.

It prints the model summary, one line per epoch, a classification report and a calibration table.
It writes the weights, the settings, the training checkpoint, the history, and plots of sample
images, training curves, confusion matrix, predictions and calibration to the output directory,
runs/fashion_mnist by default.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np

import shared
from models import FashionCNN
from tinygrad_np import Tensor, data, optim, train, viz
from tinygrad_np.cli.arguments import Parser, natural, number, path
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.console import run_program
from tinygrad_np.data import Augmentation, DataLoader, ImageDataset

BATCH_SIZE = 128


def main() -> None:
    """Plot the data, train, and report on the test set."""
    args = parse_arguments()
    train_set, test_set = shared.find(data.fashion_mnist, args.quick)
    config = config_of(args, train_set)
    args.out = out = shared.output_folder(args.out, "runs/fashion_mnist")
    rest, validation = train_set.split(0.1, seed=args.seed)
    print(f"{rest.name}: {len(rest)} images for training, {len(validation)} for validation")
    viz.save(viz.images(train_set, count=30), out / "images.png")

    model = FashionCNN(np.random.default_rng(args.seed))
    print(model.summary(train_set.images.shape[1:]))
    history = fit(model, rest, validation, args)
    history.save(out / "history.json")
    train.save(out / "model.safetensors", model.state_dict(), {"model": "FashionCNN"})
    # `python -m tinygrad_np evaluate` reads this file.
    config.write(out / "config.json")
    viz.save(viz.curves(history.epochs, f"FashionCNN on {rest.name}"), out / "curves.png")
    report(model, test_set, out)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    text = "number of epochs (default: 4, or 1 with --quick)"
    add("--epochs", type=natural, metavar="N", help=text)
    text = "peak learning rate (default: %(default)s)"
    add("--lr", type=number, default=0.002, metavar="LR", help=text)
    text = "stop after N epochs without improvement (default: off)"
    add("--patience", type=natural, metavar="N", help=text)
    text = "seed of weights, split, batch order and more (default: %(default)s)"
    add("--seed", type=natural, default=0, metavar="N", help=text)
    text = "output directory (default: runs/fashion_mnist, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    add("--quick", action="store_true", help="short run: one epoch on the bundled digits")
    args = parser.parse_args()
    if args.epochs is None:
        args.epochs = 1 if args.quick else 4
    return args


def config_of(args: argparse.Namespace, train_set: ImageDataset) -> RunConfig:
    """Return the settings of the equivalent `python -m tinygrad_np train` run."""
    return RunConfig(
        model="FashionCNN",
        data=train_set.name,
        epochs=args.epochs,
        batch_size=BATCH_SIZE,
        lr=args.lr,
        label_smoothing=0.1,
        schedule="onecycle",
        shift=1,
        flip=train_set.name == "fashion-mnist",
        patience=args.patience,
        seed=args.seed,
    )


def fit(
    model: FashionCNN, rest: ImageDataset, validation: ImageDataset, args: argparse.Namespace
) -> train.History:
    """Train with augmentation, a one-cycle schedule and label smoothing; return the history."""
    # Digits may replace the clothes, and a mirrored digit is no longer the same digit.
    augmentation = Augmentation(shift=1, flip=rest.name == "fashion-mnist")
    loader = DataLoader(rest, BATCH_SIZE, shuffle=True, seed=args.seed, augmentation=augmentation)
    optimizer = optim.Adam(model.named_parameters())
    schedule = optim.OneCycleLR(
        optimizer, max_lr=args.lr, epochs=args.epochs, steps_per_epoch=len(loader)
    )
    callbacks = [train.Progress(), train.Checkpoint(args.out)]
    if args.patience is not None:
        callbacks.append(train.EarlyStopping(patience=args.patience))
    trainer = train.Trainer(
        model,
        optimizer,
        partial(Tensor.cross_entropy, label_smoothing=0.1),
        schedule=schedule,
        callbacks=callbacks,
    )
    history = trainer.fit(loader, args.epochs, validation=DataLoader(validation, 500))
    return shared.to_the_end(history)


def report(model: FashionCNN, test_set: ImageDataset, out: Path) -> None:
    """Print a report on the test set, and plot confusion matrix, predictions and calibration."""
    logits = train.predict(model, DataLoader(test_set, batch_size=500))
    predicted, labels, names = logits.argmax(axis=1), test_set.labels, test_set.classes
    title = f"FashionCNN on {test_set.name}"
    print(train.classification_report(predicted, labels, len(names), names))
    matrix = train.confusion_matrix(predicted, labels, len(names))
    viz.save(viz.confusion(matrix, names, title), out / "confusion.png")
    legend = f"{test_set.name}: predicted class (green: correct, red: incorrect)"
    viz.save(viz.predictions(test_set, predicted, title=legend), out / "predictions.png")

    calibration = train.calibration(logits, labels)
    print(f"\nCalibration: accuracy of the predictions by confidence\n{calibration}")
    viz.save(viz.calibration(calibration, title), out / "calibration.png")
    print(f"\ntest accuracy {np.mean(predicted == labels):.2%}; files in {out}/")


if __name__ == "__main__":
    sys.exit(run_program(main))
