"""Muon for whole networks: torch's Muon for matrices, AdamW for all other parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

Group = dict[str, Any]
State = dict[torch.Tensor, Any]


class MuonAdamW(torch.optim.Optimizer):
    """Updates matrices by torch.optim.Muon and all other parameters by torch.optim.AdamW.

    Matrices are weights of two dimensions, and convolution weights (four dimensions) viewed as
    out_channels x (in_channels * height * width). Both use the same learning rate, as Muon's steps
    are scaled to the size of AdamW's ("match_rms_adamw"). Weight decay is decoupled in both.
    Sources: Jordan et al. 2024, Muon; Liu et al. 2025, Muon is Scalable for LLM Training (scaling);
    Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization (AdamW).
    """

    def __init__(
        self,
        groups: Iterable[Group],
        lr: float,
        *,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        muon = {"rule": "muon", "momentum": momentum, "nesterov": nesterov, "ns_steps": ns_steps}
        adamw = {"rule": "adamw", "betas": betas}
        split = [half for group in groups for half in _split(group, muon, adamw)]
        super().__init__(split, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; return the result of `closure`, if given."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            _RULES[group["rule"]](group, self.state)
        return loss


def _split(group: Group, muon: Group, adamw: Group) -> list[Group]:
    matrices = [p for p in group["params"] if p.ndim in {2, 4}]
    others = [p for p in group["params"] if p.ndim not in {2, 4}]
    halves = [{**group, **muon, "params": matrices}, {**group, **adamw, "params": others}]
    return [half for half in halves if half["params"]]


def _step_muon(group: Group, state: State) -> None:
    weights = [weight for weight in group["params"] if weight.grad is not None]
    matrices = [_as_matrix(weight) for weight in weights]
    # Created for each step: a stored matrix would no longer share memory with its weight after the
    # model moves to another device or memory layout. The state is kept in `state` and `group`.
    muon = torch.optim.Muon([{**group, "params": matrices}], adjust_lr_fn="match_rms_adamw")
    for weight, matrix in zip(weights, matrices, strict=True):
        muon.state[matrix] = state[weight]
    muon.step()
    for weight, matrix in zip(weights, matrices, strict=True):
        if matrix.data_ptr() != weight.data_ptr():  # otherwise they share memory
            weight.copy_(matrix.view(weight.shape))


def _as_matrix(weight: torch.Tensor) -> torch.Tensor:
    """Return the weight and its gradient as a matrix, out_channels x rest.

    The order of the columns does not depend on the memory layout, so that a saved momentum fits
    both layouts. A contiguous weight is shared, a channels_last weight is copied.
    """
    assert weight.grad is not None
    matrix = weight.detach().flatten(1)
    matrix.grad = weight.grad.flatten(1)
    return matrix


def _step_adamw(group: Group, state: State) -> None:
    adamw = torch.optim.AdamW([group.copy()])
    adamw.state = state  # type: ignore[assignment]
    adamw.step()


_RULES: dict[str, Callable[[Group, State], None]] = {"muon": _step_muon, "adamw": _step_adamw}
