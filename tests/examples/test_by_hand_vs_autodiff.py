"""Tests of examples/by_hand_vs_autodiff.py: both computations agree, and mistakes are located."""

import re

import numpy as np
import pytest

import by_hand_vs_autodiff
from models import MnistCNN
from tests.examples.tools import printed_by, run_here


@pytest.mark.slow
def test_by_hand_and_autodiff_agree(tmp_path):
    printed = printed_by("by_hand_vs_autodiff", tmp_path)
    assert "DIFFERENT" not in printed
    in_64, in_32 = printed.split("float32 (machine epsilon")
    for part, least in ((in_64, 1e-14), (in_32, 1e-5)):
        forward, backward = part.split("backward: gradient of")
        rows = dict(re.findall(r"^(\S+) .* (\S+)  same$", forward, re.MULTILINE))
        assert list(rows) == [*by_hand_vs_autodiff.NAMES, "loss"]
        rows = dict(re.findall(r"^(\S+) .* (\S+)  same$", backward, re.MULTILINE))
        parameters = {name for name, _ in MnistCNN().named_parameters()}
        assert rows.keys() == {*by_hand_vs_autodiff.NAMES, *parameters}
        assert max(map(float, rows.values())) < least
    assert (tmp_path / "out" / "differences.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "fault", "first"),
    [
        ("max_pool_backward", lambda grad: 1.001 * grad, "relu2"),
        ("conv_backward", lambda grads: (grads[0], -grads[1], grads[2]), "conv2.weight"),
        ("conv_backward", lambda grads: (grads[0], grads[1], grads[2] * np.nan), "conv2.bias"),
        ("conv", lambda out: 1.001 * out, "fc2"),
    ],
)
def test_first_wrong_gradient_is_named(tmp_path, monkeypatch, capsys, function, fault, first):
    right = getattr(by_hand_vs_autodiff, function)
    monkeypatch.setattr(by_hand_vs_autodiff, function, lambda *given: fault(right(*given)))
    assert run_here(by_hand_vs_autodiff, tmp_path, monkeypatch) == 1
    printed, errors = capsys.readouterr()
    assert f"differ, starting with the gradient of {first}.\n" in errors
    assert re.search(rf"^{re.escape(first)} .* DIFFERENT$", printed, re.MULTILINE)
