"""Street View House Numbers: cropped digits."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cifar_exp.components.datasets.official.archive_file import OfficialFile
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.datasets.published import Published, batches_of
from cifar_exp.components.datasets.source import Extent, WithDrawnValidation
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "http://ufldl.stanford.edu/housenumbers/"
DIGITS = len(string.digits)


class Svhn(WithDrawnValidation, Archived):
    """Street View House Numbers: 99,289 digits of house numbers, 32 x 32.

    65,931 training, 7,326 validation and 26,032 test images.
    """

    name: ClassVar[str] = "svhn"
    extent = Extent(images=65_931, size=32)
    official: ClassVar[Mapping[str, OfficialFile]] = {
        "training": OfficialFile(
            url=f"{FOLDER}train_32x32.mat", md5="e26dedcc434d2e4c54c9b2d4a06d8373"
        ),
        "extra": OfficialFile(
            url=f"{FOLDER}extra_32x32.mat", md5="a93ce644f1a588dc4d68dda5feec44a7"
        ),
        "test": OfficialFile(url=f"{FOLDER}test_32x32.mat", md5="eb5a983be6a315427106f1b164d9cef3"),
    }

    extra: bool = Field(
        default=False, description="Whether the 531,131 easier extra images are trained on, too."
    )

    def needed(self) -> Sequence[str]:
        """Return the files that are read."""
        return ["training", "extra", "test"] if self.extra else ["training", "test"]

    def published(self, files: Sequence[Path]) -> Published:
        """Return the images: height x width x channels x N in the files, where a zero is 10."""
        images, labels = zip(*map(_read, files), strict=True)
        return Published(
            classes=tuple(string.digits),
            labels=np.concatenate(labels),
            counts=(sum(map(len, labels[:-1])), 0, len(labels[-1])),
            size=images[0].shape[1],
            batches=batches_of(images),
        )


def _read(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from scipy.io import loadmat  # noqa: PLC0415

    content = loadmat(file, variable_names=["X", "y"])
    images = content["X"].transpose(3, 0, 1, 2)
    labels = content["y"].reshape(-1).astype(np.int64)
    if images.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError("images and labels do not belong together")
    if not 1 <= labels.min() <= labels.max() <= DIGITS:
        raise ValueError("a label is not 1 to 10")
    return images, labels % DIGITS
