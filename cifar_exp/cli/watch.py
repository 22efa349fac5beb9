"""The command `watch`: the progress of a sweep, read from MLflow.

Imports are inside the command: MLflow takes seconds to load, and `--help` must be fast.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cifar_exp.cli.parameters import Finite, cli, tracking_option
from cifar_exp.errors import BadInput
from cifar_exp.system.formatting import counted, duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cifar_exp.comparison.progress import CombinationProgress, Running, SweepProgress
    from cifar_exp.records import RunRecord
    from cifar_exp.tracking import Client

COMBINATION = "combination"
SILENCE = 300
"""Seconds without anything new after which the title says so."""
HEADERS = (COMBINATION, "trials", "best val accuracy", "confirmations", "running", "epoch")


@cli.command()
@click.argument("name", required=False)
@click.option(
    "--interval",
    type=Finite(0.1),
    default=5,
    show_default=True,
    metavar="SECONDS",
    help="Time between two readings.",
)
@click.option("--once", is_flag=True, help="Print one table; so without a terminal.")
@tracking_option
def watch(name: str | None, tracking_uri: str | None, *, interval: float, once: bool) -> None:
    """Show the progress of the running sweep of experiment NAME, or of the newest one.

    It is read from MLflow only, so it may run on another machine. It ends with the sweep; Ctrl-C
    ends it, and not the sweep.
    """
    from cifar_exp import tracking
    from cifar_exp.display import console

    uri = tracking.resolve_uri(tracking_uri)
    client = tracking.connect_to_read(uri)
    sweep = _sweep(client, name, uri)
    screen = console.stdout()
    read = _reading(client, sweep)
    found = read()
    if once or not screen.is_interactive:
        screen.print(_table(screen, found))
    else:
        found = _show(screen, found, read, interval)
    if found.status != "RUNNING":
        _print_end(screen, found, uri)


def _sweep(client: Client, name: str | None, uri: str) -> RunRecord:
    """Return the newest sweep of an experiment, or the newest one that runs.

    Raises:
        BadInput: There is none.
    """
    from cifar_exp import tracking
    from cifar_exp.system.urls import without_credentials

    sweeps = tracking.read_sweeps(client)
    store = f"the MLflow store {without_credentials(uri)}"
    if name is not None:
        of_name = [sweep for sweep in sweeps if sweep.experiment == name]
        if not of_name:
            raise BadInput(f"{store} holds no sweep of experiment {name!r}")
        return of_name[-1]
    running = [sweep for sweep in sweeps if sweep.status == "RUNNING"]
    if not running:
        ended = [f"; the newest one has ended: cifar-exp compare {s.experiment}" for s in sweeps]
        raise BadInput(f"no sweep runs in {store}{''.join(ended[-1:])}")
    return running[-1]


def _reading(client: Client, sweep: RunRecord) -> Callable[[], SweepProgress]:
    """Return a function that reads how far a sweep is."""
    from cifar_exp import tracking
    from cifar_exp.comparison.counted import sweep_of
    from cifar_exp.comparison.progress import progress

    reading = tracking.RepeatedReading(client, sweep.experiment)

    def read() -> SweepProgress:
        records = reading.records()
        of_sweep = sweep_of(records, sweep.run_id)
        return progress(records, of_sweep, reading.epochs(), reading.newest)

    return read


def _show(
    screen: Console, found: SweepProgress, read: Callable[[], SweepProgress], interval: float
) -> SweepProgress:
    """Show a table until a sweep ends; return what was read last."""
    from rich.live import Live

    with Live(_table(screen, found), console=screen, auto_refresh=False) as live:
        while found.status == "RUNNING":
            time.sleep(interval)
            found = read()
            live.update(_table(screen, found), refresh=True)
    return found


def _table(screen: Console, found: SweepProgress) -> Table | Text:
    from cifar_exp.display.table import fitting

    rows = [_cells(each) for each in found.combinations]
    return fitting(screen, _title(found, time.time()), HEADERS, rows, left=COMBINATION)


def _title(found: SweepProgress, now: float) -> str:
    """Return the first line; `now` is in seconds since 1970."""
    parts = [
        f"{found.ended} of {counted(found.total, 'training')}",
        *([f"{found.running} running"] if found.running else []),
        *_time(found, now),
    ]
    return f"{found.experiment}: {', '.join(parts)}"


def _time(found: SweepProgress, now: float) -> list[str]:
    """Return the time left, or for how long nothing has happened: the sweep may be killed."""
    silence = now - found.newest / 1000
    if found.status == "RUNNING" and silence > SILENCE:
        resumed = "if it was killed, the same command resumes it"
        return [f"nothing new for {duration(silence)}; {resumed}"]
    return [] if found.seconds_left is None else [f"about {duration(found.seconds_left)} left"]


def _cells(found: CombinationProgress) -> tuple[str, ...]:
    best = found.val_accuracy
    return (
        found.name,
        f"{found.trials}/{found.all_trials}",
        "-" if best is None else f"{best:.2%}",
        f"{found.confirmations}/{found.all_confirmations}",
        str(len(found.running) or "-"),
        _epochs(found.running),
    )


def _epochs(running: tuple[Running, ...]) -> str:
    """Return the epochs that trainings have finished, such as `4/20` or `1-4/20`."""
    if not running:
        return "-"
    least, most = (end(run.epoch for run in running) for end in (min, max))
    done = str(most) if least == most else f"{least}-{most}"
    return f"{done}/{max(run.epochs for run in running)}"


def _print_end(screen: Console, found: SweepProgress, uri: str) -> None:
    """Print the first line of the ranking of a sweep that has ended."""
    from cifar_exp.api.comparison import read_results
    from cifar_exp.display.line import print_line
    from cifar_exp.display.table import print_table
    from cifar_exp.report.text.table import LEFT, cells, headers

    if found.status != "FINISHED":
        print_line(screen, "the sweep has ended without a ranking; the same command resumes it")
        return
    ranking = read_results(found.experiment, uri).ranking()
    first = cells(ranking, ranking.combinations[0])
    print_table(screen, "the sweep has ended", headers(ranking), [first], left=LEFT)
    print_line(screen, f"The whole ranking: cifar-exp compare {found.experiment}")
