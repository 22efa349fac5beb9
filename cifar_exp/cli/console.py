"""Output at the end of a command: rankings, plans, lists and next steps."""

from __future__ import annotations

import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cifar_exp.cli.rerun import train_command
from cifar_exp.components import components_of
from cifar_exp.experiment import Design, Experiment
from cifar_exp.system.formatting import counted, duration, size
from cifar_exp.system.urls import without_credentials

if TYPE_CHECKING:
    from cifar_exp.comparison import Ranking
    from cifar_exp.comparison.across import Across
    from cifar_exp.comparison.pair import Pair
    from cifar_exp.maintenance.model_gc import Collected
    from cifar_exp.sweep.plan import Cost, Plan
    from cifar_exp.training.loop import EpochMetrics

PLAIN_WIDTH = 160
LONG_NAME = 24  # letters; with a longer name, any column may wrap in a narrow terminal
UNWRAPPED = (1, 2, 5, 6)  # columns: combination, its mean, ranks, lr
TEXT_WIDTH = 100


def stdout() -> Console:
    """Return the console of standard output; its width is fixed for a file or a pipe."""
    return Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)


def print_ranking(console: Console, ranking: Ranking) -> None:
    """Print the table of a ranking and the sentences that explain it."""
    from cifar_exp.report.text.sentences import sentences
    from cifar_exp.report.text.table import cells, headers

    longest = max((len(row.combination) for row in ranking.combinations), default=0)
    names = headers(ranking)
    table = _table(ranking.experiment)
    unwrapped = [names[column] for column in UNWRAPPED] if longest <= LONG_NAME else []
    for header in names:
        table.add_column(
            header,
            justify="left" if header == "combination" else "right",
            overflow="fold",
            no_wrap=header in unwrapped,
        )
    for row in ranking.combinations:
        table.add_row(*map(escape, cells(ranking, row)))
    console.print(table)
    _print_sentences(console, sentences(ranking))


def print_across(console: Console, across: Across) -> None:
    """Print the table that compares several experiments, and the sentences that explain it."""
    from cifar_exp.report.text.across import across_cells, across_headers, across_sentences

    table = _table("rank (mean) in each experiment")
    for header in across_headers(across):
        left = header == "combination"
        table.add_column(escape(header), justify="left" if left else "right", overflow="fold")
    for row in across.combinations:
        table.add_row(*map(escape, across_cells(across, row)))
    console.print(table)
    _print_sentences(console, across_sentences(across))


def print_pair(console: Console, pair: Pair) -> None:
    """Print how two combinations differ: a table of metrics, and sentences."""
    from cifar_exp.report.text.pair import HEADERS, METRIC, pair_lines, pair_sentences

    table = _table(f"{pair.first} minus {pair.second}")
    for header in HEADERS:
        table.add_column(header, justify="left" if header == METRIC else "right")
    for line in pair_lines(pair):
        table.add_row(*map(escape, line))
    console.print(table)
    _print_sentences(console, pair_sentences(pair))


def print_epoch(console: Console, epochs: int) -> Callable[[EpochMetrics], None]:
    """Return a function that prints one line per epoch."""

    def show(metrics: EpochMetrics) -> None:
        console.print(
            f"epoch {metrics.epoch}/{epochs}: train loss {metrics.train_loss:.4f}, "
            f"val accuracy {metrics.val.accuracy:.2%}, val nll {metrics.val.values['nll']:.4f}, "
            f"val ece {metrics.val.values['ece']:.4f}, "
            f"{metrics.images_per_second:.0f} images/s",
            highlight=False,
        )

    return show


def print_size(console: Console, experiment: Experiment) -> None:
    """Print the number of trainings of an experiment, by combination, trial and seed."""
    combinations = len(experiment.losses) * len(experiment.optimizers)
    design = experiment.design
    studies = f" x {design.studies} studies" if design.repeats_studies else ""
    per_study = f"({counted(design.trials, 'trial')} + {counted(design.seeds, 'seed')})"
    trainings = counted(experiment.num_trainings, "training")
    at_most = experiment.at_most().num_trainings
    more = (
        "" if design.most is None else f", at most {at_most} for up to {design.most} {design.unit}"
    )
    _print_line(
        console,
        f"{trainings}: {counted(combinations, 'combination')}{studies} x {per_study}{more}",
    )


def print_workers(console: Console, workers: int, threads: int, width: int = 1) -> None:
    """Print the number of workers, and the threads and networks of each."""
    together = "" if width == 1 else f", up to {width} networks together"
    of_each = f"{counted(threads, 'thread')}{together}"
    _print_line(console, f"{counted(workers, 'worker')} of {of_each}")


def print_alone(console: Console, names: Sequence[str]) -> None:
    """Print which networks or optimizers are not trained in groups, if there are any."""
    if names:
        _print_line(console, f"trained one by one, without a form for groups: {', '.join(names)}")


def print_locations(console: Console, tracking_uri: str, locations: Mapping[str, str]) -> None:
    """Print the command that opens MLflow's UI, and addresses in it.

    Args:
        console: The console to print to.
        tracking_uri: The MLflow store.
        locations: Labels, and for each the part of its address after the `#`.
    """
    local = not tracking_uri.startswith(("http://", "https://"))
    server = "http://127.0.0.1:5000" if local else without_credentials(tracking_uri).rstrip("/")
    if local:
        store = shlex.quote(without_credentials(tracking_uri))
        _print_line(console, f"All runs: mlflow ui --workers 1 --backend-store-uri {store}")
    for label, path in locations.items():
        separator = "&" if "?" in path else "?"
        _print_line(console, f"{label}: {server}/#{path}{separator}workflowType=machine_learning")


def print_next_steps(
    console: Console, experiment: Experiment, ranking: Ranking, tracking_uri: str, path: str
) -> None:
    """Print the addresses of the runs, and the best setting as a command.

    Args:
        console: The console to print to.
        experiment: The definition.
        ranking: Its ranking.
        tracking_uri: The MLflow store.
        path: The part of the sweep's address in MLflow's pages after the `#`.
    """
    locations = {
        "This sweep": path,
        "Its report": f"{path}/artifacts/comparison/report.html",
        "Its ranking": f"{path.rpartition('/')[0]}?viewStateShareKey=ranking",
    }
    print_locations(console, tracking_uri, locations)
    best = ranking.combinations[0]
    if best.rank is None:
        return
    _print_line(console, f"Best setting: {shlex.join(train_command(experiment, best))}")
    seed = experiment.study_seed(best.study)
    _print_line(
        console,
        f"This repeats the best trial (seed {seed}) and its validation accuracy; "
        "confirmations have other seeds, and only they are scored on the test set",
    )


def print_plan(console: Console, experiment: Experiment, plan: Plan, workers: int) -> None:
    """Print the size, time and disk space of a sweep."""
    lines = [
        f"{experiment.name}: {plan.combinations} combinations",
        *_trainings(experiment.design, plan),
        f"epochs in total: {_range(plan, lambda cost: str(cost.epochs))} "
        "(fewer where trials are pruned)",
        *([] if plan.together == 1 else [f"networks trained together: about {plan.together}"]),
        *(
            f"training speed at batch size {batch_size}: {speed:.0f} images/s per worker"
            for batch_size, speed in plan.images_per_second.items()
        ),
        f"time with {counted(workers, 'worker')}: about "
        + _range(plan, lambda cost: duration(cost.seconds)),
        f"disk: about {_range(plan, lambda cost: size(cost.disk_bytes))}",
    ]
    for line in lines:
        _print_line(console, line)


def _trainings(design: Design, plan: Plan) -> list[str]:
    """Return the number of trainings, and what is repeated."""
    counts = f"trials: {_range(plan, lambda cost: str(cost.trials))}, "
    counts += f"confirmations: {_range(plan, lambda cost: str(cost.confirmations))}"
    least, most = design.replicates
    if design.most is not None:
        until = f"{least} to {most} {design.unit} of each combination, until the best is decided"
        return [counts, until]
    return [counts, *([f"studies of each combination: {least}"] if design.repeats_studies else [])]


def _range(plan: Plan, shown: Callable[[Cost], str]) -> str:
    """Return a cost with the fewest and the most replicates; once if they are equal."""
    least, most = shown(plan.least), shown(plan.most)
    return least if least == most else f"{least} to {most}"


def print_findings(
    console: Console, findings: Mapping[str, Sequence[str]], *, dry_run: bool
) -> None:
    """Print the findings of each experiment, one per line, and their number."""
    for name, sentences in findings.items():
        for sentence in sentences:
            _print_line(console, f"{name}: {sentence}")
    num_findings = sum(map(len, findings.values()))
    done = "; nothing was changed" if dry_run else ""
    checked = counted(len(findings), "experiment")
    _print_line(console, f"{checked} examined, {counted(num_findings, 'finding')}{done}")


def print_collected(console: Console, name: str, collected: Collected, *, dry_run: bool) -> None:
    """Print how many models and bytes were deleted, or would be."""
    models = counted(collected.models, "stored model")
    runs = counted(collected.runs, "deleted run")
    done = "would be deleted" if dry_run else "deleted"
    text = f"{models} and the files of {runs}, {collected.num_bytes:,} bytes, {done}"
    _print_line(console, f"{name}: {text}")
    if collected.kept:
        _print_line(
            console,
            f"{name}: {collected.kept} more are kept, as their files are outside of the folder of "
            "the database, or another database in it names them too",
        )


def print_components(console: Console, kind: str) -> None:
    """Print the components of a kind that a definition can name, with their settings."""
    for name, component in components_of(kind).items():
        _print_line(console, f"{name}: {_summary(component)}")
        for line in _setting_lines(component):
            _print_line(console, f"    {line}")
    if kind == "models":
        _print_line(console, "torchvision:NAME: any classification network of torchvision.")


def _summary(component: Any) -> str:
    """Return the first line of a component's docstring, or the description of a metric."""
    description: str | None = getattr(component, "description", None)
    return description or (component.__doc__ or "").partition("\n")[0]


def _setting_lines(component: Any) -> list[str]:
    """Return one line per setting of a component; a network has none."""
    fields = getattr(component, "model_fields", {})
    return [
        f"{name} = {'(required)' if field.is_required() else field.default}"
        f"{'  ' + field.description if field.description else ''}"
        for name, field in fields.items()
    ]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)


def _print_sentences(console: Console, texts: Iterable[str]) -> None:
    for text in texts:
        for line in textwrap.wrap(text, min(console.width, TEXT_WIDTH)):
            _print_line(console, line)


def _print_line(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
