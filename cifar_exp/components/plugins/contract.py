"""What is checked of the components of plug-ins while they are used."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from cifar_exp.components.losses import Loss
from cifar_exp.system.formatting import counted
from cifar_exp.system.lazy_import import torch

HOOKS = ("_per_image", "_in_context", "_per_distribution")
"""The methods of a loss that return one value for each image."""


def checked(kind: str, component: Any, place: str) -> Any:
    """Return a component; one that is called in every step checks its results from now on."""
    if kind == "losses":
        for hook in HOOKS:
            own = getattr(component, hook, None)
            if own is not None and own is not getattr(Loss, hook):
                setattr(component, hook, _checked(own, component.name, place))
    return component


def _checked(
    per_image: Callable[..., torch.Tensor], name: str, place: str
) -> Callable[..., torch.Tensor]:
    @functools.wraps(per_image)
    def with_check(self: Any, logits: torch.Tensor, *rest: Any) -> torch.Tensor:
        losses = per_image(self, logits, *rest)
        if problem := problem_of_losses(losses, logits):
            raise TypeError(f"loss {name} ({place}) {problem}")
        return losses

    return with_check


def problem_of_losses(losses: Any, logits: torch.Tensor) -> str | None:
    """Return what is wrong with the values of a loss for logits N x C; None if nothing is."""
    images = counted(len(logits), "image")
    if not isinstance(losses, torch.Tensor):
        return f"returned {type(losses).__name__}, not a tensor with one value for each of {images}"
    if losses.shape != logits.shape[:1]:
        shape = tuple(losses.shape)
        mean = "; return the losses of the images, not their mean" if not shape else ""
        return f"returned shape {shape}, not one value for each of {images}{mean}"
    if losses.dtype != logits.dtype:
        return f"returned {losses.dtype} for logits of {logits.dtype}"
    return None
