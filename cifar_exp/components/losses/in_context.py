"""The base class of losses that need more than logits and labels."""

from __future__ import annotations

from abc import abstractmethod

from cifar_exp.components.losses.base import Loss
from cifar_exp.components.losses.context import Context
from cifar_exp.system.lazy_import import torch


class ContextLoss(Loss):
    """A loss that needs more than logits and labels."""

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    @abstractmethod
    def _in_context(
        self, logits: torch.Tensor, labels: torch.Tensor, context: Context
    ) -> torch.Tensor:
        """Return the loss of each image (N)."""
