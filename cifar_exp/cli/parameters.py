"""Parameter types and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., None]


class Whole(click.IntRange):
    """A whole number of at least 1, named so in messages; click's own name is `integer range`."""

    name = "whole number"

    def __init__(self) -> None:
        super().__init__(1)


class Finite(click.FloatRange):
    """A finite number within bounds; click's own range accepts `nan`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a value, and reject one that is not finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


tracking_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow store.  [default: mlflow.db in this folder]",
)
storage_option = click.option(
    "--storage",
    envvar="OPTUNA_STORAGE",
    help="Optuna storage.  [default: optuna.db in this folder]",
)
workers_option = click.option(
    "--workers",
    type=Whole(),
    help="Trainings in parallel.  [default: one per core, or as many as possible; 1 on a GPU]",
)
threads_option = click.option(
    "--threads", type=Whole(), help="Threads of each training.  [default: cores / workers]"
)
data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of the data set's files."
)


def definition_options(command: Command) -> Command:
    """Add the parameters of `run` and `plan`: a definition, its overrides, workers and threads."""
    options = [
        click.argument("experiment", metavar="EXPERIMENT.toml", type=click.Path(path_type=Path)),
        click.option("--trials", type=Whole(), help="Trials per combination, in total."),
        click.option("--epochs", type=Whole(), help="Epochs per training."),
        click.option("--seeds", type=Whole(), help="Confirmations per combination."),
        click.option("--precision", help="fp32, tf32, bf16 or auto."),
        click.option("--dataset", help="Data set to use instead of the definition's."),
        data_dir_option,
        workers_option,
        threads_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cifar_exp")
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show tracebacks; may follow the command."
)
def cli() -> None:
    """Rank loss functions and optimizers for an image classification task."""
