"""Decoding of an image file to pixels."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from cifar_exp.components.datasets.images.rgb import scale_of, scale_transparency, to_rgb
from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.formatting import listed, printable
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
MAX_NAMED = 20
"""Damaged images named in one error."""
VERSION = "upright, 16 bits scaled, on white"
"""Changed when any file is decoded to other pixels, so that old caches are not used."""


class UnreadableImage(Exception):  # noqa: N818
    """A file cannot be read as an image."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


def decoded(path: str, size: int | None, *, grey: bool = False) -> NDArray[np.uint8]:
    """Return the image in a file as uint8, H x W x 3 (RGB), resized to `size` x `size` if given.

    It is H x W x 1 if `grey`, with the luma of ITU-R 601. The orientation in the EXIF data is
    applied. What is transparent is laid on white. Of several frames or pages, the first is read.

    Raises:
        UnreadableImage: The file cannot be read as an image.
    """
    from PIL import Image  # noqa: PLC0415

    image = _colour(path, path)
    if grey:
        image = image.convert("L")
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.atleast_3d(np.asarray(image))


def decoded_image(file: IO[bytes], name: str) -> NDArray[np.uint8]:
    """Return the image in an open file of an archive as uint8, H x W x 3 (RGB).

    Raises:
        DataError: The file cannot be read as an image.
    """
    try:
        return np.asarray(_colour(file, name))
    except UnreadableImage as image:
        raise unreadable([image]) from image


def _colour(file: str | IO[bytes], name: str) -> Image.Image:
    from PIL import Image  # noqa: PLC0415

    try:
        with Image.open(file, formats=FORMATS) as image:
            scale = scale_of(image)
            scale_transparency(image)
            return to_rgb(_upright(image), scale)
    except Exception as error:  # Damaged files make Pillow raise many kinds.
        raise UnreadableImage(name, reason_of(error)) from error


def _upright(image: Image.Image) -> Image.Image:
    """Apply the orientation in the EXIF data; damaged EXIF data is ignored."""
    from PIL import ImageOps  # noqa: PLC0415

    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def reason_of(error: Exception) -> str:
    """Return why Pillow cannot read an image, for a message."""
    # The message of Pillow's most common error contains only the path.
    unknown = type(error).__name__ == "UnidentifiedImageError"
    return "not an image of a known format" if unknown else str(error) or type(error).__name__


def unreadable(images: Sequence[UnreadableImage]) -> DataError:
    """Return the error of one or more images: the first twenty with their reasons, and how many."""
    named = listed((printable(f"{image.path} ({image.reason})") for image in images), MAX_NAMED)
    if len(images) == 1:
        return DataError(f"Cannot read the image {named}: replace or remove it.")
    return DataError(f"Cannot read {len(images)} images: {named}: replace or remove them.")


@contextmanager
def pillow_silenced() -> Iterator[None]:
    """Ignore the warnings and log messages of Pillow, which name neither the file nor a remedy.

    They are ignored in all threads of the process until the block ends.
    """
    logger = logging.getLogger("PIL")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
