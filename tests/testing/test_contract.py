"""The contract tests themselves: they find what is wrong with a component, and name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field

import cifar_exp
from cifar_exp.components.augmentations import Augmentation
from cifar_exp.components.optimizers.gradient_descent import SGD
from cifar_exp.components.optimizers.stacked import StackedStep
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.components.schedules.base import Schedule
from cifar_exp.testing import (
    ContractError,
    check_augmentation,
    check_dataset,
    check_loss,
    check_network,
    check_optimizer,
    check_schedule,
)
from tests import plugins
from tests.plugins import LOSS, NETWORK, OPTIMIZER, write

cross_entropy = torch.nn.functional.cross_entropy


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    with plugins.none_left():
        yield


def per_image(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits, labels, reduction="none")


class NoGradient(torch.autograd.Function):
    """A gradient that is half of the right one."""

    @staticmethod
    def forward(_: object, values: torch.Tensor) -> torch.Tensor:
        return values.clone()

    @staticmethod
    def backward(_: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient / 2


BAD_LOSSES: dict[str, tuple[Callable[..., Any], str]] = {
    "mean": (
        cross_entropy,
        r"returned shape \(\), not one value for each of 12",
    ),
    "number": (lambda *_: 1.0, "returned float, not a tensor"),
    "double": (lambda z, y: per_image(z, y).double(), "returned torch.float64 for logits of"),
    "constant": (lambda z, y: 0 * y.to(z.dtype), "does not depend on the logits"),
    "sign": (lambda z, y: -per_image(z, y), "less likely .* is the sign right"),
    "batch": (lambda z, y: per_image(z - z.mean(0), y), "depends on the other images"),
    "power": (lambda z, y: per_image(z, y) ** 0.5, "a gradient at logits of 30 that are right"),
    "slope": (lambda z, y: NoGradient.apply(per_image(z, y)), "differs from finite differences"),
    "item": (
        lambda z, y: per_image(z, y) * (1 if z.max().item() > -1e9 else 2),
        "it reads a value",
    ),
    "log": (lambda z, y: -torch.log(torch.softmax(z, 1)[torch.arange(len(y)), y] - 0.3), "finite"),
}


@pytest.mark.parametrize("name", BAD_LOSSES)
def test_a_bad_loss_is_found(name: str) -> None:
    function, problem = BAD_LOSSES[name]

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = function(logits, labels)
        return values

    with pytest.raises(ContractError, match=problem):
        check_loss(cifar_exp.loss(loss))


def test_a_bound_at_which_a_loss_is_not_finite_is_found() -> None:
    from typing import Annotated

    def loss(
        logits: torch.Tensor,
        labels: torch.Tensor,
        q: Annotated[float, Field(ge=0, le=1)] = 0.5,
    ) -> torch.Tensor:
        return (1 - torch.exp(-q * per_image(logits, labels))) / q

    loss.__annotations__["q"] = Annotated[float, Field(ge=0, le=1)]
    loss.__annotations__.update(logits=torch.Tensor, labels=torch.Tensor)
    with pytest.raises(ContractError, match=r"settings: q = 0(\.0)? is allowed, but"):
        check_loss(cifar_exp.loss(loss))


BAD_STEPS = {
    "no fall": ("weight.add_(weight.grad, alpha=lr)", "do not lower the loss"),
    "not finite": ("weight.sub_(weight.grad / weight.grad.norm(), alpha=lr)", "one is not"),
    "forgets": (
        "self.m = 0.9 * getattr(self, 'm', 0) + weight.grad.mean(); "
        "weight.sub_(weight.grad + self.m, alpha=lr)",
        "differ after an interruption",
    ),
    "none": ("weight.sub_(lr)", "do not lower"),
    "fixed rate": ("weight.sub_(weight.grad, alpha=0.05)", "is the same at any learning rate"),
}


@pytest.mark.parametrize("name", BAD_STEPS)
def test_a_bad_optimizer_is_found(name: str, tmp_path: Path) -> None:
    step, problem = BAD_STEPS[name]
    good = 'weight.mul_(group["shrink"]).sub_(weight.grad, alpha=group["lr"])'
    plugins.load(write(tmp_path, OPTIMIZER.replace(good, step.replace("lr)", 'group["lr"])'))))
    with pytest.raises(ContractError, match=problem):
        check_optimizer("Plain")


def test_a_wrong_form_for_groups_is_found() -> None:
    class Wrong(SGD):
        def update(self, step: StackedStep) -> None:
            step.subtract(step.gradient, 2 * step["lr"])

    with pytest.raises(ContractError, match=r"group: the weights differ by 0\.\d+ after 10 steps"):
        check_optimizer(Wrong())


RANDOM = "import random; self.drawn = torch.nn.Parameter(torch.tensor(random.random()))"
UNUSED = "self.unused = torch.nn.Linear(2, 2)"
FIRST = "super().__init__()\n        self"
BAD_NETWORKS = {
    "shape": ("return self.layers(images)", "return self.layers(images)[:, 1:]", "shape"),
    "seed": (FIRST, f"super().__init__(); {RANDOM}\n        self", "differ for the same"),
    "unused": (FIRST, f"super().__init__(); {UNUSED}\n        self", "none reaches unused.weight"),
    "batch": ("self.layers(images)", "self.layers(images - images.mean(0))", "depend on the other"),
    "stuck": ("self.layers(images)", "(1e-9 * self.layers(images))", "do not lower the loss"),
}


@pytest.mark.parametrize("name", BAD_NETWORKS)
def test_a_bad_network_is_found(name: str, tmp_path: Path) -> None:
    old, new, problem = BAD_NETWORKS[name]
    plugins.load(write(tmp_path, NETWORK.replace(old, new)))
    with pytest.raises(ContractError, match=problem):
        check_network("Colours")


def test_good_components_pass(tmp_path: Path) -> None:
    plugins.load(write(tmp_path, LOSS, OPTIMIZER, NETWORK))
    for check, name in (
        (check_loss, "tempered"),
        (check_optimizer, "Plain"),
        (check_network, "Colours"),
    ):
        assert all(result.problem is None and result.finding for result in check(name))
    stored = {result.what: result.finding for result in check_network("Colours")}["stored"]
    assert "without the plug-in" in stored


def test_bad_data_is_found() -> None:
    @cifar_exp.dataset
    def random_images():  # type: ignore[no-untyped-def]
        images = np.random.default_rng().integers(0, 255, (60, 4, 4, 1), np.uint8)
        return images, np.arange(60) % 3

    @cifar_exp.dataset
    def doubled():  # type: ignore[no-untyped-def]
        images = np.random.default_rng(0).integers(0, 255, (60, 4, 4, 1), np.uint8)
        labels = np.arange(60) % 3
        return images, labels, images[:30], labels[:30]

    with pytest.raises(ContractError, match="the images differ: give random numbers a seed"):
        check_dataset(random_images)
    with pytest.raises(ContractError, match="test images are training images, too"):
        check_dataset(doubled)


def test_a_bad_augmentation_is_found() -> None:
    class Noise(Augmentation):
        name = "noise"

        def __call__(self, images: torch.Tensor, draws: object) -> torch.Tensor:
            del draws
            return images.float() + torch.rand(images.shape) - images.float().mean()

    with pytest.raises(ContractError, match=r"depends on the other .* draws random numbers"):
        check_augmentation(Noise())
    assert check_augmentation("flip")


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_fulfil_their_contract(name: str) -> None:
    assert check_schedule(name)


def test_a_bad_schedule_is_found() -> None:
    class Wave(Schedule):
        name = "wave"

        def _after_warmup(self, steps: torch.Tensor, total: int) -> torch.Tensor:
            return torch.cos(steps / total * 3) + 0 * steps.max()

    class Relative(Schedule):
        name = "relative"

        def factors(self, first: int, last: int, total: int) -> torch.Tensor:
            return super().factors(0, last - first, total)

        def _after_warmup(self, steps: torch.Tensor, total: int) -> torch.Tensor:
            return 1 - steps / total

    with pytest.raises(ContractError, match="factors: one is negative"):
        check_schedule(Wave())
    with pytest.raises(ContractError, match="depends on where one begins"):
        check_schedule(Relative())
