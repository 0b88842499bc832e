"""Reproduce the results that four other systems report, with the same data, models and settings.

    python examples/reproduce.py --quick
    python examples/reproduce.py --full
    python examples/reproduce.py --full --only lab-full,lenet

It prints the progress of each training run, and writes reported and measured results side by side
to RESULTS.md in the directory `--out`. The results of the full run are in examples/RESULTS.md. If
PyTorch is installed, the runs `lenet` and `digits` are repeated in PyTorch.

The full run takes an hour and a half on two cores. Each result is saved in `--out` when its run
ends. A second call trains only what is missing; RESULTS.md covers every result in `--out`.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import shared
from headlines import report
from headlines.courses import COURSES, Course, learn, load_results, ours
from headlines.runs import RUNS
from tinygrad_np import get_num_threads
from tinygrad_np.cli.arguments import Parser, path
from tinygrad_np.console import run_program
from tinygrad_np.files import make_folder, write_bytes
from tinygrad_np.version import __version__


def main() -> int:
    """Train what is missing and write RESULTS.md; return 0, or 1 if a run fails."""
    args = parse_arguments()
    out: Path = args.out or Path("runs") / ("reproduce-quick" if args.quick else "reproduce")
    make_folder(out, "--out")
    courses = [course.quick() if args.quick else course for course in COURSES]
    try:
        for run in RUNS:
            if run.name in args.only:
                run.carry_out(out, args.quick)
        for course in courses:
            if course.name in args.only:
                carry_out(course, out)
    except subprocess.CalledProcessError as error:
        print(f"error: the run failed with exit status {error.returncode}.", file=sys.stderr)
        return 1
    finally:
        page = out / "RESULTS.md"
        runs = {run: result for run in RUNS if (result := run.result(out, args.quick))}
        done = {course: load_results(course, out) for course in courses}
        write_bytes(page, report.text(runs, done, is_quick=args.quick).encode())
    print(f"\n{page}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    names = [run.name for run in RUNS] + [course.name for course in COURSES]
    parser = Parser(description=(__doc__ or "").split("\n", 1)[0])
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument(
        "--quick", action="store_true", help="run with a few images and steps; takes seconds"
    )
    form.add_argument("--full", action="store_true", help="run in full; takes an hour and a half")
    parser.add_argument(
        "--only",
        default=",".join(names),
        metavar="NAMES",
        help=f"comma-separated names of runs: {', '.join(names)} (default: all)",
    )
    text = "output directory (default: runs/reproduce[-quick])"
    parser.add_argument("--out", type=path, metavar="DIR", help=text)
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := sorted(set(args.only) - set(names)):
        parser.error(f"--only: expected some of {', '.join(names)}, got {', '.join(unknown)}.")
    return args


def carry_out(course: Course, out: Path) -> None:
    """Train with each seed in tinygrad_np, then in PyTorch; save each result at once."""
    results = load_results(course, out)
    results |= {
        "threads": get_num_threads(),
        "versions": {"tinygrad_np": __version__, "numpy": np.__version__},
    }
    sets = course.sets()
    sides = ["tinygrad_np"]
    if importlib.util.find_spec("torch") is not None:
        sides.append("PyTorch")
    for seed in range(course.seeds):
        for name in sides:
            side = results.setdefault(name, {"accuracies": [], "step_seconds": []})
            if len(side["accuracies"]) > seed:
                continue
            learner = ours(course, seed) if name == "tinygrad_np" else theirs(course, seed)
            found = learn(course, learner, sets, seed)
            side["accuracies"].append(found.accuracies)
            side["step_seconds"].append(found.step_seconds)
            shared.write_json(out / f"{course.name}.json", results)
            told = ", ".join(f"{accuracy:.2%}" for accuracy in found.accuracies)
            print(
                f"{course.title}, seed {seed}, {name}: {told}; {1000 * found.step_seconds:.2f} ms",
                flush=True,
            )


def theirs(course: Course, seed: int) -> Any:
    """Build the PyTorch learner."""
    from headlines import in_pytorch  # imported here because PyTorch is optional

    return in_pytorch.theirs(course, seed, get_num_threads())


if __name__ == "__main__":
    sys.exit(run_program(main))
