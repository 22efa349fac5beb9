"""The commands for a whole definition: `run` and `plan`.

Imports are inside the commands: torch and MLflow take seconds to load, and `--help` must be fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifar_exp.cli.outcome import exit_if_incomplete, print_undelivered
from cifar_exp.cli.parameters import (
    Finite,
    cli,
    definition_options,
    storage_option,
    tracking_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cifar_exp.comparison import Ranking
    from cifar_exp.experiment import Experiment
    from cifar_exp.sweep.sweep import Sweep


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

    The same command resumes an interrupted run and repeats no finished training.
    """
    from cifar_exp.cli import overrides
    from cifar_exp.experiment import definition_text, named, read

    text = definition_text(experiment, overrides.changes(options))
    definition = named.read(lambda: read(text, str(experiment), overrides.words(options)))
    if not yes:
        overrides.check_size(definition, experiment)

    from cifar_exp.cli import console

    screen = console.stdout()
    console.print_size(screen, definition)  # before the slow imports

    request = _sweep(definition, text, options)
    ranking, page = _run(request, screen, options["group"])
    console.print_ranking(screen, ranking)

    from cifar_exp import tracking

    address = tracking.address(request.tracking_uri, page)
    console.print_next_steps(screen, definition, ranking, *address)
    print_undelivered(request.tracking_uri)
    exit_if_incomplete(ranking)


def _sweep(definition: Experiment, text: str, options: Mapping[str, Any]) -> Sweep:
    """Combine the definition with the options that do not change it."""
    from cifar_exp import study, tracking
    from cifar_exp.sweep import sweep

    workers, threads = _allotment(definition, options["workers"], options["threads"])
    return sweep.Sweep(
        experiment=definition,
        definition=text,
        tracking_uri=tracking.resolve_uri(options["tracking_uri"]),
        storage_url=options["storage"] or study.default_url(),
        workers=workers,
        threads=threads,
        time_limit=options["time_limit"],
        system_metrics=options["system_metrics"],
    )


def _allotment(definition: Experiment, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Return the number of workers, of which each has something to do, and the threads of each."""
    from cifar_exp.sweep.schedule.scheduler import max_workers, num_side_by_side
    from cifar_exp.training.hardware import allotment

    wanted = None if workers is None else min(workers, max_workers(definition))
    return allotment(num_side_by_side(definition), wanted, threads)


def _run(request: Sweep, screen: Console, group: int | None) -> tuple[Ranking, str]:
    """Run the pre-flight checks and the sweep; return its ranking and its page in MLflow."""
    from cifar_exp.cli import console, progress
    from cifar_exp.cli.data import print_data
    from cifar_exp.sweep import prepare, sweep

    prepare.check_stores(*request.stores)
    with progress.data_progress(screen) as data_watch:
        data = prepare.prepare(request.experiment, data_watch)
    print_data(screen, data)
    width = prepare.group_width(request.experiment, data, group)
    request = replace(request, width=width)
    console.print_workers(screen, request.workers, request.threads, width)
    if (group or width) > 1:
        console.print_alone(screen, prepare.trained_alone(request.experiment, data))
    num_trainings = request.experiment.num_trainings
    with progress.sweep_progress(screen, num_trainings, request.workers) as watch:
        return sweep.run(request, data, watch)


@cli.command()
@definition_options
def plan(
    experiment: Path, workers: int | None, threads: int | None, group: int | None, **options: Any
) -> None:
    """Check a definition, count its trainings, and estimate their time and disk space."""
    from cifar_exp.cli import overrides
    from cifar_exp.experiment import definition_text, named, read

    text = definition_text(experiment, overrides.changes(options))
    definition = named.read(lambda: read(text, str(experiment), overrides.words(options)))

    from cifar_exp.cli import console, progress
    from cifar_exp.cli.data import print_data
    from cifar_exp.sweep import prepare
    from cifar_exp.sweep.plan import measure

    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare.prepare(definition, watch)
    print_data(screen, data)
    workers, threads = _allotment(definition, workers, threads)
    width = prepare.group_width(definition, data, group)
    planned = measure(definition, data, workers, threads, width)
    console.print_plan(screen, definition, planned, workers)
    if (group or width) > 1:
        console.print_alone(screen, prepare.trained_alone(definition, data))
