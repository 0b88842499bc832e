"""Ctrl-C before, during and after the command line's `main`."""

import os
import signal
import sys
from types import SimpleNamespace

import pytest

from tests.tools import each
from tinygrad_np.runtime import startup


@pytest.fixture
def guarded(monkeypatch):
    """Install the handler as in a process started with -m, and record exits instead of exiting."""
    exits = []
    monkeypatch.setattr(os, "_exit", exits.append)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = signal.signal(signal.SIGINT, startup.exit_now)
    yield exits
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_raises_only_while_main_runs(guarded):
    signal.raise_signal(signal.SIGINT)
    assert guarded == [130]

    def main():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        return 3

    assert startup.run_interruptibly(main) == 3
    signal.raise_signal(signal.SIGINT)  # ignored: the command is complete
    assert guarded == [130]


def test_second_ctrl_c_ends_the_command_with_130(guarded):
    assert startup.run_interruptibly(lambda: signal.raise_signal(signal.SIGINT)) == 130
    assert guarded == []


def test_an_interrupt_that_python_would_ignore_ends_the_process(guarded, monkeypatch):
    others = []
    monkeypatch.setattr(sys, "__unraisablehook__", others.append)
    startup.run_interruptibly(lambda: 0)
    sys.unraisablehook(SimpleNamespace(exc_type=KeyboardInterrupt))
    assert guarded == [130]
    guarded.clear()
    other = SimpleNamespace(exc_type=ValueError)
    sys.unraisablehook(other)
    assert (guarded, others[-1:]) == ([], [other])


def test_another_handler_is_kept():
    def main():
        return signal.getsignal(signal.SIGINT)

    assert startup.run_interruptibly(main) is signal.getsignal(signal.SIGINT)


@each(
    "original,arguments,is_command",
    [
        (["python", "-m", "tinygrad_np", "train"], ["-m", "train"], True),
        (["python", "-u", "-mtinygrad_np"], ["-m"], True),
        (["python", "-m", "other", "tinygrad_np"], ["-m", "tinygrad_np"], False),
        (["python", "-m", "tinygrad_np", "train"], ["tinygrad_np/__main__.py", "train"], False),
        (["python", "script.py"], ["script.py"], False),
        (["python"], [""], False),
        (["embedded"], [], False),
    ],
)
def test_only_the_command_line_is_guarded(original, arguments, is_command, monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(sys, "argv", arguments)
    assert startup._is_command() is is_command
