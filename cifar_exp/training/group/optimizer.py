"""The optimizers of several networks whose parameters are stacked."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from cifar_exp.components.optimizers import Optimizer
from cifar_exp.components.optimizers.stacked import Numbers, StackedStep, State, clipped
from cifar_exp.experiment import TrialConfig
from cifar_exp.training.group.schedule import Factors


def structure(optimizer: Optimizer) -> Hashable:
    """Return what networks must have in common to be updated together: all but their numbers.

    Whether a number is 0 counts, as with momentum 0 there is no momentum.
    """
    settings = dict(optimizer)
    numbers = {name: value == 0 for name, value in settings.items() if type(value) is float}
    return type(optimizer).__name__, *sorted({**settings, **numbers}.items())


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """Consecutive networks whose optimizers differ in numbers only."""

    optimizer: Optimizer
    rows: slice
    numbers: Mapping[str, torch.Tensor]
    states: Mapping[str, State]
    """By the name of the parameter."""

    def step(
        self,
        parameters: Mapping[str, torch.Tensor],
        gradients: Mapping[str, torch.Tensor],
        count: torch.Tensor,
        factors: Factors | None,
    ) -> None:
        """Update all parameters of these networks."""
        given = self._scheduled(factors) if factors else self.numbers
        numbers = {**given, **self.optimizer.coefficients(given, count)}
        rounded = dict(zip(numbers, torch.stack([*numbers.values()]).float(), strict=True))
        own = {name: gradient[self.rows] for name, gradient in gradients.items()}
        if self.optimizer.clip > 0:
            own = clipped(own, numbers["clip"])
        for name, gradient in own.items():
            step = StackedStep(
                weight=parameters[name][self.rows],
                gradient=gradient,
                state=self.states[name],
                numbers=numbers,
                rounded=rounded,
            )
            self.optimizer.update(step)

    def _scheduled(self, factors: Factors) -> Numbers:
        lr = self.numbers["lr"]
        now, before = factors.now[self.rows], factors.before[self.rows]
        return {**self.numbers, "lr": lr * now, "previous_lr": lr * before}


class StackedOptimizer:
    """Updates the stacked parameters of several networks, with one optimizer per network.

    Args:
        configs: The training of each network; those with the same `structure` are consecutive.
        parameters: The stacked parameters by name.
    """

    def __init__(
        self, configs: Sequence[TrialConfig], parameters: Mapping[str, torch.Tensor]
    ) -> None:
        self._parameters = parameters
        device = next(iter(parameters.values())).device
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        """Number of steps done."""
        self._parts = _parts(configs, parameters)

    @torch.no_grad()
    def step(self, gradients: Mapping[str, torch.Tensor], factors: Factors | None = None) -> None:
        """Update all parameters in place.

        Args:
            gradients: The gradients of the stacked parameters by name.
            factors: The factors of the learning rates; None if all are 1.
        """
        self.count.add_(1)
        for part in self._parts:
            part.step(self._parameters, gradients, self.count, factors)

    def tensors(self) -> list[torch.Tensor]:
        """Return all tensors that a step changes, besides the parameters."""
        states = [state for part in self._parts for state in part.states.values()]
        return [self.count, *(tensor for state in states for tensor in state.values())]

    def state_of(self, index: int) -> dict[str, dict[str, torch.Tensor]]:
        """Return the state of one network, by parameter and name; tensors are views."""
        part = next(p for p in self._parts if p.rows.start <= index < p.rows.stop)
        row = index - part.rows.start
        return {
            name: {key: tensor[row] for key, tensor in state.items()}
            for name, state in part.states.items()
        }

    def load_state(self, index: int, states: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Set the state of one network to that of `state_of`.

        Raises:
            KeyError, RuntimeError: The state is of another optimizer or network.
        """
        for name, state in self.state_of(index).items():
            for key, tensor in state.items():
                tensor.copy_(states[name][key])


def _parts(configs: Sequence[TrialConfig], parameters: Mapping[str, torch.Tensor]) -> list[_Part]:
    parts, start = [], 0
    for _, group in groupby(configs, key=lambda config: structure(config.optimizer_settings)):
        members = list(group)
        rows = slice(start, start + len(members))
        parts.append(_part(members, rows, parameters))
        start = rows.stop
    return parts


def _part(
    configs: Sequence[TrialConfig], rows: slice, parameters: Mapping[str, torch.Tensor]
) -> _Part:
    optimizer = configs[0].optimizer_settings
    device = next(iter(parameters.values())).device
    settings = [{**dict(config.optimizer_settings), "lr": config.lr} for config in configs]
    numbers = {
        name: torch.tensor([s[name] for s in settings], dtype=torch.float64, device=device)
        for name, value in settings[0].items()
        if type(value) is float
    }
    numbers["previous_lr"] = numbers["lr"]
    states = {
        name: optimizer.initial_state(weight[rows].detach(), numbers)
        for name, weight in parameters.items()
    }
    return _Part(optimizer=optimizer, rows=rows, numbers=numbers, states=states)
