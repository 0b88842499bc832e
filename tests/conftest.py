"""What all tests share."""

import signal

import tests


def pytest_configure(config):
    """Let generated tests know of a smoke run: to make all their cases takes seconds. And let there
    be a Ctrl-C to test: what a shell starts in the background ignores it."""
    tests.is_smoke_run = config.option.markexpr == "not slow"
    signal.signal(signal.SIGINT, signal.default_int_handler)
