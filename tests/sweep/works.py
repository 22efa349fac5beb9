"""The work of a tiny sweep."""

from __future__ import annotations

from collections.abc import Iterable

from cifar_exp.experiment import Combination, Experiment
from cifar_exp.records import RunRecord, study_label
from cifar_exp.study import Tuning
from cifar_exp.sweep.schedule.replication import Replication
from cifar_exp.sweep.schedule.work import Work


def works_of(experiment: Experiment, existing: Iterable[RunRecord] = ()) -> list[Work]:
    """Return the work of each study with these existing runs; the first replicates are needed."""
    return replication_of(experiment, existing).works


def replication_of(experiment: Experiment, existing: Iterable[RunRecord] = ()) -> Replication:
    """Return the work of each study with these existing runs, and how much of it is needed."""
    records = list(existing)
    works = [
        _work(experiment, combination, study, _of_study(records, combination.name, study))
        for combination in experiment.combinations()
        for study in experiment.design.all_studies
    ]
    return Replication(experiment.design, works, num_test_images=30)


def _of_study(records: Iterable[RunRecord], combination: str, study: int) -> list[RunRecord]:
    return [r for r in records if (r.combination, r.study) == (combination, study)]


def _work(
    experiment: Experiment, combination: Combination, study: int, records: Iterable[RunRecord]
) -> Work:
    label = study_label(combination.name, study)
    tuning = Tuning(experiment, combination, label, experiment.study_seed(study))
    return Work(experiment, combination, study, combination.name, tuning, records)
