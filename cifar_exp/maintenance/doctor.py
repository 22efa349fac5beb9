"""The doctor: it brings MLflow, Optuna and files of an experiment in step after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifar_exp import study, tracking
from cifar_exp.errors import BadInput
from cifar_exp.maintenance.findings import Finding, diagnose
from cifar_exp.records import RunRecord
from cifar_exp.system import locks, paths, sqlite
from cifar_exp.system.locks import InUse
from cifar_exp.system.urls import without_credentials
from cifar_exp.tracking import ExperimentRuns


def examine(runs: ExperimentRuns, storage_url: str) -> list[Finding]:
    """List what is wrong with an experiment whose sweep this process holds."""
    records = runs.records()
    studies = study.read_states(storage_url, runs.experiment) if exists(storage_url) else []
    held = {
        r.run_id
        for r in records
        if r.kind == "train" and r.status == "RUNNING" and locks.is_held(r.run_id)
    }
    return diagnose(records, studies, _useless_checkpoints(runs, records), held)


def repair(runs: ExperimentRuns, storage_url: str) -> list[Finding]:
    """Repair what is wrong with an experiment whose sweep this process holds, and return it."""
    findings = examine(runs, storage_url)
    for finding in findings:
        finding.repair(runs)
    return findings


def visit(
    name: str | None, tracking_uri: str, storage_url: str, *, dry_run: bool
) -> dict[str, list[str]]:
    """Repair one experiment or all of a store.

    What was recorded for a server is repaired in its outbox on this machine, and is to be delivered
    from there.

    Args:
        name: The experiment; by default all that the store holds.
        tracking_uri: The MLflow store.
        storage_url: The Optuna storage; it may be missing.
        dry_run: Whether to repair nothing.

    Returns:
        What was wrong with each experiment, a sentence each. One that is in use is left alone,
        and says so.

    Raises:
        BadInput: There is no such store or experiment.
        StoreError, StudyError: A store cannot be used.
    """
    store = tracking.store_of(tracking_uri)
    shown = without_credentials(tracking_uri)
    if not tracking.exists(store):
        if tracking.is_server(tracking_uri):
            raise BadInput(f"this machine has recorded nothing for {shown}")
        raise BadInput(f"there is no {tracking_uri.removeprefix('sqlite:///')}; name the store")
    client = tracking.connect(store)
    known = tracking.experiments(client)
    if name is not None and name not in known:
        if tracking.is_server(tracking_uri):
            raise BadInput(f"this machine has recorded no experiment {name!r} for {shown}")
        raise BadInput(f"the MLflow store {shown} holds no experiment {name!r}")
    names = sorted(known) if name is None else [name]
    work = examine if dry_run else repair
    found = {}
    for experiment in names:
        try:
            with locks.alone((tracking_uri, storage_url), experiment):
                findings = work(ExperimentRuns(client, experiment), storage_url)
                found[experiment] = [finding.sentence for finding in findings]
        except InUse as error:
            found[experiment] = [f"left alone: {error}"]
    return found


def exists(storage_url: str) -> bool:
    """Say whether a study storage is there: to look at one must not make it."""
    return sqlite.exists(storage_url)


def _useless_checkpoints(runs: ExperimentRuns, records: Sequence[RunRecord]) -> list[Path]:
    """Return the checkpoints of trainings that have ended or are deleted, and parts of any."""
    ended = [record for record in records if record.finished]
    deleted = [
        tracking.record_of(run) for run in tracking.deleted_runs(runs.client, runs.experiment)
    ]
    alive = {_checkpoint(runs, record) for record in records if not record.finished}
    useless = {_checkpoint(runs, record) for record in (*ended, *deleted)} - alive
    files = [path for path in paths.checkpoints().glob("*") if path.is_file()]
    return sorted(
        file
        for file in files
        if file.stem in useless or (file.stem in alive and file.suffix == ".tmp")
    )


def _checkpoint(runs: ExperimentRuns, record: RunRecord) -> str:
    return paths.checkpoint_name(
        runs.uri, record.combination_id, record.kind, record.number, record.confirms
    )
