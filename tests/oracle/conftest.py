"""Skip this directory in the smoke run: importing torch takes seconds."""


def pytest_ignore_collect(config):
    """Ignore this directory if slow tests are deselected."""
    return True if config.option.markexpr == "not slow" else None
