"""Runs that are killed, or interrupted with Ctrl-C, at random moments."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.soak import commands
from tests.soak.rows import Attempt, on_posix, row
from tinygrad_np import train


@row(
    "kill -9 at a random moment of a run, then resume",
    full=200,
    short=4,
    catches="a file written in place, a checkpoint that is not atomic, a resume that differs, "
    "temporary files that nobody removes",
    why_not=on_posix,
)
def kill(attempt: Attempt) -> None:
    figures = attempt.index % 10 == 9 and not attempt.is_short
    folder, output = attempt.folder / "run", attempt.folder / "first"
    moment = attempt.rng.uniform(0, commands.duration(figures))
    process = commands.start(commands.train_into(folder, figures=figures), output)
    status = commands.finish(process, moment, signal.SIGKILL)
    commands.check_output(output, status, 0, -signal.SIGKILL)
    commands.check_files(folder)
    if status == 0:
        commands.check_no_leftovers(folder, figures)
    else:
        commands.recover(folder, attempt.folder / "second", figures)


@row(
    "kill -9 twice: the run, then the resumed run",
    full=40,
    short=1,
    catches="a resume that damages what it resumes from",
    why_not=on_posix,
)
def kill_twice(attempt: Attempt) -> None:
    folder = attempt.folder / "run"
    arguments = commands.train_into(folder)
    for number in (1, 2):
        output = attempt.folder / f"run-{number}"
        moment = attempt.rng.uniform(0.3, 0.8) * commands.duration()
        status = commands.finish(commands.start(arguments, output), moment, signal.SIGKILL)
        commands.check_files(folder)
        if status == 0:
            return
        if (folder / "training.safetensors").exists():
            arguments = ["train", "--resume", str(folder), "--no-figures"]
    commands.recover(folder, attempt.folder / "last")


@row(
    "Ctrl-C at a random moment of a run, then resume",
    full=100,
    short=3,
    catches="a traceback, a wrong status, lost weights, a half-done step that is saved",
    why_not=on_posix,
)
def ctrl_c(attempt: Attempt) -> None:
    folder, output = attempt.folder / "run", attempt.folder / "first"
    moment = attempt.rng.uniform(0.05, 1) * commands.duration()
    process = commands.start(commands.train_into(folder), output)
    status = commands.finish(process, moment, signal.SIGINT)
    # Before the command starts, it cannot handle the signal.
    if not Path(f"{output}.out").exists() or not folder.exists():
        return
    commands.check_output(output, status, 0, 130)
    commands.check_files(folder)
    commands.check_no_leftovers(folder)
    steps = folder / "steps.csv"
    if status == 130 and steps.exists() and len(steps.read_text().splitlines()) > 1:
        assert (folder / "last.safetensors").exists(), "steps were taken, but no weights saved"
        train.load(folder / "last.safetensors")
    if status == 130:
        commands.recover(folder, attempt.folder / "second")


@row(
    "Ctrl-C while `python -m tinygrad_np` is importing",
    full=40,
    short=2,
    catches="a traceback from the middle of an import, a status other than 130",
    why_not=on_posix,
)
def ctrl_c_during_imports(attempt: Attempt) -> None:
    moment = attempt.rng.uniform(0.1, 1) * _startup()
    process = _popen(["config"])
    time.sleep(moment)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    # Before the package is imported, Python itself handles the signal: it dies of it, or prints a
    # traceback of its own modules.
    assert "tinygrad_np" not in errors or "Traceback" not in errors, (
        f"a traceback that ends in {errors.strip().splitlines()[-1:]}"
    )
    if "Traceback" not in errors:
        assert process.returncode in (0, 130, -signal.SIGINT), f"status {process.returncode}"


def _popen(arguments: list[str], **options: object) -> "subprocess.Popen[str]":
    # An ignored SIGINT, as a shell gives its background processes, would be inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "tinygrad_np", *arguments],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},  # type: ignore[call-overload]
        )
    finally:
        signal.signal(signal.SIGINT, before)


def _startup() -> float:
    begin = time.perf_counter()
    _popen(["config"]).communicate()
    return time.perf_counter() - begin


@row(
    "a reader that goes away: `| head -0`, `| head -1`, `> /dev/full`",
    full=16,
    short=2,
    catches="a traceback from BrokenPipeError or a full disk at stdout, a training run that ends "
    "without weights",
    why_not=on_posix,
)
def pipes(attempt: Attempt) -> None:
    listed: list[tuple[list[str], bool]] = [
        (["config"], False),
        (["summary", "DigitsCNN"], False),
        (["train", "--help"], False),
        (commands.train_into(attempt.folder / "run"), True),
    ]
    arguments, is_run = listed[attempt.index // 2 % 4]
    lines, to_full = attempt.index // 8, attempt.index % 2
    errors = attempt.folder / "errors"
    with errors.open("w") as stderr:
        if to_full:
            with Path("/dev/full").open("w") as stdout:
                process = _popen(arguments, stdout=stdout, stderr=stderr)
        else:
            process = _popen(arguments, stderr=stderr)
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            process.stdout.close()
        status = process.wait()
    text = errors.read_text()
    assert "Traceback" not in text, f"a traceback that ends in {text.strip().splitlines()[-1:]}"
    assert "Exception ignored" not in text, f"stderr has {text.strip().splitlines()[:1]}"
    assert status in (0, 1, 120, 141, -signal.SIGPIPE), f"status {status}"
    if is_run:
        found = train.load(attempt.folder / "run" / "model.safetensors")
        assert commands.same_arrays(found, commands.final_weights()), "other weights"
