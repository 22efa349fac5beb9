"""The exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch


class Average:
    """A copy of a network whose weights are a moving average over the steps of the training.

    After step t, average = d * average + (1 - d) * weights, with d = min(decay, 1 - 1 / t): until
    decay is reached it is the mean over all steps, without the initial weights. Buffers of real
    numbers, such as the statistics of batch normalisation, are averaged likewise; whole numbers are
    copied. No value is read by Python, so that a step can be captured as a CUDA graph.
    Sources: Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging;
    Tarvainen and Valpola 2017, Mean Teachers Are Better Role Models (the beginning); timm's
    ModelEmaV2 (buffers).

    Args:
        network: One network, or several stacked ones, in the initial state.
        decay: The fraction of the average that a step keeps, once there are enough steps.
    """

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self._decay = decay
        tensors = self.network.state_dict()
        # By its memory, as tied weights have several names.
        pairs = {
            tensors[name].data_ptr() or name: (tensors[name], own)
            for name, own in network.state_dict().items()
        }
        self._pairs = [*pairs.values()]
        first = next(iter(tensors.values()))
        self.count = torch.zeros((), dtype=torch.float64, device=first.device)
        """Number of steps."""

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights after a step."""
        self.count.add_(1)
        share = (1 / self.count).clamp(min=1 - self._decay)
        for average, own in self._pairs:
            if average.is_floating_point():
                average.lerp_(own, share.to(average.dtype))
            else:
                average.copy_(own)

    def tensors(self) -> list[torch.Tensor]:
        """Return all tensors that an update changes."""
        return [self.count, *(average for average, _ in self._pairs)]

    def state(self) -> dict[str, Any]:
        """Return the present state; its tensors are not copied."""
        return {"weights": self.network.state_dict(), "count": self.count}

    def load(self, state: Mapping[str, Any]) -> None:
        """Set the state to that of `state`.

        Raises:
            KeyError, RuntimeError: It is of another network.
        """
        self.network.load_state_dict(dict(state["weights"]))
        self.count.copy_(state["count"])
