"""Train a network with one convolution on 8x8 digits with 20 seeds, and plot its kernels.

    python examples/digits.py

It shows that 1370 parameters and half a second of training suffice to classify nine out of ten
digits, how much of that accuracy is luck (the spread over seeds), and what the eight kernels
respond to.

It prints the held-out accuracy of each seed, and their mean, standard error and standard deviation.
The output directory, runs/digits by default, gets the weights (model.safetensors), training curves
(curves.png) and kernels (kernels.png) of the first seed, and the history of every seed
(results.json). In kernels.png, each kernel is drawn above its feature map of one digit, before and
after the relu.

The network comes from a tutorial (system D in examples/RESULTS.md). It is trained with SGD,
learning rate 0.1, batches of 64, 10 epochs and He initialization. The digits are split 80/20 with
seed 42, stratified by class. The held-out 20% are not used to choose anything.
"""

import argparse
import sys
import time
from typing import Any

import numpy as np

import shared
from models import DigitsCNN
from tinygrad_np import Tensor, data, no_grad, optim, train, viz
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.console import run_program
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.runtime.memory import Array
from tinygrad_np.viz.figure import panels


def main() -> None:
    """Train once per seed, print the accuracies, and plot the first network."""
    args = parse_arguments()
    out = shared.output_folder(args.out, "runs/digits")
    train_set, held_out = data.digits()
    print(f"digits: {len(train_set)} images of 8x8 for training, {len(held_out)} held out")
    start = time.perf_counter()
    runs = [fit(train_set, held_out, args.epochs, seed) for seed in range(args.seeds)]
    seconds = time.perf_counter() - start

    accuracies = 100 * np.array([epochs[-1]["validation_accuracy"] for _, epochs in runs])
    deviation = accuracies.std(ddof=1)
    print(f"held-out accuracy in % by seed: {' '.join(f'{a:.1f}' for a in accuracies)}")
    print(
        f"DigitsCNN after {args.epochs} epochs: mean accuracy {accuracies.mean():.2f}%, standard "
        f"error {deviation / args.seeds**0.5:.2f}, standard deviation over seeds {deviation:.2f}; "
        f"{seconds / args.seeds:.2f} s per run; files in {out}/"
    )

    model, epochs = runs[0]
    train.save(out / "model.safetensors", model.state_dict(), {"model": "DigitsCNN"})
    # `python -m tinygrad_np evaluate` reads this file.
    config = RunConfig(
        "DigitsCNN",
        data="digits",
        validation=0.0,
        epochs=args.epochs,
        optimizer="sgd",
        lr=0.1,
        momentum=0.0,
        schedule="constant",
    )
    config.write(out / "config.json")
    shared.write_json(out / "results.json", {"seeds": [epochs for _, epochs in runs]})
    viz.save(viz.curves(epochs, "DigitsCNN on digits, seed 0"), out / "curves.png")
    viz.save(draw_kernels(model, held_out, index=0), out / "kernels.png")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "--out",
        type=path,
        metavar="DIR",
        help="output directory (default: runs/digits, with a number if it exists)",
    )
    parser.add_argument("--quick", action="store_true", help="short run: two seeds, two epochs")
    args = parser.parse_args()
    args.seeds, args.epochs = (2, 2) if args.quick else (20, 10)
    return args


def fit(
    train_set: ImageDataset, held_out: ImageDataset, epochs: int, seed: int
) -> tuple[DigitsCNN, list[dict[str, Any]]]:
    """Train a network; `seed` determines its weights and the order of the images."""
    model = DigitsCNN(np.random.default_rng(seed))
    trainer = train.Trainer(model, optim.SGD(model.named_parameters(), lr=0.1))
    loader = DataLoader(train_set, batch_size=64, shuffle=True, seed=seed)
    history = trainer.fit(loader, epochs, validation=DataLoader(held_out, batch_size=len(held_out)))
    return model, shared.to_the_end(history).epochs


@no_grad()
def draw_kernels(model: DigitsCNN, dataset: ImageDataset, index: int) -> viz.Figure:
    """Plot the kernels, and below each its feature map of one image, before and after the relu.

    Red is positive and blue is negative; the maps of a row share one color scale.
    """
    images, labels = dataset.batch(slice(index, index + 1))
    convolved = model.conv(Tensor(images))  # 1, 8, 8, 8
    rows: dict[str, Array] = {
        "kernel": model.conv.weight.data[:, 0],
        "conv": convolved.data[0],
        "relu": convolved.relu().data[0],
    }
    title = (
        f"The eight learned 3x3 kernels and their feature maps of a {dataset.classes[labels[0]]}"
    )
    return panels(rows, dataset.images[index], title)


if __name__ == "__main__":
    sys.exit(run_program(main))
