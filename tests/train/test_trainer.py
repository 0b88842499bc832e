"""Trainer compared with a hand-written loop: evaluation, state, bad losses, invalid arguments."""

import functools
import re

import numpy as np
import pytest

from models import DigitsCNN
from tests.nn.tools import assert_same
from tests.tools import each, rng
from tests.train.tools import (
    STEPS,
    Do,
    fail,
    linear,
    loader,
    sets,
    squares,
    trainer_of,
    validation,
    with_dropout,
)
from tinygrad_np import Tensor, data, debug, nn, no_grad, optim, train
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, NotFiniteError, ShapeError

# The loop.


def by_hand(model, optimizer, loss=Tensor.cross_entropy, schedule=None, per="step", **clips):
    """Train two epochs without a Trainer.

    Returns the mean loss, accuracy and last learning rate of each epoch, and the learning rates of
    all steps.
    """
    logs, rates, batches = [], [], loader()
    for _ in range(2):
        model.train()
        losses, right = 0.0, 0
        for images, labels in batches:
            optimizer.zero_grad()
            logits = model(images)
            value = loss(logits, labels)
            value.backward()
            if "clip_value" in clips:
                optim.clip_grad_value(model.parameters(), clips["clip_value"])
            if "clip_norm" in clips:
                optim.clip_grad_norm(model.parameters(), clips["clip_norm"])
            optimizer.step()
            rates.append(optimizer.param_groups[0]["lr"])
            if schedule and per == "step":
                schedule.step()
            losses += value.item() * len(labels)
            right += int((logits.data.argmax(axis=1) == labels).sum())
        if schedule and per == "epoch":
            schedule.step()
        logs.append((losses / 256, right / 256, rates[-1]))
    return logs, rates


def small():
    """Return the network for the digits."""
    return DigitsCNN(rng(1))


def sgd(model):
    """Return an optimizer."""
    return optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def one_cycle(optimizer):
    """Return a schedule per step."""
    return optim.OneCycleLR(optimizer, max_lr=0.5, total_steps=2 * STEPS)


def halving(optimizer):
    """Return a schedule per epoch."""
    return optim.StepLR(optimizer, 1, gamma=0.5)


def adam(model):
    """Return an optimizer."""
    return optim.Adam(model.parameters(), lr=0.01)


SMOOTHED = functools.partial(Tensor.cross_entropy, label_smoothing=0.1)


@each(
    ("make", "optimizer_of", "schedule_of", "per", "options"),
    [
        (small, sgd, None, "step", {}),
        (with_dropout, adam, None, "step", {"loss": SMOOTHED}),
        (linear, sgd, one_cycle, "step", {"clip_norm": 0.3}),
        (linear, sgd, halving, "epoch", {"clip_value": 0.01}),
        (linear, sgd, halving, "epoch", {"clip_norm": 0.1, "clip_value": 0.02}),
    ],
)
def test_fit_matches_a_hand_written_loop(make, optimizer_of, schedule_of, per, options):
    """Weights, means and learning rates equal those of the hand-written loop.

    Validation changes neither weights nor random numbers; values are clipped before the norm.
    """
    model, other = make().eval(), make()
    optimizer, its_optimizer = optimizer_of(model), optimizer_of(other)
    schedule = schedule_of and schedule_of(optimizer)
    rates = Do("batch_end", lambda state: state.lr)
    trainer = train.Trainer(
        model, optimizer, schedule=schedule, schedule_per=per, callbacks=[rates], **options
    )
    history = trainer.fit(loader(), 2, validation())
    its_schedule = schedule_of and schedule_of(its_optimizer)
    logs, its_rates = by_hand(other, its_optimizer, schedule=its_schedule, per=per, **options)
    assert_same(model.state_dict(), other.state_dict())
    assert rates.found == its_rates
    assert [(e["train_loss"], e["train_accuracy"], e["lr"]) for e in history.epochs] == logs
    assert [e["epoch"] for e in history.epochs] == [1, 2]
    assert history is trainer.history
    assert history.interrupted is False
    assert (trainer.state.epoch, trainer.state.step) == (2, 2 * STEPS)
    if options.keys() & {"clip_norm", "clip_value"}:
        free = make()
        optimizer = optimizer_of(free)
        by_hand(free, optimizer, schedule=schedule_of(optimizer), per=per)
        assert (free[1].weight.data != other[1].weight.data).any()


def test_plateau_gets_the_validation_loss():
    model = linear()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0, threshold_mode="abs")
    trainer = train.Trainer(model, optimizer, schedule=schedule, schedule_per="epoch")
    history = trainer.fit(loader(), 3, validation())
    assert schedule.best == history.epochs[0]["validation_loss"]
    assert [e["lr"] for e in history.epochs] == pytest.approx([0.1, 0.1, 0.01])


def test_two_fits_equal_one_longer_fit():
    """Epoch numbers, steps, schedule and history continue."""
    trainers = []
    for parts in ([3], [1, 2]):
        model = linear()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = optim.CosineAnnealingLR(optimizer, 3 * STEPS)
        trainers.append(train.Trainer(model, optimizer, schedule=schedule))
        batches = loader()
        for epochs in parts:
            history = trainers[-1].fit(batches, epochs)
        for logs in history.epochs:
            logs.pop("seconds")
    whole, halves = trainers
    assert_same(halves.model.state_dict(), whole.model.state_dict())
    assert halves.history.epochs == whole.history.epochs
    assert (halves.state.step, halves.state.last_epoch) == (3 * STEPS, 3)


# Evaluation.


def test_evaluate_averages_over_samples_and_changes_nothing():
    """Means are over samples, whatever the batch sizes; nothing is recorded or changed."""
    trainer = trainer_of()
    images, labels = sets()[1].batch(slice(None))
    with no_grad():
        logits = trainer.model(images)
    found = trainer.evaluate(validation())
    assert list(found) == ["loss", "accuracy"]
    assert found["accuracy"] == train.accuracy(logits, labels)
    assert found["loss"] == pytest.approx(logits.cross_entropy(labels).item(), rel=1e-6)
    assert all(type(value) is float for value in found.values())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    recorded = []
    trainer.loss = lambda out, target: recorded.append(out.requires_grad) or out.mean()
    trainer.evaluate(validation())
    assert recorded == [False, False]


def test_evaluate_restores_each_modules_mode_even_after_an_error():
    model = with_dropout()
    next(model.children()).eval()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    trainer = trainer_of(model=model)
    assert trainer.evaluate(validation()) == trainer.evaluate(validation())
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ShapeError):
        trainer.evaluate([(np.ones((2, 3), np.float32), np.array([0, 1]))])
    assert [module.training for module in model.modules()] == modes


def test_validation_logs_equal_evaluate():
    trainer = trainer_of()
    last = trainer.fit(loader(), 1, validation()).epochs[-1]
    found = trainer.evaluate(validation())
    assert {name: last[f"validation_{name}"] for name in found} == found


def test_regression_logs_only_the_loss():
    """Without class labels only the loss is logged; batches may be a list, or of Tensors."""
    x = rng().standard_normal((32, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    batches = [(x[:20], y[:20]), (Tensor(x[20:]), Tensor(y[20:]))]
    model = nn.Linear(3, 1, generator=rng(1))
    trainer = trainer_of(model=model, loss=squares)
    history = trainer.fit(batches, 60, validation=batches)
    assert set(history.epochs[-1]) == {"epoch", "train_loss", "validation_loss", "lr", "seconds"}
    assert history.epochs[-1]["validation_loss"] < 1e-3
    with no_grad():
        loss = squares(model(x), y).item()
    assert trainer.evaluate(batches) == {"loss": pytest.approx(loss, rel=1e-5)}


@each(
    ("columns", "target", "has_accuracy"),
    [
        (1, [0], False),  # a single output is not a choice of class
        (2, [0], True),
        (2, [[1.0, 0.0]], True),
        (2, [[0.5, 0.5]], False),
        (2, [[1.0, 1.0]], False),
        (2, [[2.0, -1.0]], False),
        (2, [[0.0, 0.0]], False),
    ],
)
def test_accuracy_is_defined_for_class_targets(columns, target, has_accuracy):
    """Targets are classes or one-hot; other targets of shape (N, C) have no accuracy."""
    trainer = trainer_of(model=nn.Linear(3, columns), loss=lambda out, target: (out * 0).sum())
    found = trainer.evaluate([(np.ones((1, 3), np.float32), np.array(target))])
    assert ("accuracy" in found) == has_accuracy


def test_inputs_may_be_several_arrays():
    """The batch size is the number of output rows: batches of 6 and 2."""

    class Sum(nn.Linear):
        def forward(self, first, second):
            return super().forward(first + second)

    arrays = rng().standard_normal((2, 8, 3)).astype(np.float32)
    labels, model = rng().integers(0, 2, 8), Sum(3, 2, generator=rng())
    batches = [((*arrays[:, part],), labels[part]) for part in (slice(6), slice(6, 8))]
    found = trainer_of(model=model).evaluate(batches)
    logits = model(*arrays)
    assert found["loss"] == pytest.approx(logits.cross_entropy(labels).item(), rel=1e-6)
    assert found["accuracy"] == np.mean(logits.data.argmax(axis=1) == labels)


def test_one_hot_targets_train_like_labels():
    plain, hot = trainer_of(), trainer_of()
    batches = list(loader())
    plain.fit(batches, 2, batches)
    rows = np.eye(10, dtype=np.float32)
    hot.fit([(images, rows[labels]) for images, labels in batches], 2, batches)
    for entry, other in zip(hot.history.epochs, plain.history.epochs, strict=True):
        for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            assert entry[name] == pytest.approx(other[name], rel=1e-4), name
    assert hot.history.epochs[1]["train_accuracy"] > 0.4


# The state that callbacks receive.


def test_callbacks_are_called_in_order():
    seen = Do("batch_end", id)
    trainer = trainer_of(seen)
    trainer.fit(loader(), 2)
    epoch = ["epoch_start", *["batch_end"] * STEPS, "epoch_end"]
    assert seen.points == ["fit_start", *epoch, *epoch, "fit_end"]
    assert set(seen.found) == {id(trainer.state)}


def test_an_error_in_on_fit_end_does_not_hide_the_first_one():
    def fail_later(state):
        raise ArithmeticError("later")

    last = Do("fit_end", lambda state: state.step)
    trainer = trainer_of(Do("batch_end", fail, 2), Do("fit_end", fail_later), last)
    with pytest.raises(RuntimeError, match="own") as info:
        trainer.fit(loader(), 1)
    notes = ["Another error followed in on_fit_end: ArithmeticError: later"]
    assert info.value.__notes__ == notes
    assert last.found == [2]
    with pytest.raises(ArithmeticError, match="later"):
        trainer_of(Do("fit_end", fail_later), last).fit(loader(), 1)
    assert last.found == [2, STEPS]


def test_state_is_current_at_each_step():
    seen = Do("batch_end", lambda state: (state.epoch, state.step, state.loss, dict(state.logs)))
    trainer = trainer_of(seen)
    trainer.fit(loader(), 2)
    found = seen.found
    assert [entry[:2] for entry in found] == [(1 + i // STEPS, 1 + i) for i in range(2 * STEPS)]
    losses = [entry[2] for entry in found]
    assert found[1][3]["train_loss"] == pytest.approx(sum(losses[:2]) / 2)
    assert found[STEPS][3]["train_loss"] == losses[STEPS]
    assert set(found[0][3]) == {"train_loss", "train_accuracy"}
    state = trainer.state
    assert (state.steps_per_epoch, state.last_epoch, state.has_validation) == (STEPS, 2, False)
    assert state.model is trainer.model
    assert state.optimizer is trainer.optimizer


def test_loaders_may_lack_a_length():
    class Once:
        def __iter__(self):
            return iter(loader())

    trainer = trainer_of()
    trainer.fit(Once(), 1, validation=Once())
    assert trainer.state.steps_per_epoch is None
    assert trainer.state.has_validation


@pytest.mark.parametrize(("point", "steps"), [("batch_end", 2), ("epoch_end", STEPS)])
def test_should_stop_ends_training_after_the_step_or_epoch(point, steps):
    """Training ends after that step or epoch, and the epoch is closed as usual."""
    seen = Do(point, lambda state: setattr(state, "should_stop", True), steps)
    trainer = trainer_of(seen)
    history = trainer.fit(loader(), 3, validation())
    assert trainer.state.step == steps
    assert seen.points[-2:] == ["epoch_end", "fit_end"]
    assert len(history.epochs) == 1
    assert "validation_loss" in history.epochs[0]
    assert not history.interrupted
    trainer.fit(loader(), 1)
    assert (trainer.state.epoch, trainer.state.step) == (2, steps + STEPS)


def test_on_epoch_start_can_set_a_part_to_evaluation_mode():
    model = with_dropout()
    freeze = Do("epoch_start", lambda state: model[3].eval())
    watch = Do("batch_end", lambda state: model[3].training)
    trainer_of(freeze, watch, model=model).fit(loader(), 2, validation())
    assert watch.found == [False] * 2 * STEPS
    assert model.training


# Losses and gradients that are not finite.


class Counting(nn.Module):
    """A model with a running statistic."""

    def __init__(self):
        self.layer = linear()
        self.sum = Tensor(0.0)

    def forward(self, x):
        """Return logits, and update the statistic in training mode."""
        logits = self.layer(x)
        if self.training:
            self.sum.data[...] += logits.data.sum()
            self.sum.mark_changed()
        return logits


def weights_of(state):
    """Return a copy of the weights and statistics."""
    return state.model.state_dict()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite_loss_raises_and_leaves_the_model_unchanged(bad):
    """The message has step, lr and advice; the failed step changes no weights or statistics."""
    images, labels = sets()[0].batch(slice(64))
    batches = [(images, labels), (images, labels), (np.full_like(images, bad), labels)]
    keep = Do("batch_end", weights_of)
    trainer = trainer_of(keep, model=Counting(), lr=0.125)
    words = (
        r"^Trainer\.fit: the loss is (nan|inf) at step 3 \(epoch 1, learning rate 0\.125\)\. The "
        r"weights are unchanged by this step\. Try a smaller learning rate or clip_norm=1\.0\. "
        r"To find the first op that returned nan or inf, call fit inside debug\(\)\.$"
    )
    with pytest.raises(NotFiniteError, match=words):
        trainer.fit(batches, 1)
    assert keep.points[-1] == "fit_end"
    assert_same(trainer.model.state_dict(), keep.found[-1])
    assert trainer.state.step == 2
    # Inside debug() the error names the op, as the message promises.
    with pytest.raises(NotFiniteError, match=r"^debug: op '"), debug():
        trainer_of().fit(batches[1:], 1)


def test_divergence_raises_without_numpy_warnings():
    trainer = trainer_of(lr=1e38)
    with pytest.raises(NotFiniteError, match=r", learning rate 1e\+38\)\. The weights are un"):
        trainer.fit(loader(), 3)


def with_bad_gradient(logits, labels):
    """Return a loss of 0 with a gradient of nan."""
    return (logits * 0).sqrt().sum()


def test_nonfinite_gradient_norm_raises():
    """With clip_norm a nan gradient is found before the step, and clip_norm is not advised."""

    def loss(logits, labels):
        is_bad = trainer.state.step == 2
        return (with_bad_gradient if is_bad else Tensor.cross_entropy)(logits, labels)

    keep = Do("batch_end", weights_of)
    trainer = trainer_of(keep, model=Counting(), loss=loss, clip_norm=1.0)
    words = r"Trainer\.fit: the norm of the gradients is nan at step 3.*"
    words += r"Try a smaller learning rate\. To find the first op .*, call fit inside debug\(\)"
    with pytest.raises(NotFiniteError, match=f"^{words}"):
        trainer.fit(loader(), 1)
    assert_same(trainer.model.state_dict(), keep.found[-1])


def test_nonfinite_weights_are_named():
    """A nan gradient of a finite loss is reported one step later."""
    words = (
        r"^Trainer\.fit: the loss is nan at step 2.*1\.weight already contained nan or inf before"
    )
    with pytest.raises(NotFiniteError, match=f"{words} this step") as caught:
        trainer_of(loss=with_bad_gradient).fit(loader(), 1)
    assert "The weights are unchanged" not in str(caught.value)


# Invalid arguments.

MODEL, OTHER = linear(), linear()
SGD = sgd(MODEL)
PLATEAU, UPSIDE_DOWN = optim.ReduceLROnPlateau(SGD), optim.ReduceLROnPlateau(SGD, mode="max")

CALLBACKS = (
    "expected `callbacks` to be a list of Callback instances, for example [Progress(), "
    "EarlyStopping()]"
)


@each(
    ("options", "error", "words"),
    [
        (
            {"model": nn.Linear},
            DtypeError,
            "expected `model` to be an instance of Module, got the class Linear.",
        ),
        (
            {"optimizer": 0.1},
            DtypeError,
            "expected `optimizer` to be an instance of Optimizer, got float.",
        ),
        (
            {"loss": "mse"},
            DtypeError,
            "expected `loss` to be a function of outputs and targets, for example "
            "Tensor.cross_entropy, got str.",
        ),
        (
            {"schedule_per": "a"},
            ArgumentError,
            "expected `schedule_per` to be 'step' or 'epoch', got 'a'.",
        ),
        (
            {"schedule": optim.StepLR},
            DtypeError,
            "expected `schedule` to be an instance of Schedule, got the class StepLR. Try",
        ),
        (
            {"schedule": halving(sgd(OTHER))},
            ArgumentError,
            "expected `schedule` to belong to `optimizer`, got a schedule of another optimizer.",
        ),
        (
            {"schedule": PLATEAU},
            ArgumentError,
            "expected `schedule_per` to be 'epoch' for ReduceLROnPlateau, which needs the "
            "validation loss, got 'step'.",
        ),
        (
            {"schedule": UPSIDE_DOWN, "schedule_per": "epoch"},
            ArgumentError,
            "expected ReduceLROnPlateau to have mode='min', since it receives the validation loss, "
            "got mode='max'.",
        ),
        (
            {"clip_norm": -1.0},
            ArgumentError,
            "expected `clip_norm` to be a finite number >= 0, got -1.0.",
        ),
        (
            {"clip_value": "a"},
            ArgumentError,
            "expected `clip_value` to be a finite number >= 0, got 'a'.",
        ),
        ({"callbacks": [train.Progress]}, DtypeError, f"{CALLBACKS}, got the class Progress."),
        ({"callbacks": train.Progress()}, DtypeError, f"{CALLBACKS}, got Progress."),
        ({"callbacks": {train.Progress()}}, DtypeError, f"{CALLBACKS}, got set."),
    ],
)
def test_invalid_trainer_arguments_raise(options, error, words):
    with pytest.raises(error, match=f"^Trainer: {re.escape(words)}"):
        train.Trainer(**{"model": MODEL, "optimizer": SGD, **options})


def fit(batches=None, epochs=1, validation=None, trainer=None, **options):
    """Fit a trainer."""
    batches = loader() if batches is None else batches
    (trainer or trainer_of(**options)).fit(batches, epochs, validation)


WITH_PLATEAU = train.Trainer(MODEL, SGD, schedule=PLATEAU, schedule_per="epoch")

EPOCHS = "expected `epochs` to be an integer >= 1"
BATCHES = "expected a loader of (inputs, targets) batches"
LOSS = "expected `loss` to return a Tensor with one entry"


@each(
    ("call", "error", "words"),
    [
        (lambda: fit(epochs=0), ArgumentError, f"Trainer.fit: {EPOCHS}, got 0."),
        (lambda: fit(epochs=1.5), ArgumentError, f"Trainer.fit: {EPOCHS}, got 1.5."),
        (lambda: fit(epochs="3"), ArgumentError, f"Trainer.fit: {EPOCHS}, got '3'."),
        (lambda: fit(epochs=None), ArgumentError, f"Trainer.fit: {EPOCHS}, got None."),
        (lambda: fit(3), DtypeError, f"Trainer.fit: {BATCHES}, got int."),
        (lambda: fit(sets()[0]), DtypeError, f"Trainer.fit: {BATCHES}, got ImageDataset."),
        (
            lambda: fit(validation=sets()[1]),
            DtypeError,
            f"Trainer.fit (`validation`): {BATCHES}, got ImageDataset.",
        ),
        (
            lambda: trainer_of().evaluate(sets()[1]),
            DtypeError,
            f"Trainer.evaluate: {BATCHES}, got ImageDataset.",
        ),
        (
            lambda: fit(iter(loader()), 2),
            ArgumentError,
            "Trainer.fit: the loader yielded no samples.",
        ),
        (
            lambda: fit(validation=[]),
            ArgumentError,
            "Trainer.evaluate: the loader yielded no samples.",
        ),
        (
            lambda: fit(trainer=WITH_PLATEAU),
            ArgumentError,
            "Trainer.fit: ReduceLROnPlateau needs the validation loss. Pass validation=loader.",
        ),
        (
            lambda: fit(loss=lambda logits, labels: logits),
            ShapeError,
            f"Trainer: {LOSS}, got a Tensor of shape (64, 10). Reduce it",
        ),
        (lambda: fit(loss=lambda *_: 1.0), ShapeError, f"Trainer: {LOSS}, got float."),
        # An optimizer of another model names the parameter without a gradient.
        (
            lambda: fit(trainer=train.Trainer(OTHER, SGD)),
            GraphError,
            "SGD.step: expected a gradient for parameter '1.weight' of shape (10, 64), got none",
        ),
    ],
)
def test_invalid_fit_and_evaluate_arguments_raise(call, error, words):
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        call()


def test_a_generator_suffices_for_one_epoch():
    assert len(trainer_of().fit(iter(loader()), 1).epochs) == 1


def test_drop_last_keeps_a_last_batch_of_one_from_batch_norm():
    images = rng().integers(0, 255, (5, 1, 2, 2)).astype(np.uint8)
    dataset = data.ImageDataset(images, np.arange(5) % 2, ("a", "b"))
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.BatchNorm1d(4)), nn.Linear(4, 2))
    trainer = trainer_of(model=model)
    with pytest.raises(ShapeError, match=r"^BatchNorm1d '1\.0': .*drop_last=True"):
        trainer.fit(data.DataLoader(dataset, 4), 1)
    trainer.fit(data.DataLoader(dataset, 4, shuffle=True, seed=0, drop_last=True), 2)
    assert model[1][0].num_batches_tracked.item() == 3


def test_callback_with_an_unknown_hook_raises():
    class Typo(train.Callback):
        def on_step_end(self, state):
            pass

    with pytest.raises(ArgumentError, match=r"on_batch_end, .*got on_step_end\."):
        trainer_of(Typo())
