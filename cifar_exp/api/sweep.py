"""One execution of an experiment, with its progress."""

from __future__ import annotations

import math
from dataclasses import replace

from rich.console import Console

from cifar_exp import comparison, study, tracking
from cifar_exp.api.comparison import read_results
from cifar_exp.api.counts import check_counts
from cifar_exp.api.ranking import Ranking
from cifar_exp.display import console, progress
from cifar_exp.display.data import print_data
from cifar_exp.display.delivery import print_undelivered
from cifar_exp.errors import BadInput
from cifar_exp.experiment import Experiment, named, read
from cifar_exp.experiment.size import check_size
from cifar_exp.sweep import prepare, sweep
from cifar_exp.sweep.sweep import Sweep
from cifar_exp.system import paths


def run(
    experiment: Experiment,
    *,
    workers: int | None = None,
    threads: int | None = None,
    group: int | None = None,
    time_limit: float | None = None,
    tracking_uri: str | None = None,
    storage: str | None = None,
    system_metrics: bool = False,
    yes: bool = False,
    show: bool = True,
) -> Ranking:
    """Tune, confirm and rank every combination of an experiment.

    It records the same as `cifar-exp run`, in the same stores: a repeated call, or the command on
    a file with the same content, resumes an interrupted run and repeats no finished training.
    An interruption by Ctrl-C, or that of a notebook, closes the runs and raises KeyboardInterrupt.

    Args:
        experiment: The experiment.
        workers: Trainers in parallel; default: one per core or GPU.
        threads: Threads of each training; default: cores / workers.
        group: Networks that a worker trains together; default: 1, on a GPU up to 64.
        time_limit: Time limit of each training in seconds; a longer one fails.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.
        storage: The Optuna storage; default: OPTUNA_STORAGE, or `optuna.db` in this folder.
        system_metrics: Whether to record the load of this machine during confirmations.
        yes: Skip the check of the number of trainings.
        show: Whether to print data, workers and progress.

    Raises:
        BadInput: An argument is invalid, or the definition does not fit the data.
        Unavailable: Data, a store or a resource of this machine cannot be used, or another process
            runs the same experiment.

    Example:
        ```python
        ranking = cifar_exp.run(cifar_exp.load("mine.toml"), workers=2)
        ```
    """
    check_counts(workers=workers, threads=threads, group=group)
    if time_limit is not None and not 0 < time_limit < math.inf:
        raise BadInput("time_limit: should be a number of seconds above 0")
    text = experiment.to_toml()
    definition = named.read(lambda: read(text, ""))  # of the plug-ins that are loaded now
    if not yes:
        check_size(definition, "run", "yes=True")
    screen = console.stdout() if show else Console(quiet=True)
    console.print_size(screen, definition)
    request = request_of(
        definition,
        text,
        workers=workers,
        threads=threads,
        time_limit=time_limit,
        tracking_uri=tracking_uri,
        storage=storage,
        system_metrics=system_metrics,
    )
    ranking, page = execute(request, screen, group)
    sweep_run_id = page.rpartition("/")[2]
    print_undelivered(request.tracking_uri)
    store = tracking.store_of(request.tracking_uri)
    return Ranking(ranking, lambda: read_results(definition.name, store, sweep_run_id))


def request_of(
    definition: Experiment,
    text: str,
    *,
    workers: int | None,
    threads: int | None,
    time_limit: float | None,
    tracking_uri: str | None,
    storage: str | None,
    system_metrics: bool,
) -> Sweep:
    """Combine a definition with the options that do not change it."""
    workers, threads = prepare.allotment(definition, workers, threads)
    return Sweep(
        experiment=definition,
        definition=text,
        tracking_uri=tracking.resolve_uri(tracking_uri),
        storage_url=study.resolve_url(storage),
        workers=workers,
        threads=threads,
        time_limit=time_limit,
        system_metrics=system_metrics,
    )


def execute(request: Sweep, screen: Console, group: int | None) -> tuple[comparison.Ranking, str]:
    """Run the pre-flight checks and the sweep; return its ranking and its page in MLflow."""
    paths.require_home()
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
