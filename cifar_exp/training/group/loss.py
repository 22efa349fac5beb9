"""The losses of several networks on the same labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cifar_exp.components.losses import Loss


class StackedLoss:
    """One loss per network; equal losses are computed together.

    Args:
        losses: The loss of each network.
        device: The device of the logits.
    """

    def __init__(self, losses: Sequence[Loss], device: torch.device) -> None:
        rows: dict[Loss, list[int]] = {}
        for index, loss in enumerate(losses):
            rows.setdefault(loss, []).append(index)
        self._parts = [(loss, torch.tensor(part, device=device)) for loss, part in rows.items()]
        in_parts = torch.tensor([index for part in rows.values() for index in part])
        self._order = in_parts.argsort().to(device)

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of each network over a batch.

        Args:
            logits: N x networks x C.
            labels: N.
        """
        means = [_means(loss, logits.index_select(1, rows), labels) for loss, rows in self._parts]
        return torch.cat(means).index_select(0, self._order)


def _means(loss: Loss, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of each network, all with the same loss."""
    num_images, num_networks = logits.shape[:2]
    repeated = labels.repeat_interleave(num_networks)
    return loss.per_image(logits.flatten(0, 1), repeated).view(num_images, num_networks).mean(0)
