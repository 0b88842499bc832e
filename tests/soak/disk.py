"""Disks that are full, read-only or failing, at every system call that can fail."""

import contextlib
import errno
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import util
from pathlib import Path
from typing import Any

import numpy as np

from tests.soak import commands
from tests.soak.rows import Attempt, describe, on_linux, row
from tinygrad_np import Tensor, data, nn, optim, train, viz
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.errors import DataError, TinygradNpError

ERRORS = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO]

_OLD = b"the old content, which must stay if the new one cannot be written"


class Faults:
    """Make system calls on files below one folder fail.

    Python raises an audit event before each call that opens, renames, removes or creates something,
    whichever function makes it; a hook that raises makes the call fail. There is no event for
    fsync, which is replaced instead. Writes themselves fail in the tests with a file size limit.
    """

    _current: "Faults | None" = None
    _is_installed = False

    def __init__(self, folder: Path, at: int, error: int, *, is_lasting: bool) -> None:
        """Fail at call `at`, from 1, and if `is_lasting` at all later ones; 0 only counts calls."""
        self.folder = str(folder)
        self.at = at
        self.error = error
        self.is_lasting = is_lasting
        self.count = 0

    def __enter__(self) -> "Faults":
        Faults._current = self
        if not Faults._is_installed:
            sys.addaudithook(_hook)
            Faults._is_installed = True
        self._fsync, os.fsync = os.fsync, self.fsync
        return self

    def __exit__(self, *error: object) -> None:
        Faults._current = None
        os.fsync = self._fsync

    def fsync(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        self.check("fsync", Path(f"/proc/self/fd/{number}").readlink())
        self._fsync(file)

    def check(self, call: str, path: object) -> None:
        """Count a call, and make it fail if it is the chosen one."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        if not os.path.abspath(os.fsdecode(path)).startswith(self.folder):  # noqa: PTH100
            return
        # A full disk does not keep files from being removed.
        if call in ("os.remove", "os.rmdir") and self.error == errno.ENOSPC:
            return
        self.count += 1
        if self.at and (self.count == self.at or (self.is_lasting and self.count > self.at)):
            self.act(os.fsdecode(path))

    def act(self, path: str) -> None:
        """Make the chosen call fail."""
        raise OSError(self.error, os.strerror(self.error), path)


def _hook(event: str, arguments: Any) -> None:
    faults = Faults._current
    if faults is None:
        return
    if event == "open":
        path, _, flags = arguments
        is_read = not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        # Reading works on disks that are full or read-only.
        if not (is_read and faults.error in (errno.ENOSPC, errno.EROFS)):
            faults.check(event, path)
    elif event == "os.rename":
        faults.check(event, arguments[1])
    elif event in ("os.remove", "os.mkdir", "os.rmdir"):
        faults.check(event, arguments[0])


@dataclass(frozen=True)
class Writer:
    """A function that writes a file, the name it is given, and a check of what it wrote."""

    write: Callable[[Path], object]
    name: str
    check: Callable[[Path], object]


def _trainer(*callbacks: train.Callback) -> train.Trainer:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, generator=np.random.default_rng(0)))
    return train.Trainer(model, optim.Adam(model.parameters(), lr=0.01), callbacks=callbacks)


def _batches() -> data.DataLoader:
    return data.DataLoader(data.digits()[0].first(64), 32)


def _fit(*callbacks: train.Callback) -> train.Trainer:
    trainer = _trainer(*callbacks)
    trainer.fit(_batches(), 1)
    return trainer


@functools.cache
def _fitted() -> train.Trainer:
    return _fit()


def _not_empty(path: Path) -> None:
    assert path.stat().st_size > len(_OLD), f"{path.name} is too short"


WRITERS = {
    "train.save": Writer(
        lambda path: train.save(path, _fitted().model.state_dict()), "w.safetensors", train.load
    ),
    "Trainer.save": Writer(
        lambda path: _fitted().save(path), "t.safetensors", lambda path: _trainer().load(path)
    ),
    "History.save": Writer(lambda path: _fitted().history.save(path), "h.csv", _not_empty),
    "RunConfig.write": Writer(lambda path: RunConfig().write(path), "c.json", RunConfig.read),
    "Checkpoint": Writer(
        lambda path: _fit(train.Checkpoint(path.parent, "train_loss", 1, overwrite=True)),
        "last.safetensors",
        train.load,
    ),
    "StepLog": Writer(lambda path: _fit(train.StepLog(path)), "steps.csv", _not_empty),
    "viz.render": Writer(
        lambda path: viz.render(viz.draw(Tensor([1.0], requires_grad=True).exp()), path),
        "graph.dot",
        _not_empty,
    ),
}


def _prepare(writer: Writer, folder: Path) -> tuple[Path, bytes | None]:
    """Make a directory with an old file, except for the writers that have several files."""
    path = folder / "disk" / writer.name
    path.parent.mkdir(parents=True)
    if writer.name in ("last.safetensors", "steps.csv"):
        return path, None
    path.write_bytes(_OLD)
    return path, _OLD


def _write(writer: Writer, path: Path, old: bytes | None, block: Any, is_gone: bool) -> None:
    """Write under faults; check that this leaves a complete file, or raises and leaves no trace."""
    refused = None
    try:
        with block:
            writer.write(path)
    except TinygradNpError as error:
        refused = error
    assert refused is None or isinstance(refused, DataError), (
        f"expected DataError, got {describe(refused)}"
    )
    if refused is None:
        writer.check(path)
    elif old is not None:
        assert path.exists(), "the old file was lost"
        assert path.read_bytes() == old, "the old file was changed"
    for one in path.parent.glob("*.safetensors"):
        if one.read_bytes() != _OLD:
            train.load(one)
    left = [one.name for one in path.parent.iterdir() if one.name.startswith(".")]
    assert is_gone or not left, f"files left behind: {left}"
    # The disk works again.
    writer.write(path)
    writer.check(path)


@functools.cache
def _calls(name: str, error: int) -> int:
    """Return how many calls of a writer can fail."""
    with tempfile.TemporaryDirectory() as folder:
        path, _ = _prepare(WRITERS[name], Path(folder))
        with Faults(path.parent, 0, error, is_lasting=False) as faults:
            WRITERS[name].write(path)
        return faults.count


@functools.cache
def _fault_cases() -> list[tuple[str, int, int, bool]]:
    return [
        (name, error, at, is_lasting)
        for name in WRITERS
        for error in ERRORS
        for at in range(1, _calls(name, error) + 1)
        for is_lasting in (False, True)
    ]


@row(
    "each system call of each writer fails: ENOSPC, EROFS, EACCES, EIO; once or from then on",
    full=600,
    short=60,
    catches="a file written in place, an OSError that is not translated, a temporary file left, an "
    "old file lost, a second error while the first is handled",
    why_not=on_linux,
)
def each_call_fails(attempt: Attempt) -> None:
    cases = _fault_cases()
    name, error, at, is_lasting = cases[attempt.index * len(cases) // 600 % len(cases)]
    path, old = _prepare(WRITERS[name], attempt.folder)
    faults = Faults(path.parent, at, error, is_lasting=is_lasting)
    # From a disk that stays read-only nothing can be removed.
    is_gone = is_lasting and error != errno.ENOSPC
    try:
        _write(WRITERS[name], path, old, faults, is_gone)
    except Exception as failure:
        raise AssertionError(
            f"{name}, {errno.errorcode[error]} at call {at}{' and all later' * is_lasting}: "
            f"{describe(failure)}"
        ) from failure


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make writes fail beyond `size` bytes, as on a full disk."""
    import resource  # missing on Windows

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@row(
    "a write stops in the middle (limit on the file size)",
    full=300,
    short=20,
    catches="a partial file under its final name, buffers that fail again when they are closed",
    why_not=on_linux,
)
def write_stops(attempt: Attempt) -> None:
    name = list(WRITERS)[attempt.index % len(WRITERS)]
    path, old = _prepare(WRITERS[name], attempt.folder)
    WRITERS[name].write(path)
    size = path.stat().st_size
    shutil.rmtree(path.parent)
    path, old = _prepare(WRITERS[name], attempt.folder)
    limit = int(attempt.rng.integers(0, size))
    try:
        _write(WRITERS[name], path, old, file_size_limit(limit), False)
    except Exception as failure:
        raise AssertionError(f"{name}, {limit} bytes of {size}: {describe(failure)}") from failure


class Kills(Faults):
    """Kill the process at one call or, if `size` is given, when a file grows beyond that size."""

    size: int | None = None

    def act(self, path: str) -> None:
        if self.size is None:
            os.kill(os.getpid(), signal.SIGKILL)
        import resource  # missing on Windows

        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # ends the process
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, resource.RLIM_INFINITY))


@dataclass(frozen=True)
class _Death:
    """Starts Kills in a child; picklable."""

    folder: Path
    at: int
    size: int | None

    def __call__(self) -> None:
        kills = Kills(self.folder, self.at, errno.EIO, is_lasting=False)
        kills.size = self.size
        kills.__enter__()


@row(
    "kill -9 at each system call of a run, or in the middle of the next write; then resume",
    full=240,
    short=6,
    catches="what random moments seldom hit: a partial file under its final name, a moment at "
    "which nothing can be resumed, temporary files that nobody removes",
    why_not=on_linux,
)
def killed_at_each_call(attempt: Attempt) -> None:
    calls = _command_calls(errno.EIO)
    at = 1 + attempt.index // 2 * calls // 120
    size = int(attempt.rng.integers(100, 6000)) if attempt.index % 2 else None
    folder, output = attempt.folder / "run", attempt.folder / "first"
    death = _Death(folder, at, size)
    process = commands.start(commands.train_into(folder), output, death)
    status = commands.finish(process)
    where = f"call {at} of {calls}" + (f", then {size} bytes" if size else "")
    try:
        commands.check_output(output, status, 0, -signal.SIGKILL, -signal.SIGXFSZ)
        if folder.exists():
            commands.check_files(folder)
        if status:
            commands.recover(folder, attempt.folder / "second")
    except Exception as failure:
        raise AssertionError(f"{where}: {describe(failure)}") from failure


@dataclass(frozen=True)
class _Plant:
    """Starts faults in a child; picklable."""

    folder: Path
    at: int
    error: int
    is_lasting: bool
    report: Path | None = None

    def __call__(self) -> None:
        faults = Faults(self.folder, self.at, self.error, is_lasting=self.is_lasting)
        faults.__enter__()
        if self.report is not None:
            # Children of multiprocessing run these finalizers instead of those of atexit.
            report = self.report
            util.Finalize(None, lambda: report.write_text(str(faults.count)), exitpriority=0)


@functools.cache
def _command_calls(error: int) -> int:
    """Return how many calls of the train command can fail."""
    with tempfile.TemporaryDirectory() as folder:
        run, report = Path(folder, "run"), Path(folder, "report")
        plant = _Plant(run, 0, error, False, report)
        arguments = commands.train_into(run)
        status = commands.finish(commands.start(arguments, Path(folder, "log"), plant))
        assert status == 0, f"status {status} without faults"
        return int(report.read_text())


def _check_refused_run(folder: Path, output: Path, status: int, is_gone: bool) -> None:
    """Check a run on a bad disk: a one-line error or all results, and no leftovers."""
    errors = commands.check_output(output, status, 0, 1)
    told = [line for line in errors.splitlines() if line.startswith("error:")]
    if folder.exists():
        commands.check_files(folder)
        if not is_gone:
            commands.check_no_leftovers(folder)
    if status == 0:
        missing = commands.expected_files() - {path.name for path in folder.iterdir()}
        assert not missing, f"status 0, but {sorted(missing)} are missing"
        found = train.load(folder / "model.safetensors")
        assert commands.same_arrays(found, commands.final_weights()), "status 0, wrong weights"
    else:
        assert len(told) == 1, f"status 1 and {len(told)} error lines: {errors.strip()[-300:]}"


@row(
    "each system call of a run fails, then resume",
    full=300,
    short=4,
    catches="a traceback of the train command, a run that cannot be resumed after the disk failed",
    why_not=on_linux,
)
def each_call_of_a_run_fails(attempt: Attempt) -> None:
    error = ERRORS[attempt.index % len(ERRORS)]
    is_lasting = attempt.index // len(ERRORS) % 2 == 0
    calls, full = _command_calls(error), 300
    at = 1 + attempt.index * calls // full
    folder, output = attempt.folder / "run", attempt.folder / "first"
    plant = _Plant(folder, at, error, is_lasting)
    try:
        process = commands.start(commands.train_into(folder), output, plant)
        status = commands.finish(process)
        _check_refused_run(folder, output, status, is_lasting and error != errno.ENOSPC)
        if status:
            commands.recover(folder, attempt.folder / "second")
    except Exception as failure:
        raise AssertionError(
            f"{errno.errorcode[error]} at call {at} of {calls}{' and all later' * is_lasting}: "
            f"{describe(failure)}"
        ) from failure


def _mount_is_possible() -> str:
    if sys.platform != "linux":
        return "needs Linux"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _mounted(Path(folder), "64k"):
                return ""
        except (OSError, subprocess.CalledProcessError):
            return "mounting a file system is not permitted here"


@contextlib.contextmanager
def _mounted(folder: Path, size: str) -> Iterator[None]:
    quiet: Any = {"check": True, "capture_output": True}
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], **quiet)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], **quiet)


@row(
    "a run on a real file system: too small, filled or made read-only during the run",
    full=90,
    short=3,
    catches="what the simulated faults leave out: ENOSPC from write and close, a step log that "
    "cannot grow",
    why_not=_mount_is_possible,
)
def real_disk(attempt: Attempt) -> None:
    disk, output = attempt.folder / "disk", attempt.folder / "first"
    disk.mkdir()
    folder = disk / "run"
    kind = ("too small", "filled", "read-only")[attempt.index % 3]
    size = f"{4 * int(attempt.rng.integers(1, 30))}k" if kind == "too small" else "4m"
    # Few checkpoints and a long step log, so that the log is often the first to need a new page.
    flags = ["--batch-size", "3", "--checkpoint-every", "1000"] if kind == "filled" else []
    with _mounted(disk, size):
        process = commands.start(commands.train_into(folder, *flags), output)
        if kind != "too small":
            process.join(attempt.rng.uniform(0.2, 0.9) * commands.duration())
        if kind == "filled":
            with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
        if kind == "read-only":
            # Fails if a file is open for writing at this moment, as the step log is.
            remount = ["mount", "-o", "remount,ro", str(disk)]
            subprocess.run(remount, check=False, capture_output=True)
        status = commands.finish(process)
        try:
            if not (flags and status == 0):  # different flags give different weights
                _check_refused_run(folder, output, status, kind == "read-only" and status != 0)
        except Exception as failure:
            raise AssertionError(f"{kind} ({size}): {describe(failure)}") from failure


@row(
    "names in the way: a directory where a file goes, and the reverse",
    full=14,
    short=14,
    catches="a traceback from IsADirectoryError or NotADirectoryError, deleted files of the user",
    why_not=on_linux,
)
def names_in_the_way(attempt: Attempt) -> None:
    names = [
        *("best.safetensors", "last.safetensors", "model.safetensors", "training.safetensors"),
        *("config.json", "metrics.json", "history.json", "history.csv", "steps.csv"),
        *("step_000007.safetensors", "run", ".writable", ".", "deep"),
    ]
    name = names[attempt.index]
    folder, output = attempt.folder / "run", attempt.folder / "first"
    text = "a file of the user's"
    if name == "run":
        folder.write_text(text)
    elif name == ".":  # a parent that is a file
        (attempt.folder / "file").write_text(text)
        folder = attempt.folder / "file" / "run"
    elif name == "deep":  # a name that is too long
        folder = attempt.folder / ("x" * 300)
    elif name == ".writable":
        folder.mkdir()
        (folder / name).write_text(text)
    else:
        (folder / name).mkdir(parents=True)
        (folder / name / "mine.txt").write_text(text)
    status = commands.finish(commands.start(commands.train_into(folder), output))
    errors = commands.check_output(output, status, *([0] if name == ".writable" else [0, 1, 2]))
    if status:
        lines = [line for line in errors.splitlines() if line.startswith("error:")]
        assert len(lines) == 1, f"{name}: {len(lines)} error lines: {errors.strip()[-300:]}"
    kept = {"run": folder, ".writable": folder / name}.get(name, folder / name / "mine.txt")
    if name not in (".", "deep"):
        assert kept.is_file(), f"the user's file {kept.name} is gone"
        assert kept.read_text() == text, f"the user's file {kept.name} was changed"
