"""CIFAR-10 and CIFAR-100."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cifar_exp.components.datasets.cifar_archive import (
    SIZE,
    Archive,
    Batch,
    files_in_archive,
    files_in_folder,
    read_batch,
    read_names,
)
from cifar_exp.components.datasets.download import downloaded
from cifar_exp.components.datasets.published import Published, batches_of, store
from cifar_exp.components.datasets.source import (
    VALIDATION_FRACTION,
    Contents,
    DataError,
    Extent,
    Place,
    Source,
    WithDrawnValidation,
    validation_key,
)
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import Allocate, Progress

CIFAR10 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    folder="cifar-10-batches-py",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    names=("batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
    label_key=b"labels",
    names_key=b"label_names",
)

CIFAR100 = Archive(
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    folder="cifar-100-python",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    names=("meta", "7973b15100ade9c7d40fb424638fde48"),
    label_key=b"fine_labels",
    names_key=b"fine_label_names",
)


class _Cifar(WithDrawnValidation):
    archive: ClassVar[Archive]

    path: Place | None = Field(
        default=None,
        description="The official archive, the folder that contains it, or the folder it was "
        "extracted to; without it, the archive is downloaded. Not needed again once decoded.",
    )

    def source(self) -> Source:
        """Return the source: the official archive."""
        path = self.path and self.path.expanduser().absolute()
        return CifarSource(archive=self.archive, path=path, validation=self.validation)


class Cifar10(_Cifar):
    """CIFAR-10: 60,000 photographs of 10 classes, 32 x 32 (train 45,000, val 5,000, test 10,000).

    The validation images are a tenth of the official training images, drawn by class.
    """

    name: ClassVar[str] = "cifar10"
    extent = Extent(images=45_000, size=32)
    archive: ClassVar[Archive] = CIFAR10


class Cifar100(_Cifar):
    """CIFAR-100: 60,000 photographs of 100 classes, 32 x 32 (train 45,000, val 5,000, test 10,000).

    The validation images are a tenth of the official training images, drawn by class.
    """

    name: ClassVar[str] = "cifar100"
    extent = Extent(images=45_000, size=32)
    archive: ClassVar[Archive] = CIFAR100


@dataclass(frozen=True, kw_only=True)
class CifarSource(Source):
    """The batch files of an official archive.

    Attributes:
        archive: Description of the official archive.
        path: The archive, the folder that contains it or the folder it was extracted to; None to
            download it.
        validation: The share of the training images for validation.
    """

    archive: Archive
    path: Path | None
    validation: float = VALIDATION_FRACTION

    @property
    def key(self) -> str:
        """The checksums, which identify the content."""
        checksums = ":".join(self.archive.checksums.values())
        return f"cifar:{self.archive.sha256}:{checksums}{validation_key(self.validation)}"

    def read(self, allocate: Allocate, downloads: Path, progress: Progress) -> Contents:
        """Write the images, see `Source.read`."""
        classes, train, test = self._batches(downloads, progress)
        batches = train + test
        train_labels, labels = _joined(train), _joined(batches)
        published = Published(
            classes=classes,
            labels=labels,
            counts=(len(train_labels), 0, len(labels) - len(train_labels)),
            size=SIZE,
            batches=batches_of([batch.images for batch in batches]),
        )
        return store(published, self.validation, allocate, progress)

    def _batches(
        self, downloads: Path, progress: Progress
    ) -> tuple[tuple[str, ...], list[Batch], list[Batch]]:
        files = self._read_files(downloads, progress)
        names_file = self.archive.names[0]
        classes = read_names(files.pop(names_file), names_file, self.archive.names_key)
        batches = {
            name: read_batch(files.pop(name), name, self.archive.label_key, len(classes))
            for name in (*self.archive.train, *self.archive.test)
        }
        train = [batches[name] for name in self.archive.train]
        return classes, train, [batches[name] for name in self.archive.test]

    def _read_files(self, downloads: Path, progress: Progress) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        for name, content in self._files(downloads, progress):
            files[name] = content
            progress("reading batches", len(files), len(self.archive.checksums))
        return files

    def _files(self, downloads: Path, progress: Progress) -> Iterator[tuple[str, bytes]]:
        archive, path = self.archive, self.path
        if path is None:
            path = downloaded(archive.url, f"sha256:{archive.sha256}", downloads, progress)
        if path.is_file():
            return files_in_archive(archive, path)
        if (path / archive.file).is_file():
            return files_in_archive(archive, path / archive.file)
        for folder in (path / archive.folder, path):
            if (folder / archive.names[0]).exists():
                return files_in_folder(archive, folder)
        raise DataError(
            f"{path} does not exist or contains neither {archive.file} nor {archive.folder}: "
            "correct `path`, or leave it out to download the archive."
        )


def _joined(batches: Sequence[Batch]) -> NDArray[np.int64]:
    return np.concatenate([batch.labels for batch in batches])
