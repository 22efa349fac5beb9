"""Converts records of runs to rows of a ranking, before they are compared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cifar_exp.comparison.row import ConfirmationResult, Row
from cifar_exp.comparison.tuning_cost import BudgetCurve, tuning_fields
from cifar_exp.records import RunRecord


def best_trial(records: Iterable[RunRecord]) -> RunRecord | None:
    """Return the complete trial with the highest validation accuracy; of equal ones the first."""
    complete = [r for r in records if r.kind == "trial" and r.state == "COMPLETE"]
    return min(complete, key=lambda r: (-r.metrics["val_accuracy"], r.number), default=None)


def confirmations(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Return the finished confirmations of the best trial's setting."""
    records = list(records)
    best = best_trial(records)
    return [
        r
        for r in records
        if best and r.kind == "confirmation" and r.finished and r.confirms == best.number
    ]


def trainings_of(
    combination: RunRecord, records: Sequence[RunRecord], sweep: RunRecord
) -> list[RunRecord]:
    """Return the finished trainings of a combination within the sweep's budget.

    Confirmations of a setting that is no longer the best are excluded.
    """
    trials, seeds = int(sweep.params["trials"]), int(sweep.params["seeds"])
    allowed_numbers = {"trial": range(trials), "confirmation": range(1, seeds + 1)}
    children = [r for r in records if r.parent == combination.run_id and r.number is not None]
    counted = [r for r in children if r.finished and r.number in allowed_numbers[r.kind]]
    confirmed = sorted(confirmations(counted), key=lambda r: r.number or 0)
    trained = sorted((r for r in counted if r.kind == "trial"), key=lambda r: r.number or 0)
    return [*trained, *confirmed]


def row(
    combination: RunRecord, trainings: Sequence[RunRecord], curve: BudgetCurve, yardstick: str
) -> Row:
    """Return the row of a combination from its `trainings_of`, without comparison to others."""
    trials = [r for r in trainings if r.kind == "trial"]
    confirmed = [r for r in trainings if r.kind == "confirmation"]
    scored = [r for r in confirmed if r.state == "COMPLETE"]
    failed = [r for r in trials if r.state == "FAIL"]
    best = best_trial(trials)
    accuracies = _metric(scored, "test_accuracy")
    lr = float(best.params["lr"]) if best else None
    return Row(
        rank=None,
        combination=combination.combination or combination.name,
        loss=combination.params["loss"],
        optimizer=combination.params["optimizer"],
        test_accuracy_mean=_mean(accuracies),
        test_accuracy_std=_std(accuracies),
        seeds=len(scored),
        lr=lr,
        batch_size=int(best.params["batch_size"]) if best else None,
        trials=len(trials),
        diverged=sum(r.diverged for r in failed),
        seconds=math.fsum(r.metrics["seconds"] for r in trials),
        val_accuracy=best.metrics["val_accuracy"] if best else None,
        test_accuracies=accuracies,
        settings=_component_settings(best.params) if best else {},
        pruned=sum(r.state == "PRUNED" for r in trials),
        failed=sum(not r.diverged for r in failed),
        seeds_failed=len(confirmed) - len(scored),
        threads=int(best.params["threads"]) if best else None,
        confirmation_results=tuple(map(_confirmation_result, confirmed)),
        **_yardstick_fields(scored, yardstick),
        **_test_metrics(scored),
        **_winners_curse(best, scored),
        **tuning_fields(
            trials, best, _mean(_metric(scored, "val_accuracy")), combination.params, curve
        ),
    )


def _yardstick_fields(scored: Sequence[RunRecord], yardstick: str) -> dict[str, Any]:
    values = _metric(scored, yardstick)
    return {
        "values": values,
        "value_seeds": tuple(r.number or 0 for r in scored if yardstick in r.metrics),
        "mean": _mean(values),
        "std": _std(values),
    }


def _test_metrics(scored: Sequence[RunRecord]) -> dict[str, Any]:
    names = sorted({name for r in scored for name in r.metrics if name.startswith("test_")})
    values = {name: _metric(scored, name) for name in names}
    return {
        "metric_means": {name: statistics.fmean(numbers) for name, numbers in values.items()},
        "metric_stds": {
            name: statistics.stdev(numbers) for name, numbers in values.items() if len(numbers) > 1
        },
    }


def _winners_curse(best: RunRecord | None, scored: Sequence[RunRecord]) -> dict[str, Any]:
    confirmed = _mean(_metric(scored, "val_accuracy"))
    if best is None or confirmed is None:
        return {"val_accuracy_confirmed": confirmed}
    gap = best.metrics["val_accuracy"] - confirmed
    return {"val_accuracy_confirmed": confirmed, "winners_curse": gap}


def _confirmation_result(record: RunRecord) -> ConfirmationResult:
    seed = record.params.get("seed")
    return ConfirmationResult(
        number=record.number or 0,
        seed=None if seed is None else int(seed),
        state=str(record.state),
        val_accuracy=record.metrics.get("val_accuracy"),
        seconds=record.metrics.get("seconds"),
        metrics={n: v for n, v in sorted(record.metrics.items()) if n.startswith("test_")},
    )


def _component_settings(params: Mapping[str, str]) -> dict[str, str]:
    names = sorted(name for name in params if name.startswith(("loss.", "optimizer.")))
    return {name: params[name] for name in names}


def _metric(records: Sequence[RunRecord], name: str) -> tuple[float, ...]:
    return tuple(r.metrics[name] for r in records if name in r.metrics)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _std(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None
