"""Live values for browsers: published by one thread, followed by any number of event streams."""

import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HEARTBEAT = 5.0
"""Seconds between the comments that reveal a closed connection."""

PAUSE = 0.2
"""Least number of seconds between two events of a stream."""


class Feed:
    """Named values, and series that only grow, of the current run.

    A stream keeps only its own position, so a slow client costs nothing and blocks nobody: it skips
    the values that were replaced in the meantime.

    >>> feed = Feed()
    >>> feed.publish({"points": [[1, 0.5]]}, step=1)
    >>> print(next(feed.stream()))
    event: snapshot
    data: {"step": 1, "points": [[1, 0.5]]}
    <BLANKLINE>
    <BLANKLINE>
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_closed = False
        self._run = 0
        self._version = 0
        self._values: dict[str, tuple[int, Any]] = {}
        self._series: dict[str, list[Any]] = {}

    def restart(self, **values: Any) -> None:
        """Forget everything and begin a new run; streams send a snapshot next."""
        with self._changed:
            self._run += 1
            self._values, self._series = {}, {}
            self.publish(**values)

    def publish(self, series: Mapping[str, Sequence[Any]] | None = None, **values: Any) -> None:
        """Append entries to series and replace values; nan and inf become None."""
        with self._changed:
            self._version += 1
            for name, entries in (series or {}).items():
                self._series.setdefault(name, []).extend(_finite(entries))
            for name, value in values.items():
                self._values[name] = self._version, _finite(value)
            self._changed.notify_all()

    def get(self, name: str) -> Any:
        """Return a value, None if it has not been published in this run."""
        with self._changed:
            return self._values.get(name, (0, None))[1]

    def close(self) -> None:
        """End all streams, once they have sent what is pending."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def stream(self) -> Iterator[str]:
        """Yield server-sent events until `close`: a snapshot, then what has changed since."""
        run, version, lengths = -1, -1, dict[str, int]()
        while True:
            with self._changed:
                if not self._is_closed and self._version == version:
                    self._changed.wait(HEARTBEAT)
                if self._version == version:
                    if self._is_closed:
                        return
                    text = ": nothing new\n\n"
                else:
                    event = "update" if self._run == run else "snapshot"
                    if event == "snapshot":
                        run, version, lengths = self._run, -1, {}
                    news = {
                        name: value for name, (at, value) in self._values.items() if at > version
                    }
                    for name, entries in self._series.items():
                        if entries[lengths.get(name, 0) :]:
                            news[name] = entries[lengths.get(name, 0) :]
                        lengths[name] = len(entries)
                    version = self._version
                    text = f"event: {event}\ndata: {json.dumps(news, allow_nan=False)}\n\n"
            yield text
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed, PAUSE)


def _finite(value: Any) -> Any:
    """Replace nan and inf by None, at any depth."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
