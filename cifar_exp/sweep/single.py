"""A single training, recorded like a trial but outside of any sweep."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cifar_exp import tracking
from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Experiment
from cifar_exp.experiment.named import plugins_used
from cifar_exp.sweep.recording import training_run
from cifar_exp.system import locks, temporary
from cifar_exp.tracking import Point, Run, Tracker
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Outcome, Training
from cifar_exp.training.trainer import Steps, train


@dataclass(frozen=True, kw_only=True, slots=True)
class Single:
    """The request for a single training."""

    experiment: Experiment
    tracking_uri: str
    mlflow_experiment: str
    threads: int


def run(
    single: Single, data: Dataset, after_epoch: Callable[[EpochMetrics], None]
) -> tuple[Outcome, str]:
    """Train once and record it in MLflow.

    Returns:
        The outcome, and the path of the run in MLflow's UI; `tracking.address` returns
        its full address.
    """
    with tracking.delivering(single.tracking_uri, single.mlflow_experiment) as store:
        return _run(replace(single, tracking_uri=store), data, after_epoch)


def _run(
    single: Single, data: Dataset, after_epoch: Callable[[EpochMetrics], None]
) -> tuple[Outcome, str]:
    prepare_process(single.threads)
    temporary.remove_abandoned()
    training = training_of(single.experiment)
    run_ = _open_run(single, training, data)
    try:
        with locks.writing(run_.run_id), temporary.temporary_folder() as folder:
            run_.log_dataset(data)
            run_.log_plugins(plugins_used(single.experiment))
            outcome = _record(train(training, data, folder), run_, after_epoch)
            loss = training.config.loss_settings
            training_run.end(run_, outcome, data, loss, keep_model=True)
    except BaseException:
        run_.end("KILLED")
        raise
    return outcome, run_.page


def training_of(experiment: Experiment) -> Training:
    """Return the training of a definition without a search."""
    [combination] = experiment.combinations()
    (batch_size,) = experiment.search.batch_size
    config = experiment.trial(combination, {"batch_size": batch_size}, experiment.seed)
    return Training(name=combination.name, config=config)


def _open_run(single: Single, training: Training, data: Dataset) -> Run:
    """Open the run of the training: the one `mlflow run` created for this process, or a new one."""
    client = tracking.connect(single.tracking_uri)
    params = training_run.params(training.config, data, single.threads)
    name = single.experiment.name
    inherited = tracking.inherited_run(client)
    if inherited:
        tracker = Tracker(client, name, inherited.info.experiment_id)
        return tracker.adopt(inherited.info.run_id, training.name, {"kind": "train"}, params)
    mlflow_experiment_id = tracking.mlflow_experiment(client, single.mlflow_experiment)
    tracker = Tracker(client, name, mlflow_experiment_id)
    return tracker.new_run("train", training.name, tags={}, params=params)


def _record(steps: Steps, run_: Run, after_epoch: Callable[[EpochMetrics], None]) -> Outcome:
    """Train to the end; log each epoch and call `after_epoch`."""
    epochs = Epochs(steps)
    for metrics in epochs:
        now = int(time.time() * 1000)
        run_.log_epochs([Point(metrics.epoch, now, training_run.epoch_metrics(metrics))])
        after_epoch(metrics)
    return epochs.outcome


class Epochs:
    """The metrics of the epochs of a training, which is never stopped, and then its outcome."""

    outcome: Outcome

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[EpochMetrics]:
        """Train, and yield the metrics of each epoch."""
        try:
            metrics = next(self._steps)
            while True:
                yield metrics
                metrics = self._steps.send(True)
        except StopIteration as end:
            self.outcome = end.value
