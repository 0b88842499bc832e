"""Models, written forward only: there is not one line of backward code here."""

from models.digits_cnn import DigitsCNN
from models.lab_cnn import LabCNN
from models.mnist_cnn import MnistCNN, MnistCNNLight

__all__ = ["DigitsCNN", "LabCNN", "MnistCNN", "MnistCNNLight"]
