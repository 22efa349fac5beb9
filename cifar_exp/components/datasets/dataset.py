"""A loaded data set: tensors that processes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Images with their labels.

    Attributes:
        images: uint8, N x C x H x W, in channels_last memory order, mapped from a file.
            Writes change the copy of this process only.
        labels: int64, N, each an index into the classes of the data set.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return self.labels.shape[0]

    @property
    def num_classes(self) -> int:
        """The number of classes that have an image."""
        return len(set(self.labels.tolist()))

    def first(self, num_images: int) -> Split:
        """Return the first `num_images` images, or all if there are fewer."""
        return Split(images=self.images[:num_images], labels=self.labels[:num_images])


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """Images in three disjoint splits, with class names and normalisation constants.

    Attributes:
        name: The name of the data set in `DATASETS`.
        train: The split for training.
        val: The split by which settings are chosen.
        test: The split on which confirmations are scored.
        classes: The name of each class; a label is an index into it.
        fingerprint: SHA-256 (64 hex digits) of images, labels, classes and split.
        mean: The mean of each channel over the training images, in 0..1.
        std: The population standard deviation of each channel over the training images, in
            0..1, and at least 1/255, so that it can be a divisor.
        path: The cache folder, for `open_dataset` in another process.
        left_out: Sentences about files of the source that are not read, from `load` only.
        settings: The settings of the data set that are not the default, from `load` only.
        fewest_validation: Number of validation images below which `load` wants a warning.
        class_counts: The number of training images of each class before label noise, if accuracies
            by frequency of the class are wanted.
        changes: What was changed, by the names under which runs record it.
        notes: Sentences about the changes, without a full stop.
    """

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    path: Path
    left_out: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    fewest_validation: int = 0
    class_counts: tuple[int, ...] | None = None
    changes: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by their names in sentences."""
        return {"training": self.train, "validation": self.val, "test": self.test}

    @property
    def described(self) -> dict[str, str]:
        """The settings by the names under which they are recorded, such as `dataset.path`."""
        return {f"dataset.{name}": text for name, text in self.settings.items()}

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    @property
    def untested_classes(self) -> tuple[str, ...]:
        """The classes without a test image, for which nothing is measured."""
        tested = set(self.test.labels.tolist())
        return tuple(name for label, name in enumerate(self.classes) if label not in tested)

    @property
    def channels(self) -> int:
        """The number of channels of an image."""
        return int(self.train.images.shape[1])

    @property
    def size(self) -> int:
        """The height of an image in pixels, which is also its width."""
        return int(self.train.images.shape[2])
