"""Garbage collection of stored files: models that no ranking uses, and files of deleted runs.

Metrics, params and records are not changed, so the ranking stays the same. No ranking uses a single
training, so its model is collected unless it is in MLflow's registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from cifar_exp import tracking
from cifar_exp.comparison import best_trials, counted_trainings
from cifar_exp.errors import BadInput
from cifar_exp.records import TRAININGS, RunRecord
from cifar_exp.system import locks, sqlite
from cifar_exp.system.urls import without_credentials
from cifar_exp.tracking import Client, StoredModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """The number and size of unused files."""

    models: int
    runs: int
    """Deleted runs that still had files."""
    num_bytes: int
    kept: int = 0
    """Models and runs whose files do not belong to this store alone; they are not deleted."""


def collect(name: str, tracking_uri: str, *, dry_run: bool) -> Collected:
    """Delete the stored models of an experiment that no ranking uses, and files of deleted runs.

    Kept are the models of the best trial and of the confirmations of each study in the newest
    sweep, and every model in MLflow's registry.

    Args:
        name: The experiment.
        tracking_uri: The MLflow store.
        dry_run: Whether to count only and delete nothing.

    Raises:
        BadInput: There is no such store, or it has no sweep of that name and no single training.
        InUse: A process is running a sweep of the experiment.
        StoreError: The store cannot be used.
    """
    sqlite.require(tracking_uri)
    client = (tracking.connect_to_read if dry_run else tracking.connect)(tracking_uri)
    with locks.alone((tracking_uri,), name):
        records = tracking.read_records(client, name)
        if not any(record.kind in ("sweep", "train") for record in records):
            store = without_credentials(tracking_uri)
            raise BadInput(f"the MLflow store {store} holds no sweep of experiment {name!r}")
        return _collect(client, name, records, dry_run=dry_run)


def used(records: Sequence[RunRecord]) -> set[str]:
    """Return the ids of the runs whose models the ranking of the newest sweep uses."""
    runs: set[str] = set()
    if not any(record.kind == "sweep" for record in records):
        return runs
    for trainings in counted_trainings(records).values():
        runs |= {r.run_id for r in best_trials(trainings).values()}
        runs |= {r.run_id for r in trainings if r.kind == "confirmation"}
    return runs


def _collect(
    client: Client, name: str, records: Sequence[RunRecord], *, dry_run: bool
) -> Collected:
    found = list(tracking.files_of_deleted_runs(client, name))
    runs = [files for files in found if files.num_bytes()]
    unused = list(_unused_models(client, name, records, used(records)))
    deleted_runs = [files for files in runs if files.may_be_deleted]
    models = [model for model in unused if model.files.may_be_deleted]
    kept = len(runs) - len(deleted_runs) + len(unused) - len(models)
    num_bytes = sum(files.num_bytes() for files in deleted_runs)
    num_bytes += sum(model.files.num_bytes() for model in models)
    if not dry_run:
        for files in deleted_runs:
            files.delete()
        for model in models:
            model.delete()
    return Collected(models=len(models), runs=len(deleted_runs), num_bytes=num_bytes, kept=kept)


def _is_ended_single(record: RunRecord) -> bool:
    """Return whether a run is a single training that no process is writing to."""
    return record.kind == "train" and record.status != "RUNNING"


def _unused_models(
    client: Client, name: str, records: Sequence[RunRecord], kept: Set[str]
) -> Iterator[StoredModel]:
    for record in records:
        unused = record.kind in TRAININGS and record.run_id not in kept
        if unused or _is_ended_single(record):
            yield from tracking.stored_models(client, client.get_run(record.run_id))
    for run in tracking.deleted_runs(client, name):
        yield from tracking.stored_models(client, run)
