"""Pixels of every kind of image, against values worked by hand."""

from __future__ import annotations

import io
import struct
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_exp.components.datasets.images import rgb
from cifar_exp.components.datasets.images.decoding import UnreadableImage, decoded, pillow_silenced

from .raw import GREY, GREY_ALPHA, RGB, RGBA, png, tiff

DEEP = [0, 1, 128, 129, 257, 300, 32767, 32768, 65000, 65535]
"""Grey values of 16 bits."""
GRAY = np.arange(0, 256, 5, dtype=np.uint8)[None]
COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
SIGNED, FLOAT = 2, 3
"""Sample formats of TIFF."""


def pixels(tmp_path: Path, content: bytes) -> list[tuple[int, ...]]:
    """Return the decoded pixels of the first row."""
    path = tmp_path / "image.bin"  # the format follows from the content
    path.write_bytes(content)
    with pillow_silenced():
        return [tuple(pixel) for pixel in decoded(str(path), None)[0].tolist()]


def grey(*values: int) -> list[tuple[int, ...]]:
    return [(value,) * 3 for value in values]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep(order: str) -> bytes:
    return struct.pack(f"{order}{len(DEEP)}H", *DEEP)


WIDTH = len(DEEP)
SIXTEEN_BITS = {
    "png": png(16, GREY, deep(">"), WIDTH),
    "tiff, little-endian": tiff(deep("<"), WIDTH, 16, {}),
    "tiff, big-endian": tiff(deep(">"), WIDTH, 16, {}, ">"),
    "pgm": b"P5 %d 1 65535\n" % WIDTH + deep(">"),
    "pgm, text": b"P2 %d 1 65535\n" % WIDTH + b" ".join(b"%d" % value for value in DEEP),
}


@pytest.mark.parametrize("kind", SIXTEEN_BITS)
def test_grey_of_16_bits_is_divided_by_257(tmp_path: Path, kind: str) -> None:
    expected = [round(Fraction(value, 257)) for value in DEEP]
    assert pixels(tmp_path, SIXTEEN_BITS[kind]) == grey(*expected)


TWELVE = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x01])  # 0, 2048, 4095, 1 in 12 bits each
OTHER_SCALES = {
    "12 bits": (tiff(TWELVE, 4, 12, {}), [0, 128, 255, 0]),
    "zero is white": (tiff(struct.pack("<3H", 0, 257, 65535), 3, 16, {262: 0}), [255, 254, 0]),
    "pgm up to 1000": (b"P5 3 1 1000\n" + struct.pack(">3H", 0, 1000, 500), [0, 255, 128]),
    "16 bits and alpha": (
        png(16, GREY_ALPHA, struct.pack(">4H", 0x8000, 65535, 0x8000, 0), 2),
        [128, 255],
    ),
    "transparent 16 bits": (png(16, GREY, struct.pack(">2H", 300, 301), 2, [300]), [255, 1]),
    "transparent 8 bits": (png(8, GREY, bytes([7, 8]), 2, [7]), [255, 8]),
    "transparent 4 bits": (png(4, GREY, bytes([0x0A, 0xF5]), 4, [0xA]), [0, 255, 255, 85]),
    "transparent 2 bits": (png(2, GREY, bytes([0b00011011]), 4, [1]), [0, 255, 170, 255]),
    "transparent 1 bit": (png(1, GREY, bytes([0b01000000]), 2, [0]), [255, 255]),
}


@pytest.mark.parametrize("kind", OTHER_SCALES)
def test_grey_of_other_scales(tmp_path: Path, kind: str) -> None:
    content, expected = OTHER_SCALES[kind]
    assert pixels(tmp_path, content) == grey(*expected)


def test_colours_of_16_bits(tmp_path: Path) -> None:
    row = struct.pack(">6H", 65535, 0, 257 * 9, 1, 2, 3)
    assert pixels(tmp_path, png(16, RGB, row, 2)) == [(255, 0, 9), (0, 0, 0)]
    laid = pixels(tmp_path, png(16, RGB, row, 2, [65535, 0, 257 * 9]))
    assert laid == [(255, 255, 255), (0, 0, 0)]
    half = struct.pack(">8H", 65535, 0, 257 * 9, 65535, 0, 0, 0, 0)
    assert pixels(tmp_path, png(16, RGBA, half, 2)) == [(255, 0, 9), (255, 255, 255)]


UNDEFINED = {
    "floating-point": tiff(struct.pack("<2f", 0.5, 1), 2, 32, {339: FLOAT}),
    "signed 8 bits": tiff(bytes(4), 4, 8, {339: SIGNED}),
    "signed 16 bits": tiff(bytes(4), 2, 16, {339: SIGNED}),
    "signed 32 bits": tiff(bytes(8), 2, 32, {339: SIGNED}),
    "32 bits": tiff(bytes(8), 2, 32, {}),
    "floating-point pgm": b"Pf 1 1 -1.0\n" + struct.pack("<f", 0.5),
}


@pytest.mark.parametrize("kind", UNDEFINED)
def test_pixels_without_a_defined_white_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(UnreadableImage, match="pixels without a defined white"):
        pixels(tmp_path, UNDEFINED[kind])


MODES: dict[str, tuple[object, tuple[int, int, int]]] = {
    "1": (1, (255, 255, 255)),
    "L": (200, (200, 200, 200)),
    "LA": ((100, 51), (224, 224, 224)),  # 0.2 x 100 + 0.8 x 255
    "La": ((20, 51), (224, 224, 224)),  # premultiplied
    "RGB": ((1, 2, 3), (1, 2, 3)),
    "RGBX": ((1, 2, 3, 4), (1, 2, 3)),
    "RGBA": ((0, 100, 255, 51), (204, 224, 255)),
    "RGBa": ((0, 20, 51, 51), (204, 224, 255)),
    "CMYK": ((255, 0, 51, 0), (0, 255, 204)),
    "YCbCr": ((100, 128, 128), (100, 100, 100)),
    "HSV": ((0, 255, 200), (200, 0, 0)),
    "LAB": ((255, 128, 128), (255, 255, 255)),
    "I;16": (25700, (100, 100, 100)),
    "I;16L": (25700, (100, 100, 100)),
    "I;16B": (25700, (100, 100, 100)),
    "I;16N": (25700, (100, 100, 100)),
    "I": (25700, (100, 100, 100)),
}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode: str) -> None:
    colour, expected = MODES[mode]
    image = Image.new("I" if mode.startswith("I;") else mode, (2, 2), colour)  # type: ignore[arg-type]
    if mode.startswith("I;"):
        dtype = ">u2" if mode == "I;16B" else "<u2"
        image = Image.frombytes(mode, (2, 2), np.full((2, 2), colour, dtype).tobytes())
    assert image.mode == mode
    found = np.asarray(rgb.to_rgb(image, rgb.Scale(0, 65535)))
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("kind", "transparency"),
    [("PNG", None), ("PNG", 1), ("PNG", bytes([255, 0, 51])), ("GIF", None), ("GIF", 1)],
)
def test_palettes(tmp_path: Path, kind: str, transparency: int | bytes | None) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 0, 100, 255])
    image.putdata([0, 1, 2])
    options = {} if transparency is None else {"transparency": transparency}
    second = (40, 50, 60) if transparency is None else (255, 255, 255)
    third = (204, 224, 255) if isinstance(transparency, bytes) else (0, 100, 255)
    content = saved(image, kind, **options)
    assert pixels(tmp_path, content) == [(10, 20, 30), second, third]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert pixels(tmp_path, content) == [(255, 0, 0)] * 4


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 80}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("PNG", "RGBA", {}),
        ("BMP", "RGB", {}),
        ("WEBP", "RGB", {}),
    ],
)
def test_opaque_images_are_those_of_pillow_to_the_bit(
    tmp_path: Path, kind: str, mode: str, options: dict[str, object]
) -> None:
    content = saved(Image.fromarray(COLOURS).convert(mode), kind, **options)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert pixels(tmp_path, content) == [tuple(pixel) for pixel in expected[0].tolist()]


def transparent_palette() -> bytes:
    return saved(Image.new("P", (8, 8)), "PNG", transparency=bytes([128, 64]))


def truncated_exif() -> bytes:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + b"\x01\x12\0\x03\0\0\0\x01\0\x01\0\0"
    return saved(Image.fromarray(COLOURS), "JPEG", exif=exif)


WARNED = {
    "palette": transparent_palette(),
    "EXIF": truncated_exif(),
    "bomb": saved(Image.new("RGB", (10, 10)), "PNG"),
}


@pytest.mark.parametrize("kind", WARNED)
def test_the_warnings_of_pillow_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 80)
    path = tmp_path / "image.png"
    path.write_bytes(WARNED[kind])
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with Image.open(path) as image:  # shows that Pillow warns
            image.getexif()
            image.convert("RGB")
        assert shown
        shown.clear()
        with pillow_silenced():
            decoded(str(path), None)
        assert not shown
