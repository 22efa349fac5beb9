"""A single training that is interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.sweep import single
from cifar_exp.tracking import connect, read_records
from cifar_exp.training.loop import EpochMetrics
from tests.bench import single_training


def test_a_training_that_is_interrupted_keeps_its_epochs_and_is_closed_as_killed(
    tracking_uri: str, images: Path, data: Dataset
) -> None:
    def interrupt(metrics: EpochMetrics) -> None:
        if metrics.epoch == 2:
            raise KeyboardInterrupt

    request = single_training(images, tracking_uri, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        single.run(request, data, interrupt)
    client = connect(tracking_uri)
    [record] = read_records(client, "tiny")
    assert (record.kind, record.name, record.status) == ("train", "mse+sgd", "KILLED")
    assert not record.finished
    history = client.get_metric_history(record.run_id, "val/accuracy")
    assert [point.step for point in history] == [1, 2]
