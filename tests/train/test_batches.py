"""Training on tables, sequences and several inputs, with metrics that the user names."""

import csv
import re

import numpy as np
import pytest

from tests.tools import each, rng
from tests.train.tools import loader, squares, trainer_of
from tinygrad_np import Tensor, data, nn, optim, train
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, NotFiniteError, ShapeError

X = rng(0).standard_normal((40, 3)).astype(np.float32)
Y = X @ np.array([[1], [-2], [3]], np.float32)  # (40, 1)


def mae(outputs, targets):
    """Return the absolute error of each entry."""
    return (outputs - targets).abs()


def table(size=16):
    """Return batches of 16, 16 and 8 rows."""
    return data.DataLoader(data.ArrayDataset(X, Y), size, shuffle=True, seed=1)


def regression(*callbacks, **options):
    """Return a trainer of a linear model with the mean absolute error as its metric."""
    model = nn.Linear(3, 1, generator=rng(2))
    return trainer_of(
        *callbacks, model=model, **{"loss": squares, "metrics": {"mae": mae}, **options}
    )


# Metrics.


def test_regression_logs_the_means_over_all_samples():
    """The last batch is smaller than the others."""
    trainer = regression()
    found = trainer.evaluate(table())
    errors = np.abs(trainer.model(X).data - Y)
    assert list(found) == ["loss", "mae"]
    assert found["mae"] == pytest.approx(errors.mean(), rel=1e-6)
    assert found["loss"] == pytest.approx((errors**2).mean(), rel=1e-6)


def test_history_holds_the_metric_of_each_epoch():
    epochs = regression(lr=0.05).fit(table(), 8, table()).epochs
    assert list(epochs[0]) == [
        "epoch", "train_loss", "train_mae", "validation_loss", "validation_mae", "lr", "seconds"
    ]  # fmt: skip
    assert epochs[-1]["validation_mae"] < 0.5 * epochs[0]["train_mae"]


@each(
    "metric",
    [
        lambda out, y: (out - y).abs().mean(),
        lambda out, y: (out - y).abs().mean().item(),
        lambda out, y: float((out - y).abs().mean()),
        lambda out, y: np.abs(np.asarray(out) - y.numpy()).mean(),
        lambda out, y: np.abs(out.numpy() - y.numpy()),
        lambda out, y: (out - y).abs()[:, 0],
    ],
)
def test_metric_returns_a_mean_or_the_values_of_the_samples(metric):
    found = regression(metrics={"mae": metric}).fit(table(), 2, table()).epochs
    for entry, other in zip(found, regression().fit(table(), 2, table()).epochs, strict=True):
        for name in ("train_mae", "validation_mae"):
            assert entry[name] == pytest.approx(other[name], rel=1e-6)


def test_metrics_do_not_change_training():
    plain, named = regression(metrics={}), regression()
    plain.fit(table(), 2)
    named.fit(table(), 2)
    np.testing.assert_array_equal(plain.model.weight.data, named.model.weight.data)
    assert list(plain.history.epochs[0]) == ["epoch", "train_loss", "lr", "seconds"]


def test_metric_records_no_graph():
    seen = []

    def note(outputs, targets):
        seen.append((outputs.requires_grad, (outputs * 2).requires_grad))
        return 0.0

    model = nn.Linear(3, 1)
    model.register_forward_hook(lambda module, inputs, out: (out, out))
    pair = trainer_of(
        model=model,
        loss=lambda out, y: squares(out[0], y),
        metrics={"seen": lambda out, y: note(out[0], y)},
    )
    regression(metrics={"seen": note}).fit(table(40), 1)
    pair.fit(table(40), 1)
    assert seen == [(False, False)] * 2


def test_accuracy_is_a_metric_like_others():
    """Passed by name, it equals the default one; other metrics can be logged with it."""
    default, named = (
        trainer_of(),
        trainer_of(
            metrics={
                "accuracy": train.accuracy,
                "top_3_accuracy": lambda *x: train.top_k_accuracy(*x, 3),
            }
        ),
    )
    for trainer in (default, named):
        trainer.fit(loader(), 2)
    first, second = default.history.epochs[1], named.history.epochs[1]
    assert second["train_accuracy"] == pytest.approx(first["train_accuracy"], rel=1e-12)
    assert second["train_top_3_accuracy"] > second["train_accuracy"]


@each(
    ("metrics", "error", "message"),
    [
        (3, DtypeError, 'expected `metrics` to be a dict of functions of (outputs, targets), for'),
        ([mae], DtypeError, "expected `metrics` to be a dict of functions"),
        ({"mae": 3}, DtypeError, "expected the metric 'mae' to be a function of outputs and"),
        ({"loss": mae}, ArgumentError, "expected the names of `metrics` to be identifiers other"),
        ({"a,b": mae}, ArgumentError, "other than loss, lr, epoch, step, time, got 'a,b'."),
        ({1: mae}, ArgumentError, "other than loss, lr, epoch, step, time, got 1."),
        ({"lr": mae}, ArgumentError, "other than loss, lr, epoch, step, time, got 'lr'."),
        ({"time": mae}, ArgumentError, "other than loss, lr, epoch, step, time, got 'time'."),
    ],
)  # fmt: skip
def test_invalid_metrics_raise(metrics, error, message):
    with pytest.raises(error, match=r"^Trainer: .*" + re.escape(message)):
        regression(metrics=metrics)


@each(
    ("value", "got"),
    [(None, "NoneType"), ("0.5", "str"), (np.array([]), "ndarray"), (np.array(["a"]), "ndarray")],
)
def test_metric_without_a_number_raises(value, got):
    message = (
        rf"^Trainer: expected the metric 'bad' to return a number or a Tensor of .*, got {got}\."
    )
    with pytest.raises(DtypeError, match=message):
        regression(metrics={"bad": lambda *_: value}).fit(table(), 1)


def test_metric_that_broadcasts_raises():
    """(N, 1) and (N,) give (N, N), whose mean is not that of the errors."""
    flat = data.DataLoader(data.ArrayDataset(X, Y[:, 0]), 40)
    trainer = regression(loss=lambda out, y: squares(out[:, 0], y))
    message = (
        r"^Trainer: expected the metric 'mae' to compare outputs and targets of the same shape, "
        r"got \(40, 1\) and \(40,\), which it broadcasts to \(40, 40\)\. Reshape the targets\.$"
    )
    for run in (trainer.evaluate, lambda batches: trainer.fit(batches, 1)):
        with pytest.raises(ShapeError, match=message):
            run(flat)


# What else reads the metrics.


@each(("mode", "best"), [("min", 2), ("max", 1)])
def test_best_epoch_by_a_metric(mode, best, tmp_path):
    values = iter([3.0, 1.0, 2.0])
    stopping = train.EarlyStopping("train_score", mode=mode)
    checkpoint = train.Checkpoint(tmp_path / mode, "train_score", mode=mode)
    one_batch = data.DataLoader(data.ArrayDataset(X, Y), 40)
    metrics = {"score": lambda *_: next(values)}
    regression(stopping, checkpoint, metrics=metrics).fit(one_batch, 3)
    assert stopping.best_epoch == best
    assert checkpoint.state_dict()["best"]["epoch"] == best
    assert f"mode={mode!r}" in repr(stopping)


@each("callback", [train.EarlyStopping, lambda *x, **y: train.Checkpoint("runs", *x, **y)])
@each(
    ("options", "message"),
    [
        ({"monitor": "validation_mae"}, "For another log, pass mode='min' or mode='max'."),
        ({"monitor": 3, "mode": "min"}, "to end in 'loss' (lower is better)"),
        ({"mode": "low"}, "expected `mode` to be 'min' or 'max', got 'low'."),
    ],
)
def test_invalid_mode_raises(callback, options, message):
    with pytest.raises(
        ArgumentError, match=r"^(EarlyStopping|Checkpoint): .*" + re.escape(message)
    ):
        callback(**options)


def test_a_loss_may_be_maximized():
    stopping = train.EarlyStopping("train_loss", mode="max")
    regression(stopping, lr=0.05).fit(table(), 3)
    assert stopping.best_epoch == 1


def test_step_log_has_a_column_per_metric(tmp_path):
    path = tmp_path / "steps.csv"
    metrics = {"mae": mae, "bias": lambda out, y: out - y}
    trainer = regression(train.StepLog(path), metrics=metrics)
    trainer.fit(table(), 2)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["time", "epoch", "step", "loss", "mae", "bias", "lr"]
    assert float(rows[-1]["mae"]) == trainer.history.epochs[1]["train_mae"]
    trainer.save(tmp_path / "state")
    again = regression(train.StepLog(path), metrics=metrics)
    again.load(tmp_path / "state")
    again.fit(table(), 1)
    assert len(path.read_text().splitlines()) == 1 + 9
    other = regression(train.StepLog(path))
    other.load(tmp_path / "state")
    with pytest.raises(
        DataError, match=r"^StepLog: expected .* to have the columns time,epoch,step"
    ):
        other.fit(table(), 1)
    regression(train.StepLog(path)).fit(table(), 1)  # a new run replaces the file
    assert path.read_text().startswith("time,epoch,step,loss,mae,lr\n")


def test_regression_resumes_bit_for_bit(tmp_path):
    whole, first, second = regression(), regression(), regression()
    whole.fit(table(), 3)
    first.fit(table(), 1)
    first.save(tmp_path / "state")
    second.load(tmp_path / "state")
    second.fit(table(), 2)
    np.testing.assert_array_equal(second.model.weight.data, whole.model.weight.data)
    assert [entry["train_mae"] for entry in second.history.epochs] == [
        entry["train_mae"] for entry in whole.history.epochs
    ]


def test_history_and_progress_show_the_metric(capsys):
    trainer = regression(train.Progress(), train.Evaluate("test", table()))
    trainer.fit(table(), 2, table())
    assert re.search(r"train mae \d[.\d]*, validation loss .*test mae \d", capsys.readouterr().out)
    page = trainer.history._repr_html_()
    assert "mae by epoch" in page
    assert "loss by epoch" in page
    assert "accuracy" not in page
    assert re.search(r"metrics +mae", repr(trainer))


# Forms of batches.


class Two(nn.Module):
    """Weighted difference of two inputs."""

    def __init__(self):
        self.linear = nn.Linear(3, 1, generator=rng(4))

    def forward(self, first, second):
        """Return (N, 1)."""
        return self.linear(first) - 2 * self.linear(second)


PAIRS = data.ArrayDataset(X, X[::-1], Y)


@each(
    "samples",
    [
        PAIRS,
        [((a, b), y) for a, b, y in PAIRS],
        [([a, b], y) for a, b, y in PAIRS],
        [({"second": b, "first": a}, y) for a, b, y in PAIRS],
    ],
)
def test_models_with_two_inputs(samples):
    """A longer batch, a tuple, a list and a dict of inputs are the same arguments."""
    model = Two()
    expected = model(X, X[::-1]).data
    batches = data.DataLoader(samples, 16)
    np.testing.assert_allclose(train.predict(model, batches), expected, rtol=1e-5, atol=1e-6)
    trainer = trainer_of(model=model, loss=squares, metrics={"mae": mae}, lr=0.01)
    found = trainer.evaluate(batches)
    assert found["mae"] == pytest.approx(np.abs(expected - Y).mean(), rel=1e-5)
    assert trainer.fit(batches, 3).epochs[-1]["train_loss"] < found["loss"]


def test_sample_count_is_that_of_the_first_output():
    """A dict of targets and a tuple of outputs: batches of 16, 16 and 8."""

    class Heads(nn.Linear):
        def forward(self, x):
            return super().forward(x), x.sum()

    samples = [(x, {"y": y}) for x, y in zip(X, Y, strict=True)]
    trainer = trainer_of(
        model=Heads(3, 1),
        loss=lambda out, targets: squares(out[0], targets["y"]),
        metrics={"mae": lambda out, targets: mae(out[0], targets["y"])},
    )
    expected = trainer.evaluate(data.DataLoader(samples, 40))
    assert trainer.evaluate(data.DataLoader(samples, 16)) == pytest.approx(expected, rel=1e-5)


def test_outputs_and_targets_without_a_batch_axis_raise():
    trainer = trainer_of(model=nn.Linear(3, 1), loss=lambda out, y: out)
    trainer.model.register_forward_hook(lambda module, inputs, out: out.sum())
    with pytest.raises(
        ShapeError, match=r"^Trainer: expected outputs or targets with a batch axis"
    ):
        trainer.evaluate([(X, None)])


@each("run", ["fit", "evaluate", "predict"])
@each(
    ("batch", "got"),
    [(Tensor(X), "Tensor"), ((), "tuple of length 0"), ({"x": X, "y": Y}, "dict")],
)
def test_other_batches_raise(run, batch, got):
    trainer = regression()
    calls = {
        "fit": lambda batches: trainer.fit(batches, 1),
        "evaluate": trainer.evaluate,
        "predict": lambda batches: train.predict(trainer.model, batches),
    }
    message = rf"expected each batch to be a tuple \(inputs, targets\), got {got}\.$"
    with pytest.raises(DtypeError, match=message):
        calls[run]([batch])


def test_fit_needs_targets_and_predict_does_not():
    inputs = data.DataLoader(data.ArrayDataset(X), 16)
    trainer = regression()
    with pytest.raises(DtypeError, match=r"got tuple of length 1\."):
        trainer.fit(inputs, 1)
    found = train.predict(trainer.model, inputs)
    np.testing.assert_allclose(found, trainer.model(X).data, rtol=1e-5, atol=1e-6)


def test_predict_with_outputs_of_different_length_raises():
    model = nn.Flatten(0)
    with pytest.raises(
        ShapeError, match=r"^predict: expected outputs of the same shape per sample"
    ):
        train.predict(nn.Identity(), [(X, Y), (X[:, :2], Y)])
    assert train.predict(model, [(X, Y)]).shape == (120,)
    with pytest.raises(DtypeError, match=r"^predict: expected a loader of \(inputs, targets\)"):
        train.predict(model, 3)


# Sequences.

TOKENS = rng(5).integers(0, 6, (24, 7))
LENGTHS = rng(6).integers(1, 8, 24)
PARITY = np.where(np.arange(7) < LENGTHS[:, None], TOKENS % 2, -100)  # (24, 7)


class Tagger(nn.Module):
    """Logits of each token: (N, T, 2), or (N, 2, T) with `classes_first`."""

    def __init__(self, classes_first):
        self.embedding = nn.Embedding(6, 8, generator=rng(7))
        self.linear = nn.Linear(8, 2, generator=rng(8))
        self.classes_first = classes_first

    def forward(self, tokens):
        """Return the logits."""
        logits = self.linear(self.embedding(tokens))
        return logits.transpose(1, 2) if self.classes_first else logits


def test_sequences_with_padding_train_in_both_layouts():
    batches = data.DataLoader(data.ArrayDataset(TOKENS, PARITY), 8)
    cross_entropy = nn.CrossEntropyLoss(ignore_index=-100)
    histories = []
    for classes_first, arranged in (
        (True, lambda out: out),
        (False, lambda out: out.transpose(1, 2)),
    ):
        model = Tagger(classes_first)
        trainer = train.Trainer(
            model,
            optim.Adam(model.parameters(), lr=0.05),
            lambda out, y, arranged=arranged: cross_entropy(arranged(out), y),
            metrics={
                "accuracy": lambda out, y, arranged=arranged: train.accuracy(arranged(out), y)
            },
        )
        histories.append(trainer.fit(batches, 12, batches).epochs)
        shape = (24, 2, 7) if classes_first else (24, 7, 2)
        assert train.predict(model, batches).shape == shape
    for first, second in zip(*histories, strict=True):
        assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-5)
    assert histories[0][-1]["validation_accuracy"] == 1.0


@each("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(ignore_index=3), Tensor.cross_entropy])
def test_batch_without_targets_is_named_as_the_cause(loss):
    ignored = getattr(loss, "ignore_index", -100)
    model = nn.Linear(3, 2, generator=rng(2))
    trainer = trainer_of(model=model, loss=loss, metrics={})
    message = (
        rf"^Trainer\.fit: the loss is nan at step 1 .*, because all targets .* are {ignored}, "
    )
    with pytest.raises(NotFiniteError, match=message):
        trainer.fit([(X, np.full(40, ignored))], 1)


def test_sequences_of_one_class_each():
    """A classifier of whole sequences has the default accuracy."""

    class Bag(Tagger):
        def forward(self, tokens):
            return super().forward(tokens).mean(1)

    labels = (TOKENS % 2).mean(1) > 0.5
    model = Bag(classes_first=False)
    trainer = train.Trainer(model, optim.Adam(model.parameters(), lr=0.1))
    epochs = trainer.fit(
        data.DataLoader(data.ArrayDataset(TOKENS, labels.astype(int)), 8), 15
    ).epochs
    assert epochs[-1]["train_accuracy"] == 1.0
