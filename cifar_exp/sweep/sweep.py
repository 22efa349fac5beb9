"""One execution of an experiment: every combination tuned, confirmed and ranked.

The same call again goes on from what MLflow holds and repeats nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from cifar_exp import study, tracking
from cifar_exp.comparison import Ranking
from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Experiment
from cifar_exp.maintenance import doctor
from cifar_exp.sweep import disk_space
from cifar_exp.sweep.events import Watch
from cifar_exp.sweep.executors import Executor
from cifar_exp.sweep.executors.local import LocalExecutor
from cifar_exp.sweep.prepare import model_bytes
from cifar_exp.sweep.recording import runs
from cifar_exp.sweep.recording.recorder import Recorder
from cifar_exp.sweep.recording.writer import Records, Writer
from cifar_exp.sweep.schedule.resume import (
    model_retention,
    records_by_combination,
    stored_studies,
    trial_results,
    works_of,
)
from cifar_exp.sweep.schedule.scheduler import Scheduler
from cifar_exp.system import locks, paths, sqlite
from cifar_exp.tracking import Tracker
from cifar_exp.training.trainer import Group

MODELS_PER_CHECKPOINT = 6  # weights and two states of an optimizer, the old ones and the new


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What one execution is asked for."""

    experiment: Experiment
    definition: str
    """The text of the definition."""
    tracking_uri: str
    storage_url: str
    workers: int
    """Trainers that work side by side."""
    threads: int
    """Threads of each trainer."""
    time_limit: float | None = None
    """Seconds that a training may take, if there is a limit."""

    @property
    def stores(self) -> tuple[str, str]:
        """The addresses of MLflow's store and Optuna's."""
        return self.tracking_uri, self.storage_url


NewExecutor = Callable[[Sweep, Sequence[Connection]], AbstractContextManager[Executor]]
"""Makes the executor of a sweep; the connections end its wait for messages as well."""


def local_executor(sweep: Sweep, alarms: Sequence[Connection]) -> LocalExecutor:
    """Return trainers that are processes of this machine."""
    return LocalExecutor(sweep.workers, sweep.threads, alarms)


def run(
    sweep: Sweep, data: Dataset, watch: Watch, new_executor: NewExecutor = local_executor
) -> tuple[Ranking, str]:
    """Tune, confirm and rank all combinations.

    Args:
        sweep: What is run, and how.
        data: The data that `prepare` has loaded.
        watch: Told of every epoch and training.
        new_executor: Makes what gives trainers.

    Returns:
        The ranking, and the path of the sweep's run in MLflow's pages; `tracking.address` says
        where that is on a server.

    Raises:
        StoreError, StudyError: A store cannot be used.
        InUse: Another process runs the same experiment.
        NoRoom: A disk has too little room, or is full.
        TrainerError: Trainers cannot be had.
    """
    name = sweep.experiment.name
    alone = locks.alone(sweep.stores, name)
    delivering = tracking.delivering(sweep.tracking_uri, name, name)
    with alone, disk_space.told_when_full(), delivering as store:
        return _run(replace(sweep, tracking_uri=store), data, watch, new_executor)


def _run(
    sweep: Sweep, data: Dataset, watch: Watch, new_executor: NewExecutor
) -> tuple[Ranking, str]:
    """Run a sweep that this process holds, in a store that is there to stay."""
    tracker, inherited = _connect(sweep)
    _check_room(sweep, data, tracker)
    try:
        run_ = runs.open_sweep(sweep.experiment, sweep.definition, data, tracker, inherited)
        parents = runs.open_combinations(sweep.experiment, data, tracker, run_)
        _train_all(sweep, data, tracker, parents, watch, new_executor)
        ranking = runs.close(tracker, run_, parents)
    except BaseException:
        with suppress(Exception):  # where the store itself has failed, that is what to tell
            tracker.close_running()
        raise
    return ranking, run_.page


def _connect(sweep: Sweep) -> tuple[Tracker, str | None]:
    """Create the stores, and repair what dead processes have left.

    Returns the tracker, and the id of the run that `mlflow run` made for this process.
    """
    client = tracking.connect(sweep.tracking_uri)
    study.connect(sweep.storage_url)
    name = sweep.experiment.name
    inherited = tracking.inherited_run(client)
    mlflow_experiment_id = (
        inherited.info.experiment_id if inherited else tracking.mlflow_experiment(client, name)
    )
    tracker = Tracker(client, name, mlflow_experiment_id)
    doctor.repair(tracker, sweep.storage_url)
    return tracker, inherited.info.run_id if inherited else None


def _check_room(sweep: Sweep, data: Dataset, tracker: Tracker) -> None:
    """Check that what is left to store has room on the disks of this machine that take it."""
    experiment = sweep.experiment
    identities = {experiment.identity(c, data.fingerprint) for c in experiment.combinations()}
    records = [r for r in tracker.records() if r.combination_id in identities]
    model = model_bytes(experiment, data)
    need = disk_space.need(experiment, model, len(data.test), records)
    files = tracking.artifact_folder(tracker.client, tracker.mlflow_experiment_id)
    databases = {file.parent for file in map(sqlite.file, sweep.stores) if file is not None}
    at_work = sweep.workers if need.rows else 0  # a sweep that is done trains nothing
    needs = [
        *([] if files is None else [(files, need.files)]),
        *((folder, need.rows) for folder in databases),
        (Path(tempfile.gettempdir()), at_work * model),
        (paths.cache(), at_work * MODELS_PER_CHECKPOINT * model),
    ]
    disk_space.check(experiment, needs)


def _train_all(
    sweep: Sweep,
    data: Dataset,
    tracker: Tracker,
    parents: Mapping[str, str],
    watch: Watch,
    new_executor: NewExecutor,
) -> None:
    """Train what is left to do; trainers are started when there is something, and not before."""
    experiment = sweep.experiment
    records = records_by_combination(experiment, data, tracker)
    ended = trial_results(experiment, records, tracker)
    works = works_of(experiment, data, records, ended)
    studies = stored_studies(sweep.storage_url, works, ended, records)
    for work in works:
        for event in (*work.kept(), *work.not_to_be_confirmed()):
            watch(event)
    retention = model_retention(experiment, works, tracker)
    if not any(any(work.ready()) for work in works):
        return
    every = [record for some in records.values() for record in some]
    writer = Writer(
        Records(
            tracker=tracker,
            data=data,
            threads=sweep.threads,
            parents=parents,
            records=every,
            studies=studies,
        )
    )
    with (
        tempfile.TemporaryDirectory(prefix="cifar_exp-") as folder,
        writer,
        new_executor(sweep, [writer.failed]) as executor,
    ):
        Recorder(
            scheduler=Scheduler(works, len(data.train)),
            executor=executor,
            writer=writer,
            retention=retention,
            watch=watch,
            new_group=lambda task: Group(
                trainings=(task.training(tracker.uri),), data_path=data.path, folder=Path(folder)
            ),
            time_limit=sweep.time_limit,
        ).run()
