"""CIFAR-N: human labels of the training images of CIFAR-10 and CIFAR-100."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

from cifar_exp.components.data_changes.clean import TRAINING, VALIDATION, CleanLabels
from cifar_exp.components.datasets.cifar_archive import read_entries
from cifar_exp.components.datasets.official.archive_file import OfficialFile, official_files
from cifar_exp.components.datasets.source import DataError
from cifar_exp.components.datasets.split import published_order
from cifar_exp.components.validation import Problem
from cifar_exp.system import paths
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "https://github.com/UCSC-REAL/cifar-10-100n/raw/main/data/"
FILES = {
    "cifar10": OfficialFile(
        url=f"{FOLDER}CIFAR-10_human.pt", md5="96644db5574813cae939af5f7f2a0aec"
    ),
    "cifar100": OfficialFile(
        url=f"{FOLDER}CIFAR-100_human.pt", md5="a67b45c1d7992051865b5c755bd68bb1"
    ),
}
KEYS = {
    "cifar10": {
        "aggre": "aggre_label",
        "random1": "random_label1",
        "random2": "random_label2",
        "random3": "random_label3",
        "worse": "worse_label",
    },
    "cifar100": {"noisy": "noisy_label"},
}
"""The keys in each file."""
CLEAN = "clean_label"


def problem_of(dataset: str, labels: str) -> Problem | None:
    """Return what is wrong if there are no such human labels of a data set."""
    if dataset not in KEYS:
        message = f"cifar_n has labels of cifar10 and cifar100, not of {dataset}"
        return Problem(("type",), message)
    if labels not in KEYS[dataset]:
        return Problem(("labels",), f"of {dataset} there are {', '.join(KEYS[dataset])}")
    return None


def human_labels(
    clean: CleanLabels, labels: str, path: Path | None
) -> dict[str, NDArray[np.int64]]:
    """Return the human labels of the training and the validation images.

    Args:
        clean: The labels of the data set.
        labels: Which labels; `problem_of` has found none.
        path: The official file, or its folder; None to download it.

    Raises:
        DataError: The file is missing or not the official one, or its images have another order.
    """
    file = _file(clean, path)
    stored = _arrays(file, [CLEAN, KEYS[clean.name][labels]], len(clean.classes))
    official, human = stored.values()
    counts = (len(official), 0, 0)
    order = published_order(official, counts, clean.classes, clean.validation)
    train, val = np.split(order.rows, [order.counts[0]])
    rows = {TRAINING: train, VALIDATION: val}
    if any(not np.array_equal(official[rows[split]], clean.of_split[split]) for split in rows):
        raise DataError(
            f"The clean labels in {file} are not those of {clean.name} here in the same order, so "
            "its human labels belong to other images: use the official archive of the data set."
        )
    return {split: human[rows[split]] for split in rows}


def _file(clean: CleanLabels, path: Path | None) -> Path:
    place = path and path.expanduser().absolute()
    downloads = paths.cache() / "downloads"
    try:
        [file] = official_files("cifar_n", [FILES[clean.name]], place, downloads, clean.progress)
    except OSError as error:
        raise DataError(
            f"Cannot write to {downloads} ({error.strerror or error}): give access, or set "
            f"{paths.CACHE_VARIABLE} to another folder."
        ) from error
    return file


def _arrays(file: Path, keys: list[str], num_classes: int) -> dict[str, NDArray[np.int64]]:
    """Return arrays of labels from a file of torch.save; no code in it can run."""
    try:
        with zipfile.ZipFile(file) as archive:
            [name] = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            content = archive.read(name)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read ({error}): fetch it again.") from error
    entries = read_entries(content, str(file))
    found = {}
    for key in keys:
        array = entries.get(key)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"{file} does not hold the labels {key}: fetch it again.")
        found[key] = array.astype(np.int64)
        if len(array) and not 0 <= array.min() <= array.max() < num_classes:
            raise DataError(f"{file} has a label of no class in {key}: fetch it again.")
    if len({len(array) for array in found.values()}) != 1:
        raise DataError(f"{file} has different numbers of labels: fetch it again.")
    return found
