"""Write RESULTS.md from the results of the runs."""

import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headlines.courses import Course, difference
from headlines.runs import Run

_SIDES = ("tinygrad_np", "PyTorch")
_FIRST = 5

_Result = Mapping[str, Any]


def text(runs: Mapping[Run, _Result], courses: Mapping[Course, _Result], *, is_quick: bool) -> str:
    """Format the page: a table of the finished runs, notes, details and commands."""
    done = {course: result for course, result in courses.items() if "tinygrad_np" in result}
    lines = ["# Results", "", *_preface([*runs.values(), *done.values()], is_quick)]
    lines += [
        "",
        "| run | reported | target | measured | seconds |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_run_row(run, metrics) for run, metrics in runs.items()]
    lines += [_course_row(course, result) for course, result in done.items()]
    remarks = {one.title: one.remark for one in runs} | {one.title: one.remark for one in done}
    told = [f"- {title}: {remark}" for title, remark in remarks.items() if remark]
    if told and not is_quick:
        lines += ["", "Notes on the results of November 2026:", "", *told]
    for course, result in done.items():
        beside = ", compared with PyTorch" if "PyTorch" in result else ""
        lines += ["", f"## {course.title}{beside}", "", *_course(course, result)]
    lines += ["", "## Commands", "", "```sh"]
    lines += [f"python {shlex.join(run.command(Path('runs'), is_quick))}" for run in runs]
    form = "--quick" if is_quick else "--full"
    lines += [f"python examples/reproduce.py {form} --only {course.name}" for course in done]
    return "\n".join([*lines, "```", ""])


def _preface(results: Sequence[_Result], is_quick: bool) -> list[str]:
    """Format what all results share; versions and threads are read from the results."""
    versions = sorted({str(result["versions"]["numpy"]) for result in results})
    threads = sorted({str(result["threads"]) for result in results})
    unit = "thread" if threads == ["1"] else "threads"
    form = "--quick" if is_quick else "--full"
    lines = [
        f"Written by `python examples/reproduce.py {form}`: float32, NumPy "
        f"{' and '.join(versions)}, {' and '.join(threads)} {unit}.",
        "The letters A to D stand for four other systems; the column `reported` gives the numbers "
        "that they report.",
        "Accuracies are measured on the whole test set. Epochs and recipes were chosen on a "
        "held-out part of the training set.",
        "Each command-line run is one training run with seed 0. The seconds are for one training "
        "run. Results in **bold** reach their target.",
    ]
    if is_quick:
        lines += ["", "**Short runs on a few images: they only check that everything runs.**"]
    return lines


def _run_row(run: Run, metrics: _Result) -> str:
    accuracy = metrics["test_accuracy"]
    here = _judge(_percent(accuracy), accuracy - run.least)
    along = [epoch.get("test_accuracy") for epoch in metrics["history"]]
    if along and None not in along:
        here += f" ({_percent(max(along))} in the epoch with the best test accuracy)"
    return _row(run.title, run.headline, run.asked, here, metrics["seconds"]["training"])


def _course_row(course: Course, result: _Result) -> str:
    rows = result["tinygrad_np"]["accuracies"][:_FIRST]
    means = [statistics.mean(column) for column in zip(*rows, strict=True)]
    gaps = [here - there for here, there in zip(means, course.headline, strict=True)]
    here = _judge(", ".join(map(_percent, means)), min(gaps) + course.margin)
    there = f"{', '.join(map(_percent, course.headline))}; {course.step_headline}"
    seconds = course.steps * statistics.median(result["tinygrad_np"]["step_seconds"])
    return _row(course.title, there, course.asked, here, seconds)


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"


def _judge(here: str, beyond: float) -> str:
    # Accuracies are ratios of counts, so a difference below 1e-9 is rounding.
    return f"**{here}**" if beyond > -1e-9 else f"{here}: {100 * -beyond:.2f} points short"


def _row(title: str, there: str, asked: str, here: str, seconds: float) -> str:
    return f"| {title} | {there} | {asked} | {here} | {seconds:.1f} |"


def _course(course: Course, result: _Result) -> list[str]:
    """Format a table of the accuracies during training, and the test of their difference."""
    sides = {name: result[name] for name in _SIDES if name in result}
    steps = range(course.every, course.steps + 1, course.every)
    lines = [
        "| after step | " + " | ".join(map(str, steps)) + " |",
        "| --- " * (len(steps) + 1) + "|",
    ]
    counts = {name: len(side["accuracies"]) for name, side in sides.items()}
    rows = {"reported": [course.headline]}
    for name, side in sides.items():
        for count in sorted({min(_FIRST, counts[name]), counts[name]}):
            rows[f"{name}, {count} seeds"] = side["accuracies"][:count]
    for name, values in rows.items():
        cells = [_mean_and_spread(column) for column in zip(*values, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    times = [
        f"{1000 * statistics.median(side['step_seconds']):.2f} ms in {name}"
        for name, side in sides.items()
    ]
    lines += [
        "",
        "Accuracy in %: mean over seeds ± standard deviation of a single run. A step on 64 images "
        f"takes {' and '.join(times)} (reported: {course.step_headline}).",
    ]
    if len(set(counts.values())) == 1 and "PyTorch" in sides:
        ends = [[row[-1] for row in side["accuracies"]] for side in sides.values()]
        gap, chance = difference(*ends)
        lines += [
            f"The final means differ by {100 * gap:+.2f} points (tinygrad_np minus PyTorch). A "
            f"difference at least as large occurs by chance with probability {chance:.2f} "
            f"(permutation test with {len(ends[0])} seeds each).",
        ]
    return lines


def _mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread}"
