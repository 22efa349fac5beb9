"""The base class of losses: mean over the batch and map to probabilities."""

from __future__ import annotations

from abc import abstractmethod

from cifar_exp.components.settings import Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch


class Loss(Settings, Component):
    """A loss and its settings; `loss(logits, labels)` is the mean over a batch of images.

    In the formulas, z are the logits of one image, p = softmax(z), y is its label, Y the label as a
    one-hot vector and C the number of classes.
    """

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch, in the dtype of the logits.

        Args:
            logits: N x C, floating point.
            labels: N, int64, from 0 to C - 1.
        """
        return self.per_image(logits, labels).mean()

    def per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image (N), in the dtype of the logits (N x C)."""
        return self._per_image(logits, labels)

    @abstractmethod
    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss of each image (N)."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits to class probabilities, which sum to 1: the softmax.

        Args:
            logits: N x C, or M x C x N of M networks; dimension 1 is that of the classes.
        """
        return torch.softmax(logits, dim=1)

    @property
    def is_softmax(self) -> bool:
        """Whether the map is the softmax, which is the same for all such losses."""
        return type(self).probabilities is Loss.probabilities


def one_hot(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return one-hot labels in the shape and dtype of the logits."""
    return torch.zeros_like(logits).scatter_(1, labels.unsqueeze(1), 1.0)


def label_log_probability(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return ln p_y of each image (N)."""
    return -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
