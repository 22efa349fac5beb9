"""The batches of an epoch: which images, in which order, in which view."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cifar_exp import seeds
from cifar_exp.components.augmentations import NUM_DRAWS, Augmentation
from cifar_exp.components.datasets import Split

Batch = tuple[torch.Tensor, torch.Tensor]


def epoch_order(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the order of the training images, a function of seed and epoch alone."""
    return torch.randperm(num_images, generator=_generator("order", seed, epoch))


def epoch_draws(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the augmentation's random draws for each place in the order, num_images x NUM_DRAWS.

    They, too, are a function of seed and epoch alone: the same for every combination, at every
    batch size.
    """
    return torch.rand(num_images, NUM_DRAWS, generator=_generator("augment", seed, epoch))


def batches(
    split: Split, augment: Augmentation, batch_size: int, seed: int, epoch: int
) -> Iterator[Batch]:
    """Yield an epoch's images (N x C x H x W, channels last in memory) and labels (N int64).

    They are on the device of the split. A single image that is left over is left out: batch
    normalisation cannot work on it.
    """
    device = split.images.device
    rows = split.images.permute(0, 2, 3, 1)  # contiguous: a batch is copied row by row
    order = epoch_order(len(split), seed, epoch).to(device)
    draws = epoch_draws(len(split), seed, epoch).to(device)
    for chosen, drawn in zip(order.split(batch_size), draws.split(batch_size), strict=True):
        if len(chosen) == 1 < batch_size:
            continue
        images = rows.index_select(0, chosen).permute(0, 3, 1, 2)
        yield augment(images, drawn), split.labels.index_select(0, chosen)


def _generator(purpose: str, seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(seeds.derive(purpose, seed, epoch))
