"""The measurements. Each function prints a table row by row and returns the rows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks import im2col, ours, peak
from benchmarks.lower_bounds import LOWER_BOUNDS
from benchmarks.report import Column, Table, show, show_times
from benchmarks.sides import BY_INDICES, BY_LOOPS, OURS, PYTORCH, Side
from benchmarks.timing import Effort, Spread, Step, fit, race, ratios
from benchmarks.workloads import WORKLOADS
from tinygrad_np.runtime.memory import Array

MODELS = ("MnistCNN", "MnistCNNLight", "LeNet", "DigitsCNN")
BY_HAND = ("MnistCNN", "MnistCNNLight")
_MS = 1e3

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The sides to measure, and how much to measure."""

    sides: Mapping[str, Side]
    threads: int
    effort: Effort
    batches: Sequence[int] = (16, 64, 128, 512)
    eval_batch: int = 1000
    workloads: Sequence[str] = tuple(WORKLOADS)
    memory_of: Sequence[tuple[str, int]] = (
        ("MnistCNN", 64),
        ("MnistCNN", 512),
        ("GPT", 16),
        ("GPT", 64),
        ("LSTM", 32),
        ("LSTM", 128),
    )
    processes: int = 3
    growing_batches: Sequence[int] = (64, 128, 256, 512, 1024)
    depths: Sequence[int] = (1, 2, 4, 8, 16)
    growing_steps: Sequence[int] = (32, 64, 128, 256)
    growing_sequences: Sequence[int] = (4, 8, 16, 32)

    def use_threads(self, count: int) -> None:
        """Set the number of threads of each side."""
        for side in self.sides.values():
            side.use_threads(count)

    def race(self, contest: Mapping[str, Step], scale: float = _MS) -> Row:
        """Time the steps in turns; return the spread of their times and of our ratios to each."""
        return compare(race(contest, self.effort), "times", scale)


def compare(found: Mapping[str, Sequence[float]], kind: str, scale: float = 1.0) -> Row:
    """Return the spread of each side's measurements and of our ratio to each other side."""
    spreads = {name: Spread.of([scale * one for one in each]) for name, each in found.items()}
    others = {name: ratios(found[OURS], each) for name, each in found.items() if name != OURS}
    return {
        kind: {name: asdict(spread) for name, spread in spreads.items()},
        "ratio_to": {name: asdict(spread) for name, spread in others.items()},
    }


def images_for(model: str, batch: int) -> tuple[Array, Array]:
    """Return random images of the model's input size, and random labels."""
    generator = np.random.default_rng(0)
    size = 8 if model == "DigitsCNN" else 28
    images = generator.standard_normal((batch, 1, size, size), np.float32)
    return images, generator.integers(0, 10, batch)


def steps(plan: Plan) -> list[Row]:
    """Time a training step of each model at each batch size."""
    table = Table(
        "Training step in ms: forward, cross-entropy, backward, SGD with momentum",
        Column("model", 14),
        Column("batch", 6),
        *side_columns(plan),
        *(Column(f"{way}/ours", 23) for way in (BY_LOOPS, BY_INDICES)),
    )
    rows = []
    for model in MODELS:
        for batch in plan.batches:
            images, labels = images_for(model, batch)
            contest = {
                name: side.training_step(model, images, labels) for name, side in plan.sides.items()
            }
            if model in BY_HAND:
                weights = {
                    name: weight.data.copy()
                    for name, weight in ours.network(model).named_parameters()
                }
                for way in (BY_LOOPS, BY_INDICES):
                    own = {name: weight.copy() for name, weight in weights.items()}
                    contest[way] = im2col.training_step(own, images, labels, way == BY_INDICES)
            row: Row = {"model": model, "batch": batch} | plan.race(contest)
            rows.append(row)
            by_hand = [show_times(row["ratio_to"].get(way)) for way in (BY_LOOPS, BY_INDICES)]
            table.row(model, batch, *side_cells(plan, row), *by_hand)
    return rows


def evaluation(plan: Plan) -> list[Row]:
    """Time the forward pass of each model in evaluation mode."""
    table = Table(
        "Evaluation in ms (forward pass without gradients)",
        Column("model", 14),
        Column("batch", 6),
        *side_columns(plan),
    )
    rows = []
    for model in MODELS:
        images, _ = images_for(model, plan.eval_batch)
        contest = {name: side.evaluation(model, images) for name, side in plan.sides.items()}
        row: Row = {"model": model, "batch": plan.eval_batch} | plan.race(contest)
        rows.append(row)
        table.row(model, plan.eval_batch, *side_cells(plan, row))
    return rows


def workloads(plan: Plan) -> list[Row]:
    """Time a training step of each workload with one thread on each side, and with all."""
    table = Table(
        "Training step of other models in ms",
        Column("model", 14),
        Column("threads", 8),
        *side_columns(plan),
        Column("sizes", 42),
    )
    rows = []
    try:
        for name in plan.workloads:
            contest = {side_name: side.workload(name) for side_name, side in plan.sides.items()}
            for threads in sorted({1, plan.threads}):
                plan.use_threads(threads)
                row: Row = {"model": name, "threads": threads} | plan.race(contest)
                rows.append(row)
                table.row(name, threads, *side_cells(plan, row), WORKLOADS[name].sizes)
    finally:
        plan.use_threads(plan.threads)
    return rows


def tape(plan: Plan) -> list[Row]:
    """Time the overhead per op, forward and backward, on arrays of 8 floats."""
    table = Table(
        "Tape overhead in us per op, forward and backward: 1000 ops on 8 floats",
        Column("ops", 21),
        *side_columns(plan),
    )
    start, factor = np.ones(8, np.float32), np.full(8, 1.001, np.float32)
    contest = {name: side.chain(start, factor) for name, side in plan.sides.items()}
    row = plan.race(contest, scale=1e6 / 1000)
    table.row("mul and add", *side_cells(plan, row))
    return [row]


def memory(plan: Plan) -> list[Row]:
    """Measure how much three training steps raise the peak memory of a new process."""
    table = Table(
        "Peak memory in MiB: increase of a new process's peak (VmHWM) by three training steps",
        Column("model", 14),
        Column("batch", 6),
        *side_columns(plan),
    )
    if not peak.is_measurable():
        print("not measured: this system has no /proc/self/status with VmHWM")
        return []
    rows = []
    for model, batch in plan.memory_of:
        found: dict[str, list[float]] = {name: [] for name in plan.sides}
        for _ in range(plan.processes):
            for name in plan.sides:
                mib = peak.growth_in_fresh_process(name, model, batch, plan.threads)
                found[name].append(mib)
        row: Row = {"model": model, "batch": batch} | compare(found, "mib")
        rows.append(row)
        table.row(model, batch, *side_cells(plan, row, "mib"))
    return rows


def growth(plan: Plan) -> list[Row]:
    """Time steps at growing batch sizes, depths and sequence lengths; fit a line to each."""
    batch_steps = {}
    for batch in plan.growing_batches:
        images, labels = images_for("MnistCNN", batch)
        batch_steps[batch] = {
            name: side.training_step("MnistCNN", images, labels)
            for name, side in plan.sides.items()
        }
    title = "Training step of MnistCNN in ms by batch size"
    rows = _growth(plan, "MnistCNN", "batch", title, batch_steps)
    images = np.random.default_rng(0).standard_normal((64, 32, 14, 14), np.float32)
    depth_steps = {
        depth: {name: side.stack_step(depth, images) for name, side in plan.sides.items()}
        for depth in plan.depths
    }
    title = "Forward and backward in ms by depth: 3x3 convolutions, 32 channels, 14x14, batch 64"
    rows += _growth(plan, "convolutions", "depth", title, depth_steps)
    for model, by, sizes in (
        ("GPT", "batch", plan.growing_sequences),
        ("GPT", "steps", plan.growing_steps),
        ("LSTM", "steps", plan.growing_steps),
    ):
        contests = {
            size: {name: side.workload(model, **{by: size}) for name, side in plan.sides.items()}
            for size in sizes
        }
        what = "batch size" if by == "batch" else "sequence length"
        title = f"Training step of {model} in ms by {what}"
        rows += _growth(plan, model, by, title, contests)
    return rows


def _growth(
    plan: Plan, model: str, by: str, title: str, contests: Mapping[int, Mapping[str, Step]]
) -> list[Row]:
    table = Table(title, Column(by, 21), *side_columns(plan))
    rows = []
    for size, contest in contests.items():
        row: Row = {"model": model, "by": by, "size": size} | plan.race(contest)
        rows.append(row)
        table.row(size, *side_cells(plan, row))
    fits: list[Row] = []
    for name in plan.sides:
        line = fit(list(contests), [row["times"][name]["median"] for row in rows])
        print(
            f"{name}: {line.intercept:.3f} ms + {line.slope:.4f} ms · {by}, "
            f"R² = {line.r_squared:.4f}"
        )
        fits.append({"model": model, "by": by, "side": name, "fit_ms": asdict(line)})
    return rows + fits


def lower_bounds(plan: Plan) -> list[Row]:
    """Time ops against the bare NumPy calls that they cannot avoid."""
    table = Table(
        "Ops and their lower bounds in ms: the bare NumPy calls, into preallocated arrays",
        Column("op", 20),
        Column("bound", 17),
        Column(OURS, 23),
        Column("bare", 23),
        Column("ours/bare", 21),
    )
    rows = []
    for name, (make, what) in LOWER_BOUNDS.items():
        op, bare = make()
        row: Row = {"op": name, "bound": what} | plan.race({OURS: op, "bare": bare})
        rows.append(row)
        spreads = row["times"][OURS], row["times"]["bare"], row["ratio_to"]["bare"]
        table.row(name, what, *map(show, spreads))
    return rows


def side_columns(plan: Plan) -> list[Column]:
    """Return one column per side, and one for the ratio to PyTorch if it is measured."""
    columns = [Column(name, 23) for name in plan.sides]
    return [*columns, Column("ours/PyTorch", 21)] if PYTORCH in plan.sides else columns


def side_cells(plan: Plan, row: Row, figures: str = "times") -> list[str]:
    """Return the cells of `side_columns`."""
    cells = [show(row[figures][name]) for name in plan.sides]
    return [*cells, show(row["ratio_to"][PYTORCH])] if PYTORCH in plan.sides else cells


MEASURES = {
    "steps": steps,
    "eval": evaluation,
    "workloads": workloads,
    "tape": tape,
    "memory": memory,
    "growth": growth,
    "lower_bounds": lower_bounds,
}
