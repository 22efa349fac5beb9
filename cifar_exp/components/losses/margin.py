"""Losses of angles: a margin at the label of networks with `head = "cosine"`."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

from pydantic import Field

from cifar_exp.components.losses.base import Loss
from cifar_exp.system.lazy_import import torch

TINY = 1e-6
"""The smallest square of a sine, as the angle has an infinite slope at 0."""


class MarginLoss(Loss):
    """Cross-entropy of s cos, with a margin that makes the label's cosine smaller in training."""

    takes_cosines: ClassVar[bool] = True

    s: float = Field(default=64.0, gt=0, description="factor of the cosines")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        at_label = labels.unsqueeze(1)
        lowered = self._lowered(logits.gather(1, at_label))
        return torch.nn.functional.cross_entropy(
            self.s * logits.scatter(1, at_label, lowered), labels, reduction="none"
        )

    @abstractmethod
    def _lowered(self, cosines: torch.Tensor) -> torch.Tensor:
        """Return the cosines of labels with the margin."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map cosines to class probabilities: the softmax of s cos, without the margin."""
        return torch.softmax(self.s * logits, dim=1)


class ArcFace(MarginLoss):
    """ArcFace: cross-entropy of s cos(angle), with m added to the angle of the label.

    Where the sum exceeds pi, cos - m sin(m) replaces it, as in the authors' code, so that the loss
    rises with the angle. Probabilities: softmax of s cos, without the margin.
    Source: Deng et al. 2019, ArcFace: Additive Angular Margin Loss for Deep Face Recognition.
    """

    name: ClassVar[str] = "arcface"

    m: float = Field(default=0.5, ge=0, le=1.5, description="margin of the angle in radians")

    def _lowered(self, cosines: torch.Tensor) -> torch.Tensor:
        # Without clamp and where: their gradients copy a number from the host, which cannot be
        # captured as a CUDA graph.
        sines = torch.sqrt(torch.relu(1 - cosines.square() - TINY) + TINY)
        moved = cosines * math.cos(self.m) - sines * math.sin(self.m)
        beyond = cosines - self.m * math.sin(self.m)
        is_within = (cosines > -math.cos(self.m)).to(cosines.dtype)
        return is_within * moved + (1 - is_within) * beyond


class CosFace(MarginLoss):
    """CosFace: cross-entropy of s cos(angle), with m subtracted from the cosine of the label.

    Probabilities: softmax of s cos, without the margin.
    Source: Wang et al. 2018, CosFace: Large Margin Cosine Loss for Deep Face Recognition.
    """

    name: ClassVar[str] = "cosface"

    m: float = Field(default=0.35, ge=0, le=1, description="margin of the cosine")

    def _lowered(self, cosines: torch.Tensor) -> torch.Tensor:
        return cosines - self.m
