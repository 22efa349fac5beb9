"""Losses and outputs that are not finite: the outcome is shown, and is never the best."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import Field, PrivateAttr

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.base import Loss
from cifar_exp.components.metrics.scores import examine
from cifar_exp.components.models import read_model
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import RunRecord
from cifar_exp.sweep.recording import training_run
from cifar_exp.tracking import Tracker, connect
from cifar_exp.training import loop, untrained
from tests import tiny
from tests.command import Cli
from tests.recorded import train_recorded

BAD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
STEPS_PER_EPOCH = 7  # 54 images in batches of 8


class Breaking(Loss):
    """Cross-entropy that becomes another value from a certain step on."""

    value: Literal["nan", "inf", "-inf"] = "nan"
    step: int = 1
    danger: float = Field(default=1.0, ge=0, le=1)
    """The loss fails only if this is above one half."""

    _steps: int = PrivateAttr(0)

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self._steps += 1
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        broken = self._steps >= self.step and self.danger > 0.5
        return losses + BAD[self.value] if broken else losses


class Unbounded(Loss):
    """The mean of the labels' logits, which has no minimum."""

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return -(logits.gather(1, labels[:, None])[:, 0] ** 3)


class Steep(Loss):
    """A loss that stays finite while its gradient does not."""

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (logits.gather(1, labels[:, None])[:, 0] * 0).sqrt()


@pytest.fixture(autouse=True)
def _losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the losses, and do not count the steps of a warm-up."""
    for loss in (Breaking, Unbounded, Steep):
        monkeypatch.setitem(LOSSES, loss.__name__.lower(), loss)
    monkeypatch.setattr(loop, "_warm", {read_model("seed_cnn_relu")})


def recorded(config: TrialConfig, data: Dataset, tracker: Tracker) -> tuple[Any, RunRecord]:
    """Train; return the outcome, and the run in MLflow."""
    run = tracker.new_run("trial", "it", tags={}, params=training_run.params(config, data, 1))
    outcome = train_recorded(config, data, run)
    [record] = tracker.records()
    check_finite(tracker, [record])
    return outcome, record


def check_finite(tracker: Tracker, records: list[RunRecord]) -> None:
    """Check every value of every metric; MLflow would store an infinity as 1.8e308."""
    points = [
        point.value
        for record in records
        for name in record.metrics
        for point in tracker.client.get_metric_history(record.run_id, name)
    ]
    assert points
    assert all(math.isfinite(value) and abs(value) < 1e300 for value in points)


def breaking(images: Path, value: str, step: int, epochs: int = 1) -> TrialConfig:
    loss = f'breaking = {{ value = "{value}", step = {step} }}'
    return tiny.trial_config(images, losses=loss, epochs=str(epochs))


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_loss_that_is_not_finite_ends_the_trial_and_keeps_finite_metrics(
    images: Path, data: Dataset, tracker: Tracker, value: str, epoch: int
) -> None:
    config = breaking(images, value, STEPS_PER_EPOCH * (epoch - 1) + 2, epochs=5)
    outcome, record = recorded(config, data, tracker)
    assert (outcome.state, outcome.diverged, outcome.epochs) == ("FAIL", True, epoch - 1)
    assert (record.state, record.status, record.diverged) == ("FAIL", "FAILED", True)
    assert record.tags["reason"] == f"the training loss is not finite in epoch {epoch}"
    assert record.metrics["epochs_trained"] == epoch - 1
    assert "val_accuracy" not in record.metrics
    history = tracker.client.get_metric_history(record.run_id, "train/loss")
    assert [point.step for point in history] == list(range(1, epoch))


def test_a_loss_that_is_not_finite_is_detected_within_the_epoch(
    images: Path, data: Dataset, tracker: Tracker
) -> None:
    config = breaking(images, "nan", 3).model_copy(update={"batch_size": 1})
    assert len(data.train) > loop.STEPS_BETWEEN_CHECKS
    recorded(config, data, tracker)
    loss: Any = config.loss_settings
    assert loss._steps == loop.STEPS_BETWEEN_CHECKS


@pytest.mark.parametrize(("name", "lr"), [("unbounded", 1e4), ("steep", 0.1)])
def test_a_loss_without_a_minimum_or_a_finite_gradient_diverges(
    images: Path, data: Dataset, tracker: Tracker, name: str, lr: float
) -> None:
    config = tiny.trial_config(images, losses=f"{name} = {{}}", epochs="20", lr=lr)
    outcome, record = recorded(config, data, tracker)
    assert outcome.diverged
    assert record.diverged


class BrokenWhenEvaluated(torch.nn.Module):
    """A network whose outputs are NaN in evaluation."""

    def __init__(self, model: torch.nn.Module, value: float) -> None:
        super().__init__()
        self.model, self.value = model, value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.model(images)
        return outputs if self.training else outputs + self.value


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_outputs_that_are_not_finite_in_validation_only_are_divergence(
    images: Path,
    data: Dataset,
    tracker: Tracker,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
) -> None:
    build = untrained.build_model
    monkeypatch.setattr(untrained, "build_model", lambda *a: BrokenWhenEvaluated(build(*a), value))
    outcome, record = recorded(tiny.trial_config(images), data, tracker)
    assert (outcome.state, outcome.diverged) == ("FAIL", True)
    assert record.tags["reason"] == "an output of the network is not finite in epoch 1"
    assert "val/accuracy" not in record.metrics


EXTREME = [3e38, -3e38, 1e30, 1e-38, 0.0, 1e5, -1e5]


def extreme_logits() -> Iterator[torch.Tensor]:
    for high in EXTREME:
        for low in EXTREME:
            yield torch.tensor([[high, low, low], [low, high, low], [low, low, high]])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_finite_outputs_have_finite_scores(name: str) -> None:
    """No score of a network that has not diverged is infinite, at any confidence."""
    loss, labels = LOSSES[name](), torch.tensor([0, 0, 2])
    for logits in extreme_logits():
        evaluation = examine(logits, labels, loss)
        assert all(map(math.isfinite, evaluation.scores.named("").values())), logits
        for array in (evaluation.predictions.confidence,):
            assert np.isfinite(array).all()


@pytest.mark.chaos
def test_a_sweep_shows_diverged_trainings_and_ranks_the_others(
    cli: Cli, images: Path, tracking_uri: str, storage_url: str, tmp_path: Path
) -> None:
    text = tiny.definition(
        images,
        losses="breaking = { danger = { low = 0.0, high = 1.0 } }\n"
        'never = { type = "breaking", danger = { low = 0.6, high = 1.0 } }',
        search='trials = 4\nsampler = "qmc"\npruner = "none"\nbatch_size = [8]',
        optimizers="sgd = { lr = 0.05 }",
        seeds="1",
        epochs="1",
    )
    (tmp_path / "a.toml").write_text(text)
    shown = cli("run", tmp_path / "a.toml", "--workers", 1, "--storage", storage_url)
    assert shown.code == 1
    assert shown.last == "no result for never+sgd"
    tracker = Tracker(connect(tracking_uri), "tiny", "0")
    records = tracker.records()
    check_finite(tracker, records)
    trials = [r for r in records if r.kind == "trial" and r.combination == "breaking+sgd"]
    wild = [r for r in trials if float(r.params["loss.danger"]) > 0.5]
    assert 0 < len(wild) < len(trials) == 4
    assert {r.number for r in trials if r.diverged} == {r.number for r in wild}
    ranking = json.loads(cli("compare", "tiny", "--format", "json").out)
    first, last = ranking["combinations"]
    assert (first["combination"], first["diverged"]) == ("breaking+sgd", len(wild))
    assert (last["combination"], last["rank"], last["diverged"]) == ("never+sgd", None, 4)
    assert float(first["settings"]["loss.danger"]) <= 0.5
    check_studies(storage_url)


def check_studies(storage_url: str) -> None:
    """Check that diverged trials are failed in Optuna, and that all stored values are finite."""
    import optuna

    storage = optuna.storages.get_storage(storage_url)
    for study in storage.get_all_studies():
        for each in storage.get_all_trials(study._study_id):
            assert each.state.name in ("COMPLETE", "FAIL")
            values = [*(each.values or []), *each.intermediate_values.values()]
            assert all(map(math.isfinite, values))
            assert (each.state.name == "COMPLETE") == bool(each.values)
