"""Sharpness-aware minimisation: gradients at the worst weights nearby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cifar_exp.training.statistics import kept_statistics

TINY = 1e-12
"""Added to the norm of a gradient, which may be 0."""


class SharpnessAware:
    """Moves the weights of a network by `rho` along its gradient, and back.

    Source: Foret et al. 2021, Sharpness-Aware Minimization for Efficiently Improving
    Generalization.

    Args:
        model: The network.
        rho: The length of the move.
    """

    def __init__(self, model: torch.nn.Module, rho: float) -> None:
        self._model = model
        self._rho = rho

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """Have the weights moved within the block; statistics of BatchNorm are not updated in it.

        At the end the weights have the same bits as before.
        """
        moved = [p for p in self._model.parameters() if p.grad is not None]
        before = [parameter.detach().clone() for parameter in moved]
        self._move(moved)
        try:
            with kept_statistics(self._model):
                yield
        finally:
            with torch.no_grad():
                for parameter, kept in zip(moved, before, strict=True):
                    parameter.copy_(kept)

    @torch.no_grad()
    def _move(self, parameters: list[torch.nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        scale = self._rho / (norm + TINY)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.add_(gradient * scale)
