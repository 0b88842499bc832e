"""Rows of the soak run: repeated checks, each attempt with its own random generator.

A row is a function of one `Attempt`. It returns if the promise held and raises if it did not. The
attempt's generator depends only on the seed, the name of the row and the index, so a failure can
be repeated alone.
"""

import contextlib
import re
import shutil
import signal
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tinygrad_np.errors import TinygradNpError

MEGABYTE = 1 << 20

KEPT = 20
"""Number of failed attempts per row whose folders are kept."""

_HANG = 120
"""Seconds after which an attempt counts as hanging."""


@dataclass(frozen=True)
class Attempt:
    """The inputs of one attempt."""

    index: int
    rng: np.random.Generator
    folder: Path  # empty; kept if the attempt fails
    is_short: bool  # whether this is the short form of the row


@dataclass(frozen=True)
class Row:
    """A check, the number of attempts, and what its failure would mean."""

    name: str
    check: Callable[[Attempt], None]
    full: int
    short: int
    catches: str
    why_not: Callable[[], str]  # reason to skip the row here, or ''

    def indices(self, is_short: bool) -> list[int]:
        """Return the attempts to run; those of the short form are spread over all of them."""
        if not is_short:
            return list(range(self.full))
        return sorted({round(i) for i in np.linspace(0, self.full - 1, min(self.short, self.full))})


@dataclass
class Result:
    """What a row tried, and the attempts that failed, with their messages."""

    name: str
    tried: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    skipped: str = ""

    @property
    def survived(self) -> int:
        """Number of attempts that did not fail."""
        return self.tried - len(self.failures)

    def kinds(self) -> list[tuple[int, int, str]]:
        """Return (count, first index, message) of each kind of failure, most frequent first.

        Messages that differ only in numbers or in quoted text are of one kind.
        """
        found: dict[str, list[tuple[int, str]]] = {}
        for index, message in self.failures:
            kind = re.sub(r"'[^']*'|\"[^\"]*\"|/\S+|[-+\d.]+(e[-+]?\d+)?", "#", message)
            found.setdefault(kind[:60], []).append((index, message))
        listed = [(len(same), *same[0]) for same in found.values()]
        return sorted(listed, key=lambda kind: (-kind[0], kind[1]))


ROWS: dict[str, Row] = {}


def everywhere() -> str:
    """Return '': the row runs on every system."""
    return ""


def on_posix() -> str:
    """Return the reason to skip a row that needs signals and fork, or ''."""
    return "" if hasattr(signal, "SIGKILL") else "needs POSIX signals"


def on_linux() -> str:
    """Return the reason to skip a row that needs /proc and resource limits, or ''."""
    return "" if sys.platform == "linux" else "needs Linux"


def row(
    name: str, full: int, short: int, catches: str, why_not: Callable[[], str] = everywhere
) -> Callable[[Callable[[Attempt], None]], Callable[[Attempt], None]]:
    """Register a check as a row of the table."""

    def decorate(check: Callable[[Attempt], None]) -> Callable[[Attempt], None]:
        ROWS[name] = Row(name, check, full, short, catches, why_not)
        return check

    return decorate


def run_row(
    one: Row,
    indices: list[int],
    seed: int,
    keep: Path,
    is_short: bool,
    note: Callable[[int], None] = lambda index: None,
) -> Result:
    """Run attempts of a row; `note` is called with the index of each before it starts."""
    result = Result(one.name, skipped=one.why_not())
    if result.skipped:
        return result
    for index in indices:
        note(index)
        folder = keep / f"{re.sub(r'[^a-z0-9]+', '-', one.name.lower())}-{index}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rng = np.random.default_rng([seed, zlib.crc32(one.name.encode()), index])
        result.tried += 1
        try:
            with warnings.catch_warnings(), _alarm():
                warnings.simplefilter("error")
                one.check(Attempt(index, rng, folder, is_short))
        except Exception as error:
            # Only the text: the traceback would keep the attempt's arrays alive.
            message = " ".join(str(error).split())[:400]
            kind = "" if type(error) is AssertionError else f"{type(error).__name__}: "
            result.failures.append((index, kind + message))
        if len(result.failures) > KEPT or not result.failures or result.failures[-1][0] != index:
            shutil.rmtree(folder, ignore_errors=True)
    return result


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    """Raise TimeoutError if the block hangs."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise TimeoutError(f"still running after {_HANG} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _HANG)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def little_memory(size: int) -> Iterator[None]:
    """Let this process allocate at most `size` bytes more, on Linux."""
    if sys.platform != "linux":
        yield
        return
    import resource  # missing on Windows

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def refusals(path: Path, kind: type[TinygradNpError]) -> Iterator[list[TinygradNpError]]:
    """Collect the error of the block; check that its class is `kind` and that it names `path`.

    Any other exception passes through and fails the attempt.
    """
    found: list[TinygradNpError] = []
    try:
        yield found
    except TinygradNpError as error:
        found.append(error)
    for error in found:
        assert isinstance(error, kind), f"expected {kind.__name__}, got {describe(error)}"
        assert path.name in str(error), f"the message does not name the file: {error}"
        assert len(str(error)) < 20_000, f"the message has {len(str(error))} characters"


def describe(error: BaseException) -> str:
    """Return the class and the message of an error."""
    return f"{type(error).__name__}: {error}"
