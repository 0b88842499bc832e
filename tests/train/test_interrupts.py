"""Ctrl-C: when training ends, in which state, and who handles the signal."""

import functools
import signal
import threading

import pytest

from tests.nn.tools import assert_same
from tests.train.tools import STEPS, Do, ctrl_c, interrupt, linear, loader, trainer_of, validation
from tinygrad_np import optim, train


@pytest.mark.parametrize(
    ("point", "step"),
    [("epoch_start", STEPS), ("batch_end", STEPS + 1), ("epoch_end", 2 * STEPS)],
)
def test_ctrl_c_ends_training_between_two_steps_and_another_fit_continues(point, step):
    seen = Do(point, ctrl_c, step)
    trainer = trainer_of(seen)
    history = trainer.fit(loader(), 3)
    assert history.interrupted
    assert seen.points[-1] == "fit_end"
    finished = 2 if point == "epoch_end" else 1
    assert [e["epoch"] for e in history.epochs] == list(range(1, finished + 1))
    assert trainer.state.step == max(step, STEPS + 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "loss" in trainer.evaluate(validation())
    seen.point = ""
    assert not trainer.fit(loader(), 1).interrupted
    assert [e["epoch"] for e in history.epochs] == list(range(1, finished + 2))


def test_ctrl_c_waits_for_the_end_of_the_step(monkeypatch):
    keep = Do("batch_end", lambda state: state.model.state_dict())
    trainer_of(keep).fit(loader(), 1)
    trainer = trainer_of()
    update, calls = optim.SGD._update, []

    def interrupted_update(self, *arguments):
        calls.append(1)
        if len(calls) == 3:  # the first of two parameters, in the second step
            ctrl_c()
        update(self, *arguments)

    monkeypatch.setattr(optim.SGD, "_update", interrupted_update)
    assert trainer.fit(loader(), 1).interrupted
    assert_same(trainer.model.state_dict(), keep.found[1])


def test_ctrl_c_during_validation_drops_the_epoch():
    class Batches:
        def __iter__(self):
            for batch in validation():
                yield batch
                ctrl_c()
                yield batch
                pytest.fail("validation continued after Ctrl-C")

    trainer = trainer_of()
    history = trainer.fit(loader(), 2, Batches())
    assert history.interrupted
    assert history.epochs == []
    assert trainer.state.step == STEPS


def test_ctrl_c_while_a_callback_evaluates_drops_the_epoch():
    """The interrupted epoch does not count, and the schedule has not stepped for it."""
    end = Do("epoch_end", ctrl_c, 2 * STEPS)
    end.turn = -2  # before the evaluation
    model = linear()
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    schedule = optim.StepLR(optimizer, 1, gamma=0.5)
    parts = [end, train.Evaluate("test", validation())]
    trainer = train.Trainer(
        model, optimizer, schedule=schedule, schedule_per="epoch", callbacks=parts
    )
    trainer.fit(loader(), 3)
    assert (len(trainer.history.epochs), schedule.steps) == (1, 1)
    trainer.fit(loader(), 1)
    assert [entry["lr"] for entry in trainer.history.epochs] == [0.1, 0.05]


def test_ctrl_c_in_on_fit_end_is_recorded_and_other_callbacks_run():
    last = Do()
    history = trainer_of(Do("fit_end", ctrl_c), last).fit(loader(), 1)
    assert history.interrupted
    assert last.points[-1] == "fit_end"


@pytest.mark.parametrize("point", ["batch_end", "fit_end"])
def test_second_ctrl_c_raises_at_once_and_on_fit_end_still_runs(point):
    last = Do()
    trainer = trainer_of(Do("batch_end", ctrl_c, 2), Do(point, ctrl_c, 2), last)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader(), 1)
    assert trainer.history.interrupted
    assert trainer.state.step == 2
    assert last.points[-1] == "fit_end"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_keyboard_interrupt_raised_by_a_callback_in_a_thread_ends_training():
    trainer = trainer_of(Do("batch_end", interrupt, 2))
    worker = threading.Thread(target=functools.partial(trainer.fit, loader(), 1))
    worker.start()
    worker.join()
    assert trainer.history.interrupted
    assert trainer.state.step == 2


def test_the_programs_own_sigint_handler_stays_in_place():
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        history = trainer_of(Do("batch_end", ctrl_c)).fit(loader(), 1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(calls) == STEPS
    assert not history.interrupted
