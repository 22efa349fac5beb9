"""The commands that train, compare and plan.

Imports are inside the commands: torch and MLflow take seconds to load, and `--help` must be fast.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifar_exp.cli.parameters import (
    Finite,
    cli,
    data_dir_option,
    definition_options,
    storage_option,
    threads_option,
    tracking_option,
)
from cifar_exp.components import KINDS

if TYPE_CHECKING:
    from rich.console import Console

    from cifar_exp.comparison import Ranking
    from cifar_exp.components.datasets import Dataset
    from cifar_exp.experiment import Experiment
    from cifar_exp.sweep.sweep import Sweep

INCOMPLETE = 1


@cli.command()
@definition_options
@click.option(
    "--time-limit",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    help="Time limit of each training; a longer one fails.  [default: no limit]",
)
@tracking_option
@storage_option
@click.option("--yes", is_flag=True, help="Skip the check of the number of trainings.")
def run(experiment: Path, yes: bool, **options: Any) -> None:
    """Tune, confirm and rank every combination.

    The same command resumes an interrupted run and repeats no finished training.
    """
    from cifar_exp.cli import overrides
    from cifar_exp.experiment import definition_text, read

    text = definition_text(experiment, overrides.changes(options))
    definition = read(text, str(experiment), overrides.words(options))
    if not yes:
        overrides.check_size(definition, experiment)

    from cifar_exp.cli import console

    screen = console.stdout()
    console.print_size(screen, definition)  # before the slow imports

    request = _sweep(definition, text, options)
    ranking, page = _run(request, screen)
    console.print_ranking(screen, ranking)

    from cifar_exp import tracking

    address = tracking.address(request.tracking_uri, page)
    console.print_next_steps(screen, definition, ranking, *address)
    _print_undelivered(request.tracking_uri)
    _exit_if_incomplete(ranking)


def _sweep(definition: Experiment, text: str, options: Mapping[str, Any]) -> Sweep:
    """Combine the definition with the options that do not change it."""
    from cifar_exp import study, tracking
    from cifar_exp.sweep import sweep
    from cifar_exp.sweep.scheduler import num_side_by_side
    from cifar_exp.training.hardware import allotment

    side_by_side = num_side_by_side(definition)
    workers, threads = allotment(side_by_side, options["workers"], options["threads"])
    return sweep.Sweep(
        experiment=definition,
        definition=text,
        tracking_uri=options["tracking_uri"] or tracking.default_uri(),
        storage_url=options["storage"] or study.default_url(),
        workers=workers,
        threads=threads,
        time_limit=options["time_limit"],
    )


def _run(request: Sweep, screen: Console) -> tuple[Ranking, str]:
    """Run the pre-flight checks and the sweep; return its ranking and its page in MLflow."""
    from cifar_exp.cli import console, progress
    from cifar_exp.sweep import prepare, sweep

    prepare.check_stores(*request.stores)
    with progress.data_progress(screen) as data_watch:
        data = prepare.prepare(request.experiment, data_watch)
    _print_warnings(data)
    console.print_workers(screen, request.workers, request.threads)
    num_trainings = request.experiment.num_trainings
    with progress.sweep_progress(screen, num_trainings, request.workers) as watch:
        return sweep.run(request, data, watch)


@cli.command()
@click.option("--dataset", default="digits", show_default=True)
@data_dir_option
@click.option("--model", default="seed_cnn_relu", show_default=True)
@click.option("--loss", default="cross_entropy", show_default=True)
@click.option("--optimizer", default="sgd", show_default=True)
@click.option("--lr", type=float, default=0.01, show_default=True, help="Learning rate.")
@click.option("--batch-size", type=int, default=64, show_default=True)
@click.option("--epochs", type=int, default=20, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or auto.")
@click.option(
    "--augment", default="none", show_default=True, help="none, flip, crop_flip, deepobs."
)
@click.option("--compile/--no-compile", help="Train with torch.compile.")
@click.option(
    "-s",
    "settings",
    multiple=True,
    metavar="SETTING=VALUE",
    help="A setting of the loss, optimizer or dataset, such as optimizer.momentum=0.9.",
)
@click.option("--experiment-name", default="train", show_default=True, help="MLflow experiment.")
@threads_option
@tracking_option
def train(
    settings: tuple[str, ...],
    experiment_name: str,
    threads: int | None,
    tracking_uri: str | None,
    **options: Any,
) -> None:
    """Train one network and record it in MLflow."""
    from cifar_exp.cli import overrides
    from cifar_exp.experiment import single_definition

    given = overrides.settings(settings)
    dataset = overrides.dataset(options["dataset"], options.pop("data_dir"))
    options["dataset"] = {**dataset, **given.pop("dataset")}
    read = single_definition(options, given)

    from cifar_exp import tracking
    from cifar_exp.cli import console, progress
    from cifar_exp.sweep.prepare import prepare
    from cifar_exp.sweep.single import Single
    from cifar_exp.sweep.single import run as run_single
    from cifar_exp.training.hardware import available_cores

    single = Single(
        experiment=read,
        tracking_uri=tracking_uri or tracking.default_uri(),
        mlflow_experiment=experiment_name,
        threads=threads or available_cores(),
    )
    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare(read, watch)
    outcome, page = run_single(single, data, console.print_epoch(screen, read.epochs))
    store, path = tracking.address(single.tracking_uri, page)
    console.print_locations(screen, store, {"This run": path})
    _print_undelivered(single.tracking_uri)
    if outcome.state == "FAIL":
        click.echo(f"no result: {outcome.reason}", err=True)
        sys.exit(INCOMPLETE)


@cli.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json", "md"]), default="table"
)
@click.option("--output", type=click.Path(path_type=Path), help="Write all files to this folder.")
@click.option(
    "--yardstick",
    default="test_accuracy",
    show_default=True,
    help="Metric to rank by: test_accuracy, test_nll or another final test metric.",
)
@click.option(
    "--alpha",
    type=Finite(0, 0.5, min_open=True),
    default=0.05,
    show_default=True,
    help="Probability of any false claim that a combination is worse than the best.",
)
@click.option(
    "--rope",
    type=Finite(0),
    default=0.5,
    show_default=True,
    help="Region of practical equivalence, in points (hundredths of the yardstick).",
)
@click.option(
    "--target",
    type=Finite(0, 100, min_open=True),
    help="Validation accuracy in % for the time to target.  [default: reached by half]",
)
@tracking_option
def compare(
    names: tuple[str, ...],
    form: str,
    output: Path | None,
    tracking_uri: str | None,
    **options: Any,
) -> None:
    """Print the ranking of experiment NAME, read from MLflow only.

    With several experiments, print which combinations keep their rank across them.
    """
    from cifar_exp.cli.compare import compare as compare_one
    from cifar_exp.cli.compare import compare_several
    from cifar_exp.comparison import Method

    method = Method(**options)
    if len(names) == 1:
        _exit_if_incomplete(
            compare_one(
                names[0], form=form, output=output, tracking_uri=tracking_uri, method=method
            )
        )
    else:
        compare_several(names, form=form, output=output, tracking_uri=tracking_uri, method=method)


@cli.command()
@definition_options
def plan(experiment: Path, workers: int | None, threads: int | None, **options: Any) -> None:
    """Check a definition, count its trainings, and estimate their time and disk space."""
    from cifar_exp.cli import overrides
    from cifar_exp.experiment import definition_text, read

    text = definition_text(experiment, overrides.changes(options))
    definition = read(text, str(experiment), overrides.words(options))

    from cifar_exp.cli import console, progress
    from cifar_exp.sweep import prepare
    from cifar_exp.sweep.plan import measure
    from cifar_exp.sweep.scheduler import num_side_by_side
    from cifar_exp.training.hardware import allotment

    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare.prepare(definition, watch)
    _print_warnings(data)
    workers, threads = allotment(num_side_by_side(definition), workers, threads)
    console.print_plan(screen, definition, measure(definition, data, workers, threads), workers)


@cli.command("list")
@click.argument("kind", type=click.Choice(KINDS))
def list_(kind: str) -> None:
    """List the components that a definition can name, with settings and defaults."""
    from cifar_exp.cli import console

    console.print_components(console.stdout(), kind)


def _print_undelivered(tracking_uri: str) -> None:
    """Print to stderr how many runs are not on the tracking server yet."""
    from cifar_exp import tracking
    from cifar_exp.cli.deliver import undelivered

    if num_runs := tracking.undelivered(tracking_uri):
        click.echo(undelivered(num_runs, tracking_uri), err=True)


def _exit_if_incomplete(ranking: Ranking) -> None:
    if not ranking.complete:
        without = [row.combination for row in ranking.combinations if row.rank is None]
        click.echo(f"no result for {', '.join(without)}", err=True)
        sys.exit(INCOMPLETE)


def _print_warnings(data: Dataset) -> None:
    """Print warnings about a data set to stderr."""
    if data.untested_classes:
        names = ", ".join(data.untested_classes)
        click.echo(f"warning: there are no test images of {names}", err=True)
