"""Schedules: closed forms, checked against torch's and timm's schedulers and by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim import lr_scheduler

from cifar_exp.components.schedules import SCHEDULES, Schedule

NAMES = sorted(SCHEDULES)
FALLING = sorted({*NAMES} - {"constant", "one_cycle"})
N = 60
LR = 0.5
Scheduler = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]

# Settings of a schedule, and torch's scheduler of the same form.
AS_IN_TORCH: list[tuple[str, dict[str, Any], Scheduler]] = [
    ("constant", {}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    (
        "linear",
        {"floor": 0.1},
        lambda o: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=N),
    ),
    ("cosine", {"floor": 0.2}, lambda o: lr_scheduler.CosineAnnealingLR(o, N, eta_min=0.2 * LR)),
    ("polynomial", {"power": 3.0}, lambda o: lr_scheduler.PolynomialLR(o, N, power=3.0)),
    ("exponential", {"end": 0.05}, lambda o: lr_scheduler.ExponentialLR(o, 0.05 ** (1 / N))),
    ("step", {"stages": 4, "gamma": 0.3}, lambda o: lr_scheduler.StepLR(o, N // 4, gamma=0.3)),
    (
        "one_cycle",
        {"rise": 0.25, "start": 0.1},
        # torch's cycle of N + 1 steps ends at its last step; its peak is the step 0.25 N.
        lambda o: lr_scheduler.OneCycleLR(
            o,
            max_lr=LR,
            total_steps=N + 1,
            pct_start=(0.25 * N + 1) / (N + 1),
            div_factor=10,
            final_div_factor=1e18,
            cycle_momentum=False,
        ),
    ),
]


def make(name: str, **given_settings: Any) -> Schedule:
    return SCHEDULES[name].model_validate(given_settings)


def rates(scheduler: Scheduler, steps: int) -> list[float]:
    """Return the learning rates of a torch scheduler that is stepped after every step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    stepped = scheduler(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        stepped.step()
    return found


@pytest.mark.parametrize(("name", "ours", "scheduler"), AS_IN_TORCH)
def test_the_same_as_in_torch(name: str, ours: dict[str, Any], scheduler: Scheduler) -> None:
    expected = torch.tensor(rates(scheduler, N), dtype=torch.float64)
    found = LR * make(name, **ours).factors(0, N, N)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_warm_up_is_torchs_linear_one_before_the_form() -> None:
    def scheduler(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        warmup = lr_scheduler.LinearLR(optimizer, start_factor=1 / 13, total_iters=12)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, N - 12)
        return lr_scheduler.SequentialLR(optimizer, [warmup, cosine], milestones=[12])

    expected = torch.tensor(rates(scheduler, N), dtype=torch.float64)
    found = LR * make("cosine", warmup=0.2).factors(0, N, N)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["cosine", "polynomial", "step"])
def test_the_same_as_in_timm(name: str) -> None:
    scheduler = pytest.importorskip("timm.scheduler")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    options = {"t_in_epochs": False}
    timms, ours = {
        "cosine": (
            scheduler.CosineLRScheduler(optimizer, N, lr_min=0.1, **options),
            {"floor": 0.2},
        ),
        "polynomial": (scheduler.PolyLRScheduler(optimizer, N, power=2.0, **options), {}),
        "step": (scheduler.StepLRScheduler(optimizer, N / 3, decay_rate=0.1, **options), {}),
    }[name]
    expected = []
    for step in range(N):
        timms.step_update(step)
        expected.append(optimizer.param_groups[0]["lr"])
    found = LR * make(name, **ours).factors(0, N, N)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_warm_up_stable_decay() -> None:
    found = make("wsd", warmup=0.2, decay=0.4, floor=0.5).factors(0, 10, 10).tolist()
    assert found == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 1, 0.875, 0.75, 0.625])


def test_one_cycle_after_a_warm_up() -> None:
    """Two steps of warm-up, half a cosine from 0.2 to the peak at step 6, then down."""
    found = make("one_cycle", warmup=0.2, rise=0.4, start=0.2).factors(0, 10, 10).tolist()
    up = [0.2 + 0.8 * (1 - math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    down = [(1 + math.cos(math.pi * k / 4)) / 2 for k in range(4)]
    assert found == pytest.approx([1 / 3, 2 / 3, *up, *down])


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15)
@given(
    warmup=st.floats(0, 0.5),
    floor=st.floats(0, 1),
    total=st.integers(1, 50),
    split=st.floats(0, 1),
)
def test_factors(name: str, warmup: float, floor: float, total: int, split: float) -> None:
    decaying = "floor" in SCHEDULES[name].model_fields
    schedule = make(name, warmup=warmup, **({"floor": floor} if decaying else {}))
    found = schedule.factors(0, total, total)
    assert found.dtype == torch.float64
    assert len(found) == total
    assert bool(((found > 0) & (found <= 1 + 1e-12)).all())
    num_warmup = round(warmup * total)
    after = found[num_warmup:]
    assert not decaying or bool((after >= floor - 1e-12).all())
    if name in FALLING:
        assert bool((after.diff() <= 1e-12).all())
        assert after[0] == pytest.approx(1)
    middle = round(split * total)
    parts = [schedule.factors(0, middle, total), schedule.factors(middle, total, total)]
    assert torch.equal(torch.cat(parts), found)


@pytest.mark.parametrize("name", NAMES)
def test_no_step_is_lost_and_the_peak_is_reached(name: str) -> None:
    found = make(name, warmup=0.1).factors(0, 1000, 1000)
    assert found.min() > 0
    assert found.max() == pytest.approx(1)
    assert found[:101].tolist()[:100] == pytest.approx([(k + 1) / 101 for k in range(100)])


@pytest.mark.parametrize(
    ("name", "wrong", "problem"),
    [
        ("cosine", {"warmup": 1.0}, "less than 1"),
        ("cosine", {"floor": 1.1}, "at most 1"),
        ("constant", {"floor": 0.1}, "unknown name"),
        ("wsd", {"warmup": 0.5, "decay": 0.6}, "together more than 1"),
        ("one_cycle", {"warmup": 0.8, "rise": 0.3}, "together more than 1"),
        ("step", {"stages": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused(name: str, wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        make(name, **wrong)
