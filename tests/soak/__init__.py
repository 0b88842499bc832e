"""Hostile tests: kills, full disks, damaged files, threads, forks, aliasing and extreme numbers.

`python -m tests.soak` runs every row in full and prints a table; `pytest -m soak` runs a sample of
each row. See `tests.soak.rows` for what a row is.
"""
