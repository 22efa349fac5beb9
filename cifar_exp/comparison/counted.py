"""The trainings that a sweep's ranking counts: those of the replicates that its results ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cifar_exp.comparison.replicates import decide_on, replicates, space_size
from cifar_exp.comparison.rows import trainings_of
from cifar_exp.comparison.statistics.looks import Decision
from cifar_exp.experiment import Design
from cifar_exp.records import RunRecord


def counted_trainings(
    records: Sequence[RunRecord], sweep_run_id: str | None = None
) -> dict[str, list[RunRecord]]:
    """Return the finished trainings of each combination that a sweep's ranking uses, by its name.

    Raises:
        ValueError: The records have no such sweep.
    """
    trainings, _ = counted(records, sweep_of(records, sweep_run_id))
    return trainings


def counted(
    records: Sequence[RunRecord], sweep: RunRecord
) -> tuple[dict[str, list[RunRecord]], Decision | None]:
    """Return the trainings that are counted, and the decision on the number of replicates."""
    members, design = members_of(records, sweep), Design.of(sweep.params)
    least, most = design.replicates
    existing = {name_of(r): trainings_of(r, records, design, most) for r in members}
    samples = {name_of(r): replicates(existing[name_of(r)], design, space_size(r)) for r in members}
    decision = decide_on(samples, design, _num_test_images(existing.values()))
    needed = decision.needed if decision else dict.fromkeys(existing, least)
    found = {name_of(r): trainings_of(r, records, design, needed[name_of(r)]) for r in members}
    return found, decision


def _num_test_images(trainings: Iterable[Sequence[RunRecord]]) -> int | None:
    runs = (r for of_combination in trainings for r in of_combination)
    return next((r.test_images for r in runs if r.test_images), None)


def members_of(records: Sequence[RunRecord], sweep: RunRecord) -> list[RunRecord]:
    """Return the run of each combination of a sweep: the newest one of its name.

    A new version whose results differ leaves the run of the older version in place.
    """
    runs = (r for r in records if r.kind == "combination" and r.parent == sweep.run_id)
    by_age = sorted(runs, key=lambda r: r.start_time)
    return list({name_of(r): r for r in by_age}.values())


def name_of(combination: RunRecord) -> str:
    """Return the name of a combination."""
    return combination.combination or combination.name


def sweep_of(records: Sequence[RunRecord], run_id: str | None) -> RunRecord:
    """Return the run of a sweep; by default of the latest one.

    Raises:
        ValueError: The records have no such sweep.
    """
    sweeps = [r for r in records if r.kind == "sweep" and run_id in (None, r.run_id)]
    if not sweeps:
        raise ValueError("there is no such sweep among these runs")
    return max(sweeps, key=lambda r: r.start_time)


def first_replicates(
    trainings: Mapping[str, Sequence[RunRecord]], design: Design
) -> dict[str, list[RunRecord]]:
    """Return the trainings of the replicates that every combination has, in order of the names."""
    studies, seeds = design.numbers(design.replicates[0])
    return {
        name: [
            r
            for r in trainings[name]
            if r.study in studies and (r.kind == "trial" or r.number in seeds)
        ]
        for name in sorted(trainings)
    }


def scored_metrics(trainings: Iterable[Sequence[RunRecord]]) -> list[Mapping[str, float]]:
    """Return the metrics of the complete confirmations."""
    runs = (r for of_combination in trainings for r in of_combination)
    return [r.metrics for r in runs if r.kind == "confirmation" and r.state == "COMPLETE"]
