"""Tests that hold the package against PyTorch."""
