"""What users call: the Tensor class, functions with PyTorch's names, and NumPy's functions."""

__all__: list[str] = []
