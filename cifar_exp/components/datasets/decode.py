"""One image file as an array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_exp.components.datasets.errors import DataError
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


def decoded(path: str, size: int | None) -> NDArray[np.uint8]:
    """The image in a file as uint8, H x W x 3 (RGB), resized to `size` x `size` if given.

    It is upright: cameras store how they were held, and not the turned image.

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
    """Turn an image as its EXIF data says; damaged data, of any kind, is no damaged image."""
    from PIL import ImageOps  # noqa: PLC0415

    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def _reason(error: Exception) -> str:
    # The message of Pillow's commonest error says no more than the path.
    unknown = type(error).__name__ == "UnidentifiedImageError"
    return "not a PNG, JPEG, BMP or WebP image" if unknown else str(error) or type(error).__name__
