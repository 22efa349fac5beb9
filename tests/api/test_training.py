from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cifar_exp
from cifar_exp.components.datasets import Dataset
from cifar_exp.sweep import single
from cifar_exp.training.loop import EpochMetrics
from tests.bench import single_training


def results(metrics: EpochMetrics) -> tuple[int, float, Any]:
    return metrics.epoch, metrics.train_loss, metrics.val.values


def test_it_yields_the_epochs_that_a_recorded_training_has(
    images: Path, data: Dataset, tracking_uri: str
) -> None:
    recorded: list[EpochMetrics] = []
    single.run(single_training(images, tracking_uri, epochs=3), data, recorded.append)
    folder = {"type": "folder", "path": images}
    steps = cifar_exp.train(dataset=folder, loss="mse", lr=0.1, batch_size=8, epochs=3, threads=1)
    assert [*map(results, steps)] == [*map(results, recorded)]


def test_it_records_nothing_and_may_be_left(here: Path, images: Path) -> None:
    folder = {"type": "folder", "path": images}
    for metrics in cifar_exp.train(dataset=folder, batch_size=8, epochs=1_000, threads=1):
        if metrics.epoch == 2:
            break
    assert list(here.iterdir()) == []


def test_a_training_that_diverges_says_so(images: Path) -> None:
    folder = {"type": "folder", "path": images}
    with pytest.raises(cifar_exp.TrainingFailed, match="is not finite in epoch 1"):
        list(cifar_exp.train(dataset=folder, lr=1e30, batch_size=8, epochs=1, threads=1))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"loss": "focl"}, 'loss.type: unknown loss "focl"; did you mean "focal"?'),
        ({"loss": {"type": "focal", "gama": 1}}, 'loss.gama: unknown name; did you mean "gamma"?'),
        ({"lr": -1.0}, "lr: should be greater than 0"),
        ({"batch_size": 0}, "batch_size: should be at least 1"),
        ({"epochs": 0}, "epochs: should be at least 1"),
        ({"optimizer": {"momentum": 0.9}}, "optimizer: should be a name, or a table with its `typ"),
        ({"optimizer": {"type": "sgd", "lr": 1.0}}, "optimizer.lr: the learning rate is given by"),
        (
            {"optimizer": {"type": "sgd", "momentum": {"low": 0.1, "high": 0.2}}},
            "optimizer.momentum: one training takes one value, not a range",
        ),
        ({"dataset": {"type": "folder"}}, "dataset.path: is missing"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(cifar_exp.BadInput) as caught:
        cifar_exp.train(**arguments)
    assert str(caught.value).startswith(sentence)
