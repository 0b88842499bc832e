"""Epochs on real MNIST with the same loop, batches and rates on each side, in turn."""

import time
from typing import Any

from benchmarks.report import Column, Table
from benchmarks.sides import OURS, PYTORCH, Classifier
from tinygrad_np.data import DataLoader, Dataset

_LR = 0.002


def train(
    classifiers: dict[str, Classifier], train_set: Dataset, test_set: Dataset, epochs: int
) -> dict[str, Any]:
    """Train the classifiers in turn, epoch by epoch, in batches of 64 with Adam, whose learning
    rate falls from 0.002 to 0 along a straight line; return the seconds of the training loops, and
    the accuracies after each epoch.
    """
    table = Table(
        f"{epochs} epochs of {len(train_set)} images of {train_set.name}, Adam, batches of 64; "
        "seconds are of the training loop",
        Column("epoch", 7),
        *(Column(f"{name} {what}", 18) for name in classifiers for what in ("s", "test", "loss")),
    )
    # Each loader shuffles alike, from the seed and the epoch's number.
    loaders = {name: DataLoader(train_set, 64, shuffle=True, seed=0) for name in classifiers}
    steps = epochs * len(loaders[OURS])
    rates = {name: iter(_LR * (1 - step / steps) for step in range(steps)) for name in classifiers}
    results: dict[str, Any] = {name: {"seconds": [], "accuracy": []} for name in classifiers}
    for epoch in range(epochs):
        losses = {}
        for name in list(classifiers)[:: -1 if epoch % 2 else 1]:
            start = time.perf_counter()
            losses[name] = classifiers[name].fit(loaders[name], rates[name])
            results[name]["seconds"].append(time.perf_counter() - start)
            results[name]["accuracy"].append(accuracy(classifiers[name], test_set))
        cells = [
            cell
            for name, result in results.items()
            for cell in (
                f"{result['seconds'][-1]:.1f}",
                f"{result['accuracy'][-1]:.2%}",
                f"{losses[name]:.4f}",
            )
        ]
        table.row(epoch + 1, *cells)
    totals = {name: sum(result["seconds"]) for name, result in results.items()}
    for name, total in totals.items():
        print(f"{name}: {total:.1f} s, {results[name]['accuracy'][-1]:.2%} of the test images")
    if PYTORCH in totals:
        results["ratio_to"] = {PYTORCH: totals[OURS] / totals[PYTORCH]}
        print(f"ours/PyTorch: {results['ratio_to'][PYTORCH]:.2f}")
    return results


def accuracy(classifier: Classifier, dataset: Dataset) -> float:
    """Return the part of a data set that is classified rightly."""
    right = sum(
        int((classifier.predict(images) == labels).sum())
        for images, labels in DataLoader(dataset, batch_size=500)
    )
    return right / len(dataset)
