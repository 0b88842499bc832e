"""Compare activations, optimizers and hyperparameters: a table and a plot for each small study.

    python examples/compare.py
    python examples/compare.py --only optimizers "batch size"

One learns how to compare fairly, and so to tell what matters at this size from what does not.
MnistCNNLight learns 10 000 images of MNIST for 3 epochs; 6000 others are for validation. Where
settings want rates of their own, each may choose among as many (`rates`): the one with the least
validation loss with seed 0 is taken, and marked with * where it was the smallest or largest on
offer, so that a better one may lie beyond. Then each is trained with three other seeds, the same
for all (weights, order of images, dropout), of which the table has mean and standard deviation. The
test set is used once, in the end, for the best of all settings.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import shared
from models import MnistCNNLight
from tinygrad_np import data, nn, optim, train, viz
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.errors import NotFiniteError
from tinygrad_np.files import make_folder

RATES = (0.0006, 0.002, 0.006, 0.02)  # for Adam and its kin
LARGE_RATES = tuple(10 * rate for rate in RATES)  # for plain steps along the gradient


@dataclass(frozen=True)
class Setting:
    """A training: the network's parts, the optimizer with its options, and the rates on offer."""

    name: str
    activation: Callable[[], nn.Module] = nn.ReLU
    pool: Callable[[int], nn.Module] = nn.MaxPool2d
    dropout: float = 0.25
    optimizer: Callable[..., optim.Optimizer] = optim.Adam
    options: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    rates: tuple[float, ...] = (0.002,)
    batch_size: int = 64


STUDIES = {
    "activations": [
        Setting("relu", nn.ReLU, rates=RATES),
        Setting("leaky relu", nn.LeakyReLU, rates=RATES),
        Setting("elu", nn.ELU, rates=RATES),
        Setting("silu (swish)", nn.SiLU, rates=RATES),
        Setting("gelu", nn.GELU, rates=RATES),
        Setting("tanh", nn.Tanh, rates=RATES),
        Setting("sigmoid", nn.Sigmoid, rates=RATES),
    ],
    "optimizers": [
        Setting("SGD", optimizer=optim.SGD, rates=LARGE_RATES),
        Setting("momentum 0.9", optimizer=optim.SGD, options={"momentum": 0.9}, rates=LARGE_RATES),
        Setting("AdaGrad", optimizer=optim.Adagrad, rates=LARGE_RATES),
        Setting("RMSProp", optimizer=optim.RMSprop, rates=RATES),
        Setting("Adam", optimizer=optim.Adam, rates=RATES),
        Setting("NAdam", optimizer=optim.NAdam, rates=RATES),
        Setting("LAMB", optimizer=optim.LAMB, rates=LARGE_RATES),
    ],
    "learning rate": [Setting(f"rate {rate:g}", rates=(rate,)) for rate in (2e-4, *RATES, 0.06)],
    "batch size": [Setting(str(n), batch_size=n, rates=RATES) for n in (16, 32, 64, 128, 256)],
    "dropout": [Setting(f"{p:g}", dropout=p) for p in (0.0, 0.1, 0.25, 0.5)],
    "pooling": [Setting("max", pool=nn.MaxPool2d), Setting("average", pool=nn.AvgPool2d)],
    "weight decay": [
        Setting(f"{decay:g}", optimizer=optim.AdamW, weight_decay=decay)
        for decay in (0.0, 0.01, 0.1, 1.0)
    ],
}


def main() -> None:
    """Run the studies, print a table and draw a plot of each; test the best setting."""
    args = parse_arguments()
    out: Path = args.out
    make_folder(out, "--out")
    train_set, test_set = shared.find(data.mnist, args.quick)
    rest, validation = train_set.split(0.1, seed=0)
    rest = rest.first(min(len(rest), args.samples))
    print(
        f"{rest.name}: {len(rest)} images for training, {len(validation)} for validation, of which "
        "accuracy and loss are\n* the smallest or largest rate on offer"
    )

    results: dict[str, list[dict[str, Any]]] = {}
    ranking: list[tuple[float, str, Setting]] = []
    for study in args.only:
        results[study] = []
        print(f"\n{study:16} {'rate':>8} {'accuracy in %':>15} {'loss':>17} {'seconds':>8}")
        for setting in STUDIES[study]:
            chosen, row = examine(setting, rest, validation, args.epochs, args.seeds, args.quick)
            results[study].append(row)
            ranking.append((float(np.mean(row["accuracy"])), study, chosen))
            print(line(row), flush=True)
        slug = study.replace(" ", "_")
        title = f"{study}: MnistCNNLight, {args.epochs} times {len(rest)} images of {rest.name}"
        viz.save(plot(results[study], title), out / f"{slug}.png")
        shared.write_json(out / "results.json", results)

    _, study, best = max(ranking, key=lambda entry: entry[0])
    found = fit(best, rest, test_set, args.epochs, seed=1)
    print(
        f"\nbest by validation: {best.name} ({study}, rate {best.rates[0]:g}); of the test set it "
        f"gets {found['accuracy']:.2%} right; files in {out}/"
    )


def parse_arguments() -> argparse.Namespace:
    """Return the command line's flags."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--only", nargs="+", choices=list(STUDIES), default=list(STUDIES), help="some studies")
    add("--out", type=Path, default=Path("runs/compare"), help="%(default)s")
    add("--quick", action="store_true", help="two rates, one seed, one epoch of 320 digits")
    args = parser.parse_args()
    args.samples, args.epochs, args.seeds = (320, 1, [1]) if args.quick else (10_000, 3, [1, 2, 3])
    return args


def examine(
    setting: Setting,
    rest: Dataset,
    validation: Dataset,
    epochs: int,
    seeds: list[int],
    is_quick: bool,
) -> tuple[Setting, dict[str, Any]]:
    """Return the setting with its rate chosen, and what came of it: lists with one entry a seed."""
    rates = setting.rates[1:3] if is_quick and len(setting.rates) > 1 else setting.rates
    options = [replace(setting, rates=(rate,)) for rate in rates]
    if len(options) > 1:
        losses = [fit(option, rest, validation, epochs, seed=0)["loss"] for option in options]
        # What diverged may have a loss of nan, which argmin would take for the least.
        chosen = options[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]
    else:
        chosen = setting
    runs = [fit(chosen, rest, validation, epochs, seed) for seed in seeds]
    is_at_edge = len(rates) > 1 and chosen.rates[0] in (rates[0], rates[-1])
    row = {"name": setting.name, "rate": chosen.rates[0], "rate_is_at_edge": is_at_edge}
    return chosen, row | {key: [run[key] for run in runs] for key in runs[0]}


def fit(
    setting: Setting, train_set: Dataset, held_out: Dataset, epochs: int, seed: int
) -> dict[str, float]:
    """Train and return accuracy and loss on the held-out set, and the seconds of the training."""
    model: Any = MnistCNNLight(np.random.default_rng(seed))
    # Layers without parameters can be exchanged for others under the same name.
    model.relu = setting.activation()
    model.pool = setting.pool(2)
    model.dropout = nn.Dropout(setting.dropout, np.random.default_rng((seed, 1)))
    groups = optim.decay_groups(model.named_parameters(), setting.weight_decay)
    optimizer = setting.optimizer(groups, lr=setting.rates[0], **setting.options)
    trainer = train.Trainer(model, optimizer)
    loader = DataLoader(train_set, setting.batch_size, shuffle=True, seed=seed)
    start = time.perf_counter()
    # Where a training diverges, the weights are those of before that step: judge these.
    with contextlib.suppress(NotFiniteError):
        shared.to_the_end(trainer.fit(loader, epochs))
    seconds = time.perf_counter() - start
    return trainer.evaluate(DataLoader(held_out, batch_size=500)) | {"seconds": seconds}


def line(row: dict[str, Any]) -> str:
    """Return a line of the table: means over seeds ± standard deviation."""
    accuracy, loss = 100 * np.array(row["accuracy"]), np.array(row["loss"])
    rate = f"{row['rate']:g}{'*' if row['rate_is_at_edge'] else ' '}"
    spread = [
        f" ± {x.std(ddof=1):.{d}f}" if len(x) > 1 else "" for x, d in ((accuracy, 2), (loss, 4))
    ]
    return (
        f"{row['name']:16} {rate:>9} {f'{accuracy.mean():.2f}{spread[0]}':>14} "
        f"{f'{loss.mean():.4f}{spread[1]}':>17} {np.mean(row['seconds']):8.1f}"
    )


def plot(rows: list[dict[str, Any]], title: str) -> Figure:
    """Draw accuracy and loss of each setting: a dot for each seed, a bar for the mean."""
    figure = Figure(figsize=(9, 1.4 + 0.45 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, factor in ((left, "accuracy", 100), (right, "loss", 1)):
        for position, row in enumerate(rows):
            values = factor * np.array(row[key])
            axes.plot(values, [position] * len(values), "o", color="#2874a6", alpha=0.6)
            axes.plot(values.mean(), position, "|", color="#1b2631", markersize=18, mew=2)
        axes.grid(alpha=0.3)
    labels = [dict.fromkeys([row["name"], f"rate {row['rate']:g}"]) for row in rows]
    left.set_yticks(range(len(rows)), ["\n".join(lines) for lines in labels])
    left.set_ylim(len(rows) - 0.5, -0.5)  # the first on top
    left.set_xlabel("validation accuracy in %")
    right.set_xlabel("validation loss")
    figure.suptitle(f"{title} (dots: seeds, bars: means)")
    return figure


if __name__ == "__main__":
    sys.exit(shared.run(main))
