"""Sizes of image files, read without decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_exp.components.datasets.images.decoding import (
    FORMATS,
    UnreadableImage,
    pillow_silenced,
    reason_of,
    unreadable,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def image_sizes(paths: Iterable[str]) -> list[tuple[int, int]]:
    """Return width and height of image files in pixels, before an orientation in EXIF data.

    Raises:
        DataError: A file cannot be read as an image.
    """
    with pillow_silenced():
        try:
            return [_size(path) for path in paths]
        except UnreadableImage as image:
            raise unreadable([image]) from image


def _size(path: str) -> tuple[int, int]:
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except Exception as error:  # Damaged files make Pillow raise many kinds.
        raise UnreadableImage(path, reason_of(error)) from error
