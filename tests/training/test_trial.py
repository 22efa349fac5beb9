from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.entities import RunTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import RunRecord
from cifar_exp.system.signals import Terminated
from cifar_exp.tracking import Run, StoreError, Tracker, mlflow_experiment, read_predictions
from cifar_exp.tracking.store.connect import connect
from cifar_exp.training import loop, trial
from cifar_exp.training.checkpoint import Checkpoint
from tests import tiny


@pytest.fixture
def tracker(tracking_uri: str) -> Tracker:
    return Tracker(tracking_uri, "tiny", mlflow_experiment(connect(tracking_uri), "tiny"))


@pytest.fixture
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images)


Open = Callable[[TrialConfig], Run]


@pytest.fixture
def open_run(tracker: Tracker, data: Dataset) -> Open:
    def open_(config: TrialConfig) -> Run:
        return tracker.new_run("trial", "it", tags={}, params=trial.params(config, data))

    return open_


def only(tracker: Tracker) -> RunRecord:
    [record] = tracker.records()
    return record


def stored(tracker: Tracker) -> list[str]:
    """The ids of the models that the run has stored."""
    outputs = tracker.client.get_run(only(tracker).run_id).outputs
    assert outputs is not None
    return [output.model_id for output in outputs.model_outputs]


def test_a_complete_training_is_recorded(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    outcome = trial.record(config, data, open_run(config))
    record = only(tracker)
    assert (record.state, record.status) == ("COMPLETE", "FINISHED")
    assert record.metrics["val_accuracy"] == outcome.val_accuracy == record.metrics["val/accuracy"]
    assert record.metrics["epochs_trained"] == config.epochs
    assert record.metrics["seconds"] > 0
    assert not [name for name in record.metrics if name.startswith("test")]
    with pytest.raises(StoreError, match="holds no predictions"):
        read_predictions(tracker.client, record.run_id)


def test_seconds_are_without_what_a_process_does_once(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]

    def passes(seconds: float, step: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any) -> Any:
            clock[0] += seconds
            return step(*arguments)

        return slow

    monkeypatch.setattr(trial, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(loop, "warm_up", passes(100, loop.warm_up))
    monkeypatch.setattr(loop, "build_model", passes(3, loop.build_model))
    monkeypatch.setattr(Run, "log_model", passes(20, Run.log_model))
    trial.record(config, data, open_run(config))
    assert only(tracker).metrics["seconds"] == 3


def test_every_epoch_is_one_point_of_every_metric(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    run = open_run(config)
    trial.record(config, data, run)
    expected = list(loop.train(loop.build_model(config, data), config, data))
    for name, values in {
        "train/loss": [e.train_loss for e in expected],
        "val/accuracy": [e.val.accuracy for e in expected],
        "val/nll": [e.val.nll for e in expected],
        "val/brier": [e.val.brier for e in expected],
        "val/ece": [e.val.ece for e in expected],
        "val/ece_adaptive": [e.val.ece_adaptive for e in expected],
        "val/macro_f1": [e.val.macro_f1 for e in expected],
    }.items():
        history = tracker.client.get_metric_history(run.run_id, name)
        assert [(point.step, point.value) for point in history] == list(enumerate(values, start=1))
    for name in ("epoch_seconds", "images_per_second"):
        assert len(tracker.client.get_metric_history(run.run_id, name)) == config.epochs
    assert "val/top5" not in only(tracker).metrics  # three classes


def test_params_name_all_that_the_training_depends_on(
    config: TrialConfig, tracker: Tracker, open_run: Open
) -> None:
    open_run(config)
    params = only(tracker).params
    assert params["lr"] == "0.05"
    assert params["batch_size"] == "8"
    assert params["loss.label_smoothing"] == "0.0"
    assert params["optimizer.momentum"] == "0.0"
    assert params["threads"] == str(torch.get_num_threads())
    assert set(params) >= {"dataset", "model", "loss", "optimizer", "epochs", "seed", "device"}
    assert params["precision"] == "fp32"


def test_a_pruned_training_ends_where_it_is_told_to(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    outcome = trial.record(config, data, open_run(config), stop=lambda m: m.epoch == 1)
    record = only(tracker)
    assert (outcome.state, outcome.epochs) == ("PRUNED", 1)
    assert (record.state, record.status) == ("PRUNED", "KILLED")
    assert stored(tracker) == []


def test_a_diverged_training_is_an_outcome_without_infinite_metrics(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    wild = config.model_copy(update={"lr": 1e30})
    outcome = trial.record(wild, data, open_run(wild))
    record = only(tracker)
    assert outcome.diverged
    assert (record.state, record.status, record.diverged) == ("FAIL", "FAILED", True)
    assert "not finite" in record.tags["reason"]
    assert all(abs(value) < 1e300 for value in record.metrics.values())


def test_a_training_that_breaks_is_recorded_with_its_reason(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    broken = replace(data, train=replace(data.train, labels=data.train.labels + 100))
    outcome = trial.record(config, broken, open_run(config))
    record = only(tracker)
    assert (outcome.state, outcome.diverged) == ("FAIL", False)
    assert (record.status, record.diverged) == ("FAILED", False)
    assert record.tags["reason"].startswith("IndexError: ")


def test_the_test_split_is_passed_once_and_gives_scores_and_predictions(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed: list[int] = []

    def watched(*arguments: Any) -> torch.nn.Module:
        model = build_model(*arguments)
        model.register_forward_hook(
            lambda module, inputs, _: passed.append(0 if module.training else len(inputs[0]))
        )
        return model

    build_model = loop.build_model
    monkeypatch.setattr(loop, "build_model", watched)
    trial.record(config, data, open_run(config), test=data.test, keep_model=lambda _: False)
    assert sum(passed) == config.epochs * len(data.val) + len(data.test)
    record = only(tracker)
    predictions = read_predictions(tracker.client, record.run_id)
    assert predictions.label.tolist() == data.test.labels.tolist()
    assert record.metrics["test_accuracy"] == predictions.correct.mean()
    names = {"accuracy", "nll", "brier", "ece", "ece_adaptive", "macro_f1"}
    assert {name for name in record.metrics if name.startswith("test")} == {
        f"test_{name}" for name in names
    }


def test_six_classes_have_a_top_five(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    six = replace(data, classes=tuple("abcdef"))
    trial.record(config, six, open_run(config), test=data.test)
    metrics = only(tracker).metrics
    assert metrics["val/accuracy"] <= metrics["val/top5"] <= 1
    assert metrics["test_accuracy"] <= metrics["test_top5"] <= 1


def test_an_outcome_that_was_half_written_is_there_once(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MLflow's store writes the metrics of a request before its tags, on their own."""
    set_tags: Any = SqlAlchemyStore._set_tags

    def killed(store: SqlAlchemyStore, run_id: str, tags: list[RunTag]) -> None:
        if "trial_state" in {tag.key for tag in tags}:
            raise KeyboardInterrupt
        set_tags(store, run_id, tags)

    with monkeypatch.context() as patch:
        patch.setattr(SqlAlchemyStore, "_set_tags", killed)
        with pytest.raises(KeyboardInterrupt):
            trial.record(config, data, open_run(config), test=data.test)
    assert "test_accuracy" in only(tracker).metrics
    assert not only(tracker).finished
    again = tracker.open_run("trial", "it", tags={}, params=trial.params(config, data))
    trial.record(config, data, again, test=data.test)
    record = only(tracker)
    assert record.finished
    for name in record.metrics.keys() - {"seconds", "epoch_seconds", "images_per_second"}:
        points = tracker.client.get_metric_history(record.run_id, name)
        assert len({point.step for point in points}) == len(points), name


def test_predictions_are_there_before_the_state_is(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "end_training", killed)
    with pytest.raises(KeyboardInterrupt):
        trial.record(config, data, open_run(config), test=data.test)
    assert not only(tracker).finished
    first = read_predictions(tracker.client, only(tracker).run_id)

    monkeypatch.undo()
    there = tracker.client.get_run(only(tracker).run_id)
    taken_up = Run(tracker.client, there.info, logged_epochs=2)
    trial.record(config, data, taken_up, test=data.test)
    assert only(tracker).finished
    second = read_predictions(tracker.client, only(tracker).run_id)
    for name, values in asdict(first).items():
        assert np.array_equal(values, asdict(second)[name])


def test_predictions_that_cannot_be_stored_are_no_outcome_of_the_training(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Run, "log_predictions", full)
    with pytest.raises(OSError, match="no space left"):
        trial.record(config, data, open_run(config), test=data.test)
    assert not only(tracker).finished


def test_a_test_split_that_diverges_fails_the_training(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def only_validates(*arguments: Any) -> Evaluation:
        if arguments[2] is data.test:
            raise loop.Diverged("an output of the network is not finite")
        return evaluate(*arguments)

    evaluate = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", only_validates)
    outcome = trial.record(config, data, open_run(config), test=data.test)
    record = only(tracker)
    assert (outcome.state, outcome.diverged, record.diverged) == ("FAIL", True, True)
    assert not [name for name in record.metrics if name.startswith("test")]
    with pytest.raises(StoreError):
        read_predictions(tracker.client, record.run_id)


def test_a_model_can_be_left_out(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    trial.record(config, data, open_run(config), keep_model=lambda _: False)
    assert stored(tracker) == []


LOAD = """
import json, sys
sys.modules["cifar_exp"] = None  # the artifact must load where the package is not installed
import mlflow, numpy as np, torch
model = mlflow.pytorch.load_model(f"models:/{sys.argv[1]}")
images, labels = np.load(sys.argv[2]), np.load(sys.argv[3])
with torch.no_grad():
    logits = model(torch.from_numpy(images))
print(json.dumps((logits.argmax(1).numpy() == labels).mean()))
"""


@pytest.mark.parametrize("model", ["seed_cnn_relu", "torchvision:squeezenet1_1"])
def test_the_stored_model_reproduces_the_validation_accuracy_in_a_fresh_process(
    config: TrialConfig, tracker: Tracker, open_run: Open, tmp_path: Path, model: str
) -> None:
    data = tiny.dataset(tiny.write_images(tmp_path / "images", size=32))
    chosen = config.model_copy(update={"model": model, "epochs": 1})
    outcome = trial.record(chosen, data, open_run(chosen))
    [model_id] = stored(tracker)
    np.save(tmp_path / "images.npy", data.val.images.numpy())
    np.save(tmp_path / "labels.npy", data.val.labels.numpy())
    arguments = [model_id, str(tmp_path / "images.npy"), str(tmp_path / "labels.npy")]
    shown = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, text=True, check=True
    )
    assert json.loads(shown.stdout) == outcome.val_accuracy


def test_the_stored_model_says_what_it_takes_and_needs(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    import mlflow

    trial.record(config, data, open_run(config))
    [model_id] = stored(tracker)
    info = mlflow.models.get_model_info(f"models:/{model_id}")
    [images], [logits] = info.signature.inputs, info.signature.outputs
    assert (images.type, images.shape) == ("uint8", (-1, 3, 8, 8))
    assert (logits.type, logits.shape) == ("float32", (-1, 3))


def test_the_data_set_is_the_runs_input(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    trial.record(config, data, open_run(config))
    inputs = tracker.client.get_run(only(tracker).run_id).inputs
    assert inputs is not None
    [given] = inputs.dataset_inputs
    assert given.dataset.name == "folder"
    assert data.fingerprint.startswith(given.dataset.digest)
    assert json.loads(given.dataset.profile or "")["train"] == len(data.train)


class Kept:
    """Has the checkpoint of an earlier attempt, and takes note of what is asked of it."""

    def __init__(self, held: Checkpoint | None = None) -> None:
        self.held = held
        self.asked: list[range] = []
        self.saved: list[int] = []
        self.removed = False
        self.warned: list[str] = []

    def load(self, epochs: range) -> Checkpoint | None:
        self.asked.append(epochs)
        return self.held

    def save_in_time(self, checkpoint: Checkpoint) -> bool:
        self.saved.append(checkpoint.epoch)
        return True

    def remove(self) -> None:
        self.removed = True

    def warn(self, error: Exception) -> None:
        self.warned.append(str(error))


def test_a_training_goes_on_from_its_checkpoint_and_is_recorded_once(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    four = config.model_copy(update={"epochs": 4})
    expected = list(loop.train(loop.build_model(four, data), four, data))
    model = loop.build_model(four, data)
    optimizer = loop.build_optimizer(model, four)
    first = loop.train(model, four, data, optimizer)
    run = open_run(four)
    for _ in range(2):
        metrics = next(first)
        run.log_epoch(metrics.epoch, trial.epoch_metrics(metrics))
    kept = Kept(Checkpoint.of(model, optimizer, 2, 1000.0))
    again = Run(tracker.client, run.info, logged_epochs=2)
    outcome = trial.record(four, data, again, keeper=kept)
    assert (outcome.state, outcome.epochs) == ("COMPLETE", 4)
    history = tracker.client.get_metric_history(run.run_id, "train/loss")
    assert [(p.step, p.value) for p in history] == [(e.epoch, e.train_loss) for e in expected]
    record = only(tracker)
    assert record.metrics["epochs_trained"] == 4
    assert 1000 < record.metrics["seconds"] < 1100
    assert (kept.asked, kept.saved, kept.removed) == ([range(1, 3)], [3], True)


def test_a_checkpoint_of_another_network_costs_its_epochs_alone(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    other = config.model_copy(update={"model": "lenet"})
    model = loop.build_model(other, tiny_32(data))
    held = Checkpoint.of(model, loop.build_optimizer(model, other), 1, 5.0)
    kept = Kept(held)
    outcome = trial.record(config, data, open_run(config), keeper=kept)
    assert (outcome.state, outcome.epochs, len(kept.warned)) == ("COMPLETE", 2, 1)
    [first] = loop.train(
        loop.build_model(config, data), config.model_copy(update={"epochs": 1}), data
    )
    history = tracker.client.get_metric_history(only(tracker).run_id, "train/loss")
    assert history[0].value == first.train_loss


def tiny_32(data: Dataset) -> Dataset:
    """The data set at the size that some networks need; only its shape matters."""
    large = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    return replace(data, train=replace(data.train, images=large, labels=data.train.labels[:1]))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory at batch size 8"),
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory at batch size 8"),
        (SystemExit(3), "SystemExit: 3"),
        (GeneratorExit(), "GeneratorExit"),
        (RuntimeError("one\ntwo"), "RuntimeError: one"),
    ],
)
def test_whatever_breaks_a_training_is_its_outcome(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    reason: str,
) -> None:
    def broken(*_: object) -> None:
        raise error

    kept = Kept()
    monkeypatch.setattr(CrossEntropy, "__call__", broken)
    outcome = trial.record(config, data, open_run(config), keeper=kept)
    record = only(tracker)
    assert (outcome.state, outcome.reason, outcome.diverged) == ("FAIL", reason, False)
    assert (record.status, record.tags["reason"], kept.removed) == ("FAILED", reason, True)


def test_a_training_that_breaks_later_has_trained_the_epochs_before(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluate, epochs = loop.evaluate, itertools.count(1)

    def breaking(*given: Any) -> Evaluation:
        if next(epochs) == 2:
            raise MemoryError
        return evaluate(*given)

    loop.warm_up(config, data)  # which validates, too
    monkeypatch.setattr(loop, "evaluate", breaking)
    outcome = trial.record(config, data, open_run(config))
    assert (outcome.state, outcome.epochs) == ("FAIL", 1)
    assert only(tracker).metrics["epochs_trained"] == 1


def test_torchs_own_allocator_is_out_of_memory(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CrossEntropy, "__call__", lambda *_: torch.empty(2**50))
    trial.record(config, data, open_run(config))
    assert only(tracker).tags["reason"] == "out of memory at batch size 8"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Terminated()])
def test_what_the_user_ends_is_no_outcome(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    def ended(*_: object) -> None:
        raise error

    kept = Kept()
    monkeypatch.setattr(loop, "build_model", ended)
    with pytest.raises(type(error)):
        trial.record(config, data, open_run(config), keeper=kept)
    assert not only(tracker).finished
    assert not kept.removed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_in_validation_alone_is_divergence(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
) -> None:
    def probabilities(_: object, logits: torch.Tensor) -> torch.Tensor:
        return torch.full_like(logits, value)

    monkeypatch.setattr(CrossEntropy, "probabilities", probabilities)
    trial.record(config, data, open_run(config))
    record = only(tracker)
    assert (record.state, record.diverged) == ("FAIL", True)
    assert all(abs(value) < 1e300 for value in record.metrics.values())
    assert "val_accuracy" not in record.metrics


def test_divergence_ends_a_training_at_once_and_keeps_what_was_finite(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = 0
    plain = CrossEntropy.__call__

    def falling(self: CrossEntropy, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return plain(self, logits, labels) * (1 if steps <= 7 else float("-inf"))

    long = config.model_copy(update={"epochs": 5})  # 7 steps an epoch
    loop.warm_up(long, data)
    monkeypatch.setattr(CrossEntropy, "__call__", falling)
    outcome = trial.record(long, data, open_run(long))
    assert outcome.diverged
    assert steps <= 14  # not one epoch more
    history = tracker.client.get_metric_history(only(tracker).run_id, "train/loss")
    assert [point.step for point in history] == [1]
