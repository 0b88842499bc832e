"""Tests of examples/language.py: batches, schedule, evaluation and sampling."""

import numpy as np
import pytest

import language
from tests.tools import rng
from tinygrad_np import Tensor, data, nn, optim

SETTING = language.Setting(steps=20, batch_size=5, length=6, lr=0.1, weight_decay=0.0, dropout=0.0)


def test_last_tenth_is_held_out():
    text = language.load()
    assert text.decode([*text.train, *text.validation]) == data.alice()
    assert len(text.validation) == pytest.approx(len(data.alice()) / 10, abs=1)
    assert text.decode(text.encode("Alice was")) == "Alice was"


def test_targets_are_the_characters_after_the_inputs():
    tokens = np.arange(100, 120)
    starts = set()
    generator = rng()
    for _ in range(100):
        inputs, targets = language.draw_batch(tokens, SETTING, generator)
        assert inputs.shape == targets.shape == (5, 6)
        assert (inputs == inputs[:, :1] + np.arange(6)).all()
        assert (targets == inputs + 1).all()
        starts |= set(inputs[:, 0].tolist())
    assert starts == set(range(100, 114)), "expected windows from every position"


def test_learning_rate_rises_then_falls_to_0():
    weight = Tensor(1.0, requires_grad=True)
    optimizer = optim.SGD([weight], lr=0.1)
    schedule = language.make_schedule(optimizer, 20)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        (weight * 1).backward()
        optimizer.step()
        schedule.step()
    assert rates[0] < 0.002
    assert np.argmax(rates) == 2
    assert rates[2] == 0.1
    assert (np.diff(rates[2:]) < 0).all()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


class Bigrams(nn.Module):
    """Logits that depend on the last character alone."""

    def __init__(self, count):
        self.scores = nn.Parameter(np.zeros((count, count), np.float32))

    def forward(self, tokens):
        return self.scores[np.asarray(tokens)]


def test_evaluation_covers_the_text_once_in_evaluation_mode():
    tokens = np.arange(14) % 4
    calls = []

    def predict(inputs):
        calls.append((inputs.tolist(), model.training))
        return model(inputs)

    model = Bigrams(4)
    loss = language.evaluate(model, predict, tokens, 6)
    assert loss == pytest.approx(np.log(4), rel=1e-6)
    assert calls == [([tokens[:6].tolist(), tokens[6:12].tolist()], False)]
    assert model.training


def test_fit_learns_and_reports_ten_times(capsys):
    tokens = np.arange(200) % 4
    text = language.Text("abcd", tokens, tokens[:21])
    model = Bigrams(4)
    history = language.fit(model, model, text, SETTING, seed=0)
    assert [row["step"] for row in history] == list(range(2, 21, 2))
    losses = [row["validation_loss"] for row in history]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5
    assert history[0]["train_loss"] == pytest.approx(np.log(4), abs=0.1)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Bigrams: 16 parameters"
    assert printed[-1].startswith(f"step   20 of 20: training loss {history[-1]['train_loss']:.3f}")
    assert len(printed) == 11


def test_short_runs_report_after_each_step():
    tokens = np.arange(50) % 4
    setting = language.Setting(3, 2, 6, lr=0.1, weight_decay=0.0, dropout=0.0)
    model = Bigrams(4)
    history = language.fit(model, model, language.Text("abcd", tokens, tokens), setting, seed=0)
    assert [row["step"] for row in history] == [1, 2, 3]


def test_sampling_draws_from_the_most_likely_at_the_temperature():
    logits = np.array([0.0, 2.0, -1.0, 1.0], np.float32)

    def shares(**options):
        drawn = language.write(lambda _: Tensor(logits), [2], 500, rng(), **options)
        assert drawn[0] == 2
        return np.bincount(drawn[1:], minlength=4) / 500

    assert shares(top_k=1).tolist() == [0, 1, 0, 0]
    found = shares(top_k=3, temperature=0.5)
    expected = np.exp(logits / 0.5) * [1, 1, 0, 1]
    np.testing.assert_allclose(found, expected / expected.sum(), atol=0.08)
    assert found[2] == 0


def test_write_passes_the_whole_text_and_records_no_graph():
    seen = []

    def predict_next(tokens):
        seen.append(list(tokens))
        scores = weight * 1
        assert not scores.requires_grad
        return scores

    weight = Tensor(np.arange(3.0), requires_grad=True)
    start = [1, 0]
    written = language.write(predict_next, start, 3, rng(), top_k=1)
    assert written == [1, 0, 2, 2, 2]
    assert seen == [[1, 0], [1, 0, 2], [1, 0, 2, 2]]
    assert start == [1, 0]


@pytest.mark.parametrize("trained", [0, 7])
def test_ctrl_c_ends_training_early(capsys, trained):
    tokens = np.arange(200) % 4
    text = language.Text("abcd", tokens, tokens[:21])
    model, calls = Bigrams(4), []

    def predict(inputs):
        if model.training:
            calls.append(inputs)
            if len(calls) > trained:
                raise KeyboardInterrupt
        return model(inputs)

    if not trained:
        with pytest.raises(KeyboardInterrupt):
            language.fit(model, predict, text, SETTING, seed=0)
        return
    history = language.fit(model, predict, text, SETTING, seed=0)
    assert [row["step"] for row in history] == [2, 4, 6, 7]
    assert "Interrupted: writing with the weights so far." in capsys.readouterr().out
