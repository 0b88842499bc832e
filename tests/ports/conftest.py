"""Skip this directory in the smoke run, as in tests/oracle; the models are run by test_ports.py."""

collect_ignore = ["models"]


def pytest_ignore_collect(config):
    """Ignore this directory if slow tests are deselected."""
    return True if config.option.markexpr == "not slow" else None
