"""RESULTS.md, from the results of the runs."""

import platform
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import threadpoolctl

from headlines.courses import COURSES, Course, difference
from headlines.runs import RUNS, Run


def text(results: Mapping[str, Any], command: str, is_quick: bool) -> str:
    """Return the page: a table of the runs that there are results of, and their commands."""
    runs = [run for run in RUNS if run.name in results]
    courses = [course for course in COURSES if course.name in results]
    lines = ["# Results", "", *_preface(command, is_quick)]
    lines += [
        "",
        "| run | reported there | to show | here | seconds | threads |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(run, results[run.name]) for run in runs]
    for course in courses:
        lines += [
            "",
            f"## {course.title}, beside PyTorch",
            "",
            *_course(course, results[course.name]),
        ]
    lines += ["", "## Commands", "", "```sh"]
    lines += [results[run.name]["command"] for run in runs]
    lines += [f"python examples/reproduce.py --full --only {course.name}" for course in courses]
    return "\n".join([*lines, "```", ""])


def _preface(command: str, is_quick: bool) -> list[str]:
    blas = [one for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
    kernels = ", ".join(
        f"{b['internal_api']} {b['version']} ({b['architecture']})" for b in blas[:1]
    )
    lines = [
        f"Made by `{command}`: float32, Python {platform.python_version()}, NumPy "
        f"{np.__version__}, {kernels}. Accuracies are on the "
        "whole test set, by which nothing was chosen; where something was, it was by a part of the "
        "training set that was held out. Seconds are those of training."
    ]
    if is_quick:
        lines += ["", "**Quick runs on a few images: they show that all runs, and no figures.**"]
    return lines


def _row(run: Run, result: Mapping[str, Any]) -> str:
    accuracies, seconds = result["accuracies"], result["seconds"]
    mean = statistics.mean(accuracies)
    here = f"{mean:.2%}"
    if len(accuracies) > 1:
        here += f" ± {statistics.stdev(accuracies):.2%} (of {len(accuracies)} seeds"
        five = accuracies[:5]
        if len(accuracies) > len(five):
            spread = f"{statistics.mean(five):.2%} ± {statistics.stdev(five):.2%}"
            here += f"; of the first five {spread}"
        here += ")"
    here = f"**{here}**" if mean >= run.least else f"{here}: {run.least - mean:.2%} short"
    cells = [run.title, run.headline, run.asked, here, f"{statistics.mean(seconds):.1f}"]
    return f"| {' | '.join(cells)} | {result['threads']} |"


def _course(course: Course, result: Mapping[str, Any]) -> list[str]:
    """Return a table of the accuracies along the way, and the test of their difference."""
    steps = range(course.every, course.steps + 1, course.every)
    sides = {"reported there": [course.headline]}
    sides |= {
        name: result[name]["accuracies"] for name in ("tinygrad_np", "PyTorch") if name in result
    }
    lines = [
        "| after step | " + " | ".join(map(str, steps)) + " |",
        "| --- " * (len(steps) + 1) + "|",
    ]
    for name, rows in sides.items():
        cells = [_mean_and_spread(column) for column in zip(*rows, strict=True)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    means = [statistics.mean(column) for column in zip(*sides["tinygrad_np"], strict=True)]
    apart = [f"{100 * (a - b):+.2f}" for a, b in zip(means, course.headline, strict=True)]
    lines.append(f"| tinygrad_np beside what is reported | {' | '.join(apart)} |")
    for name in ("tinygrad_np", "PyTorch"):
        if name in result:
            milliseconds = 1000 * statistics.median(result[name]["step_seconds"])
            lines += [
                "",
                f"A step of 64 images takes {milliseconds:.2f} ms in {name}, with "
                f"{result['threads']} threads.",
            ]
    if "PyTorch" in result:
        ends = [
            [row[-1] for row in result[name]["accuracies"]] for name in ("tinygrad_np", "PyTorch")
        ]
        gap, chance = difference(*ends)
        lines += [
            "",
            f"The means at the end differ by {100 * gap:+.2f} points; one as large comes by chance "
            f"with probability {chance:.2f} (permutation test, {len(ends[0])} seeds each).",
        ]
    return lines


def _mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{spread}"
