"""What all losses share: the mean over the batch and the map to probabilities."""

from __future__ import annotations

from abc import abstractmethod

from cifar_exp.components.settings import Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch


class Loss(Settings, Component):
    """A loss and its settings; `loss(logits, labels)` is the mean over a batch of images.

    In the formulas z are the logits of one image, p = softmax(z), y its label, Y its label as a
    one-hot vector and C the number of classes.
    """

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Give the mean loss of a batch, in the type of the logits.

        Args:
            logits: N x C, floating point.
            labels: N, int64, from 0 to C - 1.
        """
        return self._per_image(logits, labels).mean()

    @abstractmethod
    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Give the loss of each image (N)."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits (N x C) to class probabilities (N x C, rows sum to 1): the softmax."""
        return torch.softmax(logits, dim=1)


def one_hot(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Give the labels as rows of zeros and a one, in the shape and type of the logits."""
    return torch.zeros_like(logits).scatter_(1, labels.unsqueeze(1), 1.0)


def label_log_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Give ln p_y of each image (N)."""
    return -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
