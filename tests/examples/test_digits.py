"""Tests of examples/digits.py, and of how compare.py chooses a learning rate."""

import numpy as np
import pytest

import compare
from models import DigitsCNN
from tests.examples.tools import files_of, results_of, run
from tinygrad_np import data, train
from tinygrad_np.cli import main


@pytest.mark.slow
def test_digits_reach_the_accuracy_of_the_tutorial(tmp_path, capsys):
    """Run in full, because it takes only seconds. The tutorial reports 92.5%."""
    done = run("digits", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1438 images of 8x8 for training, 359 held out" in done.stdout
    pictures = {"curves.png", "kernels.png"}
    assert files_of(tmp_path) == {"config.json", "results.json", "model.safetensors"} | pictures
    assert main(["evaluate", str(tmp_path / "out")]) == 0
    accuracy = results_of(tmp_path)["seeds"][0][-1]["validation_accuracy"]
    assert f"accuracy {accuracy:.2%}, top-3" in capsys.readouterr().out
    seeds = results_of(tmp_path)["seeds"]
    last = np.array([epochs[-1]["validation_accuracy"] for epochs in seeds])
    assert [len(epochs) for epochs in seeds] == [10] * 20
    assert 0.92 <= last.mean() <= 0.94
    assert last.std() < 0.025
    assert f"mean accuracy {100 * last.mean():.2f}%," in done.stdout
    DigitsCNN().load_state_dict(train.load(tmp_path / "out" / "model.safetensors"))


def test_diverged_learning_rate_is_not_chosen(monkeypatch):
    losses = {0.1: 0.5, 0.2: 0.3, 0.3: np.nan}

    def fit(setting, train_set, held_out, epochs, seed):
        return {"accuracy": 0.9, "loss": losses[setting.rates[0]], "seconds": 1.0}

    monkeypatch.setattr(compare, "fit", fit)
    sets = data.digits()
    setting = compare.Setting("SGD", rates=tuple(losses))
    chosen, row = compare.examine(setting, *sets, epochs=1, seeds=[1], is_quick=False)
    assert (chosen.rates, row["rate_is_at_edge"]) == ((0.2,), False)
