"""PNG and TIFF files written byte by byte, of kinds that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
"""Colour types of PNG."""


def png(bits: int, colour: int, row: bytes, width: int, transparent: Sequence[int] = ()) -> bytes:
    """Return a PNG of one row; `transparent` is its tRNS chunk."""
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    trns = struct.pack(f">{len(transparent)}H", *transparent)
    chunks = [(b"IHDR", header), (b"tRNS", trns), (b"IDAT", zlib.compress(b"\0" + row))]
    written = [_chunk(kind, data) for kind, data in chunks if data]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def tiff(row: bytes, width: int, bits: int, tags: Mapping[int, int], order: str = "<") -> bytes:
    """Return a grey TIFF of one row; `tags` are further tags, or other values of the usual ones."""
    usual = {256: width, 257: 1, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: len(row)}
    entries = sorted({**usual, **tags}.items())
    content = row + b"\0" * (len(row) % 2)
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(content))
    written = [struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in entries]
    count = struct.pack(f"{order}H", len(entries))
    return header + content + count + b"".join(written) + b"\0" * 4
