"""Models written for PyTorch that run here with only their import lines changed."""
