"""One training in this process, recorded in a run like in a sweep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import TrialConfig
from cifar_exp.sweep.recording import training_run
from cifar_exp.tracking import Point, Run
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Outcome, Training
from cifar_exp.training.trainer import train


def train_recorded(
    config: TrialConfig,
    data: Dataset,
    run: Run,
    *,
    test: bool = False,
    stop: Callable[[EpochMetrics], bool] = lambda _: False,
    keep_model: bool = True,
    checkpoint: str | None = None,
) -> Outcome:
    """Train and record; `stop` decides after which epoch the training is pruned."""
    name = str(run.info.run_name)
    training = Training(name=name, config=config, checkpoint=checkpoint, test=test)
    run.log_dataset(data)
    with TemporaryDirectory() as folder:
        steps = train(training, data, Path(folder))
        try:
            metrics = next(steps)
            while True:
                run.log_epochs([Point(metrics.epoch, 0, training_run.epoch_metrics(metrics))])
                metrics = steps.send(not stop(metrics))
        except StopIteration as end:
            outcome: Outcome = end.value
        training_run.end(run, outcome, data, config.loss_settings, keep_model=keep_model)
    return outcome
