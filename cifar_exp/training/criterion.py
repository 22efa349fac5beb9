"""The loss of one training, with what it needs of the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cifar_exp.components.datasets import Split
from cifar_exp.components.losses import Loss
from cifar_exp.components.losses.context import Context, count_classes
from cifar_exp.training.loader import Batch


class Criterion:
    """Computes the loss of batches, and keeps its memory of the training images.

    Args:
        loss: The loss.
        train: The training split, on the device of the logits.
        num_classes: Number of logits.
    """

    def __init__(self, loss: Loss, train: Split, num_classes: int) -> None:
        self.loss = loss
        self.memory = loss.new_memory(len(train), num_classes, train.labels.device)
        self._class_counts = count_classes(train.labels, num_classes)

    def __call__(self, logits: torch.Tensor, batch: Batch, progress: float) -> torch.Tensor:
        """Return the mean loss of a batch; `progress` is the share of the training that is done."""
        context = Context(
            class_counts=self._class_counts,
            index=batch.chosen,
            progress=torch.full((), progress, device=logits.device),
            memory=self.memory,
        )
        return self.loss(logits, batch.targets, context)

    @contextmanager
    def kept_memory(self) -> Iterator[None]:
        """Do not keep what the loss writes to its memory within the block."""
        before = self.memory.clone()
        try:
            yield
        finally:
            self.memory.copy_(before)
