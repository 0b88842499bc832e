"""The tests."""

is_smoke_run = False
"""Whether slow tests are left out, so that their cases need not be made."""
