"""Train what four other systems report, with the same data, models and settings, and tell.

    python examples/reproduce.py --quick
    python examples/reproduce.py --full
    python examples/reproduce.py --full --only lab-full,lenet

The full form takes about an hour on two cores. Each result is kept in --out as soon as it is there,
and RESULTS.md is made of all that are. PyTorch is compared with where it is installed.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import shared
from headlines import report
from headlines.courses import COURSES, Course, learn, ours
from headlines.runs import RUNS
from tinygrad_np import get_num_threads
from tinygrad_np.files import make_folder, write_bytes


def main() -> int:
    """Carry out the runs; return 0, or 1 where one of them fails."""
    args = parse_arguments()
    is_quick = args.quick
    out = args.out or Path("runs") / ("reproduce-quick" if is_quick else "reproduce")
    kept = out / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    try:
        make_folder(out, "--out")
        for run in RUNS:
            if run.name in args.only:
                results[run.name] = run.carry_out(out, is_quick)
                shared.write_json(kept, results)
        for course in COURSES:
            if course.name in args.only:
                results[course.name] = carry_out(course, is_quick)
                shared.write_json(kept, results)
    except subprocess.CalledProcessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = f"python examples/reproduce.py {'--quick' if is_quick else '--full'}"
    page = args.report or out / "RESULTS.md"
    write_bytes(page, report.text(results, command, is_quick).encode())
    print(f"\n{page}")
    return 0


def parse_arguments() -> argparse.Namespace:
    """Return the command line's flags."""
    names = [run.name for run in RUNS] + [course.name for course in COURSES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    form = parser.add_mutually_exclusive_group(required=True)
    form.add_argument(
        "--quick", action="store_true", help="a few images and steps of each, seconds"
    )
    form.add_argument("--full", action="store_true", help="all of it, about an hour")
    parser.add_argument(
        "--only", default=",".join(names), metavar="NAMES", help="default: %(default)s"
    )
    parser.add_argument("--out", type=Path, help="default: runs/reproduce, or runs/reproduce-quick")
    parser.add_argument("--report", type=Path, help="default: RESULTS.md in --out")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := sorted(set(args.only) - set(names)):
        parser.error(f"--only: no {', '.join(unknown)}; there are {', '.join(names)}")
    return args


def carry_out(course: Course, is_quick: bool) -> dict[str, Any]:
    """Train with each seed, here and in PyTorch, in turn."""
    if is_quick:
        course = replace(course, steps=len(course.headline) * 5, every=5)
    sets = course.sets()
    if is_quick:
        sets = (sets[0].first(640), sets[1].first(200))
    has_pytorch = importlib.util.find_spec("torch") is not None
    result: dict[str, Any] = {"threads": get_num_threads()}
    for seed in range(2 if is_quick else course.seeds):
        learners = {"tinygrad_np": ours(course, seed)}
        if has_pytorch:
            learners["PyTorch"] = theirs(course, seed)
        for name, learner in learners.items():
            found = learn(course, learner, sets, seed)
            side = result.setdefault(name, {"accuracies": [], "step_seconds": []})
            side["accuracies"].append(found.accuracies)
            side["step_seconds"].append(found.step_seconds)
            told = ", ".join(f"{accuracy:.2%}" for accuracy in found.accuracies)
            print(
                f"{course.title}, seed {seed}, {name}: {told}; {1000 * found.step_seconds:.2f} ms"
            )
    return result


def theirs(course: Course, seed: int) -> Any:
    """Return PyTorch's learner."""
    from headlines import in_pytorch  # PyTorch is optional

    return in_pytorch.theirs(course, seed, get_num_threads())


if __name__ == "__main__":
    sys.exit(shared.run(main))
