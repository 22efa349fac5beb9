"""Sharpness-aware minimisation, and optimizers whose average is evaluated."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import loop, untrained
from cifar_exp.training.sharpness import SharpnessAware
from cifar_exp.training.statistics import kept_statistics, refresh
from tests import tiny


def test_the_weights_are_moved_along_the_gradient_and_back() -> None:
    model = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0]]))
    model.weight.grad = torch.tensor([[3.0, 4.0]])  # of length 5
    before = model.weight.detach().clone()
    with SharpnessAware(model, 0.5).perturbed():
        torch.testing.assert_close(model.weight, torch.tensor([[1.3, 2.4]]))
    assert torch.equal(model.weight, before)


def test_a_gradient_of_zero_moves_nothing() -> None:
    model = torch.nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.zeros(1, 2), torch.zeros(1)
    before = model.weight.detach().clone()
    with SharpnessAware(model, 0.5).perturbed():
        assert torch.equal(model.weight, before)


def config_of(
    images: Path, optimizer: str, model: str = "seed_cnn_relu", **settings: Any
) -> TrialConfig:
    return tiny.trial_config(images).model_copy(
        update={
            "model": read_model(model),
            "optimizer": optimizer,
            "optimizer_settings": OPTIMIZERS[optimizer](**settings),
            "epochs": 2,
        }
    )


def test_a_step_is_that_of_two_passes_by_hand(images: Path, data: Dataset) -> None:
    """One batch: the gradient at the moved weights, applied to the weights before the move."""
    whole = len(data.train)
    config = config_of(images, "sgd", sam=0.1).model_copy(update={"batch_size": whole, "epochs": 1})
    model = untrained.build_model(config, data)
    own = copy.deepcopy(model).train()
    list(loop.train(model, config, data))

    def gradients() -> list[torch.Tensor]:
        loss = torch.nn.functional.cross_entropy(own(data.train.images), data.train.labels)
        return list(torch.autograd.grad(loss, list(own.parameters())))

    first = gradients()
    norm = sum(gradient.square().sum() for gradient in first) ** 0.5
    start = [parameter.detach().clone() for parameter in own.parameters()]
    with torch.no_grad():
        for parameter, gradient in zip(own.parameters(), first, strict=True):
            parameter.add_(0.1 * gradient / norm)
    second = gradients()
    for found, at, gradient in zip(model.parameters(), start, second, strict=True):
        torch.testing.assert_close(found, at - config.lr * gradient, rtol=1e-4, atol=1e-6)


def test_statistics_are_means_over_batches_and_kept_in_a_block() -> None:
    layer = torch.nn.BatchNorm2d(1)
    batches = [torch.full((2, 1, 2, 2), value) for value in (1.0, 5.0)]
    layer(batches[0] + 100)
    refresh(layer, batches)
    assert layer.running_mean is not None
    assert layer.running_mean.item() == pytest.approx(3)
    assert layer.momentum == 0.1
    with kept_statistics(layer):
        layer.train()(batches[0] + 100)
    assert layer.running_mean.item() == pytest.approx(3)


def test_statistics_over_all_batches_are_kept_in_a_block() -> None:
    layer = torch.nn.BatchNorm2d(1, momentum=None)
    for value in (1.0, 5.0):
        layer.train()(torch.full((2, 1, 2, 2), value))
        with kept_statistics(layer):
            layer(torch.full((2, 1, 2, 2), 100.0))
    assert layer.running_mean is not None
    assert layer.running_mean.item() == pytest.approx(3)
    assert layer.num_batches_tracked == 2


def test_the_memory_of_a_loss_is_written_once_a_step(images: Path, data: Dataset) -> None:
    """After one epoch, that of an image has the sum 1 - beta."""
    loss = LOSSES["elr"].model_validate({"beta": 0.7})
    config = config_of(images, "sgd", sam=1e-9).model_copy(
        update={"loss": "elr", "loss_settings": loss, "epochs": 1}
    )
    criterion = untrained.build_criterion(config, data)
    list(loop.train(untrained.build_model(config, data), config, data, criterion=criterion))
    sums = criterion.memory.sum(1)
    torch.testing.assert_close(sums, torch.full_like(sums, 0.3), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["lenet", "resnet18"])
def test_a_schedule_free_optimizer_evaluates_its_average(model: str, tmp_path: Path) -> None:
    """The average is the mean of the iterates z for a constant rate: x = mean(z_1, ..., z_t)."""
    pytest.importorskip("pytorch_optimizer")
    images = tiny.write_images(tmp_path / "images", per_class=6, size=16)
    data = tiny.dataset(images)
    name = "pytorch_optimizer:schedulefreesgd"
    config = config_of(images, name, model).model_copy(update={"batch_size": 8})
    network = untrained.build_model(config, data)
    optimizer = untrained.build_optimizer(network, config)
    epochs = list(loop.train(network, config, data, optimizer))
    assert len(epochs) == 2
    evaluated = [parameter.detach().clone() for parameter in network.parameters()]
    config.optimizer_settings.to_training(optimizer)
    assert not all(map(torch.equal, evaluated, network.parameters()))
    assert config.optimizer_settings.to_evaluation(optimizer)
    torch.testing.assert_close([*network.parameters()], [*evaluated])


def test_other_optimizers_evaluate_what_they_train(images: Path) -> None:
    settings = config_of(images, "sgd").optimizer_settings
    assert not settings.to_evaluation(settings.build(torch.nn.Linear(1, 1), 0.1))


def test_networks_with_sharpness_are_trained_one_by_one() -> None:
    sgd = OPTIMIZERS["sgd"]
    assert sgd.is_stackable(dict(sgd()))
    assert not sgd.is_stackable(dict(sgd(sam=0.05)))
