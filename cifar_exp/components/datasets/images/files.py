"""Image files in a folder with one folder per class."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cifar_exp.components.datasets.images.decoding import UnreadableImage
from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.formatting import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)


class ImageFile(NamedTuple):
    """An image file with its size in bytes and its modification time in nanoseconds."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitFiles:
    """The files of a split.

    Attributes:
        folder: The folder of the split.
        images: The image files by class, both sorted by name.
        left_out: The paths of all other files; hidden files are in neither.
        unreadable: The images that are broken links, pipes or devices.
    """

    folder: Path
    images: dict[str, list[ImageFile]]
    left_out: list[str]
    unreadable: list[UnreadableImage]


def no_files(folder: Path) -> SplitFiles:
    """Return a split without files."""
    return SplitFiles(folder=folder, images={}, left_out=[], unreadable=[])


def split_files(folder: Path, layout: str) -> SplitFiles:
    """Return the files of a split: images are directly in the folder of their class.

    Args:
        folder: The folder of the split.
        layout: What to do if there is no such folder.

    Raises:
        DataError: A folder is missing or unreadable, or contains no classes or no images.
    """
    found = no_files(folder)
    for entry in _entries(folder, layout):
        if entry.is_dir():
            found.images[entry.name] = list(_images(entry.path, found))
        else:
            found.left_out.append(entry.path)
    if not found.images:
        raise DataError(f"{folder} contains no folders: add one folder of images per class.")
    _check_images(found)
    return found


def _images(folder: str, found: SplitFiles) -> Iterator[ImageFile]:
    """Yield the images of a class; note its other files in `found`."""
    for entry in _entries(folder, "give this user access to it"):
        if entry.is_dir():
            found.left_out.extend(_files_below(entry.path))
        elif not entry.name.lower().endswith(SUFFIXES):
            found.left_out.append(entry.path)
        else:
            try:
                yield _image_file(entry)
            except UnreadableImage as image:
                found.unreadable.append(image)


def _files_below(folder: str) -> Iterator[str]:
    for inner, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (f"{inner}{os.sep}{name}" for name in sorted(names) if name[0] != ".")


def _image_file(entry: os.DirEntry[str]) -> ImageFile:
    try:
        found = entry.stat()
    except OSError as error:
        raise UnreadableImage(entry.path, error.strerror or str(error)) from error
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device may never end
        raise UnreadableImage(entry.path, "not a regular file")
    return ImageFile(entry.path, found.st_size, found.st_mtime_ns)


def _check_images(found: SplitFiles) -> None:
    """Check that every class has images; one with unreadable images is reported later."""
    damaged = {Path(image.path).parent for image in found.unreadable}
    folders = [found.folder / name for name, images in found.images.items() if not images]
    empty = [f"{folder}" for folder in folders if folder not in damaged]
    if empty:
        verb, noun = ("contains", "folder") if len(empty) == 1 else ("contain", "folders")
        raise DataError(
            f"{listed(empty)} {verb} no images ({' '.join(SUFFIXES)})"
            f"{_others(empty, found.left_out)}: add some or remove the {noun}."
        )


def _others(folders: Sequence[str], left_out: Sequence[str]) -> str:
    prefixes = tuple(folder + os.sep for folder in folders)
    inside = [path for path in left_out if path.startswith(prefixes)]
    number = counted(len(inside), "file")
    return (
        f", only {number} in sub-folders or of other kinds, such as {inside[0]}" if inside else ""
    )


def _entries(folder: Path | str, hint: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            visible = [entry for entry in found if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(f"Cannot read the folder {folder} ({error.strerror}): {hint}.") from error
    return sorted(visible, key=lambda entry: entry.name)
