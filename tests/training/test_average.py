"""The moving average of weights against a sum written by hand, and against timm's rule."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import loop, untrained
from cifar_exp.training.average import Average
from tests import tiny


@pytest.fixture
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images)


def values_of(decay: float, weights: list[float]) -> list[float]:
    """Return the average after each step."""
    layer = torch.nn.Linear(1, 1, bias=False).double()
    average, found = Average(layer, decay), []
    for weight in weights:
        torch.nn.init.constant_(layer.weight, weight)
        average.update()
        found.append(average.network.weight.item())  # type: ignore[operator]
    return found


def test_the_average_is_the_mean_at_first() -> None:
    weights = [3.0, 5.0, -2.0, 4.0, 0.5]
    means = [sum(weights[:n]) / n for n in range(1, 6)]
    assert values_of(0.999, weights) == pytest.approx(means)


def test_tied_weights_are_averaged_once() -> None:
    first, second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    second.weight = first.weight
    average = Average(torch.nn.Sequential(first, second), 0.5)
    for value in (0.0, 1.0):
        torch.nn.init.constant_(first.weight, value)
        average.update()
    assert average.network.state_dict()["0.weight"].item() == 0.5


def test_the_average_is_exponential_from_the_step_that_the_decay_allows() -> None:
    weights = [3.0, 5.0, -2.0, 4.0, 0.5]
    expected = [3.0, 4.0]  # the decay of a half is reached in the second step
    for weight in weights[2:]:
        expected.append(0.5 * expected[-1] + 0.5 * weight)
    assert values_of(0.5, weights) == pytest.approx(expected)


def test_statistics_are_averaged_and_counts_are_copied() -> None:
    network = torch.nn.BatchNorm2d(2).train()
    average, means = Average(network, 0.9), []
    for seed in range(3):
        network(torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(seed)))
        means.append(network.running_mean.clone())  # type: ignore[union-attr]
        average.update()
    assert average.network.num_batches_tracked == 3
    torch.testing.assert_close(average.network.running_mean, torch.stack(means).mean(0))


def test_an_average_changes_no_training_and_is_scored_after_each_epoch(
    config: TrialConfig, data: Dataset
) -> None:
    scores = []
    for ema in (None, 0.9):
        model = untrained.build_model(config, data)
        epochs = list(loop.train(model, config.model_copy(update={"ema": ema}), data))
        scores.append([(e.train_loss, e.val.accuracy, e.val_ema) for e in epochs])
    for (loss, accuracy, none), (same_loss, same, average) in zip(*scores, strict=True):
        assert (loss, accuracy, none) == (same_loss, same, None)
        assert average is not None
        assert average.values.keys() >= {"accuracy", "nll"}


def test_the_average_of_a_training_is_that_of_its_steps(config: TrialConfig, data: Dataset) -> None:
    model = untrained.build_model(config, data)
    steps: list[torch.Tensor] = []
    optimizer = untrained.build_optimizer(model, config)
    parameter = next(model.parameters())
    optimizer.register_step_post_hook(lambda *_: steps.append(parameter.detach().clone()))
    average = Average(model, 0.9)
    list(loop.train(model, config, data, optimizer, average=average))
    assert len(steps) > 12
    expected = torch.stack(steps[:10]).mean(0)
    for step in steps[10:]:
        expected = 0.9 * expected + 0.1 * step
    torch.testing.assert_close(next(average.network.parameters()), expected)


def test_a_state_continues_bitwise_identically(config: TrialConfig, data: Dataset) -> None:
    model = untrained.build_model(config, data)
    average = Average(model, 0.9)
    whole = itertools.islice(loop.train(model, config, data, average=average), 1)
    list(whole)
    other = Average(untrained.build_model(config, data), 0.9)
    other.load(copy.deepcopy(average.state()))
    for one, another in zip(average.tensors(), other.tensors(), strict=True):
        assert torch.equal(one, another)
