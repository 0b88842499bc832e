"""Parts of examples/reproduce.py: the runs, the comparison with PyTorch, and the report."""
