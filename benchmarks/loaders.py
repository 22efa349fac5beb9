"""The data loaders tried with Lightning: the ones usually recommended to its users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from benchmarks.notes_loop import BATCH_SIZE, ImageDataset


def _images(images: ImageDataset, **options: Any) -> DataLoader[Any]:
    return DataLoader(images, batch_size=BATCH_SIZE, shuffle=True, **options)


def _tensors(images: ImageDataset) -> TensorDataset:
    floats = torch.stack([images[i][0] for i in range(len(images))])
    return TensorDataset(floats, torch.tensor(images.labels))


def whole_batches(tensors: TensorDataset, batch_size: int = BATCH_SIZE) -> DataLoader[Any]:
    """Index each batch at once, instead of image by image."""
    batches = BatchSampler(RandomSampler(tensors), batch_size, drop_last=False)
    return DataLoader(tensors, sampler=batches, batch_size=None)


LOADERS: dict[str, Callable[[ImageDataset], DataLoader[Any]]] = {
    "images": _images,
    "images, 1 process": lambda images: _images(images, num_workers=1, persistent_workers=True),
    "images, 2 processes": lambda images: _images(images, num_workers=2, persistent_workers=True),
    "tensors": lambda images: DataLoader(_tensors(images), batch_size=BATCH_SIZE, shuffle=True),
    "tensors, whole batches": lambda images: whole_batches(_tensors(images)),
}
