"""CINIC-10."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from cifar_exp.components.datasets.images.decoding import decoded_image, pillow_silenced
from cifar_exp.components.datasets.official.archive_file import OfficialFile
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.datasets.published import Published
from cifar_exp.components.datasets.source import Extent
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from cifar_exp.components.datasets.published import Batches

SIZE = 32
SPLITS = ("train", "valid", "test")
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


class Cinic10(Archived):
    """CINIC-10: 270,000 photographs of CIFAR-10's classes, 32 x 32, with its own validation split.

    90,000 images in each split, from CIFAR-10 and ImageNet. Licence: CC BY 4.0.
    """

    name: ClassVar[str] = "cinic10"
    extent = Extent(images=90_000, size=32)
    official: ClassVar[Mapping[str, OfficialFile]] = {
        "all": OfficialFile(
            url="https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
            md5="6ee4d0c996905fe93221de577967a372",
        )
    }

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images in <split>/<class>/, sorted by split, class and name."""
        rows = {key: row for row, key in enumerate(sorted(_keys(files[0]), key=_rank))}
        splits = [SPLITS.index(split) for split, _, _ in rows]
        train, val, test = (splits.count(number) for number in range(3))
        if not (train and val and test):
            raise ValueError("it lacks images in train, valid or test")
        labels = np.array([CLASSES.index(label) for _, label, _ in rows], np.int64)
        return Published(
            classes=CLASSES,
            labels=labels,
            counts=(train, val, test),
            size=SIZE,
            batches=_images(files[0], rows),
        )


Key = tuple[str, str, str]
"""Split, class and file name of an image."""


def _rank(key: Key) -> tuple[int, str, str]:
    return SPLITS.index(key[0]), *key[1:]


def _key(member: tarfile.TarInfo) -> Key | None:
    parts = PurePosixPath(member.name).parts[-3:]
    if not member.isreg() or len(parts) < 3 or not parts[2].endswith(".png"):
        return None
    return (parts[0], parts[1], parts[2]) if parts[0] in SPLITS and parts[1] in CLASSES else None


def _keys(archive: Path) -> Iterator[Key]:
    with tarfile.open(archive, "r:gz") as tar:
        yield from (key for key in map(_key, tar) if key is not None)


def _images(archive: Path, rows: Mapping[Key, int]) -> Batches:
    with tarfile.open(archive, "r:gz") as tar, pillow_silenced():
        for member in tar:
            key = _key(member)
            file = None if key is None else tar.extractfile(member)
            if key is not None and file is not None:
                yield np.array([rows[key]]), decoded_image(file, member.name)[None]
