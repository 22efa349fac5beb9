"""The contract of schedules."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from cifar_exp.components.schedules import Schedule
from cifar_exp.testing.contract import Checks, Result, hold, run, with_settings
from cifar_exp.testing.settings import at_bounds

STEPS = 200
SHORT = (1, 2, 3)


def check_schedule(schedule: Any) -> list[Result]:
    """Check the contract of a schedule.

    Args:
        schedule: Its name, its class or a `Schedule` with settings.

    Raises:
        ContractError: Something does not hold.
    """
    component: Schedule = with_settings("schedules", schedule)
    return hold(f"schedule {component.name}", results(component))


def results(schedule: Schedule) -> list[Result]:
    """Return the result of every check of a schedule."""
    return run(CHECKS, schedule)


def _check(factors: torch.Tensor, num_steps: int) -> None:
    shape = tuple(factors.shape)
    assert shape == (num_steps,), f"{num_steps} steps have factors of shape {shape}"
    assert factors.dtype == torch.float64, f"they are {factors.dtype}, not float64"
    assert factors.isfinite().all(), "one is not finite"
    assert (factors >= 0).all(), "one is negative"


def _factors(schedule: Schedule) -> str:
    factors = schedule.factors(0, STEPS, STEPS)
    _check(factors, STEPS)
    assert factors.max() > 0, "all are 0"
    return f"from {factors[0]:.3g} to {factors[-1]:.3g}, at most {factors.max():.3g}"


def _short(schedule: Schedule) -> str:
    for num_steps in SHORT:
        _check(schedule.factors(0, num_steps, num_steps), num_steps)
    return "trainings of one to three steps"


def _parts(schedule: Schedule) -> str:
    whole = schedule.factors(0, STEPS, STEPS)
    ends = [0, 1, 60, 61, STEPS]
    parts = [schedule.factors(first, last, STEPS) for first, last in pairwise(ends)]
    assert torch.equal(torch.cat(parts), whole), "the factor of a step depends on where one begins"
    return "the same after an interruption"


CHECKS: Checks[Schedule] = {
    "factors": _factors,
    "short": _short,
    "parts": _parts,
    "settings": lambda schedule: at_bounds(schedule, _factors),
}
