"""TensorBoard: the events it writes."""

import math
import struct
import sys

import numpy as np
import pytest

from tests.train.tools import (
    STEPS,
    Do,
    Scripted,
    fail,
    fit_to,
    loader,
    squares,
    trainer_of,
    validation,
)
from tinygrad_np import nn, train
from tinygrad_np.errors import DataError


@pytest.fixture
def tensorboard():
    """Skip the test if tensorboardX is not installed."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")


def events_of(folder):
    """Return the events of each file, without the lengths and checksums around them."""
    from tensorboardX.proto import event_pb2 as pb2

    found = []
    for path in sorted(folder.iterdir()):
        content, events = path.read_bytes(), []
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            events.append(pb2.Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
        found.append(events)
    return found


def scalars_of(events):
    """Return the values by tag and step."""
    return {
        (value.tag, event.step): value.simple_value
        for event in events
        for value in event.summary.value
    }


@pytest.mark.slow
@pytest.mark.usefixtures("tensorboard")
def test_steps_and_epochs_are_written_as_scalars(tmp_path):
    seen = Do("batch_end", lambda state: (state.loss, state.lr))
    others = [seen, Scripted([1.0, math.inf], "own_loss"), Scripted(["a", "b"], "word")]
    trainer = trainer_of(train.TensorBoard(tmp_path / "new" / "run"), *others)
    history = trainer.fit(loader(), 2, validation())
    (events,) = events_of(tmp_path / "new" / "run")
    found = scalars_of(events)
    for step, (loss, lr) in enumerate(seen.found, start=1):
        assert found["step/loss", step] == pytest.approx(loss)
        assert found["step/lr", step] == pytest.approx(lr)
        assert ("step/accuracy", step) in found
    for logs in history.epochs:
        for name in logs.keys() - {"epoch", "word"}:
            assert found[f"epoch/{name}", logs["epoch"] * STEPS] == pytest.approx(logs[name])
    assert len(found) == 3 * 2 * STEPS + 2 * (len(history.epochs[0]) - 2)


@pytest.mark.slow
@pytest.mark.usefixtures("tensorboard")
def test_a_second_fit_writes_another_file(tmp_path):
    """A new file purges earlier events from its first step on."""
    trainer = trainer_of(train.TensorBoard(tmp_path))
    trainer.fit(loader(), 1)
    trainer.fit(loader(), 1)
    first, second = events_of(tmp_path)
    assert [e.step for e in second if e.HasField("session_log")] == [STEPS + 1]
    # The first file purges as well: another run may have written to this directory.
    assert [e.step for e in first if e.HasField("session_log")] == [1]
    steps = [step for tag, step in scalars_of(second) if tag == "step/loss"]
    assert steps == list(range(STEPS + 1, 2 * STEPS + 1))


@pytest.mark.slow
@pytest.mark.usefixtures("tensorboard")
def test_files_without_accuracy_are_closed_after_an_error(tmp_path):
    batches = [(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))] * 3
    board, bad = train.TensorBoard(tmp_path), Do("batch_end", fail, 2)
    fit_to(fail, trainer_of(board, bad, model=nn.Linear(3, 1), loss=squares), batches, 1)
    assert board._writer is None
    (events,) = events_of(tmp_path)
    tags = {(tag, step) for tag, step in scalars_of(events)}
    assert tags == {(f"step/{name}", step) for name in ("loss", "lr") for step in (1, 2)}


@pytest.mark.slow
@pytest.mark.usefixtures("tensorboard")
def test_metrics_are_written_under_their_names(tmp_path):
    batches = [(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))]
    metrics = {"mae": lambda outputs, targets: (outputs - targets).abs()}
    board, model = train.TensorBoard(tmp_path), nn.Linear(3, 1)
    trainer_of(board, model=model, loss=squares, metrics=metrics).fit(batches, 1)
    tags = {tag for events in events_of(tmp_path) for tag, _ in scalars_of(events)}
    assert {"step/mae", "epoch/train_mae"} <= tags
    assert "step/accuracy" not in tags


def test_missing_tensorboardx_raises_with_the_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    words = (
        r'TensorBoard: tensorboardX is .*ith python -m pip install "tinygrad_np\[tensorboard\]"\.$'
    )
    with pytest.raises(DataError, match=f"^{words}"):
        train.TensorBoard("runs")
