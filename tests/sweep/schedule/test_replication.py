"""How many replicates are needed after made-up results, by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cifar_exp.records import RunRecord
from cifar_exp.sweep.events import Notice
from cifar_exp.sweep.schedule.replication import Replication
from cifar_exp.sweep.schedule.task import Progress
from cifar_exp.training.messages import Outcome
from tests import records, tiny
from tests.sweep.works import replication_of

TRIALS = 2
ABOVE = [0.9, 0.901, 0.902]
CLOSE = [0.9005, 0.9015, 0.9025]
"""Within the spread of the first."""
BELOW = [0.2, 0.201, 0.202]
Results = Mapping[str, Sequence[float | None]]
"""The result of each replicate, by the name of the optimizer."""


def trials(name: str, study: int, accuracy: float | None = 0.5) -> list[RunRecord]:
    found = [
        records.trial(name, number, accuracy, params={"lr": f"0.{number + 1}", "batch_size": "8"})
        for number in range(TRIALS)
    ]
    return [replace(r, study=study, run_id=f"{r.run_id} of {study}") for r in found]


def confirmation(name: str, study: int, number: int, accuracy: float | None) -> RunRecord:
    found = records.confirmation(name, number, accuracy)
    return replace(found, study=study, run_id=f"{found.run_id} of {study}")


def studies(results: Results) -> list[RunRecord]:
    """Return a finished study for each result."""
    return [
        run
        for name, accuracies in results.items()
        for number, accuracy in enumerate(accuracies, start=1)
        for run in (
            *trials(f"mse+{name}", number),
            confirmation(f"mse+{name}", number, 1, accuracy),
        )
    ]


def seeds(results: Results) -> list[RunRecord]:
    """Return a finished study with a confirmation for each result."""
    return [
        run
        for name, accuracies in results.items()
        for run in (
            *trials(f"mse+{name}", 1),
            *(
                confirmation(f"mse+{name}", 1, number, accuracy)
                for number, accuracy in enumerate(accuracies, start=1)
            ),
        )
    ]


def replication(
    images: Path, held: list[RunRecord], *, repeats_studies: bool = True, confirm: str = ""
) -> Replication:
    """Return that of three combinations with three replicates at least."""
    search = f'trials = {TRIALS}\nsampler = "random"\npruner = "none"\nbatch_size = [8]\n'
    experiment = tiny.experiment(
        images,
        search=search + f"studies = {3 if repeats_studies else 1}",
        seeds=f"{1 if repeats_studies else 3}\n{confirm}",
        losses="mse = {}",
        optimizers="\n".join(
            f'{name} = {{ type = "sgd", lr = {{ low = 0.01, high = 1.0 }} }}' for name in "xyz"
        ),
    )
    return replication_of(experiment, held)


def needed(found: Replication) -> dict[str, int]:
    """Return the number of confirmations that each combination needs now."""
    numbers = dict.fromkeys("xyz", 0)
    for work in found.works:
        numbers[work.combination.optimizer.name] += work.num_seeds
    return numbers


def left(found: Replication) -> list[str]:
    return [task.name for work in found.works for task in work.ready()]


def decided(most: int, indifferent: float = 0) -> str:
    return f'until = "decided"\nmost = {most}\nindifferent = {indifferent}'


def test_a_fixed_number_is_never_decided_on(images: Path) -> None:
    found = replication(images, studies({"x": ABOVE, "y": CLOSE, "z": BELOW}))
    assert found.update() is None
    assert needed(found) == {"x": 3, "y": 3, "z": 3}
    assert left(found) == []


def test_nothing_is_decided_before_all_have_ended(images: Path) -> None:
    held = studies({"x": ABOVE, "y": CLOSE, "z": BELOW[:2]})
    found = replication(images, held, confirm=decided(12))
    assert found.update() is None
    assert needed(found) == {"x": 3, "y": 3, "z": 3}
    assert left(found) == ["mse+z study 3 #0", "mse+z study 3 #1"]


@pytest.mark.parametrize(
    ("repeats_studies", "more", "unit"),
    [(True, 2 * 3 * (TRIALS + 1), "studies"), (False, 2 * 3, "seeds")],
)
def test_those_that_may_be_the_best_get_twice_as_many(
    images: Path,
    repeats_studies: bool,
    more: int,
    unit: str,
) -> None:
    runs = (studies if repeats_studies else seeds)({"x": ABOVE, "y": CLOSE, "z": BELOW})
    found = replication(images, runs, repeats_studies=repeats_studies, confirm=decided(12))
    assert found.update() == Notice(
        sentence=f"2 of 3 combinations may be the best: they get up to 6 {unit}, "
        f"{more} more trainings",
        more=more,
    )
    assert needed(found) == {"x": 6, "y": 6, "z": 3}
    assert found.update() is None  # they have not been trained yet


def test_an_interrupted_sweep_goes_on_after_the_looks_it_has_had(images: Path) -> None:
    """Six replicates of two combinations, then twelve, of which one has ended."""
    held = studies({"x": [*ABOVE, *CLOSE, 0.9], "y": [*CLOSE, *ABOVE], "z": BELOW})
    found = replication(images, held, confirm=decided(12))
    look = found.update()
    assert look is not None
    assert look.more == 2 * 9 * (TRIALS + 1)  # the first look asked for three of each
    assert needed(found) == {"x": 12, "y": 12, "z": 3}
    labels = {name.rpartition(" #")[0] for name in left(found)}
    assert labels == {
        *(f"mse+x study {number}" for number in range(8, 13)),
        *(f"mse+y study {number}" for number in range(7, 13)),
    }


@pytest.mark.parametrize(
    ("results", "confirm", "ended", "expected"),
    [
        ({"x": ABOVE, "y": BELOW, "z": BELOW}, decided(12), "1 of 3", "one left"),
        ({"x": ABOVE, "y": CLOSE, "z": BELOW}, decided(3), "2 of 3", "most reached"),
        ({"x": ABOVE, "y": CLOSE, "z": BELOW}, decided(12, 0.1), "2 of 3", "indifferent"),
        # a replicate without a result is out, however good the others are
        ({"x": [0.99, None, 0.99], "y": CLOSE, "z": BELOW}, decided(12), "1 of 3", "one left"),
    ],
)
def test_why_no_more_are_needed(
    images: Path, results: Results, confirm: str, ended: str, expected: str
) -> None:
    found = replication(images, studies(results), confirm=confirm)
    sentence = f"{ended} combinations may be the best: no more studies ({expected})"
    assert found.update() == Notice(sentence=sentence, more=0)
    assert needed(found) == {"x": 3, "y": 3, "z": 3}
    assert left(found) == []


def test_a_study_without_a_result_ends_its_combination(images: Path) -> None:
    x = [*studies({"x": ABOVE[:2]}), *trials("mse+x", 3, None)]
    found = replication(images, [*x, *studies({"y": CLOSE, "z": CLOSE})], confirm=decided(6))
    look = found.update()
    assert look is not None
    assert look.sentence.startswith("2 of 3 combinations may be the best")
    assert needed(found) == {"x": 3, "y": 6, "z": 6}


def test_without_any_result_nothing_more_is_trained(images: Path) -> None:
    held = [run for name in "xyz" for n in (1, 2, 3) for run in trials(f"mse+{name}", n, None)]
    found = replication(images, held, confirm=decided(12))
    sentence = "0 of 3 combinations may be the best: no more studies (none left)"
    assert found.update() == Notice(sentence=sentence, more=0)


def test_finished_trainings_are_told_once_they_are_needed(images: Path) -> None:
    """From a sweep that asked for six studies of each, without one confirmation."""
    whole: Results = {"x": [*ABOVE, *CLOSE], "y": [*CLOSE, *ABOVE], "z": [*BELOW, *BELOW]}
    missing = ("mse+z", 3, "confirmation")
    held = [r for r in studies(whole) if (r.combination, r.study, r.kind) != missing]
    found = replication(images, held, confirm=decided(6))

    def told() -> list[str]:
        return [event.study for work in found.works for event in work.kept()]

    assert found.update() is None
    assert len(told()) == 3 * 3 * (TRIALS + 1) - 1
    [task] = [task for work in found.works for task in work.ready()]
    assert task.name == "mse+z study 3 seed 1"
    [work] = [work for work in found.works if work.label == task.label]
    work.end(task, Outcome(state="FAIL"), Progress())
    look = found.update()
    assert look is not None
    later = told()
    assert len(later) == look.more == 2 * 3 * (TRIALS + 1)
    assert set(later) == {f"mse+{name} study {number}" for name in "xy" for number in (4, 5, 6)}
    assert told() == []
