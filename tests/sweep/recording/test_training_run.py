from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.entities import RunTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.components.models import read_model
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import RunRecord
from cifar_exp.sweep.recording import training_run
from cifar_exp.system.signals import Terminated
from cifar_exp.tracking import (
    Point,
    Run,
    StoreError,
    Tracker,
    read_predictions,
    stored_models,
)
from cifar_exp.tracking.artifacts import model as artifacts
from cifar_exp.training import checkpoint, evaluation, learner, loop, untrained
from cifar_exp.training.checkpoint import Checkpoint, CheckpointFile, key_of
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Outcome
from tests import tiny
from tests.bench import SCALED, SCORES
from tests.recorded import train_recorded


@pytest.fixture
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images)


Open = Callable[[TrialConfig], Run]


@pytest.fixture
def open_run(tracker: Tracker, data: Dataset) -> Open:
    def open_(config: TrialConfig) -> Run:
        return tracker.new_run(
            "trial",
            "it",
            tags={},
            params=training_run.params(config, data, torch.get_num_threads()),
        )

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
    outcome = train_recorded(config, data, open_run(config))
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

    monkeypatch.setattr(learner, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(loop, "warm_up", passes(100, loop.warm_up))
    monkeypatch.setattr(untrained, "build_model", passes(3, untrained.build_model))
    monkeypatch.setattr(Run, "log_model", passes(20, Run.log_model))
    train_recorded(config, data, open_run(config))
    assert only(tracker).metrics["seconds"] == 3


def test_every_epoch_is_one_point_of_every_metric(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    run = open_run(config)
    train_recorded(config, data, run)
    expected = list(loop.train(untrained.build_model(config, data), config, data))
    for name, values in {
        "train/loss": [e.train_loss for e in expected],
        "val/accuracy": [e.val.accuracy for e in expected],
        "val/nll": [e.val.values["nll"] for e in expected],
        "val/brier": [e.val.values["brier"] for e in expected],
        "val/ece": [e.val.values["ece"] for e in expected],
        "val/ece_adaptive": [e.val.values["ece_adaptive"] for e in expected],
        "val/macro_f1": [e.val.values["macro_f1"] for e in expected],
    }.items():
        history = tracker.client.get_metric_history(run.run_id, name)
        assert [(point.step, point.value) for point in history] == list(enumerate(values, start=1))
    for name in ("epoch_seconds", "images_per_second"):
        assert len(tracker.client.get_metric_history(run.run_id, name)) == config.epochs
    assert "val/top5" not in only(tracker).metrics  # three classes


def test_params_name_all_that_the_training_depends_on(
    config: TrialConfig, tracker: Tracker, open_run: Open
) -> None:
    open_run(config.model_copy(update={"augment": AUGMENTATIONS["flip"](), "compile": True}))
    assert only(tracker).params == {
        "dataset": "folder",
        "model": "seed_cnn_relu",
        "loss": "cross_entropy",
        "loss.label_smoothing": "0.0",
        "optimizer": "sgd",
        "optimizer.weight_decay": "0.0",
        "optimizer.decay_bias": "True",
        "optimizer.momentum": "0.0",
        "optimizer.dampening": "0.0",
        "optimizer.nesterov": "False",
        "lr": "0.05",
        "batch_size": "8",
        "epochs": "2",
        "seed": "0",
        "precision": "fp32",
        "augment": "flip",
        "compile": "True",
        "threads": str(torch.get_num_threads()),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }


def test_a_pruned_training_ends_where_it_is_told_to(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    run = open_run(config)
    outcome = train_recorded(config, data, run, test=True, stop=lambda m: m.epoch == 1)
    record = only(tracker)
    assert (outcome.state, outcome.epochs, outcome.tested) == ("PRUNED", 1, None)
    assert (record.state, record.status) == ("PRUNED", "KILLED")
    assert record.metrics["epochs_trained"] == 1
    assert stored(tracker) == []


def test_a_diverged_training_is_an_outcome_without_infinite_metrics(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    wild = config.model_copy(update={"lr": 1e30})
    outcome = train_recorded(wild, data, open_run(wild), test=True)
    record = only(tracker)
    assert (outcome.diverged, outcome.tested, outcome.val_accuracy) == (True, None, None)
    assert (record.state, record.status, record.diverged) == ("FAIL", "FAILED", True)
    assert "not finite" in record.tags["reason"]
    assert all(abs(value) < 1e300 for value in record.metrics.values())


def test_a_training_that_breaks_is_recorded_with_its_reason(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    broken = replace(data, train=replace(data.train, labels=data.train.labels + 100))
    outcome = train_recorded(config, broken, open_run(config))
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

    build_model = untrained.build_model
    monkeypatch.setattr(untrained, "build_model", watched)
    train_recorded(config, data, open_run(config), test=True, keep_model=False)
    num_validations = config.epochs + 1  # the last one for the temperature
    assert sum(passed) == num_validations * len(data.val) + len(data.test)
    record = only(tracker)
    predictions = read_predictions(tracker.client, record.run_id)
    assert predictions.label.tolist() == data.test.labels.tolist()
    assert record.metrics["test_accuracy"] == predictions.correct.mean()
    assert {name for name in record.metrics if name.startswith("test")} == {
        f"test_{name}" for name in SCORES | SCALED
    }


def test_six_classes_have_a_top_five(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    six = replace(data, classes=tuple("abcdef"))
    train_recorded(config, six, open_run(config), test=True)
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
            train_recorded(config, data, open_run(config), test=True)
    assert "test_accuracy" in only(tracker).metrics
    assert not only(tracker).finished
    again = tracker.open_run(
        "trial", "it", tags={}, params=training_run.params(config, data, torch.get_num_threads())
    )
    train_recorded(config, data, again, test=True)
    record = only(tracker)
    assert record.finished
    taken_up = tracker.client.get_run(record.run_id)
    assert len(stored_models(tracker.client, taken_up)) == 1  # the first attempt's is deleted
    measured = {"seconds", "epoch_seconds", "images_per_second", "peak_memory", "peak_gpu_memory"}
    for name in record.metrics.keys() - measured:  # which differ in each attempt
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
        train_recorded(config, data, open_run(config), test=True)
    assert not only(tracker).finished
    first = read_predictions(tracker.client, only(tracker).run_id)

    monkeypatch.undo()
    there = tracker.client.get_run(only(tracker).run_id)
    taken_up = Run(tracker.client, there.info, logged_epochs=2)
    train_recorded(config, data, taken_up, test=True)
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
        train_recorded(config, data, open_run(config), test=True)
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
            raise evaluation.Diverged("an output of the network is not finite")
        return evaluate(*arguments)

    evaluate = evaluation.evaluate
    monkeypatch.setattr(evaluation, "evaluate", only_validates)
    outcome = train_recorded(config, data, open_run(config), test=True)
    record = only(tracker)
    assert (outcome.state, outcome.diverged, record.diverged) == ("FAIL", True, True)
    assert not [name for name in record.metrics if name.startswith("test")]
    with pytest.raises(StoreError):
        read_predictions(tracker.client, record.run_id)


@pytest.mark.parametrize("kept", [True, False])
def test_the_file_of_a_network_is_stored_or_not_and_then_removed(
    config: TrialConfig,
    data: Dataset,
    open_run: Open,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kept: bool,
) -> None:
    given: list[Path] = []
    monkeypatch.setattr(Run, "log_model", lambda _, network, *__: given.append(network))
    network = tmp_path / "it.pth"
    network.touch()
    outcome = Outcome(state="COMPLETE", epochs=2, val_accuracy=0.5, network=network)
    training_run.end(open_run(config), outcome, data, config.loss_settings, keep_model=kept)
    assert given == ([network] if kept else [])
    assert not network.exists()


LOAD = """
import json, sys
sys.modules["cifar_exp"] = None  # the artifact must load where the package is not installed
import mlflow, numpy as np
images, labels, *model_ids = sys.argv[1:]
for model_id in model_ids:
    logits = mlflow.pyfunc.load_model(f"models:/{model_id}").predict(np.load(images))
    print(json.dumps((logits.argmax(1) == np.load(labels)).mean()))
"""


def test_stored_models_reproduce_their_validation_accuracy_in_a_fresh_process(
    config: TrialConfig, tracker: Tracker, open_run: Open, tmp_path: Path
) -> None:
    data = tiny.dataset(tiny.write_images(tmp_path / "images", size=32))
    accuracies = {}
    cosine = {"type": "seed_cnn", "head": "cosine"}
    for model in ("seed_cnn_relu", "torchvision:squeezenet1_1", cosine):
        chosen = config.model_copy(update={"model": read_model(model), "epochs": 1, "ema": 0.9})
        run = open_run(chosen)
        outcome = train_recorded(chosen, data, run)
        outputs = tracker.client.get_run(run.run_id).outputs
        assert outputs is not None
        accuracies[outputs.model_outputs[0].model_id] = outcome.val_accuracy
    np.save(tmp_path / "images.npy", data.val.images.numpy())
    np.save(tmp_path / "labels.npy", data.val.labels.numpy())
    arguments = [str(tmp_path / "images.npy"), str(tmp_path / "labels.npy"), *accuracies]
    shown = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": tracker.uri},
    )
    assert [json.loads(line) for line in shown.stdout.splitlines()] == [*accuracies.values()]


def test_the_stored_model_says_what_it_takes_and_needs(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    import mlflow

    train_recorded(config, data, open_run(config))
    [model_id] = stored(tracker)
    info = mlflow.models.get_model_info(f"models:/{model_id}")
    [images], [logits] = info.signature.inputs, info.signature.outputs
    assert (images.type, images.shape) == ("uint8", (-1, 3, 8, 8))
    assert (logits.type, logits.shape) == ("float32", (-1, 3))
    assert info.metadata == {
        "dataset": "folder",
        "dataset.path": data.settings["path"],
        "classes": ["blue", "green", "red"],
        "probabilities": {"loss": "cross_entropy"},
    }


def test_the_stored_model_has_the_name_of_its_run_and_an_example(
    config: TrialConfig, data: Dataset, tracker: Tracker
) -> None:
    import mlflow

    named = {"a.b+sgd #3": "a_b+sgd 3", "a+b study 2 seed 1": "a+b study 2 seed 1"}
    for name, expected in named.items():
        run = tracker.new_run("trial", name, tags={}, params={})
        train_recorded(config, data, run)
        model = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/{expected}")
        assert model.predict(model.input_example).shape == (1, 3)


def test_a_loss_with_a_map_of_its_own_is_in_the_metadata() -> None:
    assert artifacts.probability_map(LOSSES["mse"]()) == {"loss": "cross_entropy"}  # the softmax
    raw = LOSSES["mse"].model_validate({"compare": "logits"})
    described = artifacts.probability_map(raw)
    assert described == {"loss": "mse", "compare": "logits", "class_weights": "none"}


def test_a_run_has_the_names_of_the_classes_and_the_folder(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open, images: Path
) -> None:
    run = open_run(config)
    run.log_dataset(data)
    [record] = tracker.records()
    assert record.params["classes"] == "blue, green, red"
    assert record.tags["dataset.path"] == str(images)
    moved = replace(data, settings={"path": "/elsewhere"})
    run.log_dataset(moved)  # the same images in another place
    [record] = tracker.records()
    assert record.tags["dataset.path"] == "/elsewhere"


def test_many_long_names_of_classes_are_shortened(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    """MLflow's params have at most 6,000 characters; the input has all names."""
    names = tuple(f"{'name' * 10} {number}" for number in range(1000))
    run = open_run(config)
    run.log_dataset(replace(data, classes=names))
    [record] = tracker.records()
    assert len(record.params["classes"]) <= 6000
    assert "... sha256:" in record.params["classes"]
    inputs = tracker.client.get_run(run.run_id).inputs
    assert inputs is not None
    [given] = inputs.dataset_inputs
    assert json.loads(given.dataset.profile or "")["class_names"] == list(names)


def test_the_data_set_is_the_runs_input(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open
) -> None:
    train_recorded(config, data, open_run(config))
    inputs = tracker.client.get_run(only(tracker).run_id).inputs
    assert inputs is not None
    [given] = inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("folder", data.fingerprint[:8])
    assert json.loads(given.dataset.profile or "") == {
        "train": 54,  # 90 % of 3 classes of 20 images
        "val": 6,
        "test": 30,
        "classes": 3,
        "class_names": ["blue", "green", "red"],
        "fingerprint": data.fingerprint,
    }


@pytest.fixture
def every_epoch_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "MOST_SHARE", math.inf)
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "kept"))


class Interrupted(Exception):  # noqa: N818 - what a test does to a training
    """A training is left where it is."""


def interrupt_after(epoch: int) -> Callable[[EpochMetrics], bool]:
    def stop(metrics: EpochMetrics) -> bool:
        if metrics.epoch == epoch:
            raise Interrupted
        return False

    return stop


@pytest.mark.usefixtures("every_epoch_kept")
@pytest.mark.parametrize("recorded", [1, 2, 3])
def test_a_training_goes_on_from_its_checkpoint_and_is_recorded_once(
    config: TrialConfig, data: Dataset, tracker: Tracker, open_run: Open, recorded: int
) -> None:
    """Interrupted after two epochs were kept, of which MLflow may hold less, or one more."""
    four = config.model_copy(update={"epochs": 4})
    expected = list(loop.train(untrained.build_model(four, data), four, data))
    with pytest.raises(Interrupted):
        train_recorded(four, data, open_run(four), checkpoint="it", stop=interrupt_after(3))
    run = open_run(four)
    first = training_run.epoch_metrics
    run.log_epochs([Point(m.epoch, 0, first(m)) for m in expected[:recorded]])
    trained: list[int] = []
    again = Run(tracker.client, run.info, logged_epochs=recorded)

    def told(metrics: EpochMetrics) -> bool:
        trained.append(metrics.epoch)
        return False

    outcome = train_recorded(four, data, again, checkpoint="it", stop=told)
    assert (outcome.state, outcome.epochs) == ("COMPLETE", 4)
    assert trained == [1, 2, 3, 4]  # the first two of them from the checkpoint
    history = tracker.client.get_metric_history(run.run_id, "train/loss")
    assert [(p.step, p.value) for p in history] == [(e.epoch, e.train_loss) for e in expected]
    record = tracker.client.get_run(run.run_id)
    assert record.data.metrics["epochs_trained"] == 4


@pytest.mark.usefixtures("every_epoch_kept")
def test_no_epoch_that_is_kept_is_trained_again(
    config: TrialConfig, data: Dataset, open_run: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    train = loop.train

    def watched(*given: Any) -> Iterator[EpochMetrics]:
        if len(given[2].train) > loop.WARM_UP_IMAGES:
            begun.append(given[4])
        return train(*given)

    monkeypatch.setattr(loop, "train", watched)
    three = config.model_copy(update={"epochs": 3})
    with pytest.raises(Interrupted):
        train_recorded(three, data, open_run(three), checkpoint="it", stop=interrupt_after(3))
    train_recorded(three, data, open_run(three), checkpoint="it")
    train_recorded(three, data, open_run(three), checkpoint="it")  # its outcome was not recorded
    assert begun == [0, 2, 3]


@pytest.mark.usefixtures("every_epoch_kept")
def test_the_time_of_earlier_attempts_counts(
    config: TrialConfig, data: Dataset, open_run: Open
) -> None:
    model = untrained.build_model(config, data)
    optimizer = untrained.build_optimizer(model, config)
    epochs = [next(loop.train(model, config, data, optimizer))]
    file = CheckpointFile("it", key_of(config, data.fingerprint))
    extra = {"loss_memory": torch.zeros(0, data.num_classes)}
    file.save(Checkpoint.of(model.state_dict(), optimizer.state_dict(), epochs, 1000.0, extra))
    outcome = train_recorded(config, data, open_run(config), checkpoint="it")
    assert 1000 < outcome.seconds < 1100


@pytest.mark.usefixtures("every_epoch_kept")
def test_a_checkpoint_of_another_network_costs_its_epochs_alone(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = config.model_copy(update={"model": read_model("lenet")})
    model = untrained.build_model(other, tiny_32(data))
    optimizer = untrained.build_optimizer(model, other)
    file = CheckpointFile("it", key_of(config, data.fingerprint))
    file.save(Checkpoint.of(model.state_dict(), optimizer.state_dict(), [], 5.0))
    outcome = train_recorded(config, data, open_run(config), checkpoint="it")
    assert (outcome.state, outcome.epochs) == ("COMPLETE", 2)
    assert caplog.text.count("is not used, training restarts") == 1
    [first] = loop.train(
        untrained.build_model(config, data), config.model_copy(update={"epochs": 1}), data
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

    monkeypatch.setattr(CrossEntropy, "__call__", broken)
    outcome = train_recorded(config, data, open_run(config))
    record = only(tracker)
    assert (outcome.state, outcome.reason, outcome.diverged) == ("FAIL", reason, False)
    assert (record.status, record.tags["reason"]) == ("FAILED", reason)


def test_a_training_that_breaks_later_has_trained_the_epochs_before(
    config: TrialConfig,
    data: Dataset,
    tracker: Tracker,
    open_run: Open,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluate, epochs = evaluation.evaluate, itertools.count(1)

    def breaking(*given: Any) -> Evaluation:
        if next(epochs) == 2:
            raise MemoryError
        return evaluate(*given)

    loop.warm_up(config, data)  # which validates, too
    monkeypatch.setattr(evaluation, "evaluate", breaking)
    outcome = train_recorded(config, data, open_run(config))
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
    train_recorded(config, data, open_run(config))
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

    monkeypatch.setattr(untrained, "build_model", ended)
    with pytest.raises(type(error)):
        train_recorded(config, data, open_run(config))
    assert not only(tracker).finished


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
    train_recorded(config, data, open_run(config))
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

    def falling(self: CrossEntropy, *given: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return plain(self, *given) * (1 if steps <= 7 else float("-inf"))

    long = config.model_copy(update={"epochs": 5})  # 7 steps an epoch
    loop.warm_up(long, data)
    monkeypatch.setattr(CrossEntropy, "__call__", falling)
    outcome = train_recorded(long, data, open_run(long))
    assert outcome.diverged
    assert steps <= 14  # not one epoch more
    history = tracker.client.get_metric_history(only(tracker).run_id, "train/loss")
    assert [point.step for point in history] == [1]
