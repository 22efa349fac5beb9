"""Tiny ImageNet."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from cifar_exp.components.datasets.images.decoding import decoded_image, pillow_silenced
from cifar_exp.components.datasets.official.archive_file import OfficialFile
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.datasets.published import Published
from cifar_exp.components.datasets.source import Extent, WithDrawnValidation
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from cifar_exp.components.datasets.published import Batches

SIZE = 64
ROOT = "tiny-imagenet-200"


class TinyImagenet(WithDrawnValidation, Archived):
    """Tiny ImageNet: 110,000 photographs of 200 classes, 64 x 64.

    90,000 training and 10,000 validation images; the 10,000 test images are those of the published
    folder `val`, as the labels of the published test images are secret.
    """

    name: ClassVar[str] = "tiny_imagenet"
    extent = Extent(images=90_000, size=64)
    official: ClassVar[Mapping[str, OfficialFile]] = {
        "all": OfficialFile(
            url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            md5="90528d7ca1a48142e341f4ef8d21d0de",
        )
    }

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images: of training in a folder per class, of `val` by a list of labels."""
        with zipfile.ZipFile(files[0]) as archive:
            names = archive.namelist()
            ids = sorted(archive.read(f"{ROOT}/wnids.txt").decode().split())
            words = archive.read(f"{ROOT}/words.txt").decode()
            annotations = archive.read(f"{ROOT}/val/val_annotations.txt").decode()
        train = sorted(name for name in names if _is_training(name))
        tested = dict(line.split("\t")[:2] for line in annotations.splitlines() if line)
        label = {wnid: number for number, wnid in enumerate(ids)}
        labels = [label[name.split("/")[2]] for name in train]
        labels += [label[wnid] for wnid in tested.values()]
        test = [f"{ROOT}/val/images/{name}" for name in tested]
        return Published(
            classes=_class_names(ids, words),
            labels=np.array(labels, np.int64),
            counts=(len(train), 0, len(test)),
            size=SIZE,
            batches=_images(files[0], [*train, *test]),
        )


def _is_training(name: str) -> bool:
    return name.startswith(f"{ROOT}/train/") and name.endswith(".JPEG")


def _class_names(ids: Sequence[str], words: str) -> tuple[str, ...]:
    """Return the first of the words of each class, with its WordNet id if it is not the only one.

    Args:
        ids: The WordNet ids.
        words: Lines of an id and its words.
    """
    known = dict(line.split("\t", 1) for line in words.splitlines() if "\t" in line)
    first = {wnid: known[wnid].partition(",")[0].strip() for wnid in ids}
    number = Counter(first.values())
    return tuple(name if number[name] == 1 else f"{name} ({wnid})" for wnid, name in first.items())


def _images(file: Path, names: Sequence[str]) -> Batches:
    with zipfile.ZipFile(file) as archive, pillow_silenced():
        for row, name in enumerate(names):
            with archive.open(name) as image:
                yield np.array([row]), decoded_image(image, name)[None]
