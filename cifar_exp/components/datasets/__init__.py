"""Data sets: memory-mapped tensors of images, decoded once and shared by all processes."""

from cifar_exp.components.datasets.cache import load, open_dataset
from cifar_exp.components.datasets.cifar import Cifar10, Cifar100
from cifar_exp.components.datasets.data_warnings import data_warnings
from cifar_exp.components.datasets.dataset import Dataset, Split
from cifar_exp.components.datasets.digits import Digits
from cifar_exp.components.datasets.folder import Folder
from cifar_exp.components.datasets.official.cinic10 import Cinic10
from cifar_exp.components.datasets.official.medmnist import MedMnist
from cifar_exp.components.datasets.official.mnist import Emnist, FashionMnist, Kmnist, Mnist
from cifar_exp.components.datasets.official.stl10 import Stl10
from cifar_exp.components.datasets.official.svhn import Svhn
from cifar_exp.components.datasets.official.tiny_imagenet import TinyImagenet
from cifar_exp.components.datasets.source import DataError, DatasetChoice, Progress, no_progress

__all__ = [
    "DATASETS",
    "Cifar10",
    "Cifar100",
    "DataError",
    "Dataset",
    "DatasetChoice",
    "Digits",
    "Folder",
    "Progress",
    "Split",
    "data_warnings",
    "load",
    "no_progress",
    "open_dataset",
]

DATASETS: dict[str, type[DatasetChoice]] = {
    choice.name: choice
    for choice in (
        *(Digits, Cifar10, Cifar100, Svhn, Mnist, FashionMnist, Kmnist, Emnist),
        *(Stl10, Cinic10, TinyImagenet, MedMnist, Folder),
    )
}
"""All data sets by their name in a definition."""
