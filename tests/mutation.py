"""Mutation testing: plant one small fault at a time and run the tests.

    python tests/mutation.py --sample 300 --jobs 2 --tier full --output mutation.json

A mutant is the package with one expression changed: an operator, a term, a sign, a comparison, the
order of two arguments, a slice bound, a constant or a condition. The sample is divided evenly among
the areas; the same seed and the same source give the same mutants. A mutant is planted while the
package is imported. It is caught if a test fails, the import fails, or the tests hang.

Selection of tests: `coverage` (in the extra `dev`) traces one run of the full tier and records
which test executes which line; all caches of the package are cleared before each test. The option
`--trace DIR` keeps the trace for later runs on the same source and tests. A mutant is tested by the
tests that execute its lines, starting with the most likely to catch it: first the smoke tier, then
with `--tier full` the slow tests, then with `--tier pytorch` the comparisons with PyTorch. If its
lines also run at import, the trace cannot tell which tests depend on them, and all other tests of
the module follow.

Tests that are left out:
- training on downloaded data, which most machines do not have;
- tests that fail without a mutant, measure time, or compare the text of the source with a page;
- tests that take more than `--longest` seconds: they are few, but dominate the time of a survivor;
- tests that run the mutated lines only in another process, which the trace does not see;
- tests of Ctrl-C: the signal can interrupt coverage and make the trace hang.

Code that is never mutated, because no test should notice:
- text (strings, f-strings, `raise`, `__repr__`), annotations and `TYPE_CHECKING`;
- code that affects only speed or internal checks (`PERFORMANCE`, `COSTS`, `IGNORED_KEYWORDS`);
- the points at which tests sample an op (`Samples`);
- options of a dataclass that affect storage, protection and printing (`frozen`, `slots`, `repr`),
  and `eq`, which selects comparison by identity or by fields;
- the order of the arguments of commutative functions, and of the axes that a method swaps;
- the sign of an argument of an even function: a cosine, an absolute value or an even power;
- `copy=False` of `x.astype`, which only saves time;
- the -1 of `x.reshape(-1)`: NumPy accepts any negative number.
"""

import argparse
import ast
import copy
import functools
import importlib
import json
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from pathlib import Path

import numpy as np
import pytest

AREAS = ["engine=tinygrad_np/autograd"]
AREAS += [f"{name}=tinygrad_np/{name}" for name in ("ops", "kernels", "nn", "optim")]
UNTRUSTED = re.compile(r"test_op_table|test_speed")
"""Tests that compare the text of the source with a page, or that measure time."""
PERFORMANCE = re.compile(
    r"cost|flops|blas|_PIECE|SMALL$|WORTH|_MOVE$|_MULTIPLY$|_ARITHMETIC$|_FUNCTION$|^_most$"
    r"|^blocks$|^_STEPS$"
)
"""Names that affect the speed, or the points at which tests sample an op, but not the result."""
COSTS = {"each": 2, "in_parts": 3, "_by_channels": 2, "_by_rows": 2}
"""Functions that take a cost estimate, and the position of this argument."""
IGNORED_KEYWORDS = {"strict", "maxsize", "stacklevel", "formula", "subgradient", "domain", "kinks"}
DATACLASS_KEYWORDS = {"eq", "frozen", "repr", "slots"}
COMMUTATIVE = {
    *("add", "mul", "multiply", "maximum", "minimum", "max", "min", "eq", "ne", "equal", "_dots"),
    *("may_share_memory", "broadcast_shapes", "result_type", "promote_types", "_is_like"),
    *("not_equal", "vecdot"),
    *("isinstance", "issubclass"),  # not commutative, but swapped arguments fail immediately
}
SWAPPING = {"swapaxes", "transpose"}
"""Methods that swap two axes; calls of NumPy's `transpose` pass all axes in this package."""
EVEN = {"abs", "fabs", "cos", "square"}
TEXT_METHODS = {"__repr__", "__str__"}
PAIRS = ["Add Sub", "Mult Div", "And Or", "Lt LtE", "Gt GtE", "Eq NotEq", "Is IsNot", "In NotIn"]
NAMES = [pair.split() for pair in PAIRS] + [pair.split()[::-1] for pair in PAIRS]
SWAPS = {getattr(ast, name): getattr(ast, other) for name, other in NAMES}
TIERS = ("smoke", "full", "pytorch")
CACHED = type(functools.cache(len))
MEMORY_LIMIT = 8 << 30
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# With sys.monitoring, coverage records each line for a single test.
ENVIRONMENT |= {"MPLBACKEND": "Agg", "COVERAGE_CORE": "ctrace"}
FIRST = 100
"""Number of tests of a mutant that run before the others are collected."""
# Plain asserts: pytest's import hook for rewriting bypasses the fault.
OPTIONS = ["--assert=plain", "-n0", "-p", "no:cacheprovider", "--no-header", "-q", "--tb=line"]


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
    outcome: str = "survived"
    caught_by: str = ""

    def plant(self):
        """Make this process import the mutated source."""
        path, load = str(Path(self.file).resolve()), SourceFileLoader.get_data

        def get_data(loader, name):
            if name == cache_from_source(path):
                raise OSError("the cached bytecode does not contain the fault")
            source = load(loader, name)
            if name != path:
                return source
            return source[: self.start] + self.after.encode() + source[self.stop :]

        sys.dont_write_bytecode = True
        SourceFileLoader.get_data = get_data

    def __str__(self):
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}:{self.line}: {self.kind}: {before}  ->  {after}"


def rewrites(node):
    """Yield each fault of a node: its kind, the old node and the new one."""
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
            # Negations of `not x`, `x == y`, `x is y` and `x in y` are among the mutants above.
            ordered = ast.Lt | ast.LtE | ast.Gt | ast.GtE
            is_equality = isinstance(test, ast.Compare) and not isinstance(test.ops[0], ordered)
            if not is_equality and not isinstance(test, ast.UnaryOp):
                yield "branch", test, ast.UnaryOp(ast.Not(), test)
        case ast.Call(func=func, args=[first, second, *rest]):
            name = getattr(func, "attr", getattr(func, "id", ""))
            is_useless = any(map(_is_sequence, (first, second))) or name in COMMUTATIVE
            is_useless |= ast.dump(first) == ast.dump(second)
            is_useless |= name in SWAPPING and isinstance(func, ast.Attribute) and not rest
            if not is_useless:
                yield "arguments", node, _with(node, args=[second, first, *rest])
        case ast.Slice(lower, upper):
            for bound in filter(None, (lower, upper)):
                for op in (ast.Add(), ast.Sub()):
                    yield "slice", bound, ast.BinOp(bound, op, ast.Constant(1))
        case ast.Constant(value) if isinstance(value, int | float):
            other = not value if isinstance(value, bool) else 2 * value or 1.0
            yield "constant", node, ast.Constant(value + 1 if type(value) is int else other)


def _with(node, **fields):
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _is_sequence(node):
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_text or isinstance(node, ast.Tuple | ast.List | ast.JoinedStr | ast.Starred)


def _unseen(node, parent, inherited):
    """Return the kind of mutant of `node` that no test can notice, or an empty string."""
    match parent:
        case ast.Call(func=ast.Name("reshape") | ast.Attribute(attr="reshape")):
            return "constant" if isinstance(node, ast.UnaryOp | ast.Tuple | ast.keyword) else ""
        case ast.Tuple() | ast.keyword(arg="shape"):
            return inherited if isinstance(node, ast.UnaryOp | ast.Tuple) else ""
        case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in EVEN:
            return "sign" if parent.args[:1] == [node] else ""
        case ast.BinOp(left, ast.Pow(), ast.Constant(int(power))) if power % 2 == 0:
            return "sign" if node is left else ""
        case ast.BinOp(op=ast.Mult() | ast.Div()) | ast.UnaryOp(ast.USub()):
            return inherited
    return ""


def _is_about_speed(node):
    names = (getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node))
    return any(PERFORMANCE.search(name) for name in names)


def _parts(node):
    """Return the child nodes that may be mutated."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.If(test=ast.Name("TYPE_CHECKING")):
            return []
        case ast.FunctionDef(name=name) if name in TEXT_METHODS or PERFORMANCE.search(name):
            return []
        case ast.Assign(targets=[speed, *_]) | (ast.BinOp() as speed) if _is_about_speed(speed):
            return []
        case ast.Compare() if _is_about_speed(node):
            return []
        case ast.For(target=target) if _is_about_speed(target):
            return [*node.body]
        case ast.Slice():  # constant bounds are mutated as bounds
            bounds = filter(None, (node.lower, node.upper, node.step))
            return [b for b in bounds if not isinstance(b, ast.Constant | ast.UnaryOp)]
        case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in COSTS:
            return [*node.args[: COSTS[name]]]
        case ast.Call(func=ast.Name("Samples")) | ast.ClassDef(name="Samples"):
            return []
        case ast.Call(func=ast.Attribute(attr="astype")):
            return [node.func, *node.args]
        case ast.Call(func=ast.Name("max" | "min" | "_most")) if _is_about_speed(node):
            return []
        case ast.Call(func=ast.Name("dataclass")):
            return [k for k in node.keywords if k.arg not in DATACLASS_KEYWORDS]
        case ast.keyword(arg=str(name)) if name in IGNORED_KEYWORDS or PERFORMANCE.search(name):
            return []
    types = (getattr(node, "annotation", None), getattr(node, "returns", None))
    return [child for child in ast.iter_child_nodes(node) if child not in types]


def mutants_of(root, area, file):
    """Return all mutants of one file."""
    source = (root / file).read_bytes()
    starts = [0, *np.cumsum([len(line) for line in source.splitlines(keepends=True)]).tolist()]
    found = {}

    def visit(node, lines, is_called, unseen):
        """Collect the mutants below `node`; outside of function bodies, `lines` must be run."""
        if is_called and isinstance(node, ast.expr | ast.stmt):
            lines = node.lineno, node.end_lineno
        for kind, old, new in rewrites(node):
            if not _is_about_speed(old) and kind != unseen:
                start = starts[old.lineno - 1] + old.col_offset
                stop = starts[old.end_lineno - 1] + old.end_col_offset
                text = ast.unparse(new)
                after = text if isinstance(new, ast.stmt | ast.Constant) else f"({text})"
                before = source[start:stop].decode()
                mutant = Mutant(area, file, old.lineno, kind, before, after, start, stop, lines)
                found.setdefault((start, stop, after), mutant)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_called:
            first = min(n.lineno for n in (node, *node.decorator_list))
            lines = first, node.end_lineno
        body = node.body if isinstance(node, ast.FunctionDef | ast.Lambda) else []
        called = body if isinstance(body, list) else [body]
        for part in _parts(node):
            visit(part, lines, is_called or part in called, _unseen(part, node, unseen))

    visit(ast.parse(source), (1, len(starts)), False, "")
    return list(found.values())


def sample(root, areas, count, seed):
    """Draw mutants evenly from the areas, which are given as "NAME=PATH,..."."""
    generator = np.random.default_rng(seed)
    chosen = []
    for area, _, paths in (area.partition("=") for area in areas):
        files = [
            f for p in paths.split(",") for f in sorted((root / p).rglob("*.py")) or [root / p]
        ]
        found = [m for f in files for m in mutants_of(root, area, str(f.relative_to(root)))]
        chosen += [found[i] for i in generator.permutation(len(found))[: -(-count // len(areas))]]
    return sorted(chosen[:count], key=lambda mutant: (mutant.file, mutant.start))


class Trace:
    """The lines that each test executes, its duration and its tier."""

    def __init__(self, folder, longest):
        import coverage

        tests = json.loads((folder / "tests.json").read_text())
        self.tests = {name: test for name, test in tests.items() if test[0] <= longest}
        self.data = coverage.CoverageData(str(folder / "lines.sqlite"))
        self.data.read()
        # Cache one file at a time: the result is large.
        self.by_line = functools.lru_cache(1)(self.data.contexts_by_lineno)

    def tests_of(self, mutant):
        """Return the tests that execute a mutant, directly or when their file is imported.

        Tests named after the mutated module come first, then the fastest. If the mutant runs when
        the package is imported, the other tests that execute the file follow.
        """
        by_line, (first, last) = self.by_line(mutant.file), mutant.lines
        names = {name for n in range(first, last + 1) for name in by_line.get(n, ())} or {""}
        names |= {test for test in self.tests if test.partition("::")[0] in names}
        others = {name for tests in by_line.values() for name in tests} if "" in names else set()
        stem = Path(mutant.file).stem
        return sorted(
            (names | others) & self.tests.keys(),
            key=lambda test: (test not in names, stem not in test, self.tests[test][0]),
        )


class Tracer:
    """A pytest plugin that records the lines, the duration and the tier of each test."""

    def __init__(self, measurement):
        self.measurement = measurement
        self.tests, self.left_out = {}, set()

    def pytest_collectstart(self, collector):
        """Switch to the context of a test file: its import may call the package for its cases."""
        self.measurement.switch_context(collector.nodeid.partition("::")[0])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        """Clear all caches of the package, so that the test executes every line it depends on."""
        modules = [module for name, module in sys.modules.items() if name.startswith("tinygrad_np")]
        for value in [value for module in modules for value in vars(module).values()]:
            if isinstance(value, CACHED):
                value.cache_clear()
        self.measurement.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report):
        """Record a test; one that fails without a mutant is left out."""
        tier = "full" if "slow" in report.keywords else "smoke"
        tier = "pytorch" if report.nodeid.startswith(("tests/oracle/", "tests/ports/")) else tier
        before = self.tests.get(report.nodeid, [0])[0]
        self.tests[report.nodeid] = [before + report.duration, tier]
        if report.failed or UNTRUSTED.search(report.nodeid):
            self.left_out.add(report.nodeid)


def trace_tests(folder):
    """Run all tests and write the trace to `folder`."""
    import coverage

    package = str(Path("tinygrad_np").resolve())
    measurement = coverage.Coverage(str(folder / "lines.sqlite"), source=[package])
    measurement.set_option("run:relative_files", True)
    tracer = Tracer(measurement)
    with measurement.collect():
        for path in sorted(Path("tinygrad_np").rglob("*.py")):
            importlib.import_module(".".join(path.with_suffix("").parts))
        pytest.main([*OPTIONS, "-k", "not ctrl_c"], [tracer])
    measurement.save()
    trusted = {name: test for name, test in tracer.tests.items() if name not in tracer.left_out}
    (folder / "tests.json").write_text(json.dumps(trusted))


class Selection:
    """A pytest plugin that runs the named tests in order and records the current one."""

    def __init__(self, names, running):
        self.names = names
        self.running = running

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        """Select and sort the tests."""
        by_name = {item.nodeid: item for item in items}
        items[:] = [by_name[name] for name in self.names if name in by_name]

    def pytest_runtest_logstart(self, nodeid):
        """Record the name of the test."""
        self.running.write_text(nodeid)


def run_tests(mutant, names, tier, running):
    """Run tests, with a mutant if given, and exit with the status of pytest."""
    import resource  # missing on Windows, where pytest must still be able to import this module

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if mutant:
        mutant.plant()
    files = sorted({name.partition("::")[0] for name in names})
    marks = ["-m", "not slow"] if tier == "smoke" else []
    sys.exit(pytest.main([*OPTIONS, "-x", *marks, *files], [Selection(names, running)]))


def run_process(seconds, function, *arguments):
    """Call a function in a new process; return the exit status, or None if it hangs."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join(seconds)
    status = process.exitcode
    process.kill()
    return status


def judge(mutant, names, trace, tiers, running):
    """Run tests until one fails; return the tier and the test, or "survived"."""
    for tier in tiers:
        chosen = [name for name in names if trace.tests[name][1] == tier]
        for part in filter(None, (chosen[:FIRST], chosen[FIRST:])):
            running.write_text("the import")
            seconds = 100 + 10 * sum(trace.tests[name][0] for name in part)
            status = run_process(seconds, run_tests, mutant, part, tier, running)
            # 5 means that no test was collected. Any other status but 0 is a failure.
            if status not in (0, 5):
                return tier, running.read_text() + " hangs" * (status is None)
    return "survived", ""


def report(mutants, tiers):
    """Return a table by area and by kind, and the survivors."""
    columns = ["mutants", *tiers, "survived", "caught"]
    lines = ["".join(f"{name:>12}" for name in ("", *columns))]
    for name in sorted({m.area for m in mutants}) + sorted({m.kind for m in mutants}) + ["all"]:
        outcomes = Counter(m.outcome for m in mutants if name in (m.area, m.kind, "all"))
        outcomes["mutants"] = outcomes.total()
        share = 1 - outcomes["survived"] / outcomes["mutants"]
        counts = "".join(f"{outcomes[column]:>12}" for column in columns[:-1])
        lines.append(f"{name:>12}{counts}{share:>12.1%}")
    return "\n".join([*lines, "", *(str(m) for m in mutants if m.outcome == "survived")])


def main():
    """Trace, sample, judge and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--sample", type=int, default=300, help="number of mutants")
    add("--seed", type=int, default=0, help="seed of the sample")
    add("--jobs", type=int, default=2, help="mutants tested in parallel")
    add("--tier", choices=TIERS, default="smoke", help="last tier of tests to run")
    add(
        "--longest",
        type=float,
        default=1.0,
        help="leave out tests that take more than this many seconds",
    )
    add("--trace", type=Path, help="directory of the trace (created if missing)")
    add("--output", type=Path, help="write all mutants and their outcomes to this JSON file")
    add("--list", action="store_true", help="list the mutants and exit")
    add("--paths", nargs="+", default=AREAS, metavar="AREA=PATH,...", help="sources of each area")
    options = parser.parse_args()
    checkout = Path(__file__).resolve().parents[1]
    tiers = TIERS[: TIERS.index(options.tier) + 1]
    mutants = sample(checkout, options.paths, options.sample, options.seed)
    if options.list:
        print(*mutants, sep="\n")
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        folder = (options.trace or place / "trace").resolve()
        # Work on a copy, so that the checkout may change in the meantime.
        ignored = shutil.ignore_patterns(".git", "__pycache__", ".*_cache", ".hypothesis")
        sys.path[0] = shutil.copytree(checkout, f"{place}/checkout", ignore=ignored)
        os.chdir(sys.path[0])
        os.environ |= {**ENVIRONMENT, "PYTHONPATH": sys.path[0]}
        os.environ.pop("TINYGRAD_NP_DATA", None)
        if not (folder / "tests.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            run_process(7200, trace_tests, folder)
        trace = Trace(folder, options.longest)
        if name := judge(None, [*trace.tests], trace, ["smoke"], place / "running")[1]:
            sys.exit(
                f"mutation.py: expected tests that pass without a mutant, got a failure of {name}."
            )
        selected = [trace.tests_of(mutant) for mutant in mutants]

        def test(number):
            mutant, running = mutants[number], place / f"running-{number}"
            found = judge(mutant, selected[number], trace, tiers, running)
            mutant.outcome, mutant.caught_by = found
            print(f"{number + 1}/{len(mutants)} {mutant.outcome:8} {mutant}", flush=True)

        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(test, range(len(mutants))))
        os.chdir(checkout)
    print(f"\n{report(mutants, tiers)}")
    if options.output:
        options.output.write_text(json.dumps([asdict(m) for m in mutants], indent=1) + "\n")


if __name__ == "__main__":
    main()
