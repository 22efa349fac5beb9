"""Sources of data sets, which the cache decodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from cifar_exp.components.settings import Later, Settings
from cifar_exp.errors import Unavailable
from cifar_exp.system.names import is_utf8

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Allocate = Callable[[int, int, int], NDArray[np.uint8]]
    """Creates the array of images from their number, size and channels: N x H x W x C."""


Progress = Callable[[str, int, int], None]
"""Called with the name of a step, the amount done and the total."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report nothing."""


VALIDATION_FRACTION = 0.1
"""The share of the training images that is held out for validation by default."""


class DataError(Unavailable):
    """A data set cannot be loaded; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """Metadata of the images that a source has written.

    Attributes:
        classes: The name of each class.
        labels: int64, N; the label of each image, in the stored order.
        counts: The number of images of train, val and test, which are stored in this order.
        images_of: The cache folder of another data set with the same images; then none are written.
        class_counts: The number of training images of each class before label noise, if accuracies
            by frequency of the class are wanted.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    counts: tuple[int, int, int]
    images_of: str | None = None
    class_counts: tuple[int, ...] | None = None


class Source(ABC):
    """Images that can be decoded into the cache.

    Attributes:
        left_out: Sentences about files that are not read.
    """

    left_out: tuple[str, ...] = ()

    @property
    @abstractmethod
    def key(self) -> str:
        """A text that identifies the decoded content."""

    @abstractmethod
    def read(self, allocate: Allocate, downloads: Path, progress: Progress) -> Contents:
        """Write all images, in the stored order, into the array created by `allocate`.

        Args:
            allocate: Creates the array; must be called once, unless `images_of` is set.
            downloads: The folder for downloaded files.
            progress: Called with the progress.

        Raises:
            DataError: The images are missing, damaged or unsuitable.
        """


def validation_key(validation: float) -> str:
    """Return the part of a source's key for a share of validation; none for the default."""
    return "" if validation == VALIDATION_FRACTION else f":validation {validation}"


def _check_path(path: Path) -> Path:
    if "\0" in str(path):
        raise PydanticCustomError("path", "should be a path without null characters")
    if not is_utf8(str(path)):
        raise PydanticCustomError("path", "should be a path in UTF-8")
    try:
        path.expanduser()
    except RuntimeError:
        raise PydanticCustomError("path", "begins with ~, an unknown home folder") from None
    return path


Place = Annotated[Path, Field(strict=False), AfterValidator(_check_path)]
"""A file or folder in a definition; `~` is expanded to the user's home folder."""


class Extent(NamedTuple):
    """How many training images a data set has by default, to within a few, and their height."""

    images: int
    size: int


class DatasetChoice(Settings, ABC):
    """A data set in a definition; its fields are the settings."""

    name: ClassVar[str]
    fewest_validation: ClassVar[int] = 0
    """Number of validation images below which a warning is given."""
    extent: ClassVar[Extent | None] = None
    """Its extent, for a data set that is always the same."""

    @abstractmethod
    def source(self) -> Source:
        """Return the source of the images.

        Raises:
            DataError: The path is missing or cannot be read.
        """

    @property
    def settings(self) -> dict[str, str]:
        """The settings that a run records, by name: those that are not the default."""
        return {
            name: str(value.expanduser().absolute() if isinstance(value, Path) else value)
            for name, value in self
            if value != type(self).model_fields[name].default
        }


class WithDrawnValidation(DatasetChoice, ABC):
    """A data set without a validation split of its own."""

    fewest_validation: ClassVar[int] = 500

    validation: Annotated[float, Later()] = Field(
        default=VALIDATION_FRACTION,
        gt=0,
        lt=1,
        description="The share of the training images of each class that is for validation.",
    )
