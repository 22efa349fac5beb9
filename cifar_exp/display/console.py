"""Output at the end of a command: rankings, plans, lists and next steps."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleDimensions

from cifar_exp.components import components_of
from cifar_exp.components.models.suggestion import LIBRARIES
from cifar_exp.components.plugins.registry import origin
from cifar_exp.display.line import print_line
from cifar_exp.display.rerun import train_command
from cifar_exp.display.search_space import num_trials, small_spaces
from cifar_exp.display.table import print_table
from cifar_exp.experiment import Design, Experiment
from cifar_exp.experiment.shipped import shipped, summary
from cifar_exp.system.formatting import counted, duration, size
from cifar_exp.system.output import spelled
from cifar_exp.system.urls import is_server, ui_of, without_credentials

if TYPE_CHECKING:
    from cifar_exp.comparison import Ranking
    from cifar_exp.comparison.across import Across
    from cifar_exp.comparison.marginal import Marginal
    from cifar_exp.comparison.pair import Pair
    from cifar_exp.maintenance.model_gc import Collected
    from cifar_exp.sweep.plan import Cost, Plan
    from cifar_exp.training.loop import EpochMetrics

PLAIN_WIDTH = 160
TEXT_WIDTH = 100
RANKING_VIEW = "?viewStateShareKey=ranking"
"""Selects the saved view of the ranking on the page of an experiment in MLflow's UI."""


def stdout() -> Console:
    """Return the console of standard output.

    Only in a terminal may a display move the cursor, whatever the environment says about colours.
    For a file or a pipe, the width is fixed.
    """
    if not sys.stdout.isatty():
        return Console(width=PLAIN_WIDTH, force_interactive=False, force_jupyter=False)
    console = Console()
    if console.is_dumb_terminal:  # Rich takes it for one of 80 columns
        console.size = ConsoleDimensions(*shutil.get_terminal_size())
    return console


def print_ranking(console: Console, ranking: Ranking) -> None:
    """Print the table of a ranking and the sentences that explain it."""
    from cifar_exp.report.text.sentences import sentences
    from cifar_exp.report.text.table import LEFT, cells, headers

    rows = [cells(ranking, row) for row in ranking.combinations]
    print_table(console, ranking.experiment, headers(ranking), rows, left=LEFT)
    _print_sentences(console, sentences(ranking))


def print_across(console: Console, across: Across) -> None:
    """Print the table that compares several experiments, and the sentences that explain it."""
    from cifar_exp.report.text.across import across_cells, across_headers, across_sentences
    from cifar_exp.report.text.table import LEFT

    title = "rank (mean) in each experiment"
    rows = [across_cells(across, row) for row in across.combinations]
    print_table(console, title, across_headers(across), rows, left=LEFT)
    _print_sentences(console, across_sentences(across))


def print_by(console: Console, found: Marginal) -> None:
    """Print how the levels of a factor differ: a table, and sentences."""
    from cifar_exp.report.text.marginal import marginal_headers, marginal_lines, marginal_sentences

    title = f"{found.experiment} by {found.factor}"
    lines = marginal_lines(found)
    print_table(console, title, marginal_headers(found), lines, left=found.factor)
    _print_sentences(console, marginal_sentences(found))


def print_pair(console: Console, pair: Pair) -> None:
    """Print how two combinations differ: a table of metrics, and sentences."""
    from cifar_exp.report.text.pair import HEADERS, METRIC, pair_lines, pair_sentences

    title = f"{pair.first} minus {pair.second}"
    print_table(console, title, HEADERS, pair_lines(pair), left=METRIC)
    _print_sentences(console, pair_sentences(pair))


def print_epoch(console: Console, epochs: int) -> Callable[[EpochMetrics], None]:
    """Return a function that prints one line per epoch."""

    def show(metrics: EpochMetrics) -> None:
        console.print(
            f"epoch {metrics.epoch}/{epochs}: train loss {metrics.train_loss:.4f}, "
            f"val accuracy {metrics.val.accuracy:.2%}, val nll {metrics.val.values['nll']:.4f}, "
            f"val ece {metrics.val.values['ece']:.4f}, {_of_average(metrics)}"
            f"{metrics.images_per_second:.0f} images/s",
            highlight=False,
        )

    return show


def _of_average(metrics: EpochMetrics) -> str:
    """Return the validation accuracy of the average of the weights, if there is one."""
    return "" if metrics.val_ema is None else f"of average {metrics.val_ema.accuracy:.2%}, "


def print_size(console: Console, experiment: Experiment) -> None:
    """Print the number of trainings of an experiment, by combination, trial and seed."""
    combinations = len(experiment.combinations())
    design = experiment.design
    studies = f" x {design.studies} studies" if design.repeats_studies else ""
    per_study = f"({num_trials(experiment)} + {counted(design.seeds, 'seed')})"
    trainings = counted(experiment.num_trainings, "training")
    at_most = experiment.at_most().num_trainings
    more = (
        ""
        if design.most is None
        else f", at most {at_most} for up to {counted(design.most, design.replicate)}"
    )
    print_line(
        console,
        f"{trainings}: {counted(combinations, 'combination')}{studies} x {per_study}{more}",
    )
    for line in small_spaces(experiment):
        print_line(console, line)


def print_workers(console: Console, workers: int, threads: int, width: int = 1) -> None:
    """Print the number of workers, and the threads and networks of each."""
    together = "" if width == 1 else f", up to {width} networks together"
    of_each = f"{counted(threads, 'thread')}{together}"
    print_line(console, f"{counted(workers, 'worker')} of {of_each}")


def print_alone(console: Console, names: Sequence[str]) -> None:
    """Print which networks or optimizers are not trained in groups, if there are any."""
    if names:
        print_line(console, f"trained one by one, without a form for groups: {', '.join(names)}")


def print_locations(console: Console, tracking_uri: str, locations: Mapping[str, str]) -> None:
    """Print the command that opens MLflow's UI, and addresses in it.

    Args:
        console: The console to print to.
        tracking_uri: The MLflow store.
        locations: Labels, and for each the part of its address after the `#`.
    """
    server = ui_of(tracking_uri)
    if not is_server(tracking_uri):
        store = shlex.quote(without_credentials(tracking_uri))
        print_line(console, f"All runs: mlflow ui --workers 1 --backend-store-uri {store}")
    for label, path in locations.items():
        print_line(console, f"{label}: {_address(server, path)}")


def print_rankings(console: Console, server: str, experiments: Mapping[str, str]) -> None:
    """Print the address of the ranking of each MLflow experiment.

    Args:
        console: The console to print to.
        server: The address of MLflow's UI.
        experiments: Names, and for each the path of its runs in MLflow's UI.
    """
    for name, path in experiments.items():
        print_line(console, f"Ranking of {name}: {_address(server, path + RANKING_VIEW)}")


def _address(server: str, path: str) -> str:
    """Return the address of a page in the part of MLflow's UI that shows runs."""
    separator = "&" if "?" in path else "?"
    return f"{server}/#{path}{separator}workflowType=machine_learning"


def print_next_steps(
    console: Console, experiment: Experiment, ranking: Ranking, tracking_uri: str, path: str
) -> None:
    """Print the addresses of the ranking and its report, and the best setting as a command.

    Args:
        console: The console to print to.
        experiment: The definition.
        ranking: Its ranking.
        tracking_uri: The MLflow store.
        path: The part of the sweep's address in MLflow's pages after the `#`.
    """
    locations = {
        "Ranking": path.rpartition("/")[0] + RANKING_VIEW,
        "Report": f"{path}/artifacts/comparison/report.html",
    }
    print_locations(console, tracking_uri, locations)
    best = ranking.combinations[0]
    if best.rank is None:
        return
    print_line(console, f"Best setting: {shlex.join(train_command(experiment, best))}")
    seed = experiment.study_seed(best.study)
    print_line(
        console,
        f"This repeats the best trial (seed {seed}) and its validation accuracy; "
        "confirmations have other seeds, and only they are scored on the test set",
    )


def print_plan(console: Console, experiment: Experiment, plan: Plan, workers: int) -> None:
    """Print the size, time and disk space of a sweep."""
    lines = [
        f"{experiment.name}: {counted(plan.combinations, 'combination')}",
        *_trainings(experiment.design, plan),
        *small_spaces(experiment),
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
        print_line(console, line)


def _trainings(design: Design, plan: Plan) -> list[str]:
    """Return the number of trainings, and what is repeated."""
    counts = f"trials: {_range(plan, lambda cost: str(cost.trials))}, "
    counts += f"confirmations: {_range(plan, lambda cost: str(cost.confirmations))}"
    least, most = design.replicates
    if design.most is not None:
        each = f"{counted(most, design.replicate)} of each combination"
        until = f"{least} to {each}, until the best is decided"
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
            print_line(console, f"{name}: {sentence}")
    num_findings = sum(map(len, findings.values()))
    done = "; nothing was changed" if dry_run else ""
    checked = counted(len(findings), "experiment")
    print_line(console, f"{checked} examined, {counted(num_findings, 'finding')}{done}")


def print_collected(console: Console, name: str, collected: Collected, *, dry_run: bool) -> None:
    """Print how many models and bytes were deleted, or would be."""
    models = counted(collected.models, "stored model")
    runs = counted(collected.runs, "deleted run")
    done = "would be deleted" if dry_run else "deleted"
    text = f"{models} and the files of {runs}, {collected.num_bytes:,} bytes, {done}"
    print_line(console, f"{name}: {text}")
    if collected.kept:
        print_line(
            console,
            f"{name}: {collected.kept} more are kept, as their files are outside of the folder of "
            "the database, or another database in it names them too",
        )


def print_components(console: Console, kind: str) -> None:
    """Print the components of a kind that a definition can name, with their settings."""
    for name, component in components_of(kind).items():
        print_line(console, f"{name}: {_summary(component)}{_place(kind, name)}")
        for line in _setting_lines(component):
            print_line(console, f"    {line}")
    if kind == "models":
        for library in LIBRARIES.values():
            print_line(console, f"{library.prefix}NAME: {_summary(library)}")


def print_definitions(console: Console) -> None:
    """Print the shipped definitions, each with a sentence."""
    for name, path in shipped().items():
        print_line(console, f"{name}: {summary(path)}")


def _place(kind: str, name: str) -> str:
    """Return where a component comes from; "" if it is built in."""
    plugin = origin(kind, name)
    return "" if plugin is None else f" [{plugin.place}]"


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


def _print_sentences(console: Console, texts: Iterable[str]) -> None:
    for text in texts:
        shown = spelled(text, console.encoding)
        for line in textwrap.wrap(shown, min(console.width, TEXT_WIDTH)):
            print_line(console, line)
