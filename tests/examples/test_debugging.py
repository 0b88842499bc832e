"""Tests of examples/debugging.py."""

import re

import pytest

import debugging
from tests.examples.tools import printed_by


def losses_after(text, printed):
    """Return the losses printed after a text."""
    found = re.search(re.escape(text) + r"((?:[ ,]*\d+(?:\.\d\d|e\+\d\d))+)", printed)
    return [float(loss) for loss in found[1].replace(",", " ").split()]


@pytest.mark.slow
def test_example_shows_symptoms_tools_and_fixes(tmp_path):
    printed = " ".join(printed_by("debugging", tmp_path, "--quick").split())
    for name in ("all zero", "sigmoids", "dead relus"):
        losses = losses_after(f"{name}: loss by epoch ", printed)
        assert losses == pytest.approx([2.303] * 3, abs=0.03)
    exploded = losses_after("learning rate 2: loss by step ", printed)
    assert exploded[0] < 5
    assert exploded[-1] > 100
    assert "NotFiniteError names the step and learning rate: Trainer.fit: the loss is" in printed
    assert "debug: op 'log' returned inf" in printed
    assert "in own_loss: return -chosen.log().mean()" in printed
    assert "debug: the VJP of op 'sqrt' for input 0 (x) returned inf" in printed
    assert "expected input of shape (..., 512), got (64, 128)." in printed
    assert "3 Flatten (1, 128) 0" in printed
    assert "logits of shape (64, 10)" in printed
    by_epoch = ["He and relu", "lr 0.1", "lr 2, clip_norm 0.1", "sqrt(x + 1e-12)"]
    for cure in (*(f"{cure}: loss by epoch " for cure in by_epoch), "which avoids log(0): "):
        losses = losses_after(cure, printed)
        assert len(losses) == 3
        assert losses[-1] < 1.2 < losses[0], cure
    _, memory = printed.split("5. Memory grows")
    held = [int(count.replace(",", "")) for count in re.findall(r"([\d,]+) bytes", memory)]
    graphs, _, numbers = held
    assert graphs > 20 * numbers
    assert (tmp_path / "out" / "gradients.png").exists()


def test_gradients_vanish_through_sigmoids_only():
    sigmoids = debugging.gradient_norms(debugging.network(debugging.nn.Sigmoid, he=False))
    relus = debugging.gradient_norms(debugging.network(debugging.nn.ReLU))
    assert list(sigmoids.values()) == sorted(sigmoids.values())
    assert sigmoids["1.weight"] < 1e-4 * sigmoids["13.weight"]
    assert relus["1.weight"] > 0.1 * relus["13.weight"]
