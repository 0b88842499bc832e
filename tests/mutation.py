"""Measure what the tests catch: plant one small fault at a time and run the tests.

    python tests/mutation.py --sample 300 --jobs 2 --tier full --output mutation.json

A mutant is the package with one expression rewritten: an operator, a term, a sign, a comparison,
the order of two arguments, a slice bound, a constant, a condition. The sample is divided evenly
among the areas and drawn with a seed: the same seed and the same source give the same mutants.
Each mutant is written into a copy of the checkout and tested there. It is caught if a test fails,
the package no longer imports, or the tests hang.

Which tests run: `coverage` (in the extra `dev`) traces one run of the full tier and notes which
test executes which line. `--trace FOLDER` keeps that for later runs on the same source and tests.
A mutant is tested by the tests that execute its lines, the most likely to catch it first: in the
smoke tier, then with `--tier full` among the slow tests, then with `--tier pytorch` among those
that compare with PyTorch. If it is evaluated at import, these are
the tests of the enclosing function or class or, at module level, of the module.

Left out are
- training on downloaded data, which most machines do not have;
- tests that fail without a mutant, measure time, or compare the source's text with a page;
- tests of more than `--longest` seconds: few tests, which take most of the time of a survivor;
- tests that run the mutated lines in another process only: the trace does not see them.

Never mutated, since no test should notice: text (strings, f-strings, `raise`, `__repr__`),
annotations and `TYPE_CHECKING`, what only concerns speed or internal checks (`PERFORMANCE`,
`COSTS`, `IGNORED_KEYWORDS`), and the order of arguments of commutative functions.
"""

import argparse
import ast
import copy
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

AREAS = {
    "engine": ["tinygrad_np/autograd"],
    "ops": ["tinygrad_np/ops"],
    "kernels": ["tinygrad_np/kernels"],
    "nn": ["tinygrad_np/nn"],
    "optim": ["tinygrad_np/optim"],
}
UNTRUSTED = re.compile(r"test_op_table|test_speed")
"""Tests that compare the source's text with a page, or that measure time."""
PERFORMANCE = re.compile(
    r"cost|flops|blas|_PIECE|SMALL$|WORTH|_MOVE$|_MULTIPLY$|^_most$|^blocks$|^_STEPS$"
)
"""Names that decide how fast something is computed, or where tests sample it, not the result."""
COSTS = {"each": 2, "in_parts": 3, "_by_channels": 2}
"""Functions that take an estimate of their cost, and the position of that argument."""
IGNORED_KEYWORDS = {"strict", "maxsize", "stacklevel", "formula", "subgradient", "domain", "kinks"}
COMMUTATIVE = {"add", "mul", "multiply", "maximum", "minimum", "max", "min", "eq", "ne", "_dots"}
COMMUTATIVE |= {"may_share_memory"}
TEXT_METHODS = {"__repr__", "__str__", "extra_repr"}
PAIRS = "Add Sub, Mult Div, And Or, Lt LtE, Gt GtE, Eq NotEq, Is IsNot, In NotIn"
SWAPS: dict[type, Any] = {
    getattr(ast, a): getattr(ast, b)
    for pair in PAIRS.split(", ")
    for a, b in (pair.split(), pair.split()[::-1])
}
TIERS = ("smoke", "full", "pytorch")
MEMORY_LIMIT = 8 << 30
FIRST = 100
"""How many of the tests of a mutant run before all others are even collected."""


@dataclass
class Mutant:
    """One fault: the expression `before` of a file becomes `after`."""

    area: str
    file: str
    line: int
    kind: str
    before: str
    after: str
    start: int
    stop: int
    lines: tuple[int, int]
    outcome: str = ""
    tests: int = 0
    caught_by: str = ""

    def mutate(self, source: bytes) -> bytes:
        """Return the source with the fault in it."""
        return source[: self.start] + self.after.encode() + source[self.stop :]

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}:{self.line}: {self.kind}: {before}  ->  {after}"


def rewrites(node: ast.AST) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Yield each fault of one node: its kind, what is replaced, and by what."""
    match node:
        case ast.BinOp(left, op, right) if not any(map(_is_sequence, (left, right))):
            if type(op) in SWAPS:
                yield "operator", node, _with(node, op=SWAPS[type(op)]())
            if isinstance(op, ast.Add | ast.Sub | ast.Mult | ast.Div):
                yield "term", node, left
                yield "term", node, right
            if isinstance(op, ast.Mult | ast.Div):
                yield "sign", node, ast.UnaryOp(ast.USub(), node)
        case ast.AugAssign(op=op) if type(op) in SWAPS:
            yield "operator", node, _with(node, op=SWAPS[type(op)]())
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", node, operand
        case ast.UnaryOp(ast.Not(), operand):
            yield "condition", node, operand
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            yield "comparison", node, _with(node, ops=[SWAPS[type(op)]()])
        case ast.BoolOp(op=op):
            yield "condition", node, _with(node, op=SWAPS[type(op)]())
        case ast.IfExp(body=body, orelse=orelse):
            yield "branch", node, _with(node, body=orelse, orelse=body)
        case ast.If(test=test) | ast.While(test=test):
            # The negation of `not x`, `x == y`, `x is y` and `x in y` is a mutant already.
            ordered = ast.Lt | ast.LtE | ast.Gt | ast.GtE
            is_equality = isinstance(test, ast.Compare) and not isinstance(test.ops[0], ordered)
            if not is_equality and not isinstance(test, ast.UnaryOp):
                yield "branch", test, ast.UnaryOp(ast.Not(), test)
        case ast.Call(func=func, args=[first, second, *rest]):
            name = getattr(func, "attr", getattr(func, "id", ""))
            is_useless = any(isinstance(x, ast.Starred) or _is_sequence(x) for x in (first, second))
            is_useless = is_useless or ast.dump(first) == ast.dump(second)
            if name not in {*COMMUTATIVE, "isinstance", "issubclass"} and not is_useless:
                yield "arguments", node, _with(node, args=[second, first, *rest])
        case ast.Slice(lower, upper):
            for bound in (lower, upper):
                if bound is not None:
                    for op in (ast.Add(), ast.Sub()):
                        yield "slice", bound, ast.BinOp(bound, op, ast.Constant(1))
        case ast.Constant(value) if isinstance(value, int | float):
            other = not value if isinstance(value, bool) else 2 * value or 1.0
            yield "constant", node, ast.Constant(value + 1 if type(value) is int else other)


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _is_sequence(node: ast.AST) -> bool:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_text or isinstance(node, ast.Tuple | ast.List | ast.JoinedStr)


def _is_about_speed(node: ast.AST) -> bool:
    names = (getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node))
    return any(PERFORMANCE.search(name) for name in names)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the children that may be mutated."""
    match node:
        case ast.Raise() | ast.JoinedStr():
            return
        case ast.FunctionDef(name=name) if name in TEXT_METHODS or PERFORMANCE.search(name):
            return
        case ast.Assign(targets=[target, *_]) if _is_about_speed(target):
            return
        case ast.If(test=ast.Name("TYPE_CHECKING")):
            return
        case ast.BinOp() | ast.Compare() if _is_about_speed(node):
            return
        case ast.For(target=target) if _is_about_speed(target):
            yield from node.body
            return
        case ast.Slice():  # a constant as a bound is changed as a bound
            bounds = (node.lower, node.upper, node.step)
            yield from (b for b in bounds if b and not isinstance(b, ast.Constant | ast.UnaryOp))
            return
        case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in COSTS:
            yield from node.args[: COSTS[name]]
            return
        case ast.Call(func=ast.Name("max" | "min" | "_most")) if _is_about_speed(node):
            return
        case ast.keyword(arg=str(name)) if name in IGNORED_KEYWORDS or PERFORMANCE.search(name):
            return
    types = (getattr(node, "annotation", None), getattr(node, "returns", None))
    yield from (child for child in ast.iter_child_nodes(node) if child not in types)


def mutants_of(root: Path, area: str, file: str) -> list[Mutant]:
    """Return all mutants of one file."""
    source = (root / file).read_bytes()
    starts = [0, *np.cumsum([len(line) for line in source.splitlines(keepends=True)]).tolist()]
    found: dict[tuple[int, int, str], Mutant] = {}

    def visit(node: ast.AST, lines: tuple[int, int], is_called: bool) -> None:
        """Collect the mutants below `node`; unless it is called, `lines` are those to be run."""
        if is_called and isinstance(node, ast.expr | ast.stmt):
            lines = node.lineno, node.end_lineno or node.lineno
        for kind, old, new in rewrites(node):
            if not _is_about_speed(old):
                assert isinstance(old, ast.expr | ast.stmt)
                start = starts[old.lineno - 1] + old.col_offset
                stop = starts[(old.end_lineno or 0) - 1] + (old.end_col_offset or 0)
                text = ast.unparse(new)
                after = text if isinstance(new, ast.stmt | ast.Constant) else f"({text})"
                before = source[start:stop].decode()
                found.setdefault(
                    (start, stop, after),
                    Mutant(area, file, old.lineno, kind, before, after, start, stop, lines),
                )
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_called:
            first = min(n.lineno for n in (node, *node.decorator_list))
            lines = first, node.end_lineno or first
        body = node.body if isinstance(node, ast.FunctionDef | ast.Lambda) else []
        called = body if isinstance(body, list) else [body]
        for part in _parts(node):
            visit(part, lines, is_called or part in called)

    visit(ast.parse(source), (1, len(starts)), False)
    return list(found.values())


def sample(root: Path, areas: dict[str, list[str]], count: int, seed: int) -> list[Mutant]:
    """Draw mutants, as many from each area."""
    generator = np.random.default_rng(seed)
    chosen = []
    for area, paths in areas.items():
        files = [f for p in paths for f in sorted((root / p).rglob("*.py")) or [root / p]]
        found = [m for f in files for m in mutants_of(root, area, str(f.relative_to(root)))]
        chosen += [found[i] for i in generator.permutation(len(found))[: -(-count // len(areas))]]
    return sorted(chosen[:count], key=lambda mutant: (mutant.file, mutant.start))


class Trace:
    """Which test executes which line, how long each test takes, and to which tier it belongs."""

    def __init__(self, folder: Path, longest: float) -> None:
        import coverage

        tests: dict[str, tuple[float, str]] = json.loads((folder / "tests.json").read_text())
        self.tests = {name: test for name, test in tests.items() if test[0] <= longest}
        self._data = coverage.CoverageData(str(folder / "lines.sqlite"))
        self._data.read()
        self._files: dict[str, dict[int, list[str]]] = {}

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that execute a mutant: those of its module first, then by duration."""
        if mutant.file not in self._files:
            # One file at a time: thousands of tests for each line of the engine.
            self._files = {mutant.file: self._data.contexts_by_lineno(mutant.file)}
        by_line = self._files[mutant.file]
        first, last = mutant.lines
        names = {name for n in range(first, last + 1) for name in by_line.get(n, ())} - {""}
        if not names:  # evaluated at import, in a class or function whose body never runs
            names = {name for tests in by_line.values() for name in tests}
        stem = Path(mutant.file).stem
        return sorted(names & self.tests.keys(), key=lambda test: self.rank(test, stem))

    def rank(self, test: str, stem: str = "") -> tuple[bool, float, str]:
        """Return a key that sorts tests: those named after a module first, then the fastest."""
        return stem not in test, self.tests[test][0], test


class Tracer:
    """A pytest plugin that writes a `Trace`."""

    def __init__(self, folder: Path) -> None:
        import coverage

        self.folder = folder
        self.tests: dict[str, tuple[float, str]] = {}
        self.failed: set[str] = set()
        self.coverage = coverage.Coverage(
            str(folder / "lines.sqlite"), source=[str(Path("tinygrad_np").resolve())]
        )
        self.coverage.set_option("run:relative_files", True)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Note the lines that a test executes as its own."""
        self.coverage.switch_context(item.nodeid)
        start = time.perf_counter()
        result = yield
        tier = "full" if item.get_closest_marker("slow") else "smoke"
        tier = "pytorch" if item.nodeid.startswith("tests/oracle/") else tier
        self.tests[item.nodeid] = (round(time.perf_counter() - start, 4), tier)
        self.coverage.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note failures: a test that fails anyway says nothing about a mutant."""
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the trace."""
        self.coverage.stop()
        self.coverage.save()
        trusted = {
            name: value
            for name, value in self.tests.items()
            if name not in self.failed and not UNTRUSTED.search(name)
        }
        (self.folder / "tests.json").write_text(json.dumps(trusted))


class Selection:
    """A pytest plugin that runs the given tests in order and writes down which one runs.

    Args:
        durations: the usual duration of each test, in seconds.
        running: the file that holds the name of the test that runs.
    """

    def __init__(self, durations: dict[str, float], running: Path) -> None:
        self.durations = durations
        self.rank = {name: rank for rank, name in enumerate(durations)}
        self.running = running

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Select and sort."""
        items[:] = [item for item in items if item.nodeid in self.rank]
        items.sort(key=lambda item: self.rank[item.nodeid])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Let the operating system end this process if a test hangs."""
        self.running.write_text(item.nodeid)
        # In another order, this test may be the one that makes what several tests share.
        signal.setitimer(signal.ITIMER_REAL, 100 + 10 * self.durations[item.nodeid])
        result = yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        return result


OPTIONS = ["-n0", "-p", "no:cacheprovider", "--no-header", "-q", "--tb=line"]


def run_child(command: str, argument: str) -> int:
    """Run pytest in this process, in the current folder: trace into a folder, or read a task."""
    if command != "select":
        ignored = [] if command == "trace-pytorch" else ["--ignore=tests/oracle"]
        return int(pytest.main([*OPTIONS, *ignored], [Tracer(Path(argument))]))
    import resource  # not on Windows, where pytest must still be able to import this module

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    task = Path(argument)
    durations, is_smoke = json.loads(task.read_text())
    files = sorted({name.partition("::")[0] for name in durations})
    tier = ["-m", "not slow"] if is_smoke else []
    selection = Selection(durations, task.with_suffix(".running"))
    return int(pytest.main([*OPTIONS, "-x", *tier, *files], [selection]))


def start_child(root: Path, command: str, argument: str) -> int:
    """Run `run_child` in a process of its own, on a checkout; return its exit status."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": str(root), "MPLBACKEND": "Agg"}
    environment["COVERAGE_CORE"] = "ctrace"  # sys.monitoring sees a line in one test only
    environment.pop("TINYGRAD_NP_DATA", None)
    output = subprocess.DEVNULL if command == "select" else sys.stderr
    arguments = [sys.executable, "-P", str(Path(__file__).resolve()), "--child", command, argument]
    try:
        child = subprocess.run(
            arguments, cwd=root, env=environment, stdout=output, stderr=output, timeout=1800
        )
    except subprocess.TimeoutExpired:
        return -signal.SIGALRM
    return child.returncode


def copy_of(root: Path, folder: Path) -> Path:
    """Copy a checkout, without what is not tracked beside the sources."""
    ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info")
    return Path(shutil.copytree(root, folder, ignore=ignored))


def run_tests(names: Sequence[str], trace: Trace, place: Path, tiers: Sequence[str]) -> list[str]:
    """Run tests in a copy until one fails; return the tier and the test, or nothing."""
    task, running = place / "mutant.json", place / "mutant.running"
    for tier in tiers:
        chosen = [name for name in names if trace.tests[name][1] == tier]
        for part in (chosen[:FIRST], chosen[FIRST:]):
            if part:
                durations = {name: trace.tests[name][0] for name in part}
                task.write_text(json.dumps([durations, tier == "smoke"]))
                running.write_text("the import")
                status = start_child(place, "select", str(task))
                # 5: no such tests any more. Everything but 0 is a failure of some kind.
                if status not in (0, 5):
                    hangs = " hangs" if status == -signal.SIGALRM else ""
                    return [tier, running.read_text() + hangs]
    return []


def judge(mutant: Mutant, number: int, tests: Sequence[str], trace: Trace, place: Path,
          tiers: Sequence[str]) -> None:  # fmt: skip
    """Find out which tier catches a mutant, if any; `place` is a copy of the checkout."""
    path = place / mutant.file
    original, times = path.read_bytes(), path.stat()
    path.write_bytes(mutant.mutate(original))
    # Bytecode is cached by size and time of the source: no two mutants may share both.
    os.utime(path, (number, number))
    mutant.tests = len(tests)
    mutant.outcome, mutant.caught_by = run_tests(tests, trace, place, tiers) or ["survived", ""]
    path.write_bytes(original)
    os.utime(path, (times.st_atime, times.st_mtime))


def report(mutants: Sequence[Mutant], tiers: Sequence[str]) -> str:
    """Return a table by area, one by kind, and the survivors."""
    lines = []
    for title in ("area", "kind"):
        columns = [*tiers, "survived"]
        lines.append("".join(f"{name:>12}" for name in (title, "mutants", *columns, "caught")))
        counts = Counter((getattr(m, title), m.outcome) for m in mutants)
        total = Counter(m.outcome for m in mutants)
        groups = [*sorted({name for name, _ in counts}), "all"]
        for name in groups:
            row = [total[c] if name == "all" else counts[name, c] for c in columns]
            share = 1 - row[-1] / max(1, sum(row))
            lines.append("".join(f"{v:>12}" for v in (name, sum(row), *row)) + f"{share:>12.1%}")
        lines.append("")
    return "\n".join(lines + [str(m) for m in mutants if m.outcome == "survived"])


def main() -> None:
    """Trace, sample, judge and report."""
    if sys.argv[1:2] == ["--child"]:
        sys.exit(run_child(*sys.argv[2:]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="checkout")
    parser.add_argument("--sample", type=int, default=300, help="number of mutants")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tested in parallel")
    parser.add_argument("--tier", choices=TIERS, default="smoke", help="up to which tier")
    parser.add_argument("--longest", type=float, default=1.0, help="leave out longer tests (s)")
    parser.add_argument("--trace", type=Path, help="folder of the trace; made if it is missing")
    parser.add_argument("--output", type=Path, help="JSON file of all mutants and their outcomes")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    parser.add_argument(
        "--paths", nargs="+", metavar="AREA=PATH,...", help="files or folders of each area"
    )
    options = parser.parse_args()
    root = options.root.resolve()
    areas = {k: v.split(",") for k, v in (p.split("=") for p in options.paths or ())} or AREAS
    tiers = TIERS[: TIERS.index(options.tier) + 1]
    mutants = sample(root, areas, options.sample, options.seed)
    if options.list:
        print(*mutants, sep="\n")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.trace.resolve() if options.trace else Path(temporary, "trace")
        copies = [copy_of(root, Path(temporary, str(n))) for n in range(options.jobs)]
        command = "trace-pytorch" if options.tier == "pytorch" else "trace"
        folder = folder / command
        if not (folder / "tests.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            start_child(copies[0], command, str(folder))
        trace = Trace(folder, options.longest)
        smoke = sorted(
            (t for t, (_, tier) in trace.tests.items() if tier == "smoke"), key=trace.rank
        )
        if failed := run_tests(smoke, trace, copies[0], ["smoke"]):
            sys.exit(f"mutation.py: expected tests that pass without a mutant, got {failed[1]}")
        selected = [trace.tests_of(mutant) for mutant in mutants]
        places: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for place in copies:
            places.put(place)

        def test(number: int) -> None:
            mutant, place = mutants[number], places.get()
            judge(mutant, number + 1, selected[number], trace, place, tiers)
            places.put(place)
            print(f"{number + 1}/{len(mutants)} {mutant.outcome:8} {mutant}", flush=True)

        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(test, range(len(mutants))))
    print(f"\n{report(mutants, tiers)}")
    if options.output:
        options.output.write_text(json.dumps([asdict(m) for m in mutants], indent=1) + "\n")


if __name__ == "__main__":
    main()
