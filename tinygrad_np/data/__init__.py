"""Data sets and the loader of batches."""

from tinygrad_np.data.dataset import DataLoader, Dataset
from tinygrad_np.data.idx import read_idx
from tinygrad_np.data.sources import digits, fashion_mnist, mnist

__all__ = ["DataLoader", "Dataset", "digits", "fashion_mnist", "mnist", "read_idx"]
