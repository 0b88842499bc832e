"""Datasets, augmentation, the batch loader, and a reader for your own digit images."""

from tinygrad_np.data.arrays import ArrayDataset, Subset, TensorDataset, random_split
from tinygrad_np.data.augment import Augmentation
from tinygrad_np.data.dataset import Dataset
from tinygrad_np.data.idx import read_idx
from tinygrad_np.data.loader import DataLoader, default_collate
from tinygrad_np.data.photo import load_digit
from tinygrad_np.data.points import moons, spirals
from tinygrad_np.data.sources import digits, fashion_mnist, mnist

__all__ = [
    "ArrayDataset",
    "Augmentation",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "digits",
    "fashion_mnist",
    "load_digit",
    "mnist",
    "moons",
    "random_split",
    "read_idx",
    "spirals",
]
