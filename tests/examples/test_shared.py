"""Tests of what the examples share: unwritable --out, missing datasets and Ctrl-C."""

import pytest

import by_hand_vs_autodiff
import char_gpt
import char_rnn
import compare
import debugging
import digits
import fashion_mnist
import filters
import shared
import transfer
from tests.examples.tools import run_here
from tinygrad_np import data
from tinygrad_np.console import run_program

PLAIN = [filters, by_hand_vs_autodiff]
QUICK = [digits, transfer, fashion_mnist, compare, debugging, char_gpt, char_rnn]


@pytest.mark.parametrize("module", [*QUICK, *PLAIN])
def test_unwritable_out_is_an_error(tmp_path, monkeypatch, capsys, module):
    (tmp_path / "out").write_text("a file, not a directory")
    for long in ("compare", "stuck", "exploding", "not_a_number", "shapes", "memory", "picture"):
        monkeypatch.setattr(module, long, lambda *arguments: {}, raising=False)
    flags = [] if module in PLAIN else ["--quick"]
    assert run_here(module, tmp_path, monkeypatch, *flags) == 1
    assert (
        f"error: --out: cannot create or write to the directory {tmp_path / 'out'} ("
        in capsys.readouterr().err
    )


def test_digits_replace_a_missing_dataset(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("TINYGRAD_NP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    train_set, _ = shared.find(data.mnist, is_quick=False)
    assert train_set.images.shape == (1438, 1, 28, 28)
    assert "MNIST was not found and could not be downloaded" in capsys.readouterr().out


def test_interrupted_example_says_so(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert run_program(interrupted) == 130
    assert "Interrupted." in capsys.readouterr().err
