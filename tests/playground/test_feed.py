"""The feed: snapshots, increments and the end of event streams."""

import json
import math

import pytest

from tinygrad_np.playground import feed as feeds
from tinygrad_np.playground.feed import Feed


@pytest.fixture
def feed(monkeypatch):
    """Return a feed whose streams do not wait."""
    monkeypatch.setattr(feeds, "PAUSE", 0)
    monkeypatch.setattr(feeds, "HEARTBEAT", 0)
    feed = Feed()
    feed.publish({"points": [[1, 0.5]]}, status="running", step=1)
    return feed


def parsed(text):
    """Return the kind of an event and its data."""
    lines = dict(line.split(": ", 1) for line in text.splitlines() if line)
    return lines["event"], json.loads(lines["data"])


def test_stream_starts_with_a_snapshot_and_continues_with_changes(feed):
    stream = feed.stream()
    full = {"status": "running", "step": 1, "points": [[1, 0.5]]}
    assert parsed(next(stream)) == ("snapshot", full)
    feed.publish({"points": [[2, 0.25]]}, step=2)
    feed.publish({"points": [[3, 0.125]]}, step=3)
    assert parsed(next(stream)) == ("update", {"step": 3, "points": [[2, 0.25], [3, 0.125]]})
    feed.publish(status="paused")
    assert parsed(next(stream)) == ("update", {"status": "paused"})
    late = feed.stream()
    points = [[1, 0.5], [2, 0.25], [3, 0.125]]
    assert parsed(next(late)) == ("snapshot", {"status": "paused", "step": 3, "points": points})


def test_new_run_sends_a_snapshot_without_the_old_one(feed):
    stream = feed.stream()
    next(stream)
    feed.restart(status="loading")
    assert parsed(next(stream)) == ("snapshot", {"status": "loading"})
    assert feed.get("step") is None


def test_quiet_stream_sends_comments(feed):
    stream = feed.stream()
    next(stream)
    assert next(stream).startswith(": ")
    feed.publish(step=2)
    assert parsed(next(stream)) == ("update", {"step": 2})


def test_nan_and_inf_are_null(feed):
    feed.publish({"points": [[2, math.inf]]}, nested={"a": [math.nan, (1.0, -math.inf)]})
    _, data = parsed(next(feed.stream()))
    assert data["points"][-1] == [2, None]
    assert data["nested"] == {"a": [None, [1.0, None]]}


def test_close_ends_streams_that_have_sent_everything(feed):
    stream = feed.stream()
    next(stream)
    feed.publish(status="stopped")
    feed.close()
    assert [parsed(text) for text in stream] == [("update", {"status": "stopped"})]
    assert [parsed(text)[0] for text in feed.stream()] == ["snapshot"]
