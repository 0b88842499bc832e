"""Datasets, augmentation, the batch loader, and readers for your own images."""

from tinygrad_np.data.arrays import ArrayDataset, Dataset, Subset, TensorDataset, random_split
from tinygrad_np.data.augment import Augmentation
from tinygrad_np.data.dataset import ImageDataset
from tinygrad_np.data.files import image_csv, image_folder, load
from tinygrad_np.data.idx import read_idx
from tinygrad_np.data.loader import DataLoader, default_collate
from tinygrad_np.data.photo import load_digit
from tinygrad_np.data.points import moons, spirals
from tinygrad_np.data.sources import digits, fashion_mnist, mnist
from tinygrad_np.data.texts import alice, characters

__all__ = [
    "ArrayDataset",
    "Augmentation",
    "DataLoader",
    "Dataset",
    "ImageDataset",
    "Subset",
    "TensorDataset",
    "alice",
    "characters",
    "default_collate",
    "digits",
    "fashion_mnist",
    "image_csv",
    "image_folder",
    "load",
    "load_digit",
    "mnist",
    "moons",
    "random_split",
    "read_idx",
    "spirals",
]
