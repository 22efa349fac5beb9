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
def kept_statistics(model: torch.nn.Module) -> Iterator[None]:
    """Do not update the statistics of a network within the block."""
    layers = _layers(model)
    before = [(layer.momentum, layer.num_batches_tracked) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
        layer.num_batches_tracked = None  # not counted
    try:
        yield
    finally:
        for layer, (momentum, count) in zip(layers, before, strict=True):
            layer.momentum = momentum
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
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
    model.train()
    for batch in islice(images, MOST_BATCHES):
        model(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
