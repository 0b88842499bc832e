"""Benchmark tinygrad_np against PyTorch and hand-written NumPy: time, memory and scaling.

    python examples/benchmark.py
    python examples/benchmark.py --quick
    python examples/benchmark.py --only steps,tape --threads 1
    python examples/benchmark.py --epochs-on-mnist 3

It measures training steps and evaluation of four models; training steps of a transformer, recurrent
networks and other models, with one thread and with all; the tape's overhead per op; peak memory;
scaling with batch size, depth and sequence length; and single ops compared with their lower bounds
(the bare NumPy calls that they cannot avoid). With `--epochs-on-mnist N` it instead trains MnistCNN
on MNIST for N epochs with each framework.

It prints tables row by row: medians and, in brackets, quartiles. If PyTorch is installed, they
include the ratio `ours/PyTorch`; below 1, tinygrad_np is faster. The ratios of training steps and
evaluation, or the times if PyTorch is not installed, are also plotted in
runs/benchmark/benchmark.png. `--json FILE` saves every number.

All sides run in one process with the same number of threads and take turns, block by block; only
peak memory is measured in new processes. A full run takes ten minutes and needs an otherwise idle
machine. With `--quick`, it takes seconds, but the numbers mean nothing.
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
from benchmarks import cores, mnist_epochs, report, timing
from benchmarks.measures import MEASURES, Plan
from benchmarks.other_processes import OtherProcesses
from benchmarks.sides import OURS, PYTORCH, Side, side
from tinygrad_np import data, viz
from tinygrad_np.cli.arguments import Parser, path, positive
from tinygrad_np.cli.folders import output_folder
from tinygrad_np.console import run_program, show
from tinygrad_np.files import write_bytes


def main() -> int:
    """Run the benchmark; return 0, or 130 after Ctrl-C."""
    args = parse_arguments()
    results: dict[str, Any] = {"quick": args.quick, "threads": args.threads}
    try:
        sides = find_sides(args.threads, results)
        print_config(args, sides, results)
        keep(args.json, results)  # fail now if the file cannot be written
        if args.epochs_on_mnist:
            race_on_mnist(args, sides, results)
        else:
            measure(args, sides, results)
    except KeyboardInterrupt:
        kept = f" Results so far are in {args.json}." if args.json else ""
        show(f"\nInterrupted.{kept}", sys.stderr)
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    add = parser.add_argument
    text = f"comma-separated measurements to run: {', '.join(MEASURES)} (default: all)"
    add("--only", type=measures, default=list(MEASURES), metavar="NAMES", help=text)
    add("--quick", action="store_true", help="short run; the numbers mean nothing")
    text = "number of threads per side (default: all cores)"
    add("--threads", type=positive, default=cores, metavar="N", help=text)
    add("--json", type=path, metavar="FILE", help="write every number to this file")
    text = "directory for the plot (default: runs/benchmark, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    text = "skip the benchmarks and train MnistCNN on MNIST for N epochs"
    add("--epochs-on-mnist", type=positive, metavar="N", help=text)
    add("--data-dir", type=path, metavar="DIR", help="directory that contains mnist/")
    return parser.parse_args()


def measures(text: str) -> list[str]:
    """Parse a comma-separated list of measurements."""
    names = text.split(",")
    for name in names:
        if name not in MEASURES:
            raise argparse.ArgumentTypeError(
                f"expected one of {', '.join(MEASURES)}, got {name!r}."
            )
    return names


def find_sides(threads: int, results: dict[str, Any]) -> dict[str, Side]:
    """Return the installed sides, each set to `threads` threads."""
    sides = {OURS: side(OURS)}
    try:
        sides[PYTORCH] = side(PYTORCH)
    except ImportError as error:
        results["no_pytorch"] = str(error)
    for each in sides.values():
        each.use_threads(threads)
    return sides


def print_config(args: argparse.Namespace, sides: Mapping[str, Side], results: Any) -> None:
    """Print the configuration, with warnings about settings that make the comparison unfair."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tinygrad_np.show_config()
        if PYTORCH in sides:
            print(f"PyTorch {sys.modules['torch'].__version__}, eager")
        print(f"threads on each side: {args.threads}")
    print(printed.getvalue(), end="")
    results["config"] = printed.getvalue().splitlines()
    results["physical_cores"] = cores.count_physical_cores()
    if results["physical_cores"] and results["physical_cores"] < args.threads:
        print(
            f"warning: more threads ({args.threads}) than physical cores "
            f"({results['physical_cores']}). Hyper-threads gain little on either side."
        )
    if PYTORCH not in sides:
        print(
            f"PyTorch is not measured ({results['no_pytorch']}). To install it, run: "
            'python -m pip install -e ".[oracle]"'
        )
    pins = [name for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ]
    if pins:
        unset = " ".join(f"-u {name}" for name in pins)
        print(
            f"warning: {' and '.join(pins)} may slow down NumPy's BLAS, but not PyTorch's. For a "
            f"fair comparison, run: env {unset} python examples/benchmark.py"
        )


def keep(file: Path | None, results: Mapping[str, Any]) -> None:
    """Write all results so far to `file`, if given."""
    if file:
        write_bytes(file, (json.dumps(results, indent=2) + "\n").encode())


def measure(args: argparse.Namespace, sides: Mapping[str, Side], results: dict[str, Any]) -> None:
    """Run the selected measurements and plot those of training steps and evaluation."""
    plan = Plan(sides, args.threads, timing.THOROUGH)
    if args.quick:
        plan = Plan(
            sides,
            args.threads,
            timing.QUICK,
            batches=(16,),
            eval_batch=50,
            memory_of=(("MnistCNN", 64), ("GPT", 4), ("LSTM", 8)),
            processes=1,
            growing_batches=(16, 32, 48),
            depths=(1, 2, 3),
            growing_steps=(4, 8, 12),
            growing_sequences=(1, 2, 3),
        )
    has_plot = not {"steps", "eval"}.isdisjoint(args.only)
    if has_plot:
        # Created now, to fail early if it is not writable.
        args.out = output_folder(args.out, Path("runs/benchmark"))
    for name in args.only:
        others = OtherProcesses()
        results[name] = MEASURES[name](plan)
        note_other_processes(name, others.cores(), results)
        keep(args.json, results)
    if has_plot:
        rows = [{"kind": name} | row for name in ("steps", "eval") for row in results.get(name, [])]
        subtitle, what = f"CPU, {args.threads} threads", "times"
        if PYTORCH in sides:
            torch = sys.modules["torch"].__version__
            subtitle, what = f"PyTorch {torch} eager, {subtitle} each", "ratios"
        figure = report.plot(rows, subtitle + (" (short run, not representative)" * args.quick))
        viz.save(figure, args.out / "benchmark.png")
        print(f"\nplot of the {what}: {args.out / 'benchmark.png'}")
    else:
        print("\nno plot: only the measurements steps and eval are plotted")


def note_other_processes(name: str, cores: float | None, results: dict[str, Any]) -> None:
    """Record how many cores other processes used during a measurement; warn if above 0.1."""
    results.setdefault("cores_used_by_others", {})[name] = cores
    if cores is not None and cores > 0.1:
        print(
            f"warning: other processes used {cores:.1f} cores during this measurement. "
            "Do not quote its numbers."
        )


def race_on_mnist(
    args: argparse.Namespace, sides: Mapping[str, Side], results: dict[str, Any]
) -> None:
    """Train MnistCNN on MNIST with each side in turn."""
    train_set, test_set = data.mnist(args.data_dir)
    if args.quick:
        train_set, test_set = train_set.first(640), test_set.first(500)
    classifiers = {name: each.classifier("MnistCNN") for name, each in sides.items()}
    others = OtherProcesses()
    results["mnist"] = mnist_epochs.train(classifiers, train_set, test_set, args.epochs_on_mnist)
    note_other_processes("mnist", others.cores(), results)
    keep(args.json, results)


if __name__ == "__main__":
    sys.exit(run_program(main))
