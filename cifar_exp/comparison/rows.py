"""Converts records of runs to rows of a ranking, before they are compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from cifar_exp.comparison.replicates import (
    best_trial,
    best_trials,
    confirmations,
    is_tuned,
    space_size,
    studies_of,
)
from cifar_exp.comparison.row import ConfirmationResult, Row, StudyResult
from cifar_exp.comparison.tuning_cost import BudgetCurve, tuning_fields
from cifar_exp.experiment import CONSTANT, Design
from cifar_exp.records import RunRecord


def trainings_of(
    combination: RunRecord, records: Sequence[RunRecord], design: Design, num_replicates: int
) -> list[RunRecord]:
    """Return the finished trainings of a combination's first replicates, by study and number.

    Confirmations of a setting that is no longer the best are excluded.
    """
    studies, seeds = design.numbers(num_replicates)
    numbers = {"trial": range(design.trials), "confirmation": seeds}
    children = [r for r in records if r.parent == combination.run_id and r.number is not None]
    counted = [
        r for r in children if r.finished and r.study in studies and r.number in numbers[r.kind]
    ]
    trials = [r for r in counted if r.kind == "trial"]
    by_number = sorted([*trials, *confirmations(counted)], key=lambda r: (r.study, r.number or 0))
    return sorted(by_number, key=lambda r: r.kind == "confirmation")


def row(
    combination: RunRecord,
    trainings: Sequence[RunRecord],
    design: Design,
    curve: BudgetCurve,
    yardstick: str,
) -> Row:
    """Return the row of a combination from its `trainings_of`, without comparison to others."""
    trials = [r for r in trainings if r.kind == "trial"]
    confirmed = [r for r in trainings if r.kind == "confirmation"]
    scored = [r for r in confirmed if r.state == "COMPLETE"]
    failed = [r for r in trials if r.state == "FAIL"]
    best = best_trial(trials)
    num_settings = space_size(combination)
    without_result = _studies_without_result(trainings, design, num_settings)
    lost = without_result | {_replicate(r, design) for r in confirmed if r.state != "COMPLETE"}
    counted = [r for r in scored if _replicate(r, design) not in lost]
    replicated = _by_replicate(counted, design)
    accuracies = _means(replicated, "test_accuracy")
    lr = float(best.params["lr"]) if best else None
    confirmed_accuracy = _means_of_studies(scored, "val_accuracy").get(best.study) if best else None
    return Row(
        rank=None,
        combination=combination.combination or combination.name,
        loss=combination.params["loss"],
        optimizer=combination.params["optimizer"],
        schedule=combination.params.get("schedule", CONSTANT.name),
        test_accuracy_mean=_mean(accuracies),
        test_accuracy_std=_std(accuracies),
        seeds=len(scored),
        lr=lr,
        batch_size=int(best.params["batch_size"]) if best else None,
        trials=len(trials),
        space_size=int(num_settings) if math.isfinite(num_settings) else None,
        diverged=sum(r.diverged for r in failed),
        seconds=math.fsum(r.metrics["seconds"] for r in trials),
        val_accuracy=best.metrics["val_accuracy"] if best else None,
        test_accuracies=_metric(scored, "test_accuracy"),
        settings=best.settings if best else {},
        studies=len(studies_of(trainings)) if design.repeats_studies else 1,
        study=best.study if best else 1,
        study_results=_study_results(trainings),
        pruned=sum(r.state == "PRUNED" for r in trials),
        failed=sum(not r.diverged for r in failed),
        seeds_failed=len(confirmed) - len(scored) + design.seeds * len(without_result),
        lost_seeds=tuple(sorted(lost)),
        threads=int(best.params["threads"]) if best else None,
        test_images=next((r.test_images for r in scored if r.test_images), None),
        confirmation_results=tuple(map(_confirmation_result, confirmed)),
        **_yardstick_fields(replicated, yardstick),
        **_test_metrics(replicated),
        **_winners_curse(trials, scored),
        **tuning_fields(trials, best, confirmed_accuracy, combination.params, curve),
    )


def _replicate(record: RunRecord, design: Design) -> int:
    """Return the number of the replicate that a confirmation belongs to."""
    return record.study if design.repeats_studies else record.number or 0


Replicates = Mapping[int, Sequence[RunRecord]]


def _by_replicate(scored: Sequence[RunRecord], design: Design) -> Replicates:
    replicates: dict[int, list[RunRecord]] = {}
    for record in scored:
        replicates.setdefault(_replicate(record, design), []).append(record)
    return replicates


def _studies_without_result(
    trainings: Sequence[RunRecord], design: Design, num_settings: float
) -> set[int]:
    """Return the studies that ended without a complete trial, if there are several.

    None for a single study, as its combination has no result at all.
    """
    if not design.repeats_studies:
        return set()
    ended = [
        number
        for number, study in studies_of(trainings).items()
        if is_tuned(study, design, num_settings)
    ]
    return set(ended) - set(best_trials(trainings))


def _means(replicates: Replicates, name: str) -> tuple[float, ...]:
    """Return the mean of a metric over the confirmations of each replicate that has it."""
    values = (_metric(records, name) for records in replicates.values())
    return tuple(statistics.fmean(numbers) for numbers in values if numbers)


def _study_results(trainings: Sequence[RunRecord]) -> tuple[StudyResult, ...]:
    scored = [r for r in trainings if r.kind == "confirmation" and r.state == "COMPLETE"]
    accuracies = _means_of_studies(scored, "test_accuracy")
    return tuple(
        StudyResult(
            number=number,
            lr=float(best.params["lr"]),
            batch_size=int(best.params["batch_size"]),
            settings=best.settings,
            val_accuracy=best.metrics["val_accuracy"],
            test_accuracy=accuracies.get(number),
        )
        for number, best in best_trials(trainings).items()
    )


def _yardstick_fields(replicates: Replicates, yardstick: str) -> dict[str, Any]:
    values = _means(replicates, yardstick)
    return {
        "values": values,
        "value_seeds": tuple(
            number for number, records in replicates.items() if _metric(records, yardstick)
        ),
        "mean": _mean(values),
        "std": _std(values),
    }


def _test_metrics(replicates: Replicates) -> dict[str, Any]:
    scored = [record for records in replicates.values() for record in records]
    names = sorted({name for r in scored for name in r.metrics if name.startswith("test_")})
    values = {name: _means(replicates, name) for name in names}
    return {
        "metric_means": {name: statistics.fmean(numbers) for name, numbers in values.items()},
        "metric_stds": {
            name: statistics.stdev(numbers) for name, numbers in values.items() if len(numbers) > 1
        },
    }


def _winners_curse(trials: Sequence[RunRecord], scored: Sequence[RunRecord]) -> dict[str, Any]:
    """Return the accuracy of the best settings on fresh seeds, and the gap, over all studies."""
    confirmed = _means_of_studies(scored, "val_accuracy")
    best = best_trials(trials)
    gaps = [best[study].metrics["val_accuracy"] - mean for study, mean in confirmed.items()]
    return {
        "val_accuracy_confirmed": _mean(list(confirmed.values())),
        "winners_curse": _mean(gaps),
    }


def _means_of_studies(scored: Sequence[RunRecord], name: str) -> dict[int, float]:
    """Return the mean of a metric over the confirmations of each study that has it."""
    values = {number: _metric(study, name) for number, study in studies_of(scored).items()}
    return {study: statistics.fmean(numbers) for study, numbers in values.items() if numbers}


def _confirmation_result(record: RunRecord) -> ConfirmationResult:
    seed, lr, batch_size = (record.params.get(name) for name in ("seed", "lr", "batch_size"))
    return ConfirmationResult(
        number=record.number or 0,
        study=record.study,
        seed=None if seed is None else int(seed),
        lr=None if lr is None else float(lr),
        batch_size=None if batch_size is None else int(batch_size),
        settings=record.settings,
        state=str(record.state),
        val_accuracy=record.metrics.get("val_accuracy"),
        seconds=record.metrics.get("seconds"),
        metrics={n: v for n, v in sorted(record.metrics.items()) if n.startswith("test_")},
    )


def _metric(records: Sequence[RunRecord], name: str) -> tuple[float, ...]:
    return tuple(r.metrics[name] for r in records if name in r.metrics)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _std(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
