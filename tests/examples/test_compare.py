"""Tests of examples/compare.py."""

import json
import sys

import numpy as np
import pytest

import compare
import shared
from tests.examples.tools import files_of, results_of, run
from tinygrad_np import data

pytestmark = pytest.mark.slow


def test_only_the_best_setting_sees_the_test_set(monkeypatch, tmp_path, capsys):
    sets, calls = data.digits(28), []
    rest, validation = sets[0].split(0.1, seed=0)

    def fit(setting, train_set, held_out, epochs, seed):
        calls.append((setting, train_set, held_out, seed))
        is_chosen = setting.rates[0] == setting_rates[setting.name]
        best = 0.9 if setting.name == "momentum 0.9" else 0.8
        return {"accuracy": best, "loss": 0.1 if is_chosen else 0.2, "seconds": 1.0}

    # --quick tries two learning rates: every other optimizer prefers the second one.
    setting_rates = {
        setting.name: setting.rates[1 + place % 2]
        for place, setting in enumerate(compare.STUDIES["optimizers"])
    }
    monkeypatch.setattr(compare, "fit", fit)
    monkeypatch.setattr(shared, "find", lambda load, is_quick: sets)
    flags = ["--quick", "--only", "optimizers", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["compare.py", *flags])
    compare.main()
    *others, (setting, train_set, held_out, _) = calls
    assert setting.name == "momentum 0.9"
    assert "best on the validation images: momentum 0.9" in capsys.readouterr().out
    assert held_out is sets[1]
    for train_set_, held_out_ in [(call[1], call[2]) for call in others]:
        np.testing.assert_array_equal(train_set_.images, rest.images[:320])
        np.testing.assert_array_equal(held_out_.images, validation.images)
    np.testing.assert_array_equal(train_set.images, rest.images[:320])
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["optimizers"]
    rows = results["optimizers"]
    assert {row["name"]: row["rate"] for row in rows} == setting_rates


def test_weight_decay_changes_the_loss():
    rest, held_out = (one.first(320) for one in data.digits(28))

    def loss(decay):
        options = {"optimizer": compare.optim.AdamW, "weight_decay": decay}
        setting = compare.Setting("", rates=(0.01,), **options)
        return compare.fit(setting, rest, held_out, epochs=1, seed=0)["loss"]

    assert loss(0.0) != pytest.approx(loss(1.0), rel=1e-3)


def test_every_study_writes_its_results(tmp_path):
    done = run("compare", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    results = results_of(tmp_path)
    names = ["activations", "optimizers", "learning rate", "batch size", "dropout", "pooling"]
    assert list(results) == [*names, "weight decay"]
    assert files_of(tmp_path) == {"results.json", *(f"{n.replace(' ', '_')}.png" for n in results)}
    for rows in results.values():
        assert all(len(row["accuracy"]) == len(row["loss"]) == 1 for row in rows)
        assert all(f"\n{row['name']} " in done.stdout for row in rows)
    # Adam with the same learning rate gives the same result in every study.
    (adam,) = [row for row in results["optimizers"] if row["name"] == "Adam"]
    (same,) = [row for row in results["learning rate"] if row["rate"] == adam["rate"]]
    assert adam["loss"] == same["loss"]
    # Different settings give different results.
    for study in ("activations", "optimizers", "batch size", "dropout", "pooling"):
        losses = [row["loss"][0] for row in results[study]]
        assert len(set(losses)) == len(losses), study
    assert "best on the validation images" in done.stdout
