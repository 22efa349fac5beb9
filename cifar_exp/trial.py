"""One training from its first epoch to its record in MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from cifar_exp import training
from cifar_exp.datasets import Dataset, Split
from cifar_exp.evaluation import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.record import TrialState
from cifar_exp.tracking import Run
from cifar_exp.training import Diverged, EpochMetrics

Stop = Callable[[EpochMetrics], bool]


class TrainingError(Exception):
    """A training broke: a network that cannot take the images, memory that ran out, a bug."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a training ended; `val_accuracy` is that of its last epoch."""

    state: TrialState
    epochs: int = 0
    val_accuracy: float | None = None
    reason: str | None = None
    diverged: bool = False


def record(
    config: TrialConfig,
    data: Dataset,
    run: Run,
    *,
    stop: Stop = lambda _: False,
    test: Split | None = None,
    keep_model: Callable[[Outcome], bool] = lambda _: True,
) -> Outcome:
    """Train a network and record the training, whatever its end, in `run`.

    Its metric `seconds` is wall time from building the network to the last score, without what
    the process does once (`training.warm_up`) and without storing the model.

    Args:
        config: The training.
        data: The data set.
        run: The open run; it is closed.
        stop: Asked after each epoch whether to prune the training there.
        test: Scored once with a network that was trained to the end; its predictions are stored.
        keep_model: Asked at the end of a complete training whether to store the network.
    """
    training.warm_up(config, data)
    started = time.perf_counter()
    run.log_dataset(data)
    model = training.build_model(config, data)
    tested: Evaluation | None = None
    try:
        outcome = _follow(training.train(model, config, data), run, stop)
        if test is not None and outcome.state == "COMPLETE":
            loss, precision = config.loss_settings, config.precision
            tested = _guarded(training.evaluate, model, loss, test, precision)
    except Diverged as error:
        outcome = Outcome(
            state="FAIL", epochs=config.epochs, reason=f"{error} on the test set", diverged=True
        )
    except TrainingError as error:
        outcome = Outcome(state="FAIL", reason=str(error))
    final = {**_final(outcome, tested), "seconds": time.perf_counter() - started}
    if tested:
        run.log_predictions(tested.predictions)
    if outcome.state == "COMPLETE" and keep_model(outcome):
        run.log_model(model, data)
    run.end_training(outcome.state, final, _tags(outcome))
    return outcome


def params(config: TrialConfig, data: Dataset) -> dict[str, Any]:
    """Name all that a training depends on, as it is logged: each setting, its default or not."""
    return {
        "dataset": data.name,
        "model": config.model,
        "loss": config.loss,
        **{f"loss.{name}": value for name, value in config.loss_settings},
        "optimizer": config.optimizer,
        **{f"optimizer.{name}": value for name, value in config.optimizer_settings},
        "lr": config.lr,
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "seed": config.seed,
        "precision": config.precision,
        "augment": config.augment,
        "compile": config.compile,
        "threads": torch.get_num_threads(),
        "device": training.device().type,
    }


def epoch_metrics(metrics: EpochMetrics) -> dict[str, float]:
    """Name what an epoch measured, as it is logged."""
    return {
        "train/loss": metrics.train_loss,
        **metrics.val.named("val/"),
        "epoch_seconds": metrics.seconds,
        "images_per_second": metrics.images_per_second,
    }


def _follow(epochs: Iterator[EpochMetrics], run: Run, stop: Stop) -> Outcome:
    """Log each epoch; end early where `stop` says so, or the training diverges."""
    outcome = Outcome(state="COMPLETE")
    try:
        while (metrics := _guarded(next, epochs, None)) is not None:
            run.log_epoch(metrics.epoch, epoch_metrics(metrics))
            reached = {"epochs": metrics.epoch, "val_accuracy": metrics.val.accuracy}
            outcome = Outcome(state="COMPLETE", **reached)
            if stop(metrics):
                return Outcome(state="PRUNED", **reached)
    except Diverged as error:
        reason = f"{error} in epoch {outcome.epochs + 1}"
        return Outcome(state="FAIL", epochs=outcome.epochs, reason=reason, diverged=True)
    return outcome


def _guarded(step: Callable[..., Any], *arguments: Any) -> Any:
    """Take a step of the training; what breaks there ends this training, not the sweep."""
    try:
        return step(*arguments)
    except Diverged:
        raise
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise TrainingError(f"{type(error).__name__}: {first_line}") from error


def _final(outcome: Outcome, tested: Evaluation | None) -> dict[str, float]:
    accuracy = {} if outcome.val_accuracy is None else {"val_accuracy": outcome.val_accuracy}
    scores = tested.scores.named("test_") if tested else {}
    return {**accuracy, "epochs_trained": outcome.epochs, **scores}


def _tags(outcome: Outcome) -> dict[str, str]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {**reason, "diverged": "true"} if outcome.diverged else reason
