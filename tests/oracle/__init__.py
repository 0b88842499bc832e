"""Tests that compare the package with PyTorch."""
