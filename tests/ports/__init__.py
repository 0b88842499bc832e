"""Scripts written for PyTorch that run here after a change of their import lines."""
