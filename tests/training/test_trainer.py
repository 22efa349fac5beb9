"""The steps of a trainer without recording: its answers and its results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import evaluation, loop, untrained
from cifar_exp.training.checkpoint import Checkpoint, CheckpointFile, key_of
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Group, Outcome, Step, Training
from cifar_exp.training.network_file import save_network
from cifar_exp.training.trainer import train, train_group
from tests import tiny

pytestmark = pytest.mark.usefixtures("keep_every_epoch")


@pytest.fixture
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images).model_copy(update={"epochs": 3})


def finished(
    training: Training, data: Dataset, folder: Path, answers: Iterable[bool]
) -> tuple[list[EpochMetrics], Outcome]:
    """Train with these answers after the epochs; return the metrics and the outcome."""
    steps = train(training, data, folder)
    all_metrics: list[EpochMetrics] = []
    for answer in (None, *answers):
        try:
            all_metrics.append(steps.send(answer))  # type: ignore[arg-type]  # None begins
        except StopIteration as end:
            outcome: Outcome = end.value
            return all_metrics, outcome
    raise AssertionError("the training has not ended")


def network_of(outcome: Outcome) -> torch.nn.Module:
    assert outcome.network is not None
    network: torch.nn.Module = torch.load(outcome.network, weights_only=False)
    return network


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_returned_network_is_the_scored_one(
    config: TrialConfig, data: Dataset, tmp_path: Path, precision: Any
) -> None:
    config = config.model_copy(update={"precision": precision})
    training = Training(name="it", config=config, checkpoint="it", test=True)
    all_metrics, outcome = finished(training, data, tmp_path, [True] * 3)
    network = network_of(outcome)
    assert outcome.tested is not None
    temperature = outcome.tested.temperature
    scored = evaluation.evaluate(network, config.loss_settings, data.test, precision, temperature)
    assert outcome.tested.scores == scored.scores
    assert (outcome.state, outcome.epochs, outcome.reason) == ("COMPLETE", 3, None)
    assert outcome.val_accuracy == all_metrics[-1].val.accuracy


def test_a_network_is_saved_in_evaluation_mode_and_not_changed(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout()).train()
    save_network(network, tmp_path / "network.pth")
    saved = torch.load(tmp_path / "network.pth", weights_only=False)
    assert {layer.training for layer in saved.modules()} == {False}
    assert {layer.training for layer in network.modules()} == {True}
    assert all(map(torch.equal, saved.state_dict().values(), network.state_dict().values()))


@pytest.mark.parametrize("kept", [0, 2])
@pytest.mark.parametrize("last", [1, 2, 3])
def test_it_ends_after_the_requested_epoch_even_if_trained_again(
    config: TrialConfig, data: Dataset, tmp_path: Path, kept: int, last: int
) -> None:
    training = Training(name="it", config=config, checkpoint="it", test=True)
    if kept:
        interrupted = train(training, data, tmp_path)
        next(interrupted)
        for _ in range(kept):
            interrupted.send(True)
        interrupted.close()
    all_metrics, outcome = finished(training, data, tmp_path, [*[True] * (last - 1), False])
    assert [metrics.epoch for metrics in all_metrics] == list(range(1, last + 1))
    assert (outcome.state, outcome.epochs) == ("PRUNED", last)
    assert outcome.val_accuracy == all_metrics[-1].val.accuracy
    assert (outcome.tested, outcome.network) == (None, None)


def test_the_members_of_a_group_end_independently(
    config: TrialConfig, data: Dataset, tmp_path: Path
) -> None:
    short = config.model_copy(update={"epochs": 1})
    trainings = tuple(
        Training(name=name, config=each, checkpoint=name)
        for name, each in (("long", config), ("short", short), ("pruned", config))
    )
    steps = train_group(Group(trainings=trainings, data_path=data.path, folder=tmp_path), data)
    found: list[Step] = []
    answers: Any = None
    while not found or found[-1].epochs:
        found.append(steps.send(answers))
        answers = {index: index != 2 for index in found[-1].epochs}
    epochs = [{index: metrics.epoch for index, metrics in step.epochs.items()} for step in found]
    assert epochs == [{0: 1, 1: 1, 2: 1}, {0: 2}, {0: 3}, {}]
    states = [{index: outcome.state for index, outcome in s.outcomes.items()} for s in found]
    assert states == [{}, {1: "COMPLETE", 2: "PRUNED"}, {}, {0: "COMPLETE"}]


def test_tf32_without_such_a_gpu_is_no_result(
    config: TrialConfig, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tf32 = config.model_copy(update={"precision": "tf32"})
    all_metrics, outcome = finished(Training(name="it", config=tf32), data, tmp_path, [])
    assert (all_metrics, outcome.state, outcome.network) == ([], "FAIL", None)
    assert outcome.reason is not None
    assert outcome.reason.startswith("Unavailable: precision tf32 needs a GPU")


@pytest.mark.parametrize("num_networks", [1, 3])
def test_the_temperature_is_fitted_on_the_validation_split(
    config: TrialConfig, data: Dataset, tmp_path: Path, num_networks: int
) -> None:
    """Alone and in a group."""
    trainings = tuple(
        Training(name=str(n), config=config.model_copy(update={"lr": 0.05 / (n + 1)}), test=True)
        for n in range(num_networks)
    )
    steps = train_group(Group(trainings=trainings, data_path=data.path, folder=tmp_path), data)
    answers: Any = None
    step = Step(epochs={}, outcomes={})
    while not step.outcomes:
        step = steps.send(answers)
        answers = dict.fromkeys(step.epochs, True)
    for index, training in enumerate(trainings):
        model = untrained.build_model(training.config, data)
        list(loop.train(model, training.config, data))
        loss = training.config.loss_settings
        expected = evaluation.fit_temperature(model, loss, data.val)
        tested = step.outcomes[index].tested
        assert tested is not None
        assert tested.temperature == pytest.approx(expected, rel=1e-4)
        scaled = evaluation.evaluate(model, loss, data.test, temperature=expected).scores.values
        assert tested.scores.values == pytest.approx(dict(scaled), rel=1e-4)


def failing(calls: Iterator[bool], evaluate: Any) -> Any:
    def evaluated(*given: Any) -> Evaluation:
        if next(calls):
            raise evaluation.Diverged("it diverges")
        found: Evaluation = evaluate(*given)
        return found

    return evaluated


@pytest.mark.parametrize(
    ("fine", "stage"),
    [(0, "in epoch 1"), (1, "in epoch 2"), (2, "in epoch 3"), (3, "on the test set")],
)
def test_a_divergence_is_reported_with_its_epoch(
    config: TrialConfig,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fine: int,
    stage: str,
) -> None:
    loop.warm_up(config, data)  # which also validates
    calls = iter([False] * fine + [True])
    monkeypatch.setattr(evaluation, "evaluate", failing(calls, evaluation.evaluate))
    training = Training(name="it", config=config, checkpoint="it", test=True)
    _, outcome = finished(training, data, tmp_path, [True] * 3)
    assert (outcome.state, outcome.diverged) == ("FAIL", True)
    assert (outcome.reason, outcome.epochs) == (f"it diverges {stage}", fine)
    assert (outcome.val_accuracy, outcome.network) == (None, None)


def test_a_checkpoint_that_fails_to_load_leaves_no_weights(
    config: TrialConfig, data: Dataset, tmp_path: Path
) -> None:
    other = untrained.build_model(config.model_copy(update={"seed": 9}), data)
    stored = Checkpoint.of(other.state_dict(), {"state": {}}, [], 1e9)
    file = CheckpointFile("it", key_of(config, data.fingerprint))
    file.save(stored)
    training = Training(name="it", config=config, checkpoint="it")
    all_metrics, outcome = finished(training, data, tmp_path, [True] * 3)
    expected = list(loop.train(untrained.build_model(config, data), config, data))
    assert [m.train_loss for m in all_metrics] == [m.train_loss for m in expected]
    assert outcome.seconds < 1e9  # the seconds of that checkpoint do not count
