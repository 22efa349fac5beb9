"""A batch file of CIFAR: a pickle of Python 2, read without trusting it."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from cifar_exp.components.datasets.errors import DataError
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE, CHANNELS = 32, 3

# All that a pickled array or byte string names; none of them can do more than make one.
_PERMITTED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The images of one batch file.

    Attributes:
        images: uint8, N x H x W x C.
        labels: int64, N.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_batch(content: bytes, name: str, label_key: bytes, classes: int) -> Batch:
    """Read the images and labels of a batch file.

    Args:
        content: The file, whose checksum has been checked.
        name: What to call it in an error.
        label_key: The entry that holds the labels.
        classes: The number of classes.

    Raises:
        DataError: The file holds something else.
    """
    entries = _entries(content, name)
    pixels, labels = entries.get(b"data"), entries.get(label_key)
    if not _are_pixels(pixels) or not _are_labels(labels, len(pixels), classes):
        raise DataError(f"{name} is not a batch of CIFAR images: fetch the archive again.")
    images = pixels.reshape(-1, CHANNELS, SIZE, SIZE).transpose(0, 2, 3, 1)
    return Batch(images=images, labels=np.asarray(labels, np.int64))


def read_names(content: bytes, name: str, key: bytes) -> tuple[str, ...]:
    """Read the names of the classes from a meta file.

    Raises:
        DataError: The file holds something else.
    """
    names = _entries(content, name).get(key)
    if not isinstance(names, list) or not all(isinstance(each, bytes) for each in names):
        raise DataError(f"{name} does not hold the CIFAR class names: fetch the archive again.")
    return tuple(each.decode() for each in names)


def _are_pixels(value: object) -> TypeGuard[NDArray[np.uint8]]:
    shape = (CHANNELS * SIZE * SIZE,)
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.shape[1:] == shape


def _are_labels(value: object, count: int, classes: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(label, int) and 0 <= label < classes for label in value)
    )


def _entries(content: bytes, name: str) -> dict[object, object]:
    try:
        entries = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # A damaged pickle can make the unpickler raise anything.
        raise DataError(f"{name} cannot be read ({error}): fetch the archive again.") from error
    if not isinstance(entries, dict):
        raise DataError(f"{name} does not hold a dictionary: fetch the archive again.")
    return entries


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _PERMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which CIFAR does not need")
        return _dtype if name == "dtype" else super().find_class(module, name)


def _dtype(kind: bytes | str, align: int, copy: int) -> np.dtype[Any]:
    # Python 2 wrote the switches as numbers, about which NumPy 2.4.0 to 2.4.4 warn.
    name = kind.decode() if isinstance(kind, bytes) else kind
    return np.dtype(name, align=bool(align), copy=bool(copy))
