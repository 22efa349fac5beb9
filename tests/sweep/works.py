"""What is left of the combinations of a tiny sweep."""

from __future__ import annotations

from collections.abc import Iterable

from cifar_exp.experiment import Experiment
from cifar_exp.records import RunRecord
from cifar_exp.study import Tuning
from cifar_exp.sweep.schedule.work import Work


def works_of(experiment: Experiment, held: Iterable[RunRecord] = ()) -> list[Work]:
    """Return what is left of each combination, where these runs are there already."""
    records = list(held)
    return [
        Work(experiment, c, c.name, Tuning(experiment, c, c.name), records)
        for c in experiment.combinations()
    ]
