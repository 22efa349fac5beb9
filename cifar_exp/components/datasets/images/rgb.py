"""The conversion of an image of any mode to RGB with 8 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image, ImageFile

SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose grey images with more than 8 bits are scaled to 16 bits by Pillow."""
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, UNSIGNED = 0, 1
"""Tags of TIFF and their values (TIFF 6.0, sections 8 and 19)."""


class Scale(NamedTuple):
    """The values of black and white in a grey image with more than 8 bits."""

    black: int
    white: int


def scale_of(image: Image.Image) -> Scale:
    """Return the scale of an image as opened from a file.

    Raises:
        ValueError: The range of the values is unknown, so they have no defined brightness.
    """
    tags = getattr(image, "tag_v2", {})
    if tags and set(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) != {UNSIGNED}:
        raise ValueError("signed or floating-point pixels without a defined white")
    if image.mode == "F" or (image.mode == "I" and image.format not in SIXTEEN_BITS):
        raise ValueError("32-bit pixels without a defined white")
    largest = 2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1
    return Scale(largest, 0) if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else Scale(0, largest)


def to_rgb(image: Image.Image, scale: Scale) -> Image.Image:
    """Return an image as RGB; what is transparent is laid on white.

    Args:
        image: An image of any mode.
        scale: Its black and white, used if it is grey with more than 8 bits.
    """
    grey = image if image.mode[0] != "I" else _eight_bits(image, scale)
    return _on_white(grey) if grey.has_transparency_data else grey.convert("RGB")


def _eight_bits(image: Image.Image, scale: Scale) -> Image.Image:
    from PIL import Image as PillowImage  # noqa: PLC0415

    values = np.asarray(image).astype(np.int64)
    grey = PillowImage.fromarray(_scaled(values, scale))
    transparent = image.info.get("transparency")
    if transparent is not None:
        alpha = np.where(values == transparent, 0, 255).astype(np.uint8)
        grey.putalpha(PillowImage.fromarray(alpha))
    return grey


def _scaled(values: NDArray[np.int64], scale: Scale) -> NDArray[np.uint8]:
    """Return the nearest of 256 levels; of 16 bits, this is value / 257."""
    largest = max(scale)
    levels = (values * 255 + largest // 2) // largest
    return (levels if scale.black == 0 else 255 - levels).astype(np.uint8)


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image as PillowImage  # noqa: PLC0415

    known = image.convert("LA") if image.mode == "La" else image
    colour = known.convert("RGBA")
    white = PillowImage.new("RGB", image.size, "white")
    white.paste(colour, mask=colour)
    return white


def scale_transparency(image: ImageFile.ImageFile) -> None:
    """Bring the transparent colour of a PNG to the 8 bits to which Pillow scales its pixels.

    Pillow keeps the colour as it is in the file: of 2, 4 or 16 bits per channel. Call this before
    the pixels are loaded.
    """
    transparent = image.info.get("transparency")
    layout = image.tile[0][3] if image.format == "PNG" and image.tile else None
    if transparent is None:
        return
    if layout in ("L;2", "L;4"):
        image.info["transparency"] = transparent * 255 // (2 ** int(layout[-1]) - 1)
    elif layout == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in transparent)
