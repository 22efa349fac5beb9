"""Where a data set comes from, as the cache sees it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from cifar_exp.components.settings import Settings
from cifar_exp.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Allocate = Callable[[int, int, int], NDArray[np.uint8]]
    """Makes the array for the images from their number, size and channels: N x H x W x C."""


Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report nothing."""


class DataError(Unavailable):
    """A data set cannot be had; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What a source says about the images it has written.

    Attributes:
        classes: The name of each class.
        labels: int64, N; the label of each image, in stored order.
        counts: The number of images of train, val and test, which are stored in this order.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    counts: tuple[int, int, int]


class Source(ABC):
    """Images that can be decoded into the cache."""

    @property
    @abstractmethod
    def key(self) -> str:
        """A text that differs whenever the decoded content would."""

    @abstractmethod
    def read(self, allocate: Allocate, downloads: Path, progress: Progress) -> Contents:
        """Write all images, in stored order, into the array that `allocate` makes.

        Args:
            allocate: Makes the array; to be called once.
            downloads: The folder for files from the network.
            progress: Told how far the work is.

        Raises:
            DataError: The images are missing, damaged or unsuitable.
        """


def _possible(path: Path) -> Path:
    if "\0" in str(path):
        raise PydanticCustomError("path", "should be a path, which has no null character")
    try:
        path.expanduser()
    except RuntimeError:
        raise PydanticCustomError("path", "begins with a user who has no home here") from None
    return path


Place = Annotated[Path, Field(strict=False), AfterValidator(_possible)]
"""A file or folder as a definition names it; `~` stands for the user's home."""


class DatasetChoice(Settings, ABC):
    """A data set as a definition names it; the fields are what a definition may set."""

    name: ClassVar[str]

    @abstractmethod
    def source(self) -> Source:
        """Where the images come from.

        Raises:
            DataError: The place is missing or cannot be read.
        """
