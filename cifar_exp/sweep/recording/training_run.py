"""What MLflow records of a training: params, metrics of each epoch, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import Loss
from cifar_exp.components.settings import Settings
from cifar_exp.experiment import TrialConfig
from cifar_exp.tracking import Run
from cifar_exp.training import hardware
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Outcome


def params(config: TrialConfig, data: Dataset, threads: int) -> dict[str, Any]:
    """Return the params of a training: everything that it depends on, including default settings.

    Args:
        config: The training.
        data: Its data set.
        threads: CPU threads of the process that trains.
    """
    return {
        "dataset": data.name,
        **data.changes,
        "model": config.model.type,
        **{f"model.{name}": value for name, value in config.model.params().items()},
        "loss": config.loss,
        **_settings("loss", config.loss_settings),
        "optimizer": config.optimizer,
        **_settings("optimizer", config.optimizer_settings),
        **_schedule(config),
        "lr": config.lr,
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "seed": config.seed,
        "precision": config.precision,
        "augment": str(config.augment),
        "compile": config.compile,
        **({} if config.ema is None else {"ema": config.ema}),
        "threads": threads,
        "device": hardware.device().type,
    }


def _schedule(config: TrialConfig) -> dict[str, Any]:
    """Return the params of the schedule; empty if the definition has none."""
    if config.schedule is None:
        return {}
    return {"schedule": config.schedule, **_settings("schedule", config.schedule_settings)}


def _settings(component: str, settings: Settings) -> dict[str, Any]:
    """Return settings as params; the default of a `Later` one is left out, as in older runs."""
    values = dict(settings)
    left_out = settings.uncounted(values)
    return {f"{component}.{name}": values[name] for name in values if name not in left_out}


def epoch_metrics(metrics: EpochMetrics) -> dict[str, float]:
    """Return the metrics of an epoch by the names under which they are logged."""
    return {
        "train/loss": metrics.train_loss,
        **metrics.val.named("val/"),
        **({} if metrics.val_ema is None else metrics.val_ema.named("val_ema/")),
        "epoch_seconds": metrics.seconds,
        "images_per_second": metrics.images_per_second,
    }


def end(run: Run, outcome: Outcome, data: Dataset, loss: Loss, *, keep_model: bool) -> None:
    """Write the outcome of a training to its run and close the run; files are written first.

    The file of the trained network is deleted.
    """
    if outcome.tested is not None:
        run.log_predictions(outcome.tested.predictions)
    if outcome.network is not None:
        if keep_model:
            run.log_model(outcome.network, data, loss)
        outcome.network.unlink()
    run.end_training(outcome.state, outcome.metrics(), _tags(outcome))


def _tags(outcome: Outcome) -> Mapping[str, str]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    diverged = {"diverged": "true"} if outcome.diverged else {}
    return {"trained_together": str(outcome.together), **reason, **diverged}
