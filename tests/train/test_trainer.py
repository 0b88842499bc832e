"""Trainer compared with a loop written by hand: evaluation, state, bad losses, refusals."""

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
    linear,
    loader,
    sets,
    squares,
    trainer_of,
    validation,
    with_dropout,
)
from tinygrad_np import Tensor, debug, nn, no_grad, optim, train
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, NotFiniteError, ShapeError

# The loop.


def by_hand(model, optimizer, loss=Tensor.cross_entropy, schedule=None, per="step", **clips):
    """Train two epochs without a Trainer; return the mean loss, accuracy and last rate of each
    epoch, and the rates of all steps.
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
    """Return the digits' network."""
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
def test_loop(make, optimizer_of, schedule_of, per, options):
    """Weights equal those of the loop by hand, the history its means and rates. Validation changes
    neither weights nor random numbers; values are clipped before the norm.
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
    """ReduceLROnPlateau is stepped by the validation loss of each epoch."""
    model = linear()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0, threshold_mode="abs")
    trainer = train.Trainer(model, optimizer, schedule=schedule, schedule_per="epoch")
    history = trainer.fit(loader(), 3, validation())
    assert schedule.best == history.epochs[0]["validation_loss"]
    assert [e["lr"] for e in history.epochs] == pytest.approx([0.1, 0.1, 0.01])


def test_two_fits_are_one():
    """A second fit goes on: with the epochs' numbers, the steps, the schedule and the history."""
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


def test_evaluate():
    """Means are over samples, whatever the batches' sizes; nothing is recorded or changed."""
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


def test_evaluate_in_eval_mode():
    """Dropout is off; each module has its mode again afterwards, after an error too."""
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


def test_validation_is_evaluate():
    """What fit logs of validation is what evaluate returns after it."""
    trainer = trainer_of()
    last = trainer.fit(loader(), 1, validation()).epochs[-1]
    found = trainer.evaluate(validation())
    assert {name: last[f"validation_{name}"] for name in found} == found


def test_regression():
    """Where targets are no classes there is a loss alone; batches may be a list, or of Tensors."""
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
        (1, [0], False),  # no choice between classes
        (2, [0], True),
        (2, [[1.0, 0.0]], True),
        (2, [[0.5, 0.5]], False),
        (2, [[1.0, 1.0]], False),
        (2, [[2.0, -1.0]], False),
        (2, [[0.0, 0.0]], False),
    ],
)
def test_accuracy_where_there_are_classes(columns, target, has_accuracy):
    """Targets are class indices or one-hot; other targets of shape (N, C) have no accuracy."""
    trainer = trainer_of(model=nn.Linear(3, columns), loss=lambda out, target: (out * 0).sum())
    found = trainer.evaluate([(np.ones((1, 3), np.float32), np.array(target))])
    assert ("accuracy" in found) == has_accuracy


def test_inputs_of_several_arrays():
    """Rows of outputs are counted, whatever the inputs are: batches of 6 and 2."""

    class Sum(nn.Linear):
        def forward(self, inputs):
            return super().forward(Tensor(inputs[0] + inputs[1]))

    arrays = rng().standard_normal((2, 8, 3)).astype(np.float32)
    labels, model = rng().integers(0, 2, 8), Sum(3, 2, generator=rng())
    batches = [((*arrays[:, part],), labels[part]) for part in (slice(6), slice(6, 8))]
    found = trainer_of(model=model).evaluate(batches)
    logits = model((*arrays,))
    assert found["loss"] == pytest.approx(logits.cross_entropy(labels).item(), rel=1e-6)
    assert found["accuracy"] == np.mean(logits.data.argmax(axis=1) == labels)


def test_one_hot_targets():
    """They give the training, and the accuracies, of the labels that they stand for."""
    plain, hot = trainer_of(), trainer_of()
    batches = list(loader())
    plain.fit(batches, 2, batches)
    rows = np.eye(10, dtype=np.float32)
    hot.fit([(images, rows[labels]) for images, labels in batches], 2, batches)
    for entry, other in zip(hot.history.epochs, plain.history.epochs, strict=True):
        for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            assert entry[name] == pytest.approx(other[name], rel=1e-4), name
    assert hot.history.epochs[1]["train_accuracy"] > 0.4


# What callbacks see.


def test_order_of_calls():
    """All points are passed, in order, with one state object."""
    seen = Do("batch_end", id)
    trainer = trainer_of(seen)
    trainer.fit(loader(), 2)
    epoch = ["epoch_start", *["batch_end"] * STEPS, "epoch_end"]
    assert seen.points == ["fit_start", *epoch, *epoch, "fit_end"]
    assert set(seen.found) == {id(trainer.state)}


def test_state():
    """At each point the state says where the training is."""
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


def test_state_of_a_loader_without_length():
    """Any iterable will do."""

    class Once:
        def __iter__(self):
            return iter(loader())

    trainer = trainer_of()
    trainer.fit(Once(), 1, validation=Once())
    assert trainer.state.steps_per_epoch is None
    assert trainer.state.has_validation


@pytest.mark.parametrize(("point", "steps"), [("batch_end", 2), ("epoch_end", STEPS)])
def test_should_stop(point, steps):
    """The training ends after that step or epoch; the epoch is closed as any other."""
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


def test_freezing_a_part():
    """A callback may set a part of the model to evaluation at the start of each epoch."""
    model = with_dropout()
    freeze = Do("epoch_start", lambda state: model[3].eval())
    watch = Do("batch_end", lambda state: model[3].training)
    trainer_of(freeze, watch, model=model).fit(loader(), 2, validation())
    assert watch.found == [False] * 2 * STEPS
    assert model.training


# A loss that is no number.


class Counting(nn.Module):
    """A model with a running statistic."""

    def __init__(self):
        self.layer = linear()
        self.sum = Tensor(0.0)

    def forward(self, x):
        """Return logits, and move the statistic in training."""
        logits = self.layer(x)
        if self.training:
            self.sum.data[...] += logits.data.sum()
            self.sum.mark_changed()
        return logits


def weights_of(state):
    """Return a copy of the weights and statistics."""
    return state.model.state_dict()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_loss_that_is_not_finite(bad):
    """Step, rate and what to try are told; weights and statistics are those of before the step."""
    images, labels = sets()[0].batch(slice(64))
    batches = [(images, labels), (images, labels), (np.full_like(images, bad), labels)]
    keep = Do("batch_end", weights_of)
    trainer = trainer_of(keep, model=Counting(), lr=0.125)
    words = (
        r"^Trainer\.fit: the loss is (nan|inf) at step 3, in epoch 1, at learning rate 0\.125; the "
        r"weights are those of before this step\. Try a smaller learning rate, clip_norm=1\.0, or "
        r"fit within debug\(\), which names the op"
    )
    with pytest.raises(NotFiniteError, match=words):
        trainer.fit(batches, 1)
    assert keep.points[-1] == "fit_end"
    assert_same(trainer.model.state_dict(), keep.found[-1])
    assert trainer.state.step == 2
    # Within debug() the op is named, as the message promises.
    with pytest.raises(NotFiniteError, match=r"^debug: op '"), debug():
        trainer_of().fit(batches[1:], 1)


def test_diverging_training():
    """Too large a rate is told by the loss, without a warning of NumPy's before."""
    trainer = trainer_of(lr=1e38)
    with pytest.raises(NotFiniteError, match=r"at learning rate 1e\+38; the weights are th"):
        trainer.fit(loader(), 3)


def with_bad_gradient(logits, labels):
    """Return a loss of 0 with a gradient of nan."""
    return (logits * 0).sqrt().sum()


def test_norm_that_is_not_finite():
    """With clip_norm a gradient of nan is found before the step; clip_norm is no advice then."""

    def loss(logits, labels):
        is_bad = trainer.state.step == 2
        return (with_bad_gradient if is_bad else Tensor.cross_entropy)(logits, labels)

    keep = Do("batch_end", weights_of)
    trainer = trainer_of(keep, model=Counting(), loss=loss, clip_norm=1.0)
    words = r"Trainer\.fit: the norm of the gradients is nan at step 3.*"
    words += r"Try a smaller learning rate, or fit within debug\(\)"
    with pytest.raises(NotFiniteError, match=f"^{words}"):
        trainer.fit(loader(), 1)
    assert_same(trainer.model.state_dict(), keep.found[-1])


def test_weights_that_are_not_finite():
    """A gradient of nan with a loss that is finite: told one step later, and told so."""
    words = r"^Trainer\.fit: the loss is nan at step 2.*1\.weight held a nan or inf already, by"
    with pytest.raises(NotFiniteError, match=f"{words} a gradient of an earlier step") as caught:
        trainer_of(loss=with_bad_gradient).fit(loader(), 1)
    assert "the weights are those" not in str(caught.value)


# What is refused.

MODEL, OTHER = linear(), linear()
SGD = sgd(MODEL)
PLATEAU, UPSIDE_DOWN = optim.ReduceLROnPlateau(SGD), optim.ReduceLROnPlateau(SGD, mode="max")


@each(
    ("options", "error", "words"),
    [
        ({"model": nn.Linear}, DtypeError, "model: got the class Linear, expected an instance of"),
        ({"optimizer": 0.1}, DtypeError, "optimizer: got float, expected an instance of Optimizer"),
        ({"loss": "mse"}, DtypeError, "loss: got str, expected a function of outputs and"),
        ({"schedule_per": "a"}, ArgumentError, "schedule_per: got 'a', expected 'step' or 'epoch'"),
        ({"schedule": optim.StepLR}, DtypeError, "schedule: got the class StepLR, expected one of"),
        (
            {"schedule": halving(sgd(OTHER))},
            ArgumentError,
            "schedule: expected one made for this optimizer",
        ),
        ({"schedule": PLATEAU}, ArgumentError, "schedule_per: got 'step', expected 'epoch' for"),
        (
            {"schedule": UPSIDE_DOWN, "schedule_per": "epoch"},
            ArgumentError,
            "schedule: got ReduceLROnPlateau with mode 'max', expected 'min'",
        ),
        ({"clip_norm": -1.0}, ArgumentError, "clip_norm: got -1.0, expected a finite number"),
        ({"clip_value": "a"}, ArgumentError, "clip_value: got 'a', expected a finite number"),
        ({"callbacks": [train.Progress]}, DtypeError, "callbacks: got the class Progress"),
        ({"callbacks": train.Progress()}, DtypeError, "callbacks: got Progress, expected a list"),
    ],
)
def test_trainer_refuses(options, error, words):
    """What is no model, optimizer, loss, schedule or callback is named."""
    with pytest.raises(error, match=f"^Trainer {re.escape(words)}"):
        train.Trainer(**{"model": MODEL, "optimizer": SGD, **options})


def fit(batches=None, epochs=1, validation=None, trainer=None, **options):
    """Fit a trainer."""
    batches = loader() if batches is None else batches
    (trainer or trainer_of(**options)).fit(batches, epochs, validation)


WITH_PLATEAU = train.Trainer(MODEL, SGD, schedule=PLATEAU, schedule_per="epoch")


@each(
    ("call", "error", "words"),
    [
        (lambda: fit(epochs=0), ArgumentError, "Trainer.fit epochs: got 0, expected an integer of"),
        (lambda: fit(epochs=1.5), ArgumentError, "Trainer.fit epochs: got 1.5, expected an int"),
        (lambda: fit(epochs="3"), ArgumentError, "Trainer.fit epochs: got '3', expected an int"),
        (lambda: fit(epochs=None), ArgumentError, "Trainer.fit epochs: got None, expected an int"),
        (lambda: fit(3), DtypeError, "Trainer.fit: got int, expected batches (inputs, targets)"),
        (lambda: fit(sets()[0]), DtypeError, "Trainer.fit: got Dataset, expected batches"),
        (lambda: fit(validation=sets()[1]), DtypeError, "Trainer.fit validation: got Dataset, exp"),
        (lambda: trainer_of().evaluate(sets()[1]), DtypeError, "Trainer.evaluate: got Dataset"),
        (lambda: fit(iter(loader()), 2), ArgumentError, "Trainer.fit: the loader gave no samples"),
        (lambda: fit(validation=[]), ArgumentError, "Trainer.evaluate: the loader gave no samples"),
        (
            lambda: fit(trainer=WITH_PLATEAU),
            ArgumentError,
            "Trainer.fit: ReduceLROnPlateau needs the validation loss; give validation=loader",
        ),
        (
            lambda: fit(loss=lambda logits, labels: logits),
            ShapeError,
            "Trainer loss: got shape (64, 10), expected a Tensor of one entry, such as the mean",
        ),
        (lambda: fit(loss=lambda *_: 1.0), ShapeError, "Trainer loss: got float, expected a"),
        # The optimizer of another model names the parameter that got no gradient.
        (
            lambda: fit(trainer=train.Trainer(OTHER, SGD)),
            GraphError,
            "SGD.step: parameter 1.weight, of shape (10, 64), has no gradient",
        ),
    ],
)
def test_fit_and_evaluate_refuse(call, error, words):
    """What cannot be trained with is named."""
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        call()


def test_a_generator_is_enough_for_one_epoch():
    """What is used up after an epoch serves for one."""
    assert len(trainer_of().fit(iter(loader()), 1).epochs) == 1
