"""A data set with other labels or fewer training images, derived from a cached one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cifar_exp.components.datasets.cache import cached
from cifar_exp.components.datasets.published import ROWS_AT_ONCE
from cifar_exp.components.datasets.source import Contents, Source
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.dataset import Dataset
    from cifar_exp.components.datasets.source import Allocate, Progress


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Change:
    """The training images that are kept, and the labels after a change.

    Attributes:
        rows: int64; the training images that are kept, ascending.
        train_labels: int64; their labels.
        val_labels: int64; the labels of all validation images.
        class_counts: The number of training images of each class before label noise, if accuracies
            by frequency of the class are wanted.
    """

    rows: NDArray[np.int64]
    train_labels: NDArray[np.int64]
    val_labels: NDArray[np.int64]
    class_counts: tuple[int, ...] | None


def derived(data: Dataset, change: Change, progress: Progress) -> Dataset:
    """Return the changed data set from the cache; it is created if it is missing.

    Its images are those of the original file, unless training images are left out: then they are
    written to a file of its own, so that all processes map them.

    Raises:
        DataError: The cache cannot be written.
    """
    found = cached(data.name, DerivedSource(data=data, change=change), progress)
    return replace(
        found,
        left_out=data.left_out,
        settings=data.settings,
        fewest_validation=data.fewest_validation,
    )


@dataclass(frozen=True, kw_only=True)
class DerivedSource(Source):
    """A changed data set.

    Attributes:
        data: The original.
        change: The change.
    """

    data: Dataset
    change: Change

    @property
    def key(self) -> str:
        """A digest of the original and the change."""
        change = self.change
        digest = hashlib.sha256(f"{self.data.path.name}:{self.data.fingerprint}".encode())
        for array in (change.rows, change.train_labels, change.val_labels):
            digest.update(array.astype("<i8").tobytes())
        return f"derived:{digest.hexdigest()}:{change.class_counts}"

    def read(
        self,
        allocate: Allocate,
        downloads: Path,  # noqa: ARG002
        progress: Progress,
    ) -> Contents:
        """Write the images if some are left out, see `Source.read`."""
        data, change = self.data, self.change
        is_whole = len(change.rows) == len(data.train)
        if not is_whole:
            self._write(allocate, progress)
        labels = [change.train_labels, change.val_labels, data.test.labels.numpy()]
        return Contents(
            classes=data.classes,
            labels=np.concatenate(labels),
            counts=(len(change.rows), len(data.val), len(data.test)),
            images_of=data.path.name if is_whole else None,
            class_counts=change.class_counts,
        )

    def _write(self, allocate: Allocate, progress: Progress) -> None:
        data, kept = self.data, self.change.rows
        parts = [
            (data.train, kept),
            (data.val, np.arange(len(data.val))),
            (data.test, np.arange(len(data.test))),
        ]
        total, done = sum(len(rows) for _, rows in parts), 0
        images = allocate(total, data.size, data.channels)
        for split, rows in parts:
            source = split.images.permute(0, 2, 3, 1).numpy()
            for start in range(0, len(rows), ROWS_AT_ONCE):
                batch = rows[start : start + ROWS_AT_ONCE]
                images[done : done + len(batch)] = source[batch]
                done += len(batch)
                progress("writing images", done, total)
