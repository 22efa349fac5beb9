"""The optimizer of stacked networks against torch's optimizer of each network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES, Constant, Schedule
from cifar_exp.experiment import TrialConfig
from cifar_exp.training.group.optimizer import StackedOptimizer, structure
from cifar_exp.training.group.program import in_order
from cifar_exp.training.group.schedule import StackedSchedule
from cifar_exp.training.learning_rate import LearningRate
from tests.components.optimizers.test_optimizers import DECAYING, DECOUPLED, OTHER_SETTINGS

STEPS = 50
SHAPES = {"convolution": (6, 3, 5, 5), "wide": (7, 11), "tall": (11, 4), "bias": (6,)}
# Muon orthogonalizes in bfloat16: another order of summation changes the last of eight bits.
BOUNDS = {"muon": 2e-3}

Settings = dict[str, Any]
CASES: list[tuple[str, Settings]] = [
    *((name, {}) for name in OPTIMIZERS),
    *((name, {**same, **ours}) for name, same, (ours, _) in OTHER_SETTINGS),
    *((name, {"weight_decay": 0.2}) for name in DECAYING),
    *((name, {"weight_decay": 0.2, "decay_bias": False}) for name in DECAYING),
    *((name, {"weight_decay": 0.2, **settings}) for name, settings in DECOUPLED),
    ("sgd", {"momentum": 0.9}),
    *((name, {"clip": 0.5}) for name in ("sgd", "adamw", "muon")),
]


def config(
    optimizer: str, lr: float, settings: Settings, schedule: Schedule | None = None
) -> TrialConfig:
    return TrialConfig(
        model=read_model("seed_cnn"),
        loss="mse",
        loss_settings=LOSSES["mse"](),
        optimizer=optimizer,
        optimizer_settings=OPTIMIZERS[optimizer](**settings),
        lr=lr,
        batch_size=8,
        epochs=1,
        seed=0,
        schedule_settings=schedule or Constant(),
    )


def with_other_numbers(settings: Settings) -> Settings:
    """Return the settings with each number changed by a tenth, in a valid direction."""
    return {name: 0.9 * v if type(v) is float and v > 0 else v for name, v in settings.items()}


class Network(torch.nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        for name, shape in SHAPES.items():
            weight = torch.nn.Parameter(torch.randn(*shape, generator=random))
            self.register_parameter(name, weight)


def trained_alone(
    configs: list[TrialConfig], gradients: list[dict[str, torch.Tensor]]
) -> list[Network]:
    networks = [Network(seed) for seed in range(len(configs))]
    for index, (one, network) in enumerate(zip(configs, networks, strict=True)):
        optimizer = one.optimizer_settings.build(network, one.lr)
        rate = LearningRate(optimizer, one.schedule_settings, len(gradients), 1)
        rate.begin(1)
        for step, gradient in enumerate(gradients):
            rate.set(step)
            for name, weight in network.named_parameters():
                weight.grad = gradient[name][index].clone()
            optimizer.step()
    return networks


def stacked(configs: list[TrialConfig]) -> tuple[StackedOptimizer, dict[str, torch.Tensor]]:
    networks = [Network(seed) for seed in range(len(configs))]
    weights = {
        name: torch.stack([network.get_parameter(name).detach() for network in networks])
        for name in SHAPES
    }
    return StackedOptimizer(configs, weights), weights


def random_gradients(num_networks: int, num_steps: int = STEPS) -> list[dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(7)
    return [
        {
            name: torch.randn(num_networks, *shape, generator=random)
            for name, shape in SHAPES.items()
        }
        for _ in range(num_steps)
    ]


def assert_equal(
    weights: Mapping[str, torch.Tensor], networks: list[Network], bound: float
) -> None:
    for index, network in enumerate(networks):
        for name, weight in network.named_parameters():
            difference = (weights[name][index] - weight).abs().max()
            assert difference <= bound * weight.abs().max(), (index, name)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{n}-{s}" for n, s in CASES])
def test_fifty_steps_are_those_of_torch(name: str, settings: Settings) -> None:
    configs = [
        config(name, 1e-3, settings),
        config(name, 1e-2, settings),
        config(name, 3e-2, with_other_numbers(settings)),
    ]
    gradients = random_gradients(len(configs))
    optimizer, weights = stacked(configs)
    for gradient in gradients:
        optimizer.step(gradient)
    assert_equal(weights, trained_alone(configs, gradients), BOUNDS.get(name, 2e-6))
    assert optimizer.count == STEPS


@pytest.mark.parametrize("name", [n for n in OPTIMIZERS if OPTIMIZERS[n].schedulable])
def test_every_schedule_is_that_of_a_network_alone(name: str) -> None:
    """In one group: each network with a schedule of its own, one with a constant rate."""
    settings = {"weight_decay": 0.1} if name in DECAYING else {}
    schedules = [Constant(), *(schedule(warmup=0.1) for schedule in SCHEDULES.values())]
    configs = [config(name, 1e-2, settings, schedule) for schedule in schedules]
    gradients = random_gradients(len(configs), 20)
    optimizer, weights = stacked(configs)
    schedule = StackedSchedule(schedules, 20, 1, torch.device("cpu"))
    schedule.begin(1)
    for gradient in gradients:
        optimizer.step(gradient, schedule.next())
    assert_equal(weights, trained_alone(configs, gradients), BOUNDS.get(name, 2e-6))


def test_the_factors_of_every_epoch_and_of_the_step_before() -> None:
    schedules = [SCHEDULES["linear"](), Constant()]
    stacked_schedule = StackedSchedule(schedules, 2, 2, torch.device("cpu"))
    found = []
    for epoch in (1, 2):
        stacked_schedule.begin(epoch)
        found += [stacked_schedule.next() for _ in range(2)]
    assert [f.now.tolist() for f in found if f] == [[1, 1], [0.75, 1], [0.5, 1], [0.25, 1]]
    assert [f.before.tolist() for f in found if f] == [[1, 1], [1, 1], [0.75, 1], [0.5, 1]]
    for _ in range(3):  # a warm-up before a capture runs more steps than an epoch has
        assert stacked_schedule.next() is not None


def test_different_optimizers_are_updated_together() -> None:
    configs = [config(name, lr, {}) for lr in (1e-3, 2e-3) for name in OPTIMIZERS]
    configs = [configs[index] for index in in_order(dict(enumerate(configs)))]
    gradients = random_gradients(len(configs), 3)
    optimizer, weights = stacked(configs)
    for gradient in gradients:
        optimizer.step(gradient)
    assert_equal(weights, trained_alone(configs, gradients), 2e-3)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_state_continues_in_another_row_bitwise_identically(name: str) -> None:
    settings = {"momentum": 0.9} if name == "sgd" else {}
    configs = [config(name, lr, settings) for lr in (1e-3, 1e-2)]
    gradients = random_gradients(2, 4)
    whole, expected = stacked(configs)
    for gradient in gradients[:2]:
        whole.step(gradient)
    copied = {key: value.clone() for key, value in expected.items()}
    states = [whole.state_of(index) for index in range(2)]
    swapped, weights = stacked(configs[::-1])
    for name_, weight in weights.items():
        weight.copy_(copied[name_].flip(0))
    for index, state in enumerate(reversed(states)):
        swapped.load_state(index, state)
    swapped.count.fill_(2)
    for gradient in gradients[2:]:
        whole.step(gradient)
        swapped.step({key: value.flip(0) for key, value in gradient.items()})
    for name_, weight in weights.items():
        assert torch.equal(weight.flip(0), expected[name_]), name_


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("sgd", {}), ("sgd", {}), True),
        (("sgd", {"momentum": 0.9}), ("sgd", {"momentum": 0.5}), True),
        (("sgd", {"momentum": 0.9}), ("sgd", {}), False),
        (("sgd", {"momentum": 0.9}), ("sgd", {"momentum": 0.9, "nesterov": True}), False),
        (("adamw", {}), ("adamw", {"weight_decay": 0.0}), False),
        (("adamw", {}), ("adamw", {"decay_bias": False}), False),
        (("adam", {}), ("adamw", {}), False),
        (("adam", {"clip": 1.0}), ("adam", {"clip": 2.0}), True),
        (("adam", {"clip": 1.0}), ("adam", {}), False),
        (("muon", {}), ("muon", {"ns_steps": 4}), False),
    ],
)
def test_networks_updated_together(one: Any, other: Any, same: bool) -> None:
    made = [OPTIMIZERS[name](**settings) for name, settings in (one, other)]
    assert (structure(made[0]) == structure(made[1])) == same
