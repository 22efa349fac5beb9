"""Files of MNIST's format IDX, compressed by gzip."""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING

from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNSIGNED_BYTES = 8


def read_idx(compressed: bytes) -> NDArray[np.uint8]:
    """Return the array of unsigned bytes in a compressed IDX file.

    The file begins with two zeros, the type and the number of dimensions; then each dimension as
    four bytes, the largest first. Source: LeCun, The MNIST database, file formats.

    Raises:
        ValueError: It is no IDX file of unsigned bytes, or too short or too long.
    """
    content = gzip.decompress(compressed)
    if content[:3] != bytes((0, 0, UNSIGNED_BYTES)):
        raise ValueError("it is no IDX file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], ">u4").astype(int).tolist())
    if len(content) != start + math.prod(shape):
        raise ValueError(f"it does not hold {' x '.join(map(str, shape))} bytes")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
