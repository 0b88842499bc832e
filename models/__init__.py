"""Models, written forward only: there is not one line of backward code here."""

from models.digits_cnn import DigitsCNN
from models.fashion_cnn import FashionCNN
from models.lab_cnn import LabCNN
from models.lenet import LeNet
from models.mnist_cnn import MnistCNN, MnistCNNLight
from models.resnet import ResNet

__all__ = [
    "DigitsCNN",
    "FashionCNN",
    "LabCNN",
    "LeNet",
    "MnistCNN",
    "MnistCNNLight",
    "ResNet",
]
