"""The runs of the command line: what each system reports of itself, and what is done here."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A recipe was chosen by the accuracy on a tenth of the training set; the test set was used once.
_MNIST_RECIPE = (
    "--epochs 25 --batch-size 128 --optimizer adamw --lr 0.002 --weight-decay 0.02 --warmup 0.1 "
    "--shift 2 --rotation 10 --scaling 0.1"
)
_FASHION_RECIPE = (
    "--epochs 20 --batch-size 128 --optimizer adamw --lr 0.004 --weight-decay 0.05 --warmup 0.1 "
    "--label-smoothing 0.05 --shift 2 --flip"
)
_RESNET = json.dumps({"width": 32})
_QUICK = "--train-samples 300 --test-samples 200 --epochs 1"


@dataclass(frozen=True)
class Run:
    """A training by the command line, beside the figure that a system reports.

    `least` is the accuracy on the test set that the run has to reach.
    """

    name: str
    title: str
    headline: str
    asked: str
    least: float
    flags: str
    data: str = "mnist"
    seeds: int = 1

    def command(self, out: Path, seed: int, is_quick: bool) -> list[str]:
        """Return the arguments of `python`."""
        words = f"-m tinygrad_np train --data {self.data} {self.flags} --seed {seed}"
        quick = f"{_QUICK} --no-figures" if is_quick else ""
        return [*shlex.split(f"{words} {quick}"), "--out", str(out / f"{self.name}-{seed}")]

    def carry_out(self, out: Path, is_quick: bool) -> dict[str, Any]:
        """Train with each seed; return accuracies and seconds, and the command of the first."""
        found = []
        for seed in range(1 if is_quick else self.seeds):
            command = self.command(out, seed, is_quick)
            print(f"\n$ python {shlex.join(command)}", flush=True)
            subprocess.run([sys.executable, *command], check=True)
            folder = out / f"{self.name}-{seed}"
            found.append(json.loads((folder / "metrics.json").read_text()))
        return {
            "accuracies": [metrics["test_accuracy"] for metrics in found],
            "seconds": [metrics["seconds"]["training"] for metrics in found],
            "threads": found[0]["threads"],
            "command": f"python {shlex.join(self.command(Path('runs'), 0, is_quick))}",
        }


RUNS = [
    Run(
        "lab-1000",
        "A: LabCNN, 1000 images of MNIST, 2 epochs",
        "146 s, 33 %",
        "seconds; accuracy above it",
        0.33,
        "--model LabCNN --train-samples 1000 --validation 0 --epochs 2 --batch-size 32 "
        "--optimizer sgd --momentum 0 --lr 0.01 --schedule constant",
    ),
    Run(
        "lab-full",
        "A: LabCNN, all of MNIST, 20 epochs",
        "85 %, 1 to 2 hours",
        "at least 98.5 %, in minutes",
        0.985,
        "--model LabCNN --validation 0 --epochs 20 --batch-size 32 --optimizer sgd --momentum 0 "
        "--lr 0.01 --schedule constant",
    ),
    Run(
        "mnist-cnn",
        "B: MnistCNN, MNIST, 3 epochs",
        "none",
        "at least 99.0 %",
        0.99,
        "--model MnistCNN --validation 0 --epochs 3",
    ),
    Run(
        "mnist-cnn-best",
        "B: MnistCNN, MNIST, with augmentation and a schedule",
        "none",
        "at least 99.5 %",
        0.995,
        f"--model MnistCNN --validation 0 {_MNIST_RECIPE}",
    ),
    Run(
        "mnist-cnn-light",
        "B: MnistCNNLight, MNIST, 5 epochs",
        "none",
        "at least 98.8 %",
        0.988,
        "--model MnistCNNLight --validation 0 --epochs 5 --lr 0.005 --shift 1",
    ),
    Run(
        "fashion-cnn",
        "C: FashionCNN, Fashion-MNIST, 20 epochs of Adam 0.001, the epoch chosen by validation",
        "93.0 % (the best epoch on the test set, PyTorch)",
        "at least 93.0 %",
        0.93,
        "--model FashionCNN --validation 0.05 --epochs 20 --batch-size 128 --lr 0.001 "
        "--schedule constant --patience 20 --monitor validation_accuracy",
        data="fashion-mnist",
    ),
    Run(
        "fashion-best",
        "C: Fashion-MNIST by this project's own recipe: ResNet, augmentation and a schedule",
        "93.0 %",
        "at least 94.0 %",
        0.94,
        f"--model ResNet --model-options '{_RESNET}' --validation 0.05 {_FASHION_RECIPE}",
        data="fashion-mnist",
    ),
    Run(
        "digits-cnn",
        "D: DigitsCNN, 8x8 digits, 10 epochs",
        "92.5 %",
        "at least 92.5 %, over 5 seeds",
        0.925,
        "--model DigitsCNN --validation 0 --epochs 10 --optimizer sgd --momentum 0 --lr 0.1 "
        "--schedule constant",
        data="digits",
        seeds=30,
    ),
]
