"""The tests."""

is_smoke_run = False
"""Whether slow tests are deselected, so that their cases need not be generated."""
