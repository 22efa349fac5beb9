"""The commands for a whole definition: `run` and `plan`.

Imports are inside the commands: torch and MLflow take seconds to load, and `--help` must be fast.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cifar_exp.cli.outcome import exit_if_incomplete
from cifar_exp.cli.parameters import (
    Finite,
    cli,
    definition_options,
    storage_option,
    tracking_option,
)
from cifar_exp.display.delivery import print_undelivered


@cli.command()
@definition_options
@click.option(
    "--time-limit",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    help="Time limit of each training; a longer one fails.  [default: no limit]",
)
@click.option(
    "--system-metrics",
    is_flag=True,
    envvar="MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING",
    help="Record the load of this machine during confirmations.",
)
@tracking_option
@storage_option
@click.option("--yes", is_flag=True, help="Skip the check of the number of trainings.")
def run(experiment: Path, yes: bool, **options: Any) -> None:
    """Tune, confirm and rank every combination.

    EXPERIMENT.toml is a file, or a name from `cifar-exp list experiments`. The same command resumes
    an interrupted run and repeats no finished training.
    """
    from cifar_exp.cli import overrides
    from cifar_exp.experiment.size import check_size

    text, definition = overrides.read_definition(experiment, options)
    if not yes:
        check_size(definition, str(experiment), "--yes")

    from cifar_exp.display import console

    screen = console.stdout()
    console.print_size(screen, definition)  # before the slow imports

    from cifar_exp import tracking
    from cifar_exp.api.sweep import execute, request_of

    names = ("workers", "threads", "time_limit", "tracking_uri", "storage", "system_metrics")
    request = request_of(definition, text, **{name: options[name] for name in names})
    ranking, page = execute(request, screen, options["group"])
    console.print_ranking(screen, ranking)

    address = tracking.address(request.tracking_uri, page)
    console.print_next_steps(screen, definition, ranking, *address)
    print_undelivered(request.tracking_uri)
    exit_if_incomplete(ranking)


@cli.command()
@definition_options
def plan(
    experiment: Path, workers: int | None, threads: int | None, group: int | None, **options: Any
) -> None:
    """Check a definition, count its trainings, and estimate their time and disk space."""
    from cifar_exp.cli import overrides

    _, definition = overrides.read_definition(experiment, options)

    from cifar_exp.display import console, progress
    from cifar_exp.display.data import print_data
    from cifar_exp.sweep import prepare
    from cifar_exp.sweep.plan import measure

    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare.prepare(definition, watch)
    print_data(screen, data)
    workers, threads = prepare.allotment(definition, workers, threads)
    width = prepare.group_width(definition, data, group)
    planned = measure(definition, data, workers, threads, width)
    console.print_plan(screen, definition, planned, workers)
    if (group or width) > 1:
        console.print_alone(screen, prepare.trained_alone(definition, data))
