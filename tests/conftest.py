"""What all tests share."""

import tests


def pytest_configure(config):
    """Let generated tests know of a smoke run: to make all their cases takes seconds."""
    tests.is_smoke_run = config.option.markexpr == "not slow"
