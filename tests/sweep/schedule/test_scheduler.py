from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from cifar_exp.sweep.schedule.scheduler import Scheduler, max_workers, num_side_by_side
from cifar_exp.sweep.schedule.task import Key, Progress, Task
from cifar_exp.training.hardware import allotment
from cifar_exp.training.messages import Outcome
from tests import tiny
from tests.sweep.works import replication_of

NUM_IMAGES = 54
QMC = 'trials = 6\nsampler = "qmc"\npruner = "none"\nbatch_size = [8, 16]'
TPE = 'trials = 3\nsampler = "tpe"\npruner = "none"\nbatch_size = [8]'


def scheduler_of(
    images: Path, width: int = 1, done: Iterable[Key] = (), **changes: str
) -> Scheduler:
    replication = replication_of(tiny.experiment(images, **changes))
    return Scheduler(replication, NUM_IMAGES, width, frozenset(done))


def begun(scheduler: Scheduler) -> list[Task]:
    """Start all groups that are ready."""
    return [task for group in groups(scheduler) for task in group]


def groups(scheduler: Scheduler, num_free: int = 1) -> list[tuple[Task, ...]]:
    found = []
    while group := scheduler.next(num_free):
        found.append(group)
    return found


def end(scheduler: Scheduler, task: Task, seconds: float = 1.0, epochs: int = 2) -> None:
    outcome = Outcome(state="COMPLETE", epochs=epochs, val_accuracy=0.5, seconds=seconds)
    scheduler.work_of(task).end(task, outcome, Progress())
    scheduler.add(task, epochs, seconds)


def test_the_longest_of_independent_trainings_begin_first(images: Path) -> None:
    """With half the batch size, a training takes twice as many steps."""
    tasks = begun(scheduler_of(images, search=QMC, losses="mse = {}"))
    sizes = [task.config.batch_size for task in tasks]
    assert sizes == sorted(sizes)
    assert set(sizes) == {8, 16}
    assert sorted(task.number for task in tasks) == list(range(6))


def test_of_dependent_trials_one_of_each_combination_begins(images: Path) -> None:
    tasks = begun(scheduler_of(images, search=TPE))
    assert [task.name for task in tasks] == ["cross_entropy+sgd #0", "mse+sgd #0"]


def test_the_combination_with_the_most_remaining_work_begins_first(images: Path) -> None:
    """With one trainer, combinations alternate, as the one with more remaining trials is next."""
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
def test_slow_trainings_count_as_longer(images: Path, seconds: float, epochs: int) -> None:
    """After one trial each, the loss with the slower epochs continues first."""
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


def test_confirmations_begin_when_all_trials_have_ended(images: Path) -> None:
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
def test_independent_trials_run_in_parallel(images: Path, search: str, side_by_side: int) -> None:
    assert num_side_by_side(tiny.experiment(images, search=search)) == side_by_side


@pytest.mark.parametrize(
    ("search", "seeds", "most"),
    [(QMC, 3, 2 * 6), (QMC, 7, 2 * 7), (TPE, 5, 2 * 5), (f"{TPE}\nat_once = 2", 1, 2 * 2)],
)
def test_the_number_of_busy_workers_is_that_of_parallel_trials_or_confirmations(
    images: Path, search: str, seeds: int, most: int
) -> None:
    assert max_workers(tiny.experiment(images, search=search, seeds=str(seeds))) == most


@pytest.mark.parametrize(
    ("search", "seeds", "side_by_side", "most"),
    [
        (QMC, "1", 2 * 3 * 6, 2 * 3 * 6),
        (TPE, "1", 2 * 3, 2 * 3),
        (TPE, "4", 2 * 3, 2 * 3 * 4),
        (TPE, '1\nuntil = "decided"', 2 * 3, 2 * 3),  # before the first look
    ],
)
def test_studies_run_in_parallel(
    images: Path, search: str, seeds: str, side_by_side: int, most: int
) -> None:
    experiment = tiny.experiment(images, search=f"{search}\nstudies = 3", seeds=seeds)
    assert num_side_by_side(experiment) == side_by_side
    assert max_workers(experiment) == most


def test_trials_of_two_studies_do_not_wait_for_each_other(images: Path) -> None:
    scheduler = scheduler_of(images, search=f"{TPE}\nstudies = 2", losses="mse = {}", seeds="1")
    first, second = begun(scheduler)
    assert (first.name, second.name) == ("mse+sgd #0", "mse+sgd study 2 #0")
    assert first.alike != second.alike  # studies differ in their seeds
    end(scheduler, second)
    assert [task.name for task in begun(scheduler)] == ["mse+sgd study 2 #1"]


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
def test_the_cores_are_divided_among_workers(
    monkeypatch: pytest.MonkeyPatch,
    side_by_side: int,
    given: tuple[int | None, int | None],
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr("cifar_exp.training.hardware.available_cores", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert allotment(side_by_side, *given) == expected
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    assert allotment(side_by_side, None, None)[0] == min(3, side_by_side)


def names(group: Iterable[Task]) -> list[str]:
    return sorted(task.name for task in group)


def test_similar_trials_of_all_combinations_are_one_group(images: Path) -> None:
    """Independent trials with the same batch size are trained together, whatever their number."""
    search = 'trials = 4\nsampler = "qmc"\npruner = "none"\nbatch_size = [8, 16]'
    found = groups(scheduler_of(images, width=64, search=search))
    sizes = [{task.config.batch_size for task in group} for group in found]
    assert sizes in ([{8}, {16}], [{16}, {8}])
    assert sum(map(len, found)) == 8
    assert {task.combination for task in found[0]} == {"cross_entropy+sgd", "mse+sgd"}


def test_dependent_trials_are_grouped_by_their_number(images: Path) -> None:
    search = 'trials = 2\nsampler = "tpe"\npruner = "none"\nbatch_size = [8]'
    scheduler = scheduler_of(images, width=64, search=search)
    [first] = groups(scheduler)
    assert names(first) == ["cross_entropy+sgd #0", "mse+sgd #0"]
    for task in first:
        end(scheduler, task)
    [second] = groups(scheduler)
    assert names(second) == ["cross_entropy+sgd #1", "mse+sgd #1"]


def test_confirmations_of_a_seed_are_one_group(images: Path) -> None:
    search = 'trials = 1\nsampler = "tpe"\npruner = "none"\nbatch_size = [8]'
    scheduler = scheduler_of(images, width=64, search=search)
    [trials] = groups(scheduler)
    for task in trials:
        end(scheduler, task)
    assert sorted(map(names, groups(scheduler))) == [
        ["cross_entropy+sgd seed 1", "mse+sgd seed 1"],
        ["cross_entropy+sgd seed 2", "mse+sgd seed 2"],
    ]


SIX = 'trials = 6\nsampler = "random"\npruner = "none"\nbatch_size = [8]'


@pytest.mark.parametrize(
    ("width", "num_free", "sizes"),
    [
        (1, 1, [1] * 12),
        (5, 1, [5, 5, 2]),
        (64, 1, [12]),
        (64, 3, [4, 3, 2, 1, 1, 1]),
        (2, 3, [2, 2, 2, 2, 2, 1, 1]),
    ],
)
def test_a_group_has_a_width_and_leaves_work_for_free_trainers(
    images: Path, width: int, num_free: int, sizes: list[int]
) -> None:
    found = groups(scheduler_of(images, width=width, search=SIX), num_free)
    assert [len(group) for group in found] == sizes


def test_a_group_that_was_too_wide_is_divided_and_later_groups_are_not_wider(images: Path) -> None:
    scheduler = scheduler_of(images, width=8, search=SIX)
    first = scheduler.next()
    assert len(first) == 8
    scheduler.narrow(first, 4)
    assert [len(group) for group in groups(scheduler)] == [4, 4, 4]


def test_interrupted_trainings_come_first_and_together(images: Path) -> None:
    done = [("mse+sgd", "trial", 5), ("cross_entropy+sgd", "trial", 3)]
    scheduler = scheduler_of(images, width=2, done=done, search=SIX)  # type: ignore[arg-type]
    assert names(scheduler.next()) == ["cross_entropy+sgd #3", "mse+sgd #5"]


def test_a_training_retried_alone_is_in_no_group(images: Path) -> None:
    scheduler = scheduler_of(images, width=64, search=SIX)
    [group] = groups(scheduler)
    for task in group:
        scheduler.again(task, alone=task.number == 2)
    sizes = sorted(len(group) for group in groups(scheduler))
    assert sizes == [1, 1, 10]
