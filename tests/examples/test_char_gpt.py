"""Tests of examples/char_gpt.py, run with --quick as a user would."""

import json
import re

import numpy as np
import pytest

import language
from models.char_gpt import CharGPT
from tests.examples.tools import files_of, printed_by, results_of, run
from tinygrad_np import train

FILES = {"sample.txt", "model.safetensors", "results.json", "losses.png"}


@pytest.mark.slow
def test_short_run_trains_writes_and_saves(tmp_path):
    printed = printed_by("char_gpt", tmp_path, "--quick", "--prompt", "The Queen ")
    assert files_of(tmp_path) == FILES
    sample = (tmp_path / "out" / "sample.txt").read_text()
    assert sample.startswith("The Queen ")
    assert len(sample) == len("The Queen ") + 600 + 1
    assert f"\n{sample}\n" in printed
    results = results_of(tmp_path)
    history = results["history"]
    assert [row["step"] for row in history] == list(range(3, 31, 3))
    assert len(re.findall(r"^step .* characters/s$", printed, re.MULTILINE)) == 10
    assert f"CharGPT: validation loss {history[-1]['validation_loss']:.3f} nats" in printed
    assert history[-1]["validation_loss"] < history[0]["validation_loss"] < np.log(67)

    model = CharGPT(width=32, depth=1)
    model.load_state_dict(train.load(tmp_path / "out" / "model.safetensors"))
    loss = language.evaluate(model, model, language.load().validation, model.context)
    assert loss == pytest.approx(history[-1]["validation_loss"], abs=1e-5)


@pytest.mark.slow
def test_seed_determines_the_text(tmp_path):
    texts = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        done = run("char_gpt", tmp_path / name, "--quick", "--steps", "3", "--seed", seed)
        assert done.returncode == 0, done.stderr
        texts.append((tmp_path / name / "out" / "sample.txt").read_text())
    assert texts[0] == texts[1] != texts[2]
    results = json.loads((tmp_path / "c" / "out" / "results.json").read_text())
    assert (results["seed"], results["setting"]["steps"]) == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prompt", ""], "--prompt: expected at least one character, got ''."),
        (["--prompt", "café"], "--prompt: expected characters that occur in the novel, got 'é'."),
        (["--steps", "0"], "--steps: expected an integer from 1 to 2**63 - 1, got '0'."),
    ],
)
def test_invalid_arguments_are_errors(tmp_path, flags, message):
    done = run("char_gpt", tmp_path, "--quick", *flags)
    assert done.returncode != 0
    assert message in done.stderr
    assert "step " not in done.stdout
    assert not (tmp_path / "out").exists()
