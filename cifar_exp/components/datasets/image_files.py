"""The image files of a folder that has one folder for each class."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from cifar_exp.components.datasets.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class ImageFile(NamedTuple):
    """An image file as it was found: its size in bytes and its time of change in nanoseconds."""

    path: str
    size: int
    modified: int


def image_files(folder: Path) -> dict[str, list[ImageFile]]:
    """The image files of each class, both sorted by name; hidden files are left out.

    Raises:
        DataError: A folder is missing, unreadable, or holds no classes or no images.
    """
    classes = {
        entry.name: _images(entry.path)
        for entry in _entries(folder, "the images belong in train/<class>/ and test/<class>/")
        if entry.is_dir()
    }
    if not classes:
        raise DataError(f"{folder} holds no folders: give it one folder of images for each class.")
    return classes


def _images(folder: str) -> list[ImageFile]:
    files = [
        _image_file(entry)
        for entry in _entries(folder, "give this user access to it")
        if entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()
    ]
    if not files:
        raise DataError(
            f"{folder} holds no images ({' '.join(SUFFIXES)}): add some or remove the folder."
        )
    return files


def _image_file(entry: os.DirEntry[str]) -> ImageFile:
    try:
        found = entry.stat()
    except OSError as error:
        raise DataError(
            f"Cannot read the image {entry.path} ({error.strerror}): replace or remove it."
        ) from error
    if not stat.S_ISREG(found.st_mode):  # to read a pipe or a device may never end
        raise DataError(f"The image {entry.path} is no regular file: replace or remove it.")
    return ImageFile(entry.path, found.st_size, found.st_mtime_ns)


def _entries(folder: Path | str, hint: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            shown = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder} ({error.strerror}): {hint}.") from error
    return sorted(shown, key=lambda entry: entry.name)
