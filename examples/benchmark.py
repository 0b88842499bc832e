"""Measure this project beside PyTorch and beside NumPy by hand: times, memory, growth, floors.

    python examples/benchmark.py
    python examples/benchmark.py --quick
    python examples/benchmark.py --epochs-on-mnist 3

All sides run in one process and take turns, block by block, with the same number of threads; what
is printed are medians over blocks with [quartiles]. The machine should have nothing else to do.
"""

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tinygrad_np
from benchmarks import mnist_epochs, report, timing
from benchmarks.measures import MEASURES, Plan
from benchmarks.neighbours import Neighbours
from benchmarks.sides import OURS, PYTORCH, Side, side
from tinygrad_np import TinygradNpError, data, viz
from tinygrad_np.files import make_folder, write_bytes


def main() -> int:
    """Run the benchmark; return 0, 1 after an error, 130 after Ctrl-C."""
    args = parse_arguments()
    results: dict[str, Any] = {"quick": args.quick, "threads": args.threads}
    try:
        sides = find_sides(args.threads, results)
        print_config(args, sides, results)
        keep(args.json, results)  # before any work is done
        if args.epochs_on_mnist:
            race_on_mnist(args, sides, results)
        else:
            measure(args, sides, results)
    except TinygradNpError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = f": {args.json} has what was measured so far" if args.json else ""
        print(f"\ninterrupted{kept}", file=sys.stderr)
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the command line's flags; argparse refuses wrong values by name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add = parser.add_argument
    add("--only", type=measures, default=list(MEASURES), help=f"some of {','.join(MEASURES)}")
    add("--quick", action="store_true", help="all of it once, in small: figures mean nothing")
    add("--threads", type=positive_integer, default=cores, help="each side's; default: the cores")
    add("--json", type=Path, help="file for all figures")
    add("--out", type=Path, default=Path("runs/benchmark"), help="plot's; default: %(default)s")
    add("--epochs-on-mnist", type=positive_integer, metavar="N", help="measure only N such epochs")
    add("--data-dir", type=Path, help="folder that holds mnist/")
    return parser.parse_args()


def positive_integer(text: str) -> int:
    """Return an integer of at least 1."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return int(text)


def measures(text: str) -> list[str]:
    """Return the names of measures, which are separated by commas."""
    names = text.split(",")
    for name in names:
        if name not in MEASURES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MEASURES)}")
    return names


def find_sides(threads: int, results: dict[str, Any]) -> dict[str, Side]:
    """Return the sides that can be measured, each with so many threads."""
    sides = {OURS: side(OURS)}
    try:
        sides[PYTORCH] = side(PYTORCH)
    except ImportError as error:
        results["no_pytorch"] = str(error)
    for each in sides.values():
        each.use_threads(threads)
    return sides


def print_config(args: argparse.Namespace, sides: Mapping[str, Side], results: Any) -> None:
    """Print what the figures depend on, and what would make them unfair."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tinygrad_np.show_config()
        if PYTORCH in sides:
            print(f"PyTorch {sys.modules['torch'].__version__}, eager")
        print(f"threads on each side: {args.threads}")
    print(printed.getvalue(), end="")
    results["config"] = printed.getvalue().splitlines()
    if PYTORCH not in sides:
        print(
            f"PyTorch is not measured ({results['no_pytorch']}); to install it: "
            'python -m pip install -e ".[oracle]"'
        )
    pins = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ]
    if pins:
        unset = " ".join(f"-u {name}" for name in pins)
        print(
            f"warning: {' and '.join(pins)} may hold NumPy's BLAS back, and not PyTorch's; compare "
            f"with: env {unset} python examples/benchmark.py"
        )


def keep(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write all figures so far, if a file is named for them."""
    if path:
        write_bytes(path, (json.dumps(results, indent=2) + "\n").encode())


def measure(args: argparse.Namespace, sides: Mapping[str, Side], results: dict[str, Any]) -> None:
    """Take the measures that were asked for, and draw the ratios."""
    plan = Plan(sides, args.threads, timing.THOROUGH)
    if args.quick:
        plan = Plan(
            sides,
            args.threads,
            timing.QUICK,
            batches=(16,),
            eval_batch=50,
            memory_batches=(64,),
            processes=1,
            growing_batches=(16, 32, 48),
            depths=(1, 2, 3),
        )
    has_plot = PYTORCH in sides and not {"steps", "eval"}.isdisjoint(args.only)
    if has_plot:
        make_folder(args.out, "--out")  # before any work is done
    for name in args.only:
        others = Neighbours()
        results[name] = MEASURES[name](plan)
        note_neighbours(name, others.cores(), results)
        keep(args.json, results)
    if has_plot:
        rows = [{"kind": name} | row for name in ("steps", "eval") for row in results.get(name, [])]
        subtitle = (
            f"PyTorch {sys.modules['torch'].__version__} eager, CPU, {args.threads} threads each"
        )
        figure = report.plot(rows, subtitle + (": a quick run, not to quote" * args.quick))
        viz.save(figure, args.out / "benchmark.png")
        print(f"\nratios drawn in {args.out / 'benchmark.png'}")


def note_neighbours(name: str, cores: float | None, results: dict[str, Any]) -> None:
    """Keep how many cores others used during a measure, and warn where it was much."""
    results.setdefault("cores_used_by_others", {})[name] = cores
    if cores is not None and cores > 0.1:
        print(f"warning: others kept {cores:.1f} cores busy meanwhile: do not quote these figures")


def race_on_mnist(
    args: argparse.Namespace, sides: Mapping[str, Side], results: dict[str, Any]
) -> None:
    """Train MnistCNN on real MNIST on each side."""
    train_set, test_set = data.mnist(args.data_dir)
    if args.quick:
        train_set, test_set = train_set.first(640), test_set.first(500)
    classifiers = {name: each.classifier("MnistCNN") for name, each in sides.items()}
    others = Neighbours()
    results["mnist"] = mnist_epochs.train(classifiers, train_set, test_set, args.epochs_on_mnist)
    note_neighbours("mnist", others.cores(), results)
    keep(args.json, results)


if __name__ == "__main__":
    sys.exit(main())
