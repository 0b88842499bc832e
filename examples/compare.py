"""Compare activations, optimizers and hyperparameters in small studies with equal tuning budgets.

    python examples/compare.py
    python examples/compare.py --only optimizers "batch size"

It shows how to make a fair comparison, and which choices matter at this scale. In every study,
MnistCNNLight is trained on 10,000 images of MNIST for 3 epochs, and about 6000 other
images are used for validation.

- If the settings of a study need different learning rates, each setting has the same number of
  candidates (`rates`), and the one with the lowest validation loss for seed 0 is used. It is marked
  with * if it is the smallest or largest candidate, because a better one may lie outside the range.
- Each setting is then trained with three other seeds, the same for all settings, which determine
  the weights, the order of the images and the dropout. The table shows mean ± standard
  deviation.
- The test set is used once, at the end, for the best of all settings.

It prints one table per study. The output directory, runs/compare by default, gets a plot of each
study (such as optimizers.png) and the numbers behind the tables (results.json).
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import shared
from models import MnistCNNLight
from tinygrad_np import data, nn, optim, train, viz
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.errors import NotFiniteError

RATES = (0.0006, 0.002, 0.006, 0.02)  # for adaptive optimizers
LARGE_RATES = tuple(10 * rate for rate in RATES)  # for SGD, AdaGrad and LAMB


@dataclass(frozen=True)
class Setting:
    """One training setup: layers, optimizer and its options, and candidate learning rates."""

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
    "learning rate": [Setting(f"lr {rate:g}", rates=(rate,)) for rate in (2e-4, *RATES, 0.06)],
    "batch size": [Setting(str(n), batch_size=n, rates=RATES) for n in (16, 32, 64, 128, 256)],
    "dropout": [Setting(f"{p:g}", dropout=p) for p in (0.0, 0.1, 0.25, 0.5)],
    "pooling": [Setting("max", pool=nn.MaxPool2d), Setting("average", pool=nn.AvgPool2d)],
    "weight decay": [
        Setting(f"{decay:g}", optimizer=optim.AdamW, weight_decay=decay)
        for decay in (0.0, 0.01, 0.1, 1.0)
    ],
}


def main() -> None:
    """Run the studies, print and plot each one, and test the best setting."""
    args = parse_arguments()
    out = shared.output_folder(args.out, "runs/compare")
    train_set, test_set = shared.find(data.mnist, args.quick)
    rest, validation = train_set.split(0.1, seed=0)
    rest = rest.first(min(len(rest), args.samples))
    print(
        f"{rest.name}: {len(rest)} images for training, {len(validation)} for validation\n"
        "Accuracy and loss are measured on the validation images.\n"
        "* marks a learning rate that is the smallest or largest candidate."
    )

    results: dict[str, list[dict[str, Any]]] = {}
    ranking: list[tuple[float, str, Setting]] = []
    for study in args.only:
        results[study] = []
        print(f"\n{study:16} {'lr':>8} {'accuracy in %':>15} {'loss':>17} {'seconds':>8}")
        for setting in STUDIES[study]:
            chosen, row = examine(setting, rest, validation, args.epochs, args.seeds, args.quick)
            results[study].append(row)
            ranking.append((float(np.mean(row["accuracy"])), study, chosen))
            print(line(row), flush=True)
        slug = study.replace(" ", "_")
        title = f"{study}: MnistCNNLight, {len(rest)} images of {rest.name}, epochs: {args.epochs}"
        viz.save(plot(results[study], title), out / f"{slug}.png")
        shared.write_json(out / "results.json", results)

    _, study, best = max(ranking, key=lambda entry: entry[0])
    found = fit(best, rest, test_set, args.epochs, seed=1)
    print(
        f"\nbest on the validation images: {best.name} ({study}, lr {best.rates[0]:g}); "
        f"test accuracy {found['accuracy']:.2%}; files in {out}/"
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    names = list(STUDIES)
    text = f"studies to run: {', '.join(names)} (default: all)"
    add("--only", nargs="+", choices=names, default=names, metavar="STUDY", help=text)
    text = "output directory (default: runs/compare, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    add("--quick", action="store_true", help="short run: one epoch on 320 digits")
    args = parser.parse_args()
    args.samples, args.epochs, args.seeds = (320, 1, [1]) if args.quick else (10_000, 3, [1, 2, 3])
    return args


def examine(
    setting: Setting,
    rest: ImageDataset,
    validation: ImageDataset,
    epochs: int,
    seeds: list[int],
    is_quick: bool,
) -> tuple[Setting, dict[str, Any]]:
    """Choose the setting's learning rate, then train it with each seed.

    Returns:
        The setting with the chosen learning rate, and its results: lists with one entry per seed.
    """
    rates = setting.rates[1:3] if is_quick and len(setting.rates) > 1 else setting.rates
    options = [replace(setting, rates=(rate,)) for rate in rates]
    if len(options) > 1:
        losses = [fit(option, rest, validation, epochs, seed=0)["loss"] for option in options]
        # A diverged run may have a nan loss, which argmin would take for the minimum.
        chosen = options[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]
    else:
        chosen = setting
    runs = [fit(chosen, rest, validation, epochs, seed) for seed in seeds]
    is_at_edge = len(rates) > 1 and chosen.rates[0] in (rates[0], rates[-1])
    row = {"name": setting.name, "rate": chosen.rates[0], "rate_is_at_edge": is_at_edge}
    return chosen, row | {key: [run[key] for run in runs] for key in runs[0]}


def fit(
    setting: Setting, train_set: ImageDataset, held_out: ImageDataset, epochs: int, seed: int
) -> dict[str, float]:
    """Train; return accuracy and loss on the held-out set, and the training time in seconds."""
    model: Any = MnistCNNLight(np.random.default_rng(seed))
    # A layer is replaced by assigning to its attribute.
    model.relu = setting.activation()
    model.pool = setting.pool(2)
    model.dropout = nn.Dropout(setting.dropout, generator=np.random.default_rng((seed, 1)))
    groups = optim.decay_groups(model.named_parameters(), setting.weight_decay)
    optimizer = setting.optimizer(groups, lr=setting.rates[0], **setting.options)
    trainer = train.Trainer(model, optimizer)
    loader = DataLoader(train_set, setting.batch_size, shuffle=True, seed=seed)
    start = time.perf_counter()
    # If training diverges, evaluate the weights from before the failed step.
    with contextlib.suppress(NotFiniteError):
        shared.to_the_end(trainer.fit(loader, epochs))
    seconds = time.perf_counter() - start
    return trainer.evaluate(DataLoader(held_out, batch_size=500)) | {"seconds": seconds}


def line(row: dict[str, Any]) -> str:
    """Format one row of the table: mean over seeds ± standard deviation."""
    accuracy, loss = 100 * np.array(row["accuracy"]), np.array(row["loss"])
    rate = f"{row['rate']:g}{'*' if row['rate_is_at_edge'] else ' '}"
    spread = [
        f" ± {x.std(ddof=1):.{d}f}" if len(x) > 1 else "" for x, d in ((accuracy, 2), (loss, 4))
    ]
    return (
        f"{row['name']:16} {rate:>9} {f'{accuracy.mean():.2f}{spread[0]}':>14} "
        f"{f'{loss.mean():.4f}{spread[1]}':>17} {np.mean(row['seconds']):8.1f}"
    )


def plot(rows: list[dict[str, Any]], title: str) -> viz.Figure:
    """Plot accuracy and loss of each setting: one dot per seed, a bar for the mean."""
    figure = viz.Figure((9, 1.4 + 0.45 * len(rows)))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, key, factor in ((left, "accuracy", 100), (right, "loss", 1)):
        for position, row in enumerate(rows):
            values = factor * np.array(row[key])
            axes.plot(values, [position] * len(values), "o", color="#2874a6", alpha=0.6)
            axes.plot(values.mean(), position, "|", color="#1b2631", markersize=18, mew=2)
        axes.grid(alpha=0.3)
    labels = [dict.fromkeys([row["name"], f"lr {row['rate']:g}"]) for row in rows]
    left.set_yticks(range(len(rows)), ["\n".join(lines) for lines in labels])
    left.set_ylim(len(rows) - 0.5, -0.5)  # the first setting at the top
    left.set_xlabel("validation accuracy in %")
    right.set_xlabel("validation loss")
    figure.suptitle(f"{title} (dots: seeds, bars: means)")
    return figure


if __name__ == "__main__":
    sys.exit(run_program(main))
