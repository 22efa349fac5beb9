from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.sweep.schedule.scheduler import Scheduler, max_workers, num_side_by_side
from cifar_exp.sweep.schedule.task import Progress, Task
from cifar_exp.training.hardware import allotment
from cifar_exp.training.messages import Outcome
from tests import tiny
from tests.sweep.works import works_of

NUM_IMAGES = 54
QMC = 'trials = 6\nsampler = "qmc"\npruner = "none"\nbatch_size = [8, 16]'
TPE = 'trials = 3\nsampler = "tpe"\npruner = "none"\nbatch_size = [8]'


def scheduler_of(images: Path, **changes: str) -> Scheduler:
    return Scheduler(works_of(tiny.experiment(images, **changes)), NUM_IMAGES)


def begun(scheduler: Scheduler) -> list[Task]:
    """Let everything begin that can."""
    tasks = []
    while (task := scheduler.next()) is not None:
        tasks.append(task)
    return tasks


def end(scheduler: Scheduler, task: Task, seconds: float = 1.0, epochs: int = 2) -> None:
    outcome = Outcome(state="COMPLETE", epochs=epochs, val_accuracy=0.5, seconds=seconds)
    scheduler.work_of(task).end(task, outcome, Progress())
    scheduler.add(task, epochs, seconds)


def test_the_longest_of_independent_trainings_begin_first(images: Path) -> None:
    """Of two batch sizes, the smaller one takes twice the steps."""
    tasks = begun(scheduler_of(images, search=QMC, losses="mse = {}"))
    sizes = [task.config.batch_size for task in tasks]
    assert sizes == sorted(sizes)
    assert set(sizes) == {8, 16}
    assert sorted(task.number for task in tasks) == list(range(6))


def test_of_trials_that_wait_for_each_other_one_of_each_combination_begins(images: Path) -> None:
    tasks = begun(scheduler_of(images, search=TPE))
    assert [task.name for task in tasks] == ["cross_entropy+sgd #0", "mse+sgd #0"]


def test_what_has_the_most_behind_it_begins_first(images: Path) -> None:
    """With one trainer, combinations take turns: three trials have more behind them than two."""
    scheduler = scheduler_of(images, search=TPE)
    names: list[str] = []
    while (group := scheduler.next()) and len(names) < 6:
        [task] = group
        names.append(task.name)
        end(scheduler, task)
    assert names == [
        "cross_entropy+sgd #0",
        "mse+sgd #0",
        "cross_entropy+sgd #1",
        "mse+sgd #1",
        "cross_entropy+sgd #2",
        "mse+sgd #2",
    ]


@pytest.mark.parametrize(("seconds", "epochs"), [(10.0, 2), (1.0, 1)])
def test_what_was_slow_counts_as_longer(images: Path, seconds: float, epochs: int) -> None:
    """After a trial each, the loss goes on first whose trial took longer, or as long for less."""
    scheduler = scheduler_of(images, search=TPE)
    first, second = begun(scheduler)
    end(scheduler, first, seconds=1.0)
    end(scheduler, second, seconds, epochs)
    [following] = scheduler.next()
    assert following.combination == second.combination


def test_a_training_whose_trainer_has_died_begins_again(images: Path) -> None:
    scheduler = scheduler_of(images, search=TPE, losses="mse = {}")
    [task] = begun(scheduler)
    scheduler.again(task)
    assert begun(scheduler) == [task]


def test_confirmations_come_when_all_trials_have_ended(images: Path) -> None:
    scheduler = scheduler_of(images, search=QMC, losses="mse = {}", seeds="3")
    trials = begun(scheduler)
    for task in trials[:-1]:
        end(scheduler, task)
    assert begun(scheduler) == []
    end(scheduler, trials[-1])
    names = [task.name for task in begun(scheduler)]
    assert names == ["mse+sgd seed 1", "mse+sgd seed 2", "mse+sgd seed 3"]


@pytest.mark.parametrize(
    ("search", "side_by_side"),
    [(QMC, 2 * 6), (TPE, 2), (f"{TPE}\nat_once = 2", 4), (f"{TPE}\nat_once = 9", 2 * 3)],
)
def test_as_many_trials_run_side_by_side_as_depend_on_no_other(
    images: Path, search: str, side_by_side: int
) -> None:
    assert num_side_by_side(tiny.experiment(images, search=search)) == side_by_side


@pytest.mark.parametrize(
    ("search", "seeds", "most"),
    [(QMC, 3, 2 * 6), (QMC, 7, 2 * 7), (TPE, 5, 2 * 5), (f"{TPE}\nat_once = 2", 1, 2 * 2)],
)
def test_no_more_workers_have_work_than_trials_or_confirmations_run_side_by_side(
    images: Path, search: str, seeds: int, most: int
) -> None:
    assert max_workers(tiny.experiment(images, search=search, seeds=str(seeds))) == most


@pytest.mark.parametrize(
    ("side_by_side", "given", "expected"),
    [
        (12, (None, None), (4, 1)),
        (2, (None, None), (2, 2)),
        (1, (None, None), (1, 4)),
        (12, (3, None), (3, 1)),
        (1, (2, None), (2, 2)),
        (12, (None, 3), (4, 3)),
        (12, (8, None), (8, 1)),
    ],
)
def test_the_cores_are_shared_out(
    monkeypatch: pytest.MonkeyPatch,
    side_by_side: int,
    given: tuple[int | None, int | None],
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr("cifar_exp.training.hardware.available_cores", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert allotment(side_by_side, *given) == expected
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert allotment(side_by_side, None, None)[0] == 1
