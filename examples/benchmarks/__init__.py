"""Parts of examples/benchmark.py: sides, timing, measures and report."""
