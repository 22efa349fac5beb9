"""The contract of optimizers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import Optimizer
from cifar_exp.experiment import TrialConfig
from cifar_exp.testing.contract import Checks, Result, hold, run, with_settings
from cifar_exp.testing.settings import at_bounds
from cifar_exp.training.group.optimizer import StackedOptimizer

IMAGES, CLASSES = 24, 3
STEPS = 30
LEAST_FALL = 0.95
RATES = (1.0, 0.1, 0.01, 0.001)
LR = 0.01
GROUP_STEPS = 10
TOLERANCE = 2e-3
"""Of networks in a group and alone; Muon computes in bfloat16."""


def check_optimizer(optimizer: Any) -> list[Result]:
    """Check the contract of an optimizer.

    Args:
        optimizer: Its name, an `Optimizer` with settings, or a class that `@cifar_exp.optimizer`
            marks.

    Raises:
        ContractError: Something does not hold.
    """
    component: Optimizer = with_settings("optimizers", optimizer)
    return hold(f"optimizer {component.name}", results(component))


def results(optimizer: Optimizer) -> list[Result]:
    """Return the result of every check of an optimizer."""
    return run(CHECKS, optimizer)


def _network(seed: int = 0) -> torch.nn.Sequential:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.Conv2d(4, 4, 3, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(64, CLASSES),
    ).to(memory_format=torch.channels_last)  # as convolutions of a training
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=random))
    return network


def _set_gradients(network: torch.nn.Module, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        gradient = torch.randn(parameter.shape, generator=random)
        parameter.grad = torch.empty_like(parameter).copy_(gradient)  # in the same layout


def _weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def _falls(optimizer: Optimizer) -> str:
    falls = {lr: _fall(optimizer, lr) for lr in RATES}
    lr = min(falls, key=lambda rate: falls[rate])
    assert falls[lr] < LEAST_FALL, f"{STEPS} steps do not lower the loss, at lr 1, 0.1, 0.01, 0.001"
    return f"to {falls[lr]:.0%} in {STEPS} steps with lr {lr:g}"


def _fall(optimizer: Optimizer, lr: float) -> float:
    """Return the loss after some steps as a share of that before; infinity if it diverged."""
    random = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, 1, 6, 6, generator=random)
    labels = torch.randint(CLASSES, (IMAGES,), generator=random)
    network = _network()
    steps = optimizer.build(network, lr)
    values = []
    for _ in range(STEPS):
        steps.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        steps.step()
        values.append(loss.item())
    ratio = values[-1] / values[0]
    return ratio if ratio == ratio else float("inf")  # noqa: PLR0124 - not a number


def _every_parameter(optimizer: Optimizer) -> str:
    network = _network()
    frozen = next(network.parameters())
    frozen.requires_grad_(False)
    built = optimizer.build(network, LR)
    trainable = [id(p) for p in network.parameters() if p.requires_grad]
    found = [id(p) for group in built.param_groups for p in group["params"]]
    assert sorted(found) == sorted(trainable), "one is in no group, in two, or is not trainable"
    rates = {group["lr"] for group in built.param_groups}
    assert rates == {LR}, f"the groups have lr {rates}, not {LR}"
    before = _weights(network)
    _set_gradients(network, 0)
    built.step()
    changed = (_weights(network) != before).flatten()
    kept = frozen.numel()
    assert not changed[:kept].any(), "a weight that is not trainable changes"
    assert changed[kept:].any(), "no weight changes"
    return "every trainable weight is in one group with the learning rate"


def _without_gradient(optimizer: Optimizer) -> str:
    network = _network()
    built = optimizer.build(network, LR)
    _set_gradients(network, 0)
    last = [*network.parameters()][-1]
    last.grad, before = None, last.detach().clone()
    built.step()
    assert torch.equal(last, before), "a weight without a gradient changes"
    return "a weight without a gradient is left out"


def _finite(optimizer: Optimizer) -> str:
    network = _network()
    built = optimizer.build(network, LR)
    for scale in (1.0, 1e-4, 0.0):
        _set_gradients(network, 1)
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(scale)
        built.step()
        assert _weights(network).isfinite().all(), f"one is not, with gradients of size {scale:g}"
    return "also with small gradients and with none"


def _resumed(optimizer: Optimizer) -> str:
    """Interrupt a training: the state goes through a file that may hold no code."""
    whole, resumed = _network(), _network()
    built = [optimizer.build(network, LR) for network in (whole, resumed)]
    for number in range(4):
        if number == 2:
            file = io.BytesIO()
            torch.save(built[1].state_dict(), file)
            file.seek(0)
            built[1] = optimizer.build(resumed, LR)
            built[1].load_state_dict(torch.load(file, weights_only=True))
        for network, one in zip((whole, resumed), built, strict=True):
            _set_gradients(network, number)
            one.step()
    assert torch.equal(_weights(whole), _weights(resumed)), (
        "the weights differ after an interruption: keep everything in `self.state`, by parameter"
    )
    return "the same bits after an interruption"


def _group(optimizer: Optimizer) -> str:
    if not optimizer.is_stackable(dict(optimizer)):
        return "no form for groups: networks train one by one"
    rates = (LR, 0.5 * LR)
    networks = [_network(seed) for seed in range(len(rates))]
    names = [name for name, _ in networks[0].named_parameters()]
    stacked = {n: torch.stack([x.get_parameter(n).detach() for x in networks]) for n in names}
    together = StackedOptimizer([_config(optimizer, lr) for lr in rates], stacked)
    alone = [optimizer.build(network, lr) for network, lr in zip(networks, rates, strict=True)]
    for number in range(GROUP_STEPS):
        gradients = {name: [] for name in names}  # type: dict[str, list[torch.Tensor]]
        for index, (network, one) in enumerate(zip(networks, alone, strict=True)):
            _set_gradients(network, 10 * number + index)
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None
                gradients[name].append(parameter.grad.clone())
            one.step()
        together.step({name: torch.stack(each) for name, each in gradients.items()})
    expected = {n: torch.stack([x.get_parameter(n).detach() for x in networks]) for n in names}
    largest = max((stacked[n] - expected[n]).abs().max().item() for n in names)
    assert largest <= TOLERANCE, f"the weights differ by {largest:.2g} after {GROUP_STEPS} steps"
    return f"{len(rates)} networks, largest difference {largest:.1e}"


def _config(optimizer: Optimizer, lr: float) -> TrialConfig:
    return TrialConfig(
        model=read_model("seed_cnn"),
        loss="mse",
        loss_settings=LOSSES["mse"](),
        optimizer=optimizer.name,
        optimizer_settings=optimizer,
        lr=lr,
        batch_size=IMAGES,
        epochs=1,
        seed=0,
    )


def _finite_at(optimizer: Optimizer) -> None:
    network = _network()
    built = optimizer.build(network, LR)
    for number in range(2):
        _set_gradients(network, number)
        built.step()
    assert _weights(network).isfinite().all(), "a weight is not finite there"


def _rate(optimizer: Optimizer) -> str:
    """Compare steps at two learning rates, set before the first step or later."""
    rates = ([LR] * 3, [LR / 10] * 3, [LR, 0.0, 0.0])  # three, as asgd uses a rate one step later
    steps = [_steps_at(optimizer, each) for each in rates]
    assert not torch.equal(steps[0], steps[1]), "a step is the same at any learning rate"
    if not optimizer.schedulable:
        return "used at the first step only: without schedules"
    assert not torch.equal(steps[0], steps[2]), "a rate in `param_groups` is not used: no schedules"
    return "used at every step"


def _steps_at(optimizer: Optimizer, rates: Sequence[float]) -> torch.Tensor:
    """Return the weights after steps at these learning rates."""
    network = _network()
    built = optimizer.build(network, rates[0])
    for number, rate in enumerate(rates):
        for group in built.param_groups:
            group["lr"] = rate
        _set_gradients(network, number)
        built.step()
    return _weights(network)


CHECKS: Checks[Optimizer] = {
    "falls": _falls,
    "weights": _every_parameter,
    "learning rate": _rate,
    "no gradient": _without_gradient,
    "finite": _finite,
    "resumed": _resumed,
    "group": _group,
    "settings": lambda optimizer: at_bounds(optimizer, _finite_at),
}
