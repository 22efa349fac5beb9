"""What a loss may use besides logits and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cifar_exp.system.lazy_import import torch

Need = Literal["class_counts", "progress", "memory"]
"""What a loss can declare to need of a `Context`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Context:
    """The training around a batch; all tensors are on the device of the logits.

    No value may be read by Python: on a GPU a step is captured once and then replayed.
    """

    class_counts: torch.Tensor
    """Training images of each class (C), float32."""
    index: torch.Tensor
    """Which training image each image of the batch is (N), int64: its row in `memory`."""
    progress: torch.Tensor
    """The share of the training that is done, from 0 to below 1: float32 without dimensions."""
    memory: torch.Tensor
    """Numbers of each training image (rows x C), float32, zero at first, which the loss updates in
    place; without rows unless the loss needs it."""

    @classmethod
    def of(cls, labels: torch.Tensor, num_classes: int) -> Context:
        """Return the context of the first step of a training on one batch, for checks of a loss."""
        return cls(
            class_counts=count_classes(labels, num_classes),
            index=torch.arange(len(labels), device=labels.device),
            progress=torch.zeros((), device=labels.device),
            memory=torch.zeros(len(labels), num_classes, device=labels.device),
        )


def count_classes(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the number of images of each class (C), float32."""
    return torch.bincount(labels, minlength=num_classes).float()
