"""One execution of an experiment: every combination is tuned, confirmed and ranked.

A repeated call resumes from the trainings in MLflow and repeats none of them.
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
from cifar_exp.records import RunRecord
from cifar_exp.sweep import disk_space
from cifar_exp.sweep.earlier_results import not_counted
from cifar_exp.sweep.events import Notice, Watch
from cifar_exp.sweep.executors import Executor
from cifar_exp.sweep.executors.local import LocalExecutor
from cifar_exp.sweep.prepare import model_bytes
from cifar_exp.sweep.recording import runs
from cifar_exp.sweep.recording.recorder import Recorder
from cifar_exp.sweep.recording.writer import Records, Writer
from cifar_exp.sweep.schedule.replication import Replication
from cifar_exp.sweep.schedule.resume import (
    model_retention,
    records_by_study,
    stored_studies,
    trial_results,
    works_of,
)
from cifar_exp.sweep.schedule.scheduler import Scheduler
from cifar_exp.system import locks, paths, sqlite, temporary
from cifar_exp.tracking import Tracker
from cifar_exp.training import checkpoint
from cifar_exp.training.messages import Group

MODELS_PER_CHECKPOINT = 6  # weights and two optimizer states, for the old and the new file


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """The request for one execution."""

    experiment: Experiment
    definition: str
    """The text of the definition."""
    tracking_uri: str
    storage_url: str
    workers: int
    """Number of trainers that run in parallel."""
    threads: int
    """CPU threads of each trainer."""
    width: int = 1
    """The largest number of networks that a trainer trains together."""
    time_limit: float | None = None
    """The longest time of a training in seconds; None for no limit."""
    system_metrics: bool = False
    """Whether to record the load of this machine during confirmations."""

    @property
    def stores(self) -> tuple[str, str]:
        """The addresses of the MLflow store and the Optuna storage."""
        return self.tracking_uri, self.storage_url


NewExecutor = Callable[[Sweep, Sequence[Connection]], AbstractContextManager[Executor]]
"""Creates the executor of a sweep; the connections also end its wait for messages."""


def local_executor(sweep: Sweep, alarms: Sequence[Connection]) -> LocalExecutor:
    """Return an executor that runs trainers as processes of this machine."""
    return LocalExecutor(sweep.workers, sweep.threads, alarms)


def run(
    sweep: Sweep, data: Dataset, watch: Watch, new_executor: NewExecutor = local_executor
) -> tuple[Ranking, str]:
    """Tune, confirm and rank all combinations.

    Args:
        sweep: The request.
        data: The data set, loaded by `prepare`.
        watch: Called with an event for every epoch, start and end of a training.
        new_executor: Creates the executor.

    Returns:
        The ranking, and the path of the sweep's run in MLflow's UI; `tracking.address` returns
        its full address.

    Raises:
        StoreError, StudyError: A store cannot be used.
        InUse: Another process runs the same experiment.
        NoRoom: A disk has too little free space, or is full.
        TrainerError: Trainers cannot be started.
    """
    name = sweep.experiment.name
    alone = locks.alone(sweep.stores, name)
    delivering = tracking.delivering(sweep.tracking_uri, name, name)
    with alone, disk_space.told_when_full(), delivering as store:
        return _run(replace(sweep, tracking_uri=store), data, watch, new_executor)


def _run(
    sweep: Sweep, data: Dataset, watch: Watch, new_executor: NewExecutor
) -> tuple[Ranking, str]:
    """Run a sweep whose lock this process holds; its store is a local one or an outbox."""
    tracker, inherited = _connect(sweep)
    temporary.remove_abandoned()
    records = tracker.records()
    _check_room(sweep, data, tracker, records)
    for notice in not_counted(sweep.experiment, data, tracker.client, records):
        watch(notice)
    try:
        run_ = runs.open_sweep(sweep.experiment, sweep.definition, data, tracker, inherited)
        parents = runs.open_combinations(sweep.experiment, data, tracker, run_)
        _train_all(sweep, data, tracker, parents, watch, new_executor)
        ranking = runs.close(tracker, run_, parents)
        if problem := tracker.register_champion(run_):
            watch(Notice(sentence=problem))
    except BaseException:
        with suppress(Exception):  # the store may be what failed; raise the first error
            tracker.close_running()
        raise
    return ranking, run_.page


def _connect(sweep: Sweep) -> tuple[Tracker, str | None]:
    """Create the stores, and repair them after a crash.

    Returns the tracker, and the id of the run that `mlflow run` created for this process, if any.
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


def _check_room(
    sweep: Sweep, data: Dataset, tracker: Tracker, records: Sequence[RunRecord]
) -> None:
    """Check that the local disks have enough space for the rest of the sweep."""
    experiment = sweep.experiment
    names = {experiment.identity(c, data.fingerprint): c.name for c in experiment.combinations()}
    existing = [
        replace(r, combination=names[r.combination_id])  # another one if schedules were added
        for r in records
        if r.combination_id in names
    ]
    model = model_bytes(experiment, data)
    need = disk_space.need(experiment, model, len(data.test), existing)
    files = tracking.artifact_folder(tracker.client, tracker.mlflow_experiment_id)
    databases = {file.parent for file in map(sqlite.file, sweep.stores) if file is not None}
    active = 0  # a finished sweep trains nothing
    if need.rows:
        active = min(sweep.workers * sweep.width, experiment.num_trainings)
    needs = [
        *([] if files is None else [(files, need.files)]),
        *((folder, need.rows) for folder in databases),
        (Path(tempfile.gettempdir()), active * model),
        (paths.checkpoints(), active * MODELS_PER_CHECKPOINT * model),
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
    """Train the remaining work; no trainer is started if nothing remains."""
    experiment = sweep.experiment
    records = records_by_study(experiment, data, tracker)
    ended = trial_results(experiment, records, tracker)
    works = works_of(experiment, data, records, ended)
    replication = Replication(experiment.design, works, len(data.test))
    studies = stored_studies(sweep.storage_url, experiment, works, ended, records, tracker)
    for notice in (replication.repeated(), replication.update()):
        if notice:
            watch(notice)
    for work in works:
        for event in work.not_left():
            watch(event)
    retention = model_retention(experiment, works, tracker)
    ready = [task for work in works for task in work.ready()]
    if not ready:
        return
    begun = {task.key for task in ready if checkpoint.exists(task.checkpoint(tracker.uri))}
    all_records = [record for group in records.values() for record in group]
    writer = Writer(
        Records(
            tracker=tracker,
            data=data,
            threads=sweep.threads,
            parents=parents,
            records=all_records,
            studies=studies,
            system_metrics=sweep.system_metrics,
        )
    )
    with (
        temporary.temporary_folder() as folder,
        writer,
        new_executor(sweep, [writer.failed]) as executor,
    ):
        Recorder(
            scheduler=Scheduler(replication, len(data.train), sweep.width, begun),
            executor=executor,
            writer=writer,
            retention=retention,
            watch=watch,
            new_group=lambda tasks: Group(
                trainings=tuple(task.training(tracker.uri) for task in tasks),
                data_path=data.path,
                folder=folder,
            ),
            time_limit=sweep.time_limit,
        ).run()
