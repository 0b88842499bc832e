"""The parts of benchmark.py: the sides that are compared, the clock, the measures, the report."""
