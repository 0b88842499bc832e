"""Train on MNIST with the same loop, batches and learning rates on each side, in turns."""

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.report import Column, Table
from benchmarks.sides import OURS, PYTORCH, Classifier
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.runtime.memory import Array

_LR = 0.002


def train(
    classifiers: dict[str, Classifier], train_set: ImageDataset, test_set: ImageDataset, epochs: int
) -> dict[str, Any]:
    """Train the classifiers in turns, epoch by epoch; return seconds and test accuracy per epoch.

    Each uses Adam with batches of 64 and a learning rate that falls linearly from 0.002 to 0. The
    seconds cover the training loop only, not the evaluation.
    """
    table = Table(
        f"{epochs} epochs on {len(train_set)} images of {train_set.name}, Adam, batches of 64; "
        "the seconds cover the training loop only",
        Column("epoch", 7),
        *(Column(f"{name} {what}", 18) for name in classifiers for what in ("s", "test", "loss")),
    )
    # The order depends only on the seed and the epoch, so all loaders shuffle alike.
    loaders = {name: DataLoader(train_set, 64, shuffle=True, seed=0) for name in classifiers}
    steps = epochs * len(loaders[OURS])
    rates = {name: iter(_LR * (1 - step / steps) for step in range(steps)) for name in classifiers}
    results: dict[str, Any] = {name: {"seconds": [], "accuracy": []} for name in classifiers}
    for epoch in range(epochs):
        losses = {}
        for name in list(classifiers)[:: -1 if epoch % 2 else 1]:
            start = time.perf_counter()
            losses[name] = classifiers[name].fit(_arrays(loaders[name]), rates[name])
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
        print(f"{name}: {total:.1f} s, test accuracy {results[name]['accuracy'][-1]:.2%}")
    if PYTORCH in totals:
        results["ratio_to"] = {PYTORCH: totals[OURS] / totals[PYTORCH]}
        print(f"ours/PyTorch: {results['ratio_to'][PYTORCH]:.2f}")
    return results


def accuracy(classifier: Classifier, dataset: ImageDataset) -> float:
    """Return the fraction of correct predictions on a dataset."""
    right = sum(
        int((classifier.predict(images) == labels).sum())
        for images, labels in _arrays(DataLoader(dataset, batch_size=500))
    )
    return right / len(dataset)


def _arrays(loader: DataLoader) -> Iterator[tuple[Array, Array]]:
    """Yield the batches of a loader as arrays, which both frameworks read."""
    for images, labels in loader:
        yield images.data, labels.data
