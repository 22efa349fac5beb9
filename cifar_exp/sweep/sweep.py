"""One execution of an experiment: every combination tuned, confirmed and ranked.

The same call again goes on from what MLflow and Optuna hold and repeats nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cifar_exp import study, tracking
from cifar_exp.comparison import Ranking
from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Experiment
from cifar_exp.experiment.identity import definition_hash
from cifar_exp.maintenance import doctor
from cifar_exp.records import TRAININGS, RunRecord
from cifar_exp.sweep import disk_space, joining, scheduler, summary
from cifar_exp.sweep.executors.pool import pool
from cifar_exp.sweep.prepare import model_bytes
from cifar_exp.sweep.runs import open_combinations, open_sweep
from cifar_exp.sweep.units import Job
from cifar_exp.system import locks, paths, sqlite
from cifar_exp.system.locks import Holder, Units
from cifar_exp.tracking import Tracker
from cifar_exp.training.events import Watch

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
    threads: int
    """Threads of each worker."""
    time_limit: float | None = None
    """Seconds that a training may take, if there is a limit."""
    join: bool = False
    """Whether to work beside another process that runs the same sweep, if there is one."""

    @property
    def stores(self) -> tuple[str, str]:
        """The addresses of MLflow's store and Optuna's."""
        return self.tracking_uri, self.storage_url

    @property
    def units(self) -> Units:
        """The locks of the units of work."""
        return Units(store=self.tracking_uri, experiment=self.experiment.name)


def run(
    sweep: Sweep, data: Dataset, watch: Watch, joined: Callable[[Holder], None] = lambda _: None
) -> tuple[Ranking, str]:
    """Tune, confirm and rank all combinations.

    Args:
        sweep: What is run, and how.
        data: The data that `prepare` has loaded.
        watch: Told of every epoch and training.
        joined: Told of the process whose sweep this one has joined, if it does.

    Returns:
        The ranking, and the path of the sweep's run in MLflow's pages; `tracking.address` says
        where that is on a server.

    Raises:
        StoreError, StudyError: A store cannot be used.
        InUse: Another process runs the same experiment, and it is not to be joined.
        OtherDefinition: It is to be joined, and runs another definition.
        NoRoom: A disk has too little room, or is full.
        WorkerError: Worker processes cannot be had.
    """
    watch = scheduler.once(watch)
    name = sweep.experiment.name
    alone = _alone(sweep, data, watch, joined)
    delivering = tracking.delivering(sweep.tracking_uri, name, name)
    with alone, disk_space.told_when_full(), delivering as store:
        return _run(replace(sweep, tracking_uri=store), data, watch)


@contextmanager
def _alone(
    sweep: Sweep, data: Dataset, watch: Watch, joined: Callable[[Holder], None]
) -> Iterator[None]:
    """Hold the sweep; where another process does and is to be joined, work beside it first."""
    definition = definition_hash(sweep.experiment, data)
    hold = partial(locks.alone, sweep.stores, sweep.experiment.name, definition=definition)
    with ExitStack() as held:
        try:
            held.enter_context(hold())
        except locks.InUse:
            if not sweep.join:
                raise
            _work_beside(sweep, data, watch, joined)
            held.enter_context(hold(wait=True))
        yield


def _run(sweep: Sweep, data: Dataset, watch: Watch) -> tuple[Ranking, str]:
    """Run a sweep that this process holds, in a store that is there to stay."""
    tracker, inherited = _connect(sweep)
    _check_room(sweep, data, tracker)
    try:
        run_ = open_sweep(sweep.experiment, sweep.definition, data, tracker, inherited)
        parents = open_combinations(sweep.experiment, data, tracker, run_)
        _train_all(_job(sweep, data, tracker, parents), sweep, watch)
        ranking = summary.close(tracker, run_, parents)
    except BaseException:
        with suppress(Exception):  # where the store itself has failed, that is what to tell
            tracker.close_running(_is_held(sweep))
        raise
    sweep.units.forget()
    return ranking, run_.page


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


def _work_beside(
    sweep: Sweep, data: Dataset, watch: Watch, joined: Callable[[Holder], None]
) -> None:
    """Train what another process that runs the sweep is not at, until nothing is left.

    That process opens and closes the sweep. Should it die, whoever holds the sweep next does.
    """
    definition = definition_hash(sweep.experiment, data)
    there = replace(sweep, tracking_uri=tracking.store_of(sweep.tracking_uri))
    shared = joining.find(
        sweep.stores, there.tracking_uri, sweep.experiment, data.fingerprint, definition
    )
    if shared is None:
        return
    if (other := locks.holder(sweep.stores, sweep.experiment.name)) is not None:
        joined(other)
    try:
        _train_all(_job(there, data, shared.tracker, shared.parents), there, watch)
    except BaseException:
        with suppress(Exception):
            shared.tracker.close_running(_is_held_beside(there))
        raise


def _is_held(sweep: Sweep) -> Callable[[RunRecord], bool]:
    """Return what says whether a process is at a run, where this process holds the sweep."""
    return lambda record: record.kind in TRAININGS and sweep.units.is_held(record)


def _is_held_beside(sweep: Sweep) -> Callable[[RunRecord], bool]:
    """Return what says the same where another process holds the sweep."""
    return lambda record: record.kind not in TRAININGS or sweep.units.is_held(record)


def _connect(sweep: Sweep) -> tuple[Tracker, str | None]:
    """Create the stores before any worker needs them, and repair what dead processes have left.

    Returns the tracker, and the id of the run that `mlflow run` made for this process.
    """
    client = tracking.connect(sweep.tracking_uri)
    study.connect(sweep.storage_url)
    name = sweep.experiment.name
    inherited = tracking.inherited_run(client)
    place = inherited.info.experiment_id if inherited else tracking.mlflow_experiment(client, name)
    tracker = Tracker(sweep.tracking_uri, name, place)
    doctor.repair(tracker, sweep.storage_url)
    return tracker, inherited.info.run_id if inherited else None


def _job(sweep: Sweep, data: Dataset, tracker: Tracker, parents: Mapping[str, str]) -> Job:
    return Job(
        experiment=sweep.experiment,
        data_path=data.path,
        tracking_uri=sweep.tracking_uri,
        mlflow_experiment_id=tracker.mlflow_experiment_id,
        storage_url=sweep.storage_url,
        parents=parents,
    )


def _train_all(job: Job, sweep: Sweep, watch: Watch) -> None:
    """Train what is left to do; workers are started when there is something, and not before."""
    with pool(sweep.workers, sweep.threads, watch, sweep.time_limit) as submit:
        scheduler.train_all(job, submit, watch)
