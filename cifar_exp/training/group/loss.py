"""The losses of several networks on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cifar_exp.components.losses import Loss
from cifar_exp.components.losses.context import Context


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """The networks with the same loss."""

    loss: Loss
    rows: torch.Tensor
    """Their numbers."""
    memory: torch.Tensor
    """The memory of their losses, one after the other: (networks * training images) x C."""

    def means(self, logits: torch.Tensor, targets: torch.Tensor, whole: Context) -> torch.Tensor:
        """Return the mean loss of each of these networks over a batch."""
        num_networks = len(self.rows)
        first = torch.arange(num_networks, device=logits.device) * self._num_images
        context = Context(
            class_counts=whole.class_counts,
            index=(whole.index.unsqueeze(1) + first).flatten(),
            progress=whole.progress,
            memory=self.memory,
        )
        losses = self.loss.per_image(
            logits.index_select(1, self.rows).flatten(0, 1),
            targets.repeat_interleave(num_networks, dim=0),
            context,
        )
        return losses.view(len(targets), num_networks).mean(0)

    def memories(self) -> torch.Tensor:
        """Return the memory of each network: networks x images x C, a view."""
        return self.memory.view(len(self.rows), self._num_images, self.memory.shape[1])

    @property
    def _num_images(self) -> int:
        return len(self.memory) // len(self.rows)


class StackedLoss:
    """One loss per network; equal losses are computed together.

    Args:
        losses: The loss of each network.
        class_counts: Training images of each class (C), on the device of the logits.
        num_images: Number of training images.
    """

    def __init__(self, losses: Sequence[Loss], class_counts: torch.Tensor, num_images: int) -> None:
        rows: dict[Loss, list[int]] = {}
        for index, loss in enumerate(losses):
            rows.setdefault(loss, []).append(index)
        device = class_counts.device
        self._class_counts = class_counts
        self._parts = [
            _Part(
                loss=loss,
                rows=torch.tensor(part, device=device),
                memory=loss.new_memory(len(part) * num_images, len(class_counts), device),
            )
            for loss, part in rows.items()
        ]
        in_parts = torch.tensor([index for part in rows.values() for index in part])
        self._order = in_parts.argsort().to(device)

    def __call__(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        index: torch.Tensor,
        progress: torch.Tensor,
    ) -> torch.Tensor:
        """Return the mean loss of each network over a batch.

        Args:
            logits: N x networks x C.
            targets: N labels, or shares of the classes, N x C.
            index: Which training images these are: N.
            progress: The share of the training that is done.
        """
        whole = Context(
            class_counts=self._class_counts,
            index=index,
            progress=progress,
            memory=self._class_counts.new_empty(0),
        )
        means = [part.means(logits, targets, whole) for part in self._parts]
        return torch.cat(means).index_select(0, self._order)

    def tensors(self) -> list[torch.Tensor]:
        """Return all tensors that a step changes."""
        return [part.memory for part in self._parts]

    def memory_of(self, index: int) -> torch.Tensor:
        """Return the memory of the loss of one network, a view."""
        return {
            row: memory
            for part in self._parts
            for row, memory in zip(part.rows.tolist(), part.memories().unbind(), strict=True)
        }[index]
