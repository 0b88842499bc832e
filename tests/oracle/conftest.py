"""The smoke run takes no oracle: to import torch alone takes it seconds."""


def pytest_ignore_collect(config):
    """Leave this folder out where slow tests are not wanted."""
    return True if config.option.markexpr == "not slow" else None
