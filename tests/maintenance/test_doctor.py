from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from cifar_exp.errors import BadInput
from cifar_exp.maintenance import doctor
from cifar_exp.maintenance.findings import Finding, diagnose
from cifar_exp.records import RunRecord, study_label
from cifar_exp.study import StudyKey, StudyState
from cifar_exp.system import locks, paths
from cifar_exp.tracking import Tracker, connect, mlflow_experiment
from tests import records, tiny
from tests.bench import Bench, scores

SEARCH = 'trials = 2\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]'


def visit(bench: Bench, name: str | None = "tiny", *, dry_run: bool = False) -> list[str]:
    found = doctor.visit(name, bench.tracking_uri, bench.storage_url, dry_run=dry_run)
    return sorted(sentence for sentences in found.values() for sentence in sentences)


def one_trial(tracker: Tracker, number: int, parent: str, like: RunRecord) -> str:
    """Open a run of a trial, like a process that is killed later."""
    keys = ("combination", "combination_id")
    tags = {key: like.tags[key] for key in keys} | {"number": str(number)}
    name = f"{like.combination} #{number}"
    return tracker.new_run("trial", name, parent=parent, tags=tags, params=like.params).run_id


def test_the_effects_of_a_crash_are_repaired_once_and_the_ranking_is_unchanged(
    bench: Bench, tracker: Tracker, images: Path
) -> None:
    definition = tiny.definition(images, epochs="1", losses="mse = {}", search=SEARCH)
    before = bench.run(definition)
    assert visit(bench) == []
    [trial, other] = bench.records("trial")
    [combination] = bench.records("combination")
    client = tracker.client

    double = one_trial(tracker, 0, combination.run_id, trial)
    abandoned = one_trial(tracker, 7, combination.run_id, trial)
    client.set_tag(other.run_id, "mlflow.parentRunId", "deleted")
    client.update_run(combination.run_id, status="RUNNING")
    [name] = optuna.get_all_study_names(bench.storage_url)
    original = optuna.load_study(study_name=name, storage=bench.storage_url).trials
    optuna.delete_study(study_name=name, storage=bench.storage_url)
    name = f"tiny/mse+sgd {trial.combination_id}"  # of an older version
    study = optuna.create_study(study_name=name, storage=bench.storage_url, direction="maximize")
    study.ask()
    paths.checkpoints().mkdir(parents=True, exist_ok=True)
    ended = paths.checkpoint_name(bench.tracking_uri, trial.combination_id, "trial", 1, None)
    open_ = paths.checkpoint_name(bench.tracking_uri, trial.combination_id, "trial", 7, None)
    useless = [paths.checkpoints() / f"{ended}.pt", paths.checkpoints() / f"{open_}.tmp"]
    theirs = paths.checkpoints() / ("0" * 32)  # files of another experiment or store
    kept = [paths.checkpoints() / f"{open_}.pt", *map(theirs.with_suffix, (".pt", ".tmp"))]
    for file in (*useless, *kept):
        file.touch()

    out_of_step = f"study {name!r} differs from MLflow in #0: the next sweep rebuilds it"
    expected = sorted(
        [
            "trial mse+sgd #0 is a duplicate: the unused run is deleted",
            "trial mse+sgd #7 was left open: closed as KILLED",
            "combination mse+sgd was left open: closed as KILLED",
            "trial mse+sgd #1 was under a deleted run: moved to its combination's",
            out_of_step,
            *(f"{file} is not needed any more: removed" for file in useless),
        ]
    )
    assert visit(bench, dry_run=True) == expected
    assert client.get_run(abandoned).info.status == "RUNNING"
    assert visit(bench) == expected
    assert visit(bench) == [out_of_step]
    deleted = client.get_run(double).info
    assert (deleted.lifecycle_stage, deleted.status) == ("deleted", "KILLED")
    assert client.get_run(abandoned).info.status == "KILLED"
    assert {r.parent for r in bench.records("trial")} == {combination.run_id}
    assert all(file.exists() for file in kept)
    assert not any(file.exists() for file in useless)
    assert scores(bench.run(definition)) == scores(before)
    rebuilt = optuna.load_study(study_name=name, storage=bench.storage_url).trials
    assert [(t.state, t.value) for t in rebuilt] == [(t.state, t.value) for t in original]


def test_the_checkpoint_of_a_deleted_run_is_removed(
    bench: Bench, tracker: Tracker, images: Path
) -> None:
    bench.run(tiny.definition(images, epochs="1", losses="mse = {}", search=SEARCH))
    [trial, _] = bench.records("trial")
    client = tracker.client
    deleted = one_trial(tracker, 7, str(trial.parent), trial)
    client.delete_run(deleted)
    paths.checkpoints().mkdir(parents=True, exist_ok=True)
    theirs, of_another_store = (
        paths.checkpoints()
        / f"{paths.checkpoint_name(store, trial.combination_id, 'trial', 7, None)}.pt"
        for store in (bench.tracking_uri, "sqlite:///another.db")
    )
    for file in (theirs, of_another_store):
        file.touch()
    assert visit(bench) == [f"{theirs} is not needed any more: removed"]
    assert (theirs.exists(), of_another_store.exists()) == (False, True)


def test_a_sweep_starts_with_the_same_repairs(bench: Bench, tracker: Tracker, images: Path) -> None:
    definition = tiny.definition(images, epochs="1", losses="mse = {}", search=SEARCH)
    bench.run(definition)
    [trial, _] = bench.records("trial")
    client = tracker.client
    double = one_trial(tracker, 0, str(trial.parent), trial)
    bench.run(definition)
    assert client.get_run(double).info.lifecycle_stage == "deleted"
    assert visit(bench) == []


def test_an_experiment_in_use_is_skipped(bench: Bench, images: Path) -> None:
    bench.run(tiny.definition(images, epochs="1", losses="mse = {}", search=SEARCH))
    [sweep] = bench.records("sweep")
    connect(bench.tracking_uri).update_run(sweep.run_id, status="RUNNING")
    with locks.alone((bench.tracking_uri, bench.storage_url), "tiny"):
        [sentence] = visit(bench, None)
    assert sentence.startswith("skipped: experiment 'tiny' is in use by process ")
    assert visit(bench, None) == ["sweep tiny was left open: closed as KILLED"]


def test_a_single_training_of_a_live_process_is_skipped(bench: Bench) -> None:
    client = connect(bench.tracking_uri)
    tracker = Tracker(client, "train", mlflow_experiment(client, "train"))
    run_id = tracker.new_run("train", "mse+sgd", tags={}, params={}).run_id
    with locks.writing(run_id):
        assert visit(bench, "train") == []
    assert client.get_run(run_id).info.status == "RUNNING"
    assert visit(bench, "train") == ["train mse+sgd was left open: closed as KILLED"]


def test_a_missing_store_or_experiment(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no experiment 'none'"):
        visit(bench, "none")
    assert not (tmp_path / "optuna.db").exists()
    with pytest.raises(BadInput, match="there is no"):
        doctor.visit(None, f"sqlite:///{tmp_path / 'no.db'}", bench.storage_url, dry_run=True)


# Only the diagnosis.


def runs(*extra: RunRecord) -> list[RunRecord]:
    combination = replace(records.combination("a+b"), combination_id="x")
    return [records.sweep(), combination, *extra]


def trial(number: int, accuracy: float | None = 0.5, **changes: object) -> RunRecord:
    return records.trial("a+b", number, accuracy, combination_id="x", **changes)


def stored(number: int, states: tuple[str, ...]) -> StudyState:
    key = StudyKey(experiment="small", combination_id="x", study=number)
    return StudyState(name=f"small/{study_label('a+b', number)}", key=key, states=states)


def sentences(
    found: list[RunRecord], *studies: StudyState, in_use: set[str] | None = None
) -> list[str]:
    return [finding.sentence for finding in diagnose(found, studies, [], in_use or set())]


class Deleted:
    """A tracker that records the deleted runs."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def delete(self, record: RunRecord) -> None:
        self.runs.append(record.run_id)


def deleted_by(findings: list[Finding]) -> list[str]:
    tracker: Any = Deleted()
    for finding in findings:
        finding.repair(tracker)
    return list(tracker.runs)


def test_of_two_finished_runs_of_a_training_the_earlier_one_is_kept() -> None:
    twins = [trial(0, run_id="early", start_time=5), trial(0, run_id="late", start_time=6)]
    for order in (twins, twins[::-1]):
        [finding] = diagnose(runs(*order), [], [])
        assert finding.sentence == "trial a+b #0 is a duplicate: the later run is deleted"
        assert deleted_by([finding]) == ["late"]
    assert sentences(runs(*twins), in_use={"late"}) == []


def test_a_finished_run_is_kept_rather_than_an_older_unfinished_one() -> None:
    twins = [
        trial(0, run_id="older", start_time=5, state=None, status="RUNNING"),
        trial(0, run_id="done", start_time=6),
    ]
    [finding] = diagnose(runs(*twins), [], [])
    assert finding.sentence == "trial a+b #0 is a duplicate: the unused run is deleted"
    assert deleted_by([finding]) == ["older"]


def test_confirmations_of_different_settings_are_not_duplicates() -> None:
    confirmations = [
        trial(1, run_id=f"c{best}", kind="confirmation", confirms=best) for best in (0, 1)
    ]
    assert sentences(runs(*confirmations)) == []


@pytest.mark.parametrize(
    ("states", "others"),
    [
        (("COMPLETE",), None),
        (("COMPLETE", "FAIL"), None),
        ((), None),  # the next sweep adds the missing trials
        (("COMPLETE", "COMPLETE"), "#1"),
        (("RUNNING",), "#0"),
        (("COMPLETE", "FAIL", "COMPLETE", "COMPLETE"), "#2, #3"),
    ],
)
def test_a_study_with_other_trials_is_named(states: tuple[str, ...], others: str | None) -> None:
    study = stored(1, states)
    expected = f"study 'small/a+b' differs from MLflow in {others}: the next sweep rebuilds it"
    assert sentences(runs(trial(0), trial(1, None)), study) == (
        [] if others is None else [expected]
    )


def test_trainings_of_two_studies_are_not_duplicates() -> None:
    found = [
        run
        for study in (1, 2)
        for run in (
            trial(0, run_id=f"trial of {study}", study=study),
            trial(1, run_id=f"seed of {study}", study=study, kind="confirmation", confirms=0),
        )
    ]
    assert sentences(runs(*found)) == []
    again = replace(trial(0, run_id="again", study=2, start_time=9), name="a+b study 2 #0")
    [finding] = diagnose(runs(*found, again), [], [])
    assert finding.sentence == "trial a+b study 2 #0 is a duplicate: the later run is deleted"
    assert deleted_by([finding]) == ["again"]


def test_a_stored_study_is_compared_with_the_trials_of_its_number() -> None:
    found = runs(trial(0), trial(0, None, run_id="second", study=2))
    agreeing = [stored(1, ("COMPLETE",)), stored(2, ("FAIL",))]
    first, second = (study.name for study in agreeing)
    assert sentences(found, *agreeing) == []
    swapped = [replace(study, states=("FAIL", "COMPLETE")) for study in agreeing]
    assert sentences(found, *swapped) == [
        f"study {first!r} differs from MLflow in #0, #1: the next sweep rebuilds it",
        f"study {second!r} differs from MLflow in #1: the next sweep rebuilds it",
    ]


def test_a_run_without_a_new_parent_is_named() -> None:
    """A trial without its combination, and a combination without its sweep."""
    combination = replace(records.combination("a+b"), combination_id="x")
    for left, name in ((trial(0), "trial a+b #0"), (combination, "combination a+b")):
        taken_up = "the next sweep of its definition moves it"
        assert sentences([left]) == [f"{name} is under a deleted run: {taken_up}"]


def test_a_finished_run_left_open_is_closed_by_its_state() -> None:
    [finding] = diagnose(runs(trial(0, status="RUNNING", state="PRUNED")), [], [])
    assert finding.sentence == "trial a+b #0 was left open: closed as KILLED"
    [finding] = diagnose(runs(trial(0, status="RUNNING")), [], [])
    assert finding.sentence == "trial a+b #0 was left open: closed as FINISHED"
