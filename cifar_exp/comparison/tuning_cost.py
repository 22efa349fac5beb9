"""Tuning cost and sensitivity of one combination, from its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from cifar_exp.comparison.row import TrialResult
from cifar_exp.comparison.statistics.budget import best_so_far, expected_best
from cifar_exp.comparison.statistics.sensitivity import (
    accuracy_lost,
    climbing_end,
    diverged_between,
    edge_of_range,
)
from cifar_exp.records import RunRecord

BudgetCurve = tuple[str, Callable[[Sequence[float]], list[float]]]
EXPECTED: BudgetCurve = ("expected best of n trials", expected_best)
SO_FAR: BudgetCurve = ("best so far, in this one order", best_so_far)
BUDGET_CURVES: Mapping[tuple[str, str], BudgetCurve] = {  # by sampler and pruner
    ("random", "none"): EXPECTED,  # only independent trials are exchangeable
    ("qmc", "none"): EXPECTED,
}
LR_FACTORS = {"times_3": 3.0, "third": 1 / 3}


def budget_curve(sweep: Mapping[str, str]) -> BudgetCurve:
    """Return the budget curve of a sweep with these params."""
    return BUDGET_CURVES.get((sweep.get("sampler", ""), sweep.get("pruner", "")), SO_FAR)


def trial_results(trials: Sequence[RunRecord]) -> tuple[TrialResult, ...]:
    """Return the trials of a combination, ordered by study and number."""
    return tuple(
        TrialResult(
            number=r.number or 0,
            study=r.study,
            state=str(r.state),
            diverged=r.diverged,
            lr=float(r.params["lr"]),
            batch_size=int(r.params["batch_size"]),
            val_accuracy=r.metrics.get("val_accuracy"),
            seconds=r.metrics["seconds"],
            seed=int(r.params["seed"]) if "seed" in r.params else None,
            settings=r.settings,
        )
        for r in sorted(trials, key=lambda r: (r.study, r.number or 0))
    )


def tuning_fields(
    trials: Sequence[RunRecord],
    best: RunRecord | None,
    confirmed: float | None,
    ranges: Mapping[str, str],
    curve: BudgetCurve,
) -> dict[str, Any]:
    """Return the fields of a row that concern tuning.

    Args:
        trials: The combination's trials.
        best: The best of them.
        confirmed: Mean validation accuracy of the best setting on fresh seeds.
        ranges: The combination's params; `lr_low` and `lr_high` if it has a range.
        curve: The budget curve of the sweep.
    """
    results = trial_results(trials)
    complete = [t for t in results if t.state == "COMPLETE" and t.val_accuracy is not None]
    low, high = (float(ranges[n]) if n in ranges else None for n in ("lr_low", "lr_high"))
    _, values_of = curve
    chance = _chance_level(trials)
    return {
        "trial_results": results,
        "diverged_share": sum(t.diverged for t in results) / len(results) if results else None,
        "expected_best": _mean_curve(
            [
                values_of(_budget_values([t for t in results if t.study == study], chance))
                for study in dict.fromkeys(t.study for t in results)
            ]
        ),
        "lr_low": low,
        "lr_high": high,
        "lr_edge": _edge(best, low, high) or _climbing_end(results),
        "lr_response": tuple(sorted((t.lr, t.val_accuracy or 0.0) for t in complete)),
        **(_sensitivity(best, results, confirmed) if best else {}),
    }


def _mean_curve(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the mean over the studies, up to the number of trials that all of them have."""
    return tuple(map(fmean, zip(*curves, strict=False)))


def _budget_values(trials: Sequence[TrialResult], chance: float) -> list[float]:
    """Return the accuracy that each trial gives a user; trials that failed are left out.

    A diverged or pruned trial gives no network, so a user can only guess.
    """
    return [
        t.val_accuracy if t.state == "COMPLETE" and t.val_accuracy is not None else chance
        for t in trials
        if t.state != "FAIL" or t.diverged
    ]


def _chance_level(trials: Sequence[RunRecord]) -> float:
    """Return the accuracy of guessing; 0 if no trial recorded the number of classes."""
    return next((1 / r.num_classes for r in trials if r.num_classes), 0.0)


def _sensitivity(
    best: RunRecord, trials: Sequence[TrialResult], confirmed: float | None
) -> dict[str, Any]:
    """Return what is lost at other learning rates, from trials with the best batch size."""
    lr = float(best.params["lr"])
    alike = [t for t in trials if t.batch_size == int(best.params["batch_size"])]
    diverged = [t.lr for t in alike if t.diverged]
    measured = [(t.lr, t.val_accuracy) for t in alike if t.state == "COMPLETE" and t.lr != lr]
    points = [(rate, value) for rate, value in measured if value is not None]
    found: dict[str, Any] = {}
    for name, factor in LR_FACTORS.items():
        fell = diverged_between(diverged, lr, factor)
        found[f"diverged_lr_{name}"] = fell
        if confirmed is not None and not fell:
            found[f"accuracy_lost_lr_{name}"] = accuracy_lost(points, (lr, confirmed), factor)
    return found


def _climbing_end(trials: Sequence[TrialResult]) -> str | None:
    complete = [t for t in trials if t.state == "COMPLETE"]
    points = [(t.lr, t.val_accuracy) for t in complete if t.val_accuracy is not None]
    return climbing_end(points, [t.lr for t in trials])


def _edge(best: RunRecord | None, low: float | None, high: float | None) -> str | None:
    if best is None or low is None or high is None:
        return None
    return edge_of_range(float(best.params["lr"]), low, high)
