"""Data sets: memory-mapped tensors of images, decoded once and shared by all processes."""

from cifar_exp.components.datasets.cache import load, open_dataset
from cifar_exp.components.datasets.cifar import Cifar10, Cifar100
from cifar_exp.components.datasets.data_warnings import data_warnings
from cifar_exp.components.datasets.dataset import Dataset, Split
from cifar_exp.components.datasets.digits import Digits
from cifar_exp.components.datasets.folder import Folder
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
    choice.name: choice for choice in (Digits, Cifar10, Cifar100, Folder)
}
"""All data sets by their name in a definition."""
