"""Class probabilities of M networks, each by the map of its loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

from cifar_exp.components.losses.base import Loss
from cifar_exp.system.lazy_import import torch


def probabilities_of(logits: torch.Tensor, losses: Sequence[Loss]) -> torch.Tensor:
    """Return the class probabilities of M networks (M x C x N, float64).

    Each distinct map is computed once, for all of its networks.

    Args:
        logits: M x C x N on any device, float32 or float64.
        losses: The loss of each network.
    """
    networks: defaultdict[Hashable, list[int]] = defaultdict(list)
    for network, loss in enumerate(losses):
        networks[_map_of(loss)].append(network)
    if len(networks) == 1:
        return losses[0].probabilities(logits.double())
    probabilities = torch.empty_like(logits, dtype=torch.float64)
    for same in networks.values():
        index = torch.tensor(same).to(logits.device, non_blocking=True)
        mapped = losses[same[0]].probabilities(logits.index_select(0, index).double())
        probabilities = probabilities.index_copy(0, index, mapped)
    return probabilities


def _map_of(loss: Loss) -> Hashable:
    """Return what a loss's map depends on: its settings, unless it is the softmax of all losses."""
    return Loss.probabilities if loss.is_softmax else loss
