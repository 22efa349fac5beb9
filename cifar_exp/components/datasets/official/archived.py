"""The base class of data sets whose official files are verified by MD5."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cifar_exp.components.datasets.official.archive_file import official_files
from cifar_exp.components.datasets.published import store
from cifar_exp.components.datasets.source import (
    VALIDATION_FRACTION,
    Contents,
    DataError,
    DatasetChoice,
    Place,
    Source,
    validation_key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cifar_exp.components.datasets.official.archive_file import OfficialFile
    from cifar_exp.components.datasets.published import Published
    from cifar_exp.components.datasets.source import Allocate, Progress


class Archived(DatasetChoice):
    """A data set that is read from official files."""

    official: ClassVar[Mapping[str, OfficialFile]]
    """All its files, by what they hold."""

    path: Place | None = Field(
        default=None,
        description="The folder that contains the official files, or the file if there is one; "
        "without it, they are downloaded. Not needed again once decoded.",
    )

    def needed(self) -> Sequence[str]:
        """Return the keys in `official` of the files that these settings need: by default all."""
        return list(self.official)

    def reading(self) -> str:
        """Return the settings on which the images in these files depend; by default none."""
        return ""

    @abstractmethod
    def published(self, files: Sequence[Path]) -> Published:
        """Return the images in the files of `needed`, in its order; they are verified.

        May raise any error if a file has another format than the official one.
        """

    def source(self) -> Source:
        """Return the source: the official files."""
        return ArchivedSource(
            choice=self,
            path=self.path and self.path.expanduser().absolute(),
            validation=getattr(self, "validation", VALIDATION_FRACTION),
        )


@dataclass(frozen=True, kw_only=True)
class ArchivedSource(Source):
    """The official files of a data set.

    Attributes:
        choice: The data set.
        path: The folder of its files, or its file; None to download them.
        validation: The share of the training images for validation, if there is no own split.
    """

    choice: Archived
    path: Path | None
    validation: float

    @property
    def files(self) -> list[OfficialFile]:
        """The files that are read."""
        return [self.choice.official[key] for key in self.choice.needed()]

    @property
    def key(self) -> str:
        """The checksums, which identify the content, and how it is read."""
        checksums = ":".join(file.md5 for file in self.files)
        read = f"{self.choice.name}:{checksums}:{self.choice.reading()}"
        return f"{read}{validation_key(self.validation)}"

    def read(self, allocate: Allocate, downloads: Path, progress: Progress) -> Contents:
        """Write the images, see `Source.read`."""
        files = official_files(self.choice.name, self.files, self.path, downloads, progress)
        try:
            published = self.choice.published(files)
            return store(published, self.validation, allocate, progress)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # A file of another format can make readers raise anything.
            if isinstance(error, OSError) and error.errno is not None:  # of this machine
                raise
            names = ", ".join(map(str, files))
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise DataError(
                f"The official files of {self.choice.name} ({names}) cannot be read ({reason}): "
                "fetch them again."
            ) from error
