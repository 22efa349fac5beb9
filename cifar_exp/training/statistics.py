"""The running statistics of BatchNorm, which follow the batches of a training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from torch.nn.modules.batchnorm import _BatchNorm

MOST_BATCHES = 50
"""Batches from which statistics are computed anew."""


def _layers(model: torch.nn.Module) -> list[_BatchNorm]:
    return [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def _momentum(layers: list[_BatchNorm], momentum: float | None) -> Iterator[None]:
    """Update statistics with this momentum within the block; None for the mean over all batches."""
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = momentum
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.momentum = own


@contextmanager
def kept_statistics(model: torch.nn.Module) -> Iterator[None]:
    """Do not update the statistics of a network within the block."""
    layers = _layers(model)
    counts = [layer.num_batches_tracked for layer in layers]
    for layer in layers:
        layer.num_batches_tracked = None  # not counted
    try:
        with _momentum(layers, 0.0):
            yield
    finally:
        for layer, count in zip(layers, counts, strict=True):
            layer.num_batches_tracked = count


@torch.no_grad()
def refresh(model: torch.nn.Module, images: Iterable[torch.Tensor]) -> None:
    """Compute the statistics of a network anew, as means over batches.

    Args:
        model: The network; without BatchNorm nothing is done.
        images: Batches of training images, of which at most MOST_BATCHES are used.
    """
    layers = _layers(model)
    if not layers:
        return
    for layer in layers:
        layer.reset_running_stats()
    model.train()
    with _momentum(layers, None):
        for batch in islice(images, MOST_BATCHES):
            model(batch)
