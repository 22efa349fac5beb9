"""The official CIFAR archives: checksums and safe reading."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """An archive of batch files, with the checksums of the official one.

    Attributes:
        url: Address of the download.
        sha256: Checksum of the archive, 64 hex digits.
        folder: The folder in the archive that contains all files.
        train: The MD5 of each training batch, by file name, in order.
        test: The MD5 of each test batch, by file name, in order.
        names: File name and MD5 of the file with the class names.
        label_key: The key of the labels in a batch.
        names_key: The key of the class names.
    """

    url: str
    sha256: str
    folder: str
    train: dict[str, str]
    test: dict[str, str]
    names: tuple[str, str]
    label_key: bytes
    names_key: bytes

    @property
    def file(self) -> str:
        """The file name of the archive."""
        return self.url.rpartition("/")[2]

    @property
    def checksums(self) -> dict[str, str]:
        """The MD5 of every required file, by file name."""
        return {**self.train, **self.test, self.names[0]: self.names[1]}


def files_in_archive(archive: Archive, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each required file from an archive on disk.

    Nothing is extracted to disk, and a file must have the exact name.

    Raises:
        DataError: The archive or a file in it is not the official one.
    """
    _check_archive(archive, path)
    wanted = {f"{archive.folder}/{name}": name for name in archive.checksums}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                name = wanted.pop(member.name, None)
                if name is not None:
                    where = f"{member.name} in {path}"
                    yield name, _checked(archive, name, _content(tar, member, where), where)
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"Cannot read the archive {path} ({error}): fetch it again.") from error
    if wanted:
        raise DataError(f"The archive {path} lacks {', '.join(wanted)}: fetch it again.")


def files_in_folder(archive: Archive, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each required file from an extracted archive.

    Raises:
        DataError: A file is missing, unreadable or not the official one.
    """
    for name in archive.checksums:
        path = folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"Cannot read {path} ({error.strerror}): extract {archive.file} again."
            ) from error
        yield name, _checked(archive, name, content, str(path))


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    opened = tar.extractfile(member) if member.isreg() else None
    if opened is None:
        raise DataError(f"{where} is a link or no file at all: fetch the official archive.")
    with opened:
        return opened.read()


def _checked(archive: Archive, name: str, content: bytes, where: str) -> bytes:
    expected = archive.checksums[name]
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise DataError(
            f"{where} is damaged (MD5 expected {expected}, found {found}, {len(content)} bytes): "
            f"fetch {archive.file} again."
        )
    return content


def _check_archive(archive: Archive, path: Path) -> None:
    try:
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
            size = handle.tell()
    except OSError as error:
        raise DataError(
            f"Cannot read the archive {path} ({error.strerror}): give this user access to it."
        ) from error
    if found != archive.sha256:
        raise DataError(
            f"{path} is not the official {archive.file} (SHA-256 expected {archive.sha256}, "
            f"found {found}, {size} bytes): fetch it again from {archive.url}."
        )


SIZE, CHANNELS = 32, 3

# The names in a pickled array or byte string; none of them can run other code.
_PERMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The images of one batch file.

    Attributes:
        images: uint8, N x H x W x C.
        labels: int64, N.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_batch(content: bytes, name: str, label_key: bytes, classes: int) -> Batch:
    """Read the images and labels of a batch file.

    Args:
        content: The file, whose checksum has been checked.
        name: The name of the file for messages.
        label_key: The key of the labels.
        classes: The number of classes.

    Raises:
        DataError: The file has other content.
    """
    entries = read_entries(content, name)
    pixels, labels = entries.get(b"data"), entries.get(label_key)
    if not _are_pixels(pixels) or not _are_labels(labels, len(pixels), classes):
        raise DataError(f"{name} is not a batch of CIFAR images: fetch the archive again.")
    images = pixels.reshape(-1, CHANNELS, SIZE, SIZE).transpose(0, 2, 3, 1)
    return Batch(images=images, labels=np.asarray(labels, np.int64))


def read_names(content: bytes, name: str, key: bytes) -> tuple[str, ...]:
    """Read the names of the classes from a meta file.

    Raises:
        DataError: The file has other content.
    """
    names = read_entries(content, name).get(key)
    if not isinstance(names, list) or not all(isinstance(item, bytes) for item in names):
        raise DataError(f"{name} does not hold the CIFAR class names: fetch the archive again.")
    return tuple(item.decode() for item in names)


def _are_pixels(value: object) -> TypeGuard[NDArray[np.uint8]]:
    shape = (CHANNELS * SIZE * SIZE,)
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape[1:] == shape


def _are_labels(value: object, count: int, classes: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(label, int) and 0 <= label < classes for label in value)
    )


def read_entries(content: bytes, name: str) -> dict[object, object]:
    """Return the dictionary in a pickle that may hold arrays and simple values only.

    Raises:
        DataError: It holds something else, or is damaged.
    """
    try:
        entries = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # A damaged pickle can make the unpickler raise anything.
        raise DataError(f"{name} cannot be read ({error}): fetch the archive again.") from error
    if not isinstance(entries, dict):
        raise DataError(f"{name} does not hold a dictionary: fetch the archive again.")
    return entries


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _PERMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which CIFAR does not need")
        return _dtype if name == "dtype" else super().find_class(module, name)


def _dtype(kind: bytes | str, align: int, copy: int) -> np.dtype[Any]:
    # Python 2 wrote the flags as integers, for which NumPy 2.4.0 to 2.4.4 give a warning.
    name = kind.decode() if isinstance(kind, bytes) else kind
    return np.dtype(name, align=bool(align), copy=bool(copy))
