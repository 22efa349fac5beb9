"""The replicates of a combination: its studies, or the confirmations of its one study."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from cifar_exp.comparison.statistics.looks import Decision, decide, looks
from cifar_exp.experiment import Design
from cifar_exp.records import RunRecord

DECIDED_BY = "test_accuracy"
"""The metric by which a sweep decides which combinations get more replicates."""
ALPHA = 0.05
"""The level of that decision."""


def decide_on(
    samples: Mapping[str, Sequence[float | None]], design: Design, num_test_images: int | None
) -> Decision | None:
    """Decide which combinations need more replicates; None if their number is fixed.

    Args:
        samples: The replicates of each combination that have ended, see `replicates`.
        design: What is repeated.
        num_test_images: Number of test images, if it is known.
    """
    if design.most is None:
        return None
    sizes = looks(*design.replicates)
    in_order = {name: samples[name] for name in sorted(samples)}  # the draws depend on the order
    return decide(in_order, sizes, ALPHA, design.indifferent / 100, num_test_images)


def best_trial(records: Iterable[RunRecord]) -> RunRecord | None:
    """Return the complete trial with the highest validation accuracy; of equal ones the first."""
    complete = [r for r in records if r.kind == "trial" and r.state == "COMPLETE"]
    return min(complete, key=_order, default=None)


def _order(trial: RunRecord) -> tuple[float, int, int]:
    return -trial.metrics["val_accuracy"], trial.study, trial.number or 0


def best_trials(records: Iterable[RunRecord]) -> dict[int, RunRecord]:
    """Return the best trial of each study of a combination that has one, by the study's number."""
    best = {number: best_trial(study) for number, study in studies_of(records).items()}
    return {number: trial for number, trial in best.items() if trial is not None}


def studies_of(records: Iterable[RunRecord]) -> dict[int, list[RunRecord]]:
    """Return the runs of each study of a combination, by its number in ascending order."""
    studies: dict[int, list[RunRecord]] = {}
    for record in sorted(records, key=lambda r: r.study):
        studies.setdefault(record.study, []).append(record)
    return studies


def confirmations(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the finished confirmations of the best setting of each study."""
    confirmed = {number: best.number for number, best in best_trials(records).items()}
    return [
        r
        for r in records
        if r.kind == "confirmation"
        and r.finished
        and r.study in confirmed
        and r.confirms == confirmed[r.study]
    ]


def space_size(combination: RunRecord) -> float:
    """Return how many settings the search space of a combination has, by its run.

    Infinity for ranges of real numbers, and for runs of older versions, which did not record it.
    """
    return float(combination.params.get("space_size", math.inf))


def num_trials(trials: Iterable[RunRecord], design: Design, space_size: float) -> int:
    """Return how many trials a study has at its end.

    Every setting of the search space is tried at most once. Older versions could try a setting
    again; such trials count in addition.

    Args:
        trials: The trials of the study that have ended.
        design: What is repeated.
        space_size: Number of settings in the search space.
    """
    settings = [_setting(trial) for trial in trials]
    repeats = len(settings) - len(set(settings))
    return int(min(design.trials, space_size + repeats))


def _setting(trial: RunRecord) -> tuple[Any, ...]:
    sampled = (trial.params.get(name) for name in ("lr", "batch_size"))
    return (*sampled, *trial.settings.items())


def is_tuned(study: Iterable[RunRecord], design: Design, space_size: float) -> bool:
    """Return whether all trials of a study have ended."""
    trials = [record for record in study if record.kind == "trial"]
    return len(trials) >= num_trials(trials, design, space_size)


def replicates(
    records: Sequence[RunRecord], design: Design, space_size: float = math.inf
) -> tuple[float | None, ...]:
    """Return the test accuracy of each replicate of a combination, up to the first unfinished one.

    A replicate that has failed is None: a confirmation without a score; with several studies, a
    study with a failed confirmation or without any complete trial.

    Args:
        records: The finished runs of the combination, without confirmations of settings that are
            no longer the best.
        design: What is repeated.
        space_size: Number of settings in the search space of the combination.
    """
    studies = studies_of(records)
    values: list[float | None] = []
    for number in range(1, design.replicates[1] + 1):
        study = studies.get(number if design.repeats_studies else 1, [])
        seeds = range(1, design.seeds + 1) if design.repeats_studies else [number]
        accuracies = _accuracies(study, seeds) if is_tuned(study, design, space_size) else None
        if accuracies is None:
            break
        values.append(_mean(accuracies))
    return tuple(values)


def _accuracies(study: Sequence[RunRecord], seeds: Iterable[int]) -> list[float | None] | None:
    """Return the accuracy of some confirmations, None for failed ones; None if one is missing."""
    if best_trial(study) is None:
        return [None]
    ended = {r.number: r.metrics.get(DECIDED_BY) for r in study if r.kind == "confirmation"}
    return [ended[n] for n in seeds] if all(n in ended for n in seeds) else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None
