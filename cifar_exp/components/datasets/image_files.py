"""Image files in a folder with one folder per class."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image


SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


class ImageFile(NamedTuple):
    """An image file with its size in bytes and its modification time in nanoseconds."""

    path: str
    size: int
    modified: int


def image_files(folder: Path) -> dict[str, list[ImageFile]]:
    """Return the image files by class, both sorted by name; hidden files are ignored.

    Raises:
        DataError: A folder is missing or unreadable, or contains no classes or no images.
    """
    classes = {
        entry.name: _images(entry.path)
        for entry in _entries(folder, "the images belong in train/<class>/ and test/<class>/")
        if entry.is_dir()
    }
    if not classes:
        raise DataError(f"{folder} contains no folders: add one folder of images per class.")
    return classes


def _images(folder: str) -> list[ImageFile]:
    files = [
        _image_file(entry)
        for entry in _entries(folder, "give this user access to it")
        if entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()
    ]
    if not files:
        raise DataError(
            f"{folder} contains no images ({' '.join(SUFFIXES)}): add some or remove the folder."
        )
    return files


def _image_file(entry: os.DirEntry[str]) -> ImageFile:
    try:
        found = entry.stat()
    except OSError as error:
        raise DataError(
            f"Cannot read the image {entry.path} ({error.strerror}): replace or remove it."
        ) from error
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device may never end
        raise DataError(f"The image {entry.path} is not a regular file: replace or remove it.")
    return ImageFile(entry.path, found.st_size, found.st_mtime_ns)


def _entries(folder: Path | str, hint: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            visible = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder} ({error.strerror}): {hint}.") from error
    return sorted(visible, key=lambda entry: entry.name)


FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


def decoded(path: str, size: int | None) -> NDArray[np.uint8]:
    """Return the image in a file as uint8, H x W x 3 (RGB), resized to `size` x `size` if given.

    The orientation in the EXIF data is applied.

    Raises:
        DataError: The file cannot be read as an image.
    """
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(path, formats=FORMATS) as image:
            colour = _upright(image).convert("RGB")
    except Exception as error:  # Damaged files make Pillow raise many kinds.
        raise DataError(
            f"Cannot read the image {path} ({_reason(error)}): replace or remove it."
        ) from error
    if size is not None and colour.size != (size, size):
        colour = colour.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(colour)


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in the EXIF data; damaged EXIF data is ignored."""
    from PIL import ImageOps  # noqa: PLC0415

    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _reason(error: Exception) -> str:
    # The message of Pillow's most common error contains only the path.
    unknown = type(error).__name__ == "UnidentifiedImageError"
    return "not a PNG, JPEG, BMP or WebP image" if unknown else str(error) or type(error).__name__
