"""Run all rows and print the table."""

import argparse
import faulthandler
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.soak.rows import ROWS, Result, run_row

SUBJECTS = [
    path.stem
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "__main__", "commands", "mutate", "rows", "run", "test_soak")
]


def load_rows() -> None:
    """Import the modules that register the rows."""
    for name in SUBJECTS:
        importlib.import_module(f"tests.soak.{name}")


def main() -> int:
    """Run the rows that the arguments name; return 1 if any attempt failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Run hostile tests and print a table of what was tried and what survived.",
    )
    parser.add_argument("--quick", action="store_true", help="run the short form of each row")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name contains TEXT")
    parser.add_argument("--index", type=int, metavar="N", help="run attempt N only")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the table here")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="directory for the files of failed attempts"
    )
    args = parser.parse_args()
    load_rows()
    chosen = [name for name in ROWS if args.only.lower() in name.lower()]
    if not chosen:
        parser.error(f"--only: no row contains {args.only!r}")
    keep = args.keep or Path(tempfile.mkdtemp(prefix="soak-"))
    results = []
    for name in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        results.append(_in_own_process(name, args.index, args.seed, keep, args.quick))
        done = results[-1]
        told = done.skipped or f"{done.survived} of {done.tried} survived"
        print(f"    {told}", file=sys.stderr, flush=True)
    text = table(results, args.seed)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    if any(result.failures for result in results):
        print(f"files of failed attempts: {keep}", file=sys.stderr)
        return 1
    if not args.keep:
        keep.rmdir()
    return 0


def _in_own_process(name: str, index: int | None, seed: int, keep: Path, is_short: bool) -> Result:
    """Run a row in a new process, which may crash."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    current = context.Value("q", -1)
    process = context.Process(
        target=_serve, args=(theirs, current, name, index, seed, keep, is_short)
    )
    process.start()
    theirs.close()
    try:
        found: Result = ours.recv()
    except EOFError:
        process.join()
        message = f"the process died with status {process.exitcode}"
        found = Result(name, max(1, current.value + 1), [(current.value, message)])
    process.join()
    return found


def _serve(
    connection: Connection,
    current: Any,
    name: str,
    index: int | None,
    seed: int,
    keep: Path,
    is_short: bool,
) -> None:
    faulthandler.enable()
    # A shell makes its background processes ignore Ctrl-C, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    load_rows()

    def note(number: int) -> None:
        current.value = number

    indices = ROWS[name].indices(is_short) if index is None else [index]
    connection.send(run_row(ROWS[name], indices, seed, keep, is_short, note))


def table(results: list[Result], seed: int) -> str:
    """Return the results as a Markdown table, followed by the kinds of failures."""
    lines = ["| what | tried | survived | first failure |", "| --- | --: | --: | --- |"]
    for result in results:
        kinds = result.kinds()
        first = result.skipped and f"skipped: {result.skipped}"
        if kinds:
            first = f"{kinds[0][0]} × {kinds[0][2]}"[:160].replace("|", "\\|")
        lines.append(f"| {result.name} | {result.tried} | {result.survived} | {first} |")
    for result in results:
        kinds = result.kinds()
        if kinds:
            lines += ["", f"{result.name}: repeat one with `--only ... --index N --seed {seed}`"]
        lines += [f"- {count} × index {index}: {text}" for count, index, text in kinds[:25]]
        if len(kinds) > 25:
            lines.append(f"- and {len(kinds) - 25} more kinds")
    return "\n".join(lines)
