"""Types of values and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., None]


class Whole(click.IntRange):
    """A whole number from 1 on, called so in messages: click says `integer range`."""

    name = "whole number"

    def __init__(self) -> None:
        super().__init__(1)


class Finite(click.FloatRange):
    """A number within bounds; click lets `nan` through, which is within and beyond all of them."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is not finite."""
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
    help="Trainings side by side.  [default: one a core, or as many as can be; 1 on a GPU]",
)
threads_option = click.option(
    "--threads", type=Whole(), help="Threads of each training.  [default: cores / workers]"
)
data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where the data set's files are."
)


def definition_options(command: Command) -> Command:
    """Add what `run` and `plan` take: a definition, changes of it, and how many work on it."""
    options = [
        click.argument("experiment", metavar="EXPERIMENT.toml", type=click.Path(path_type=Path)),
        click.option("--trials", type=Whole(), help="Trials per combination, in total."),
        click.option("--epochs", type=Whole(), help="Epochs per training."),
        click.option("--seeds", type=Whole(), help="Confirmations per combination."),
        click.option("--precision", help="fp32, bf16 or auto."),
        click.option("--dataset", help="Another data set than the definition's."),
        data_dir_option,
        workers_option,
        threads_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cifar_exp")
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks; goes anywhere.")
def cli() -> None:
    """Rank loss functions and optimizers for an image classification task."""
