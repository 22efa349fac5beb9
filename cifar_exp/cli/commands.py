"""The commands `train`, `compare`, `predict` and `list`.

Imports are inside the commands: torch and MLflow take seconds to load, and `--help` must be fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifar_exp.cli.outcome import INCOMPLETE, exit_if_incomplete
from cifar_exp.cli.parameters import (
    ComponentName,
    Finite,
    MlflowName,
    Whole,
    cli,
    data_dir_option,
    plugin_option,
    threads_option,
    tracking_option,
)
from cifar_exp.components import KINDS
from cifar_exp.display.delivery import print_undelivered

EXPERIMENTS = "experiments"

if TYPE_CHECKING:
    from cifar_exp.comparison.factors import Factor


@cli.command()
@click.option("--dataset", type=ComponentName("datasets"), default="digits", show_default=True)
@data_dir_option
@plugin_option
@click.option("--model", type=ComponentName("models"), default="seed_cnn_relu", show_default=True)
@click.option("--loss", type=ComponentName("losses"), default="cross_entropy", show_default=True)
@click.option("--optimizer", type=ComponentName("optimizers"), default="sgd", show_default=True)
@click.option(
    "--schedule",
    type=ComponentName("schedules"),
    help="Schedule of the learning rate.  [default: constant]",
)
@click.option("--lr", type=float, default=0.01, show_default=True, help="Learning rate.")
@click.option("--batch-size", type=int, default=64, show_default=True)
@click.option("--epochs", type=int, default=20, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--precision", default="fp32", show_default=True, help="fp32, tf32, bf16 or auto.")
@click.option(
    "--augment",
    type=ComponentName("augmentations"),
    default="none",
    show_default=True,
    help="none, flip, crop_flip, deepobs, mixup, cutmix.",
)
@click.option("--ema", type=float, help="Decay of a moving average of the weights, as 0.999.")
@click.option("--compile/--no-compile", help="Train with torch.compile.")
@click.option(
    "-s",
    "settings",
    multiple=True,
    metavar="SETTING=VALUE",
    help="A setting of the loss, optimizer, schedule, dataset, model, augment or data_changes, "
    "such as optimizer.momentum=0.9.",
)
@click.option(
    "--experiment-name",
    type=MlflowName(),
    default="train",
    show_default=True,
    help="MLflow experiment.",
)
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
    from cifar_exp.experiment import named, single_definition

    given = overrides.settings(settings)
    dataset = overrides.dataset(options["dataset"], options.pop("data_dir"))
    options["dataset"] = {**dataset, **given.pop("dataset")}
    options["model"] = {"type": options["model"], **given.pop("model")}
    if data_changes := given.pop("data_changes"):
        options["data_changes"] = data_changes
    options["augment"] = {"type": options["augment"], **given.pop("augment")}
    read = named.read(lambda: single_definition(options, given))

    from cifar_exp import tracking
    from cifar_exp.display import console, progress
    from cifar_exp.display.data import print_data
    from cifar_exp.sweep.prepare import prepare
    from cifar_exp.sweep.single import Single
    from cifar_exp.sweep.single import run as run_single
    from cifar_exp.system.cores import available_cores

    single = Single(
        experiment=read,
        tracking_uri=tracking.resolve_uri(tracking_uri),
        mlflow_experiment=experiment_name,
        threads=threads or available_cores(),
    )
    screen = console.stdout()
    with progress.data_progress(screen) as watch:
        data = prepare(read, watch)
    print_data(screen, data)
    outcome, page = run_single(single, data, console.print_epoch(screen, read.epochs))
    store, path = tracking.address(single.tracking_uri, page)
    console.print_locations(screen, store, {"This run": path})
    print_undelivered(single.tracking_uri)
    if outcome.state == "FAIL":
        print(f"no result: {outcome.reason}", file=sys.stderr)
        sys.exit(INCOMPLETE)


@cli.command()
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "md", "latex"]),
    default="table",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write all files to this folder.")
@click.option(
    "--yardstick",
    default="test_accuracy",
    show_default=True,
    help="Metric to rank by: accuracy, nll, brier, ... on the test set; nll, brier and ece after "
    "temperature scaling, or raw as test_nll, test_brier, ...",
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
@click.option(
    "--pair",
    nargs=2,
    metavar="A B",
    help="Show what differs between two combinations: settings and every metric.",
)
@click.option(
    "--by",
    "factor",
    type=click.Choice(["loss", "optimizer", "schedule"]),
    help="Compare the levels of one factor, within the same levels of the others.",
)
@tracking_option
def compare(
    names: tuple[str, ...],
    form: str,
    output: Path | None,
    pair: tuple[str, str] | None,
    factor: Factor | None,
    tracking_uri: str | None,
    **options: Any,
) -> None:
    """Print the ranking of experiment NAME, read from MLflow only; without a NAME of the newest.

    With several experiments, print which combinations keep their rank across them.
    """
    from cifar_exp.cli.compare import compare as compare_one
    from cifar_exp.cli.compare import compare_by, compare_pair, compare_several, newest
    from cifar_exp.comparison import Method

    if pair and (len(names) > 1 or output):
        raise click.UsageError("--pair compares two combinations of one experiment, on the screen")
    if factor and (len(names) > 1 or output or pair):
        raise click.UsageError("--by compares within one experiment, on the screen, without --pair")
    method = Method(**options)
    names = names or (newest(tracking_uri),)
    if factor:
        compare_by(names[0], factor, form=form, tracking_uri=tracking_uri, method=method)
    elif pair:
        compare_pair(names[0], pair, form=form, tracking_uri=tracking_uri, method=method)
    elif len(names) == 1:
        exit_if_incomplete(
            compare_one(
                names[0], form=form, output=output, tracking_uri=tracking_uri, method=method
            )
        )
    else:
        compare_several(names, form=form, output=output, tracking_uri=tracking_uri, method=method)


@cli.command()
@click.argument("words", metavar="[NAME] IMAGE...", nargs=-1, required=True)
@click.option("--run", "run_id", metavar="ID", help="Use the model of this run; without NAME.")
@click.option("--top", type=Whole(), default=3, show_default=True, help="Classes of each image.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table")
@plugin_option
@tracking_option
def predict(
    words: tuple[str, ...], run_id: str | None, top: int, form: str, tracking_uri: str | None
) -> None:
    """Print the classes and probabilities of images by the champion of experiment NAME.

    Images are read and resized as in training. A model is code that runs when it is loaded: use
    stores that you trust.
    """
    experiment, images = (None, words) if run_id else (words[0], words[1:])
    if not images:
        raise click.UsageError("there is no image: give NAME IMAGE..., or --run ID IMAGE...")

    from cifar_exp.cli.predict import predict as predict_images

    predict_images(
        [Path(image) for image in images],
        experiment=experiment,
        run_id=run_id,
        tracking_uri=tracking_uri,
        form=form,
        top=top,
    )


@cli.command("list", cls=click.Command)
@click.argument("kind", type=click.Choice([*KINDS, EXPERIMENTS]))
@plugin_option
def list_(kind: str) -> None:
    """List the components that a definition can name, with settings and defaults.

    Those of plug-ins are followed by the file or package that they come from. `experiments` are
    the definitions that `run` and `plan` take by name.
    """
    from cifar_exp.components.plugins import registry
    from cifar_exp.display import console

    if kind == EXPERIMENTS:
        console.print_definitions(console.stdout())
        return

    registry.load_installed()

    console.print_components(console.stdout(), kind)
