"""Class probabilities of M networks, each by the map of its loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from cifar_exp.components.losses.base import Loss
from cifar_exp.system.lazy_import import torch


def probabilities_of(logits: torch.Tensor, losses: Sequence[Loss]) -> torch.Tensor:
    """Return the class probabilities of M networks (M x N x C, float64).

    Each distinct map is computed once, for all of its networks.

    Args:
        logits: M x N x C on any device, float32 or float64.
        losses: The loss of each network.
    """
    networks: defaultdict[Hashable, list[int]] = defaultdict(list)
    for network, loss in enumerate(losses):
        networks[_map_of(loss)].append(network)
    if len(networks) == 1:
        return _mapped(logits, losses[0])
    probabilities = torch.empty_like(logits, dtype=torch.float64)
    for same in networks.values():
        index = torch.tensor(same).to(logits.device, non_blocking=True)
        mapped = _mapped(logits.index_select(0, index), losses[same[0]])
        probabilities = probabilities.index_copy(0, index, mapped)
    return probabilities


def class_major(values: torch.Tensor) -> torch.Tensor:
    """Return values (M x N x C) with all examples of a class side by side in memory.

    A CPU then computes the softmax and the maximum of a few classes for several examples at once: a
    softmax of 5,000 x 10 float64 takes a sixth of the time.
    """
    return values.mT.contiguous().mT


def _map_of(loss: Loss) -> Hashable:
    """Return what a loss's map depends on: its settings, unless it is the softmax of all losses."""
    softmax = Loss.probabilities
    return softmax if type(loss).probabilities is softmax else loss


def _mapped(logits: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Apply the map of one loss to the logits of all networks (M x N x C), in float64."""
    return loss.probabilities(class_major(logits.double()).mT).mT
