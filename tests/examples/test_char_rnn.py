"""Tests of examples/char_rnn.py: a short run, and sampling that reads no character twice."""

import numpy as np
import pytest

import char_rnn
import language
from models.char_rnn import CharRNN
from tests.examples.test_char_gpt import FILES
from tests.examples.tools import files_of, printed_by, results_of
from tests.tools import rng
from tinygrad_np import Tensor, no_grad, train


@pytest.mark.slow
def test_short_run_trains_writes_and_saves(tmp_path):
    printed = printed_by("char_rnn", tmp_path, "--quick")
    assert files_of(tmp_path) == FILES
    sample = (tmp_path / "out" / "sample.txt").read_text()
    assert sample.startswith("Alice ")
    assert f"\n{sample}\n" in printed
    losses = [row["validation_loss"] for row in results_of(tmp_path)["history"]]
    assert losses[-1] < losses[0] < np.log(67) + 0.1
    CharRNN(hidden=32).load_state_dict(train.load(tmp_path / "out" / "model.safetensors"))


@no_grad()
def test_carried_state_gives_the_logits_of_the_whole_text():
    model = CharRNN(rng(), vocabulary=11, width=6, hidden=10)
    seen = []
    forward = model.forward

    def counted(tokens, state=None):
        seen.append(tokens.shape)
        return forward(tokens, state)

    model.forward = counted
    predict_next = char_rnn.Reader(model).predict_next

    def checked(tokens):
        logits = predict_next(tokens)
        whole, _ = forward(Tensor(np.array([tokens])))
        np.testing.assert_allclose(logits.numpy(), whole[0, -1].numpy(), atol=1e-6)
        return logits

    language.write(checked, [1, 2, 3], 5, rng(), top_k=4)
    assert seen == [(1, 3)] + [(1, 1)] * 4
