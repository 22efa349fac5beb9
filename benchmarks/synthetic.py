"""Random images of CIFAR-10's shape: how fast a training is does not depend on what they show."""

from __future__ import annotations

from pathlib import Path

import torch

from cifar_exp.datasets import Dataset, Split

SIZE, CHANNELS, NUM_CLASSES = 32, 3, 10
NUM_SCORED = 500  # validation is not timed, so it is kept short


def dataset(num_images: int) -> Dataset:
    """Return a data set with this many training images."""
    generator = torch.Generator().manual_seed(0)
    train, val, test = (_split(n, generator) for n in (num_images, NUM_SCORED, NUM_SCORED))
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


def _split(num_images: int, generator: torch.Generator) -> Split:
    shape = (num_images, SIZE, SIZE, CHANNELS)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(NUM_CLASSES, (num_images,), generator=generator)
    return Split(images=images.permute(0, 3, 1, 2), labels=labels)
