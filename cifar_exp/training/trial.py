"""One training from its first epoch to its record in MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from cifar_exp.components.datasets import Dataset, Split
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import TrialState
from cifar_exp.system import fault_injection
from cifar_exp.tracking import Run
from cifar_exp.training import loop
from cifar_exp.training.checkpoint import WRONG, Checkpoint, Keeper, NoCheckpoint
from cifar_exp.training.guard import Guard, TrainingError
from cifar_exp.training.loop import Diverged, EpochMetrics

Stop = Callable[[EpochMetrics], bool]
NO_CHECKPOINT = NoCheckpoint()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a training ended; `val_accuracy` is that of its last epoch."""

    state: TrialState
    epochs: int = 0
    val_accuracy: float | None = None
    reason: str | None = None
    diverged: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Start:
    """A network and its optimizer, before the first epoch that is left to train."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    epochs_done: int = 0
    seconds: float = 0.0
    """What earlier attempts have spent on those epochs."""


def record(
    config: TrialConfig,
    data: Dataset,
    run: Run,
    *,
    stop: Stop = lambda _: False,
    test: Split | None = None,
    keep_model: Callable[[Outcome], bool] = lambda _: True,
    keeper: Keeper = NO_CHECKPOINT,
) -> Outcome:
    """Train a network and record the training, whatever its end, in `run`.

    Its metric `seconds` is wall time from building the network to the last score, without what
    the process does once (`training.warm_up`), without storing the model, and without what an
    interruption has made vain.

    Args:
        config: The training.
        data: The data set.
        run: The open run; it is closed.
        stop: Asked after each epoch whether to prune the training there.
        test: Scored once with a network that was trained to the end; its predictions are stored.
        keep_model: Asked at the end of a complete training whether to store the network.
        keeper: Has the checkpoint that the training goes on from, and keeps the next ones.
    """
    guard = Guard(config.batch_size)
    with suppress(TrainingError):  # the training itself will meet it
        guard(loop.warm_up, config, data)
    started = time.perf_counter()
    run.log_dataset(data)
    start: Start | None = None
    tested: Evaluation | None = None
    outcome = Outcome(state="FAIL", epochs=run.logged_epochs)
    try:
        start = guard(_begin, config, data, keeper, run.logged_epochs)
        epochs = loop.train(start.model, config, data, start.optimizer, start.epochs_done)
        keep = _keeping(keeper, start, started, config.epochs)
        outcome = _follow(epochs, run, guard, stop, keep, start.epochs_done)
        if test is not None and outcome.state == "COMPLETE":
            loss, precision = config.loss_settings, config.precision
            tested = guard(loop.evaluate, start.model, loss, test, precision)
    except Diverged as error:
        outcome = Outcome(
            state="FAIL", epochs=config.epochs, reason=f"{error} on the test set", diverged=True
        )
    except TrainingError as error:
        outcome = Outcome(state="FAIL", epochs=outcome.epochs, reason=str(error))
    before = start.seconds if start else 0.0
    final = {**_final(outcome, tested), "seconds": before + time.perf_counter() - started}
    if tested:
        run.log_predictions(tested.predictions)
    if start and outcome.state == "COMPLETE" and keep_model(outcome):
        run.log_model(start.model, data)
    fault_injection.point("before_end", training=run.info.run_name)
    run.end_training(outcome.state, final, _tags(outcome))
    keeper.remove()
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
        "device": loop.device().type,
    }


def epoch_metrics(metrics: EpochMetrics) -> dict[str, float]:
    """Name what an epoch measured, as it is logged."""
    return {
        "train/loss": metrics.train_loss,
        **metrics.val.named("val/"),
        "epoch_seconds": metrics.seconds,
        "images_per_second": metrics.images_per_second,
    }


def _begin(config: TrialConfig, data: Dataset, keeper: Keeper, logged_epochs: int) -> Start:
    """Build what is trained, and bring it to where an earlier attempt has left it.

    A checkpoint that is ahead of the run is left alone: the epochs between would lack a record.
    """
    checkpoint = keeper.load(range(1, min(logged_epochs + 1, config.epochs)))
    start = _anew(config, data)
    if checkpoint is None:
        return start
    try:
        checkpoint.restore(start.model, start.optimizer)
    except WRONG as error:
        keeper.warn(error)
        return _anew(config, data)
    return replace(start, epochs_done=checkpoint.epoch, seconds=checkpoint.seconds)


def _anew(config: TrialConfig, data: Dataset) -> Start:
    model = loop.build_model(config, data)
    return Start(model=model, optimizer=loop.build_optimizer(model, config))


def _keeping(
    keeper: Keeper, start: Start, started: float, last_epoch: int
) -> Callable[[int], None]:
    """Return what keeps the state after an epoch, where another one follows."""

    def keep(epoch: int) -> None:
        if epoch < last_epoch:
            seconds = start.seconds + time.perf_counter() - started
            keeper.save_in_time(Checkpoint.of(start.model, start.optimizer, epoch, seconds))

    return keep


def _follow(
    epochs: Iterator[EpochMetrics],
    run: Run,
    guard: Guard,
    stop: Stop,
    keep: Callable[[int], None],
    epochs_done: int,
) -> Outcome:
    """Log each epoch, and keep the state; end early where `stop` says so, or it diverges."""
    name = run.info.run_name
    outcome = Outcome(state="COMPLETE", epochs=epochs_done)
    try:
        while (metrics := guard(next, epochs, None)) is not None:
            run.log_epoch(metrics.epoch, epoch_metrics(metrics))
            reached = {"epochs": metrics.epoch, "val_accuracy": metrics.val.accuracy}
            outcome = Outcome(state="COMPLETE", **reached)
            stopped = stop(metrics)
            fault_injection.point("after_epoch", training=name, epoch=metrics.epoch)
            if stopped:
                return Outcome(state="PRUNED", **reached)
            keep(metrics.epoch)
            fault_injection.point("after_checkpoint", training=name, epoch=metrics.epoch)
    except Diverged as error:
        reason = f"{error} in epoch {outcome.epochs + 1}"
        return Outcome(state="FAIL", epochs=outcome.epochs, reason=reason, diverged=True)
    except TrainingError as error:
        return Outcome(state="FAIL", epochs=outcome.epochs, reason=str(error))
    return outcome


def _final(outcome: Outcome, tested: Evaluation | None) -> dict[str, float]:
    accuracy = {} if outcome.val_accuracy is None else {"val_accuracy": outcome.val_accuracy}
    scores = tested.scores.named("test_") if tested else {}
    return {**accuracy, "epochs_trained": outcome.epochs, **scores}


def _tags(outcome: Outcome) -> dict[str, str]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {**reason, "diverged": "true"} if outcome.diverged else reason
