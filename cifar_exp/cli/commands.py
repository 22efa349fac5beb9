"""The commands that train, compare and plan.

They import what they use: torch and MLflow take seconds, and help must not.
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

SOME_WITHOUT_RESULT = 1


@cli.command()
@definition_options
@click.option(
    "--time-limit",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    help="What a training may take; one that takes longer has failed.  [default: no limit]",
)
@tracking_option
@storage_option
@click.option("--yes", is_flag=True, help="Start even a very large number of trainings.")
def run(experiment: Path, yes: bool, **options: Any) -> None:
    """Tune, confirm and rank every combination; again, it goes on and repeats nothing."""
    from cifar_exp.cli import overrides as typed
    from cifar_exp.experiment import definition_text, read

    text = definition_text(experiment, typed.changes(options))
    definition = read(text, str(experiment), typed.words(options))
    if not yes:
        typed.check_size(definition, experiment)

    from cifar_exp.cli import console

    screen = console.stdout()
    console.print_size(screen, definition)  # what follows takes seconds to import

    asked = _sweep(definition, text, options)
    ranking, page = _run(asked, screen)
    console.print_ranking(screen, ranking)

    from cifar_exp import tracking

    address = tracking.address(asked.tracking_uri, page)
    console.print_next_steps(screen, definition, ranking, *address)
    _tell_undelivered(asked.tracking_uri)
    _exit_for(ranking)


def _sweep(definition: Experiment, text: str, options: Mapping[str, Any]) -> Sweep:
    """Put the definition and the options that do not change it together."""
    from cifar_exp import study, tracking
    from cifar_exp.sweep import sweep
    from cifar_exp.sweep.schedule.scheduler import num_side_by_side
    from cifar_exp.training.hardware import allotment

    side_by_side = num_side_by_side(definition)
    workers, threads = allotment(side_by_side, options["workers"], options["threads"])
    return sweep.Sweep(
        experiment=definition,
        definition=text,
        tracking_uri=tracking.resolve_uri(options["tracking_uri"]),
        storage_url=options["storage"] or study.default_url(),
        workers=workers,
        threads=threads,
        time_limit=options["time_limit"],
    )


def _run(asked: Sweep, screen: Console) -> tuple[Ranking, str]:
    """Make sure of stores and data and run the sweep; return its ranking and page in MLflow."""
    from cifar_exp.cli import console, progress
    from cifar_exp.sweep import prepare, sweep

    prepare.check_stores(*asked.stores)
    with progress.data_progress(screen) as data_watch:
        data = prepare.prepare(asked.experiment, data_watch)
    _warn_of(data)
    console.print_workers(screen, asked.workers, asked.threads)
    num_trainings = asked.experiment.num_trainings
    with progress.sweep_progress(screen, num_trainings, asked.workers) as watch:
        return sweep.run(asked, data, watch)


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
@click.option("--compile/--no-compile", help="Train through torch.compile.")
@click.option(
    "-s",
    "settings",
    multiple=True,
    metavar="SETTING=VALUE",
    help="A setting of the loss, optimizer or dataset, such as optimizer.momentum=0.9.",
)
@click.option("--experiment-name", default="train", show_default=True, help="In MLflow.")
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
    from cifar_exp.cli import overrides as typed
    from cifar_exp.experiment import single_definition

    given = typed.settings(settings)
    dataset = typed.dataset(options["dataset"], options.pop("data_dir"))
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
        tracking_uri=tracking.resolve_uri(tracking_uri),
        mlflow_experiment=experiment_name,
        threads=threads or available_cores(),
    )
    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare(read, watch)
    outcome, page = run_single(single, data, console.print_epoch(screen, read.epochs))
    store, path = tracking.address(single.tracking_uri, page)
    console.print_places(screen, store, {"This run": path})
    _tell_undelivered(single.tracking_uri)
    if outcome.state == "FAIL":
        click.echo(f"no result: {outcome.reason}", err=True)
        sys.exit(SOME_WITHOUT_RESULT)


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
    help="What to rank by: test_accuracy, test_nll or another final test metric.",
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
    help="Difference that does not matter in practice, in points (hundredths of the yardstick).",
)
@click.option(
    "--target",
    type=Finite(0, 100, min_open=True),
    help="Validation accuracy in % to measure the time to.  [default: what half of them reach]",
)
@tracking_option
def compare(
    names: tuple[str, ...],
    form: str,
    output: Path | None,
    tracking_uri: str | None,
    **options: Any,
) -> None:
    """Print the ranking of experiment NAME, read from MLflow alone.

    Of several experiments, print which combinations hold their place across them.
    """
    from cifar_exp.cli.compare import compare as compare_one
    from cifar_exp.cli.compare import compare_several
    from cifar_exp.comparison import Method

    method = Method(**options)
    if len(names) == 1:
        _exit_for(
            compare_one(
                names[0], form=form, output=output, tracking_uri=tracking_uri, method=method
            )
        )
    else:
        compare_several(names, form=form, output=output, tracking_uri=tracking_uri, method=method)


@cli.command()
@definition_options
def plan(experiment: Path, workers: int | None, threads: int | None, **options: Any) -> None:
    """Check a definition, count its trainings, and guess their time and disk space."""
    from cifar_exp.cli import overrides as typed
    from cifar_exp.experiment import definition_text, read

    text = definition_text(experiment, typed.changes(options))
    definition = read(text, str(experiment), typed.words(options))

    from cifar_exp.cli import console, progress
    from cifar_exp.sweep import prepare
    from cifar_exp.sweep.plan import measure
    from cifar_exp.sweep.schedule.scheduler import num_side_by_side
    from cifar_exp.training.hardware import allotment

    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare.prepare(definition, watch)
    _warn_of(data)
    workers, threads = allotment(num_side_by_side(definition), workers, threads)
    console.print_plan(screen, definition, measure(definition, data, workers, threads), workers)


@cli.command("list")
@click.argument("kind", type=click.Choice(KINDS))
def list_(kind: str) -> None:
    """List what a definition can name, with settings and defaults."""
    from cifar_exp.cli import console

    console.print_components(console.stdout(), kind)


def _tell_undelivered(tracking_uri: str) -> None:
    """Say on stderr how many runs a tracking server has not got."""
    from cifar_exp import tracking
    from cifar_exp.cli.deliver import undelivered

    if num_runs := tracking.undelivered(tracking_uri):
        click.echo(undelivered(num_runs, tracking_uri), err=True)


def _exit_for(ranking: Ranking) -> None:
    if not ranking.complete:
        without = [row.combination for row in ranking.combinations if row.rank is None]
        click.echo(f"no result for {', '.join(without)}", err=True)
        sys.exit(SOME_WITHOUT_RESULT)


def _warn_of(data: Dataset) -> None:
    """Say on stderr what may be wrong with a data set."""
    if data.untested_classes:
        names = ", ".join(data.untested_classes)
        click.echo(f"warning: there are no test images of {names}", err=True)
