"""STL-10."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from cifar_exp.components.datasets.official.archive_file import OfficialFile
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.datasets.published import Published, batches_of
from cifar_exp.components.datasets.source import Extent, WithDrawnValidation
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 96


class Stl10(WithDrawnValidation, Archived):
    """STL-10: 13,000 photographs of 10 classes, 96 x 96 (train 4,500, val 500, test 8,000).

    The 100,000 images without a label are not read.
    """

    name: ClassVar[str] = "stl10"
    extent = Extent(images=4_500, size=96)
    official: ClassVar[Mapping[str, OfficialFile]] = {
        "all": OfficialFile(
            url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
            md5="91f7769df0f17e558f3565bffb0c7dfb",
        )
    }

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images: N x channels x columns x rows in the files; labels begin with 1."""
        names = ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt")
        content = _members(files[0], [f"stl10_binary/{name}" for name in names])
        train, train_labels, test, test_labels = (
            np.frombuffer(content[f"stl10_binary/{name}"], np.uint8) for name in names[:4]
        )
        classes = tuple(content["stl10_binary/class_names.txt"].decode().split())
        labels = np.concatenate([train_labels, test_labels]).astype(np.int64) - 1
        if not 0 <= labels.min() <= labels.max() < len(classes):
            raise ValueError("a label is of no class")
        images = [part.reshape(-1, 3, SIZE, SIZE).transpose(0, 3, 2, 1) for part in (train, test)]
        if [len(part) for part in images] != [len(train_labels), len(test_labels)]:
            raise ValueError("images and labels do not belong together")
        return Published(
            classes=classes,
            labels=labels,
            counts=(len(train_labels), 0, len(test_labels)),
            size=SIZE,
            batches=batches_of(images),
        )


def _members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return the content of some files in an archive; nothing is extracted to disk."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name in names and member.isreg() else None
            if file is not None:
                found[member.name] = file.read()
            if len(found) == len(names):  # the images without a label need not be unpacked
                break
    missing = set(names) - set(found)
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return found
