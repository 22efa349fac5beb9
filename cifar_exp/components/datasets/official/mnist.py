"""MNIST and the data sets in its format: Fashion-MNIST, KMNIST and EMNIST."""

from __future__ import annotations

import string
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cifar_exp.components.datasets.official.archive_file import OfficialFile
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.datasets.official.idx import read_idx
from cifar_exp.components.datasets.published import Published, batches_of
from cifar_exp.components.datasets.source import Extent, WithDrawnValidation
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Arrays = Sequence["NDArray[np.uint8]"]
"""Training images, training labels, test images, test labels."""


def _files(folder: str, *md5: str) -> dict[str, OfficialFile]:
    """Return the four files of a data set in a folder of the web, with their checksums."""
    names = {
        "training images": "train-images-idx3-ubyte.gz",
        "training labels": "train-labels-idx1-ubyte.gz",
        "test images": "t10k-images-idx3-ubyte.gz",
        "test labels": "t10k-labels-idx1-ubyte.gz",
    }
    return {
        key: OfficialFile(url=f"{folder}{name}", md5=checksum)
        for (key, name), checksum in zip(names.items(), md5, strict=True)
    }


def _published(arrays: Arrays, classes: tuple[str, ...]) -> Published:
    train, train_labels, test, test_labels = arrays
    for images, labels in ((train, train_labels), (test, test_labels)):
        if labels.shape != images.shape[:1] or images.ndim != 3 or labels.max() >= len(classes):
            raise ValueError("images and labels do not belong together")
    return Published(
        classes=classes,
        labels=np.concatenate([train_labels, test_labels]).astype(np.int64),
        counts=(len(train), 0, len(test)),
        size=train.shape[1],
        batches=batches_of([train, test]),
    )


class _FourFiles(WithDrawnValidation, Archived):
    classes: ClassVar[tuple[str, ...]]

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images in the four files."""
        return _published([read_idx(file.read_bytes()) for file in files], self.classes)


class Mnist(_FourFiles):
    """MNIST: 70,000 handwritten digits, 28 x 28 grey (train 54,000, val 6,000, test 10,000)."""

    name: ClassVar[str] = "mnist"
    extent = Extent(images=54_000, size=28)
    classes: ClassVar[tuple[str, ...]] = tuple(string.digits)
    official: ClassVar[Mapping[str, OfficialFile]] = _files(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    )


class FashionMnist(_FourFiles):
    """Fashion-MNIST: 70,000 articles of clothing of 10 classes, 28 x 28 grey."""

    name: ClassVar[str] = "fashion_mnist"
    extent = Extent(images=54_000, size=28)
    classes: ClassVar[tuple[str, ...]] = (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    )
    official: ClassVar[Mapping[str, OfficialFile]] = _files(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    )


class Kmnist(_FourFiles):
    """Kuzushiji-MNIST: 70,000 cursive Japanese characters of 10 classes, 28 x 28 grey."""

    name: ClassVar[str] = "kmnist"
    extent = Extent(images=54_000, size=28)
    classes: ClassVar[tuple[str, ...]] = (
        *("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    )
    official: ClassVar[Mapping[str, OfficialFile]] = _files(
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "bdb82020997e1d708af4cf47b453dcf7",
        "e144d726b3acfaa3e44228e80efcd344",
        "5c965bf0a639b31b8f53240b1b52f4d7",
        "7320c461ea6c1c855c0b718fb2a4b134",
    )


EMNIST_PARTS = ("train-images-idx3", "train-labels-idx1", "test-images-idx3", "test-labels-idx1")
_CASES_MERGED = frozenset("cijklmopsuvwxyz")
_ALL = string.digits + string.ascii_uppercase + string.ascii_lowercase
_MERGED = "".join(character for character in _ALL if character not in _CASES_MERGED)
_CHARACTERS: Mapping[str, str] = {
    "balanced": _MERGED,
    "byclass": _ALL,
    "bymerge": _MERGED,
    "letters": string.ascii_lowercase,
    "digits": string.digits,
    "mnist": string.digits,
}
"""The classes of each split in the order of their labels; those of `letters` begin with 1."""


class Emnist(WithDrawnValidation, Archived):
    """EMNIST: handwritten letters and digits, 28 x 28 grey, in six splits of 10 to 62 classes."""

    name: ClassVar[str] = "emnist"
    extent = Extent(images=101_520, size=28)
    official: ClassVar[Mapping[str, OfficialFile]] = {
        "all splits": OfficialFile(
            url="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            md5="58c8d27c78d21e728a6bc7b3cc06412e",
        )
    }

    split: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"] = Field(
        default="balanced",
        description="Which of the published sets: balanced (47 classes), byclass (62), bymerge "
        "(47), letters (26), digits (10) or mnist (10).",
    )

    def reading(self) -> str:
        """Return the split, as all are in one file."""
        return self.split

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images of the split; they are stored with rows and columns exchanged."""
        with zipfile.ZipFile(files[0]) as archive:
            train, train_labels, test, test_labels = (
                read_idx(archive.read(f"gzip/emnist-{self.split}-{part}-ubyte.gz"))
                for part in EMNIST_PARTS
            )
        first = 1 if self.split == "letters" else 0
        return _published(
            [
                *(train.transpose(0, 2, 1), train_labels - first),
                *(test.transpose(0, 2, 1), test_labels - first),
            ],
            tuple(_CHARACTERS[self.split]),
        )
