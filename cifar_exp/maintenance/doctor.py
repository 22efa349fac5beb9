"""The doctor: makes MLflow, Optuna and the files of an experiment consistent after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifar_exp import study, tracking
from cifar_exp.errors import BadInput
from cifar_exp.maintenance.findings import Finding, diagnose
from cifar_exp.records import RunRecord, study_label
from cifar_exp.system import locks, paths, sqlite
from cifar_exp.system.locks import InUse
from cifar_exp.system.urls import without_credentials
from cifar_exp.tracking import Client, ExperimentRuns


def examine(runs: ExperimentRuns, storage_url: str) -> list[Finding]:
    """Return the findings of an experiment whose sweep lock this process holds."""
    records = runs.records()
    studies = study.read_states(storage_url, runs.experiment) if exists(storage_url) else []
    held = {
        r.run_id
        for r in records
        if r.kind == "train" and r.status == "RUNNING" and locks.is_held(r.run_id)
    }
    return diagnose(records, studies, _unused_checkpoints(runs, records), held)


def repair(runs: ExperimentRuns, storage_url: str) -> list[Finding]:
    """Repair an experiment whose sweep lock this process holds; return the findings."""
    findings = examine(runs, storage_url)
    for finding in findings:
        finding.repair(runs)
    return findings


def visit(
    name: str | None, tracking_uri: str, storage_url: str, *, dry_run: bool
) -> dict[str, list[str]]:
    """Repair one experiment, or all experiments of a store.

    With a tracking server, the outbox on this machine is repaired; the caller delivers it.

    Args:
        name: The experiment; None for all in the store.
        tracking_uri: The MLflow store.
        storage_url: The Optuna storage; it may be missing.
        dry_run: Whether to report findings only.

    Returns:
        The findings of each experiment as sentences. An experiment in use is skipped, with a
        sentence that says so.

    Raises:
        BadInput: There is no such store or experiment.
        StoreError, StudyError: A store cannot be used.
    """
    client = _connect(tracking_uri, dry_run=dry_run)
    return {
        experiment: _visit(
            ExperimentRuns(client, experiment), tracking_uri, storage_url, dry_run=dry_run
        )
        for experiment in _experiments(client, name, tracking_uri)
    }


def exists(storage_url: str) -> bool:
    """Return whether a study storage exists, without creating it."""
    return sqlite.exists(storage_url)


def _connect(tracking_uri: str, *, dry_run: bool) -> Client:
    """Return a client of the store that this machine writes to; it must exist."""
    store = tracking.store_of(tracking_uri)
    if tracking.is_server(tracking_uri) and not tracking.exists(store):
        shown = without_credentials(tracking_uri)
        raise BadInput(f"this machine has recorded nothing for {shown}")
    sqlite.require(store)
    if not dry_run:
        return tracking.connect(store)
    tracking.relocate(store, dry_run=True)
    return tracking.connect_to_read(store)


def _experiments(client: Client, name: str | None, tracking_uri: str) -> list[str]:
    """Return the experiment of this name, or all of them in alphabetical order."""
    known = tracking.experiments(client)
    if name is None:
        return sorted(known)
    if name in known:
        return [name]
    shown = without_credentials(tracking_uri)
    if tracking.is_server(tracking_uri):
        raise BadInput(f"this machine has recorded no experiment {name!r} for {shown}")
    raise BadInput(f"the MLflow store {shown} holds no experiment {name!r}")


def _visit(
    runs: ExperimentRuns, tracking_uri: str, storage_url: str, *, dry_run: bool
) -> list[str]:
    action = examine if dry_run else repair
    try:
        with locks.alone((tracking_uri, storage_url), runs.experiment):
            return [finding.sentence for finding in action(runs, storage_url)]
    except InUse as error:
        return [f"skipped: {error}"]


def _unused_checkpoints(runs: ExperimentRuns, records: Sequence[RunRecord]) -> list[Path]:
    """Return the checkpoints of ended or deleted trainings, and partly written checkpoints."""
    ended = [record for record in records if record.finished]
    deleted = [
        tracking.record_of(run) for run in tracking.deleted_runs(runs.client, runs.experiment)
    ]
    needed = {_checkpoint(runs, record) for record in records if not record.finished}
    unused = {_checkpoint(runs, record) for record in (*ended, *deleted)} - needed
    files = [path for path in paths.checkpoints().glob("*") if path.is_file()]
    return sorted(
        file
        for file in files
        if file.stem in unused or (file.stem in needed and file.suffix == ".tmp")
    )


def _checkpoint(runs: ExperimentRuns, record: RunRecord) -> str:
    study = study_label(record.combination_id or "", record.study)
    return paths.checkpoint_name(runs.uri, study, record.kind, record.number, record.confirms)
