"""Random images of CIFAR-10's shape: the speed of a training does not depend on their content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from cifar_exp.components.datasets import Dataset, DatasetChoice, Progress, Split
from cifar_exp.components.datasets.source import Contents, Source

if TYPE_CHECKING:
    from cifar_exp.components.datasets.source import Allocate

SIZE, CHANNELS, NUM_CLASSES = 32, 3, 10
NUM_SCORED = 500  # validation is not timed, so it is short


def dataset(num_images: int, num_val: int = NUM_SCORED, num_test: int = NUM_SCORED) -> Dataset:
    """Return a data set with this many training images."""
    generator = torch.Generator().manual_seed(0)
    train, val, test = (_split(n, generator) for n in (num_images, num_val, num_test))
    return Dataset(
        name="synthetic",
        train=train,
        val=val,
        test=test,
        classes=tuple(map(str, range(NUM_CLASSES))),
        fingerprint="0" * 64,
        mean=(0.5,) * CHANNELS,
        std=(0.29,) * CHANNELS,  # of uniform noise
        path=Path(),
    )


class Synthetic(DatasetChoice):
    """Random images loaded through the project's own cache, so that processes map one file."""

    name: ClassVar[str] = "synthetic"

    counts: tuple[int, int, int]
    """The number of images of train, val and test."""

    def source(self) -> Source:
        """The source of the images: a random generator."""
        return RandomImages(counts=self.counts)


@dataclass(frozen=True, kw_only=True)
class RandomImages(Source):
    """Images of uniform noise, always the same ones."""

    counts: tuple[int, int, int]

    @property
    def key(self) -> str:
        """The number of images in each split."""
        return f"synthetic {self.counts}"

    def read(self, allocate: Allocate, downloads: Path, progress: Progress) -> Contents:
        """Generate the images; see `Source.read`."""
        del downloads, progress
        rng = np.random.default_rng(0)
        num_images = sum(self.counts)
        images = allocate(num_images, SIZE, CHANNELS)
        for part in np.array_split(images, 1 + num_images // 10_000):
            part[:] = rng.integers(256, size=part.shape, dtype=np.uint8)
        return Contents(
            classes=tuple(map(str, range(NUM_CLASSES))),
            labels=np.arange(num_images, dtype=np.int64) % NUM_CLASSES,
            counts=self.counts,
        )


def _split(num_images: int, generator: torch.Generator) -> Split:
    shape = (num_images, SIZE, SIZE, CHANNELS)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(NUM_CLASSES, (num_images,), generator=generator)
    return Split(images=images.permute(0, 3, 1, 2), labels=labels)
