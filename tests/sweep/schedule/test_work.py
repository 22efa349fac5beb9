from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_exp.records import RunRecord
from cifar_exp.sweep.schedule.resume import model_retention, results_of
from cifar_exp.sweep.schedule.work import Work
from tests import records, tiny
from tests.sweep.works import works_of

NAME = "mse+sgd"


def trial(number: int, accuracy: float | None) -> RunRecord:
    params = {"lr": f"0.0{number + 1}", "batch_size": "8"}
    return records.trial(NAME, number, accuracy, params=params)


def work_of(images: Path, *existing: RunRecord, trials: int = 3, seeds: int = 2) -> Work:
    search = f'trials = {trials}\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]'
    experiment = tiny.experiment(images, losses="mse = {}", search=search, seeds=str(seeds))
    [work] = works_of(experiment, existing)
    return work


def ready(work: Work) -> list[str]:
    return [task.name for task in work.ready()]


TRIALS = [trial(0, 0.4), trial(1, 0.6), trial(2, None)]


def test_only_trainings_that_have_not_ended_remain(images: Path) -> None:
    begun = replace(trial(1, 0.5), state=None)
    assert ready(work_of(images, trial(0, 0.4), begun)) == ["mse+sgd #1", "mse+sgd #2"]


def test_the_best_setting_is_confirmed_on_fresh_seeds(images: Path) -> None:
    work = work_of(images, *TRIALS)
    first, second = work.ready()
    assert (first.name, second.name) == ("mse+sgd seed 1", "mse+sgd seed 2")
    assert (first.config.lr, first.config.batch_size, first.confirms) == (0.02, 8, 1)
    assert [task.config.seed for task in (first, second)] == [1, 2]


@pytest.mark.parametrize(
    ("confirmed", "left"),
    [
        ([], [1, 2]),
        ([records.confirmation(NAME, 1, 0.5, confirms=1)], [2]),
        ([records.confirmation(NAME, 1, 0.5, confirms=0)], [1, 2]),  # the setting of another trial
        ([records.confirmation(NAME, 3, 0.5, confirms=1)], [1, 2]),  # a seed that was not requested
        ([records.confirmation(NAME, 1, None, confirms=1)], [2]),  # a failure is a result
    ],
)
def test_a_confirmation_counts_for_the_setting_it_confirms(
    images: Path, confirmed: list[RunRecord], left: list[int]
) -> None:
    work = work_of(images, *TRIALS, *confirmed)
    assert [task.number for task in work.ready()] == left
    kept = [event.training for event in work.kept()]
    counted = [f"seed {number}" for number in (1, 2) if number not in left]
    assert kept == ["trial 0", "trial 1", "trial 2", *counted]


def test_with_fewer_trials_another_one_may_be_the_best(images: Path) -> None:
    of_both = [records.confirmation(NAME, 1, 0.5, confirms=number) for number in (0, 1)]
    work = work_of(images, *TRIALS, *of_both, trials=1, seeds=1)
    assert ready(work) == []
    assert work.best is not None
    assert work.best.number == 0
    more = work_of(images, *TRIALS, *of_both, trials=4, seeds=1)
    assert ready(more) == ["mse+sgd #3"]
    assert [event.training for event in more.kept()] == ["trial 0", "trial 1", "trial 2"]


def test_without_a_result_nothing_can_be_confirmed(images: Path) -> None:
    work = work_of(images, trial(0, None), trials=1)
    assert ready(work) == []
    events = [(e.training, e.state, e.reason) for e in work.not_to_be_confirmed()]
    assert events == [(f"seed {n}", "FAIL", "no trial has a result") for n in (1, 2)]
    assert list(work_of(images, *TRIALS).not_to_be_confirmed()) == []
    assert list(work_of(images, trials=1).not_to_be_confirmed()) == []


class Deleting:
    """A tracker that records the runs whose models are deleted."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def delete_models(self, run_id: str) -> None:
        self.runs.append(run_id)


@pytest.mark.parametrize(("keep", "deleted"), [("best", ["mse+sgd #0", "mse+sgd #2"]), ("all", [])])
def test_models_left_by_an_interruption_are_deleted(
    images: Path, keep: str, deleted: list[str]
) -> None:
    """The second trial is better than the first, and the third is not better than the second."""
    experiment = tiny.experiment(images, losses="mse = {}", top=f'keep_models = "{keep}"')
    existing = [trial(2, 0.5), trial(0, 0.4), trial(1, 0.6)]
    tracker: Any = Deleting()
    retention = model_retention(experiment, works_of(experiment, existing), tracker)[NAME]
    assert tracker.runs == deleted
    assert (retention.keeps(3, 0.7), retention.keeps(3, 0.6)) == (True, keep == "all")


def test_each_training_has_a_checkpoint_of_its_own(images: Path) -> None:
    """Confirmations have one for each setting that they confirm."""
    best = [
        work_of(images, trial(0, a), trial(1, b), trials=2) for a, b in ((0.4, 0.6), (0.6, 0.4))
    ]
    tasks = [task for work in (work_of(images), *best) for task in work.ready()]
    assert [(task.kind, task.number, task.confirms) for task in tasks] == [
        *(("trial", number, None) for number in range(3)),
        *(("confirmation", number, confirms) for confirms in (1, 0) for number in (1, 2)),
    ]
    names = [task.checkpoint(store) for task in tasks for store in ("one", "other")]
    assert len(set(names)) == 2 * 7


def test_results_in_mlflow_are_reported_to_the_study(images: Path) -> None:
    work = work_of(images)
    pruned = replace(trial(1, 0.3), state="PRUNED")
    existing = [trial(2, None), pruned, trial(0, 0.4), replace(trial(3, 0.9), state=None)]
    accuracies = {existing[2].run_id: {1: 0.2, 2: 0.4}, pruned.run_id: {1: 0.3}}
    experiment = work._experiment
    found = results_of(experiment, work.combination, existing, accuracies)
    assert [(r.number, r.state, r.val_accuracy) for r in found] == [
        (0, "COMPLETE", 0.4),
        (1, "PRUNED", 0.3),
        (2, "FAIL", None),
    ]
    assert [dict(r.accuracies) for r in found] == [{1: 0.2, 2: 0.4}, {1: 0.3}, {}]
    assert found[0].params == {"lr": 0.01, "batch_size": 8}


FIXED = "sgd = { lr = 0.1 }"


def in_a_small_space(images: Path, trials: int, *existing: RunRecord, sizes: str = "[8]") -> Work:
    search = f'trials = {trials}\nsampler = "random"\npruner = "none"\nbatch_size = {sizes}'
    experiment = tiny.experiment(
        images, losses="mse = {}", search=search, optimizers=FIXED, seeds="1"
    )
    [work] = works_of(experiment, existing)
    work.tuning.tell_all(results_of(experiment, work.combination, existing, {}))
    return work


def of_size(number: int, size: int, accuracy: float | None = 0.5) -> RunRecord:
    params = {"lr": "0.1", "batch_size": str(size)}
    return records.trial(NAME, number, accuracy, params=params)


def test_a_space_with_one_setting_has_one_trial(images: Path) -> None:
    assert ready(in_a_small_space(images, 6)) == ["mse+sgd #0"]
    for trials in (6, 20):
        work = in_a_small_space(images, trials, of_size(0, 8))
        assert (ready(work), work.is_unfinished) == (["mse+sgd seed 1"], True)


def test_a_failed_trial_of_the_only_setting_is_the_only_one(images: Path) -> None:
    work = in_a_small_space(images, 6, of_size(0, 8, None))
    assert (ready(work), work.is_unfinished) == ([], False)
    assert [event.reason for event in work.not_to_be_confirmed()] == ["no trial has a result"]


@pytest.mark.parametrize(
    ("existing", "left"),
    [
        ([(0, 8), (1, 8), (2, 8)], {3: 16}),
        ([(0, 8), (2, 8)], {1: 16}),
        ([(0, 8), (1, 8), (2, 16)], {}),
        ([(n, 8) for n in range(6)], {}),
    ],
)
def test_trials_of_an_older_version_count_and_are_not_repeated(
    images: Path, existing: list[tuple[int, int]], left: dict[int, int]
) -> None:
    runs = [of_size(number, size) for number, size in existing]
    work = in_a_small_space(images, 6, *runs, sizes="[8, 16]")
    trials = [task for task in work.ready() if task.kind == "trial"]
    assert {task.number: task.config.batch_size for task in trials} == left
    assert len(work.results) == len(runs)
    assert work.num_repeated == len(runs) + len(left) - 2
