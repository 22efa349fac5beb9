"""Tuning cost and sensitivity of one combination, from its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cifar_exp.comparison.row import TrialResult
from cifar_exp.comparison.statistics.budget import best_so_far, expected_best
from cifar_exp.comparison.statistics.sensitivity import accuracy_lost, edge_of_range
from cifar_exp.records import RunRecord

BudgetCurve = tuple[str, Callable[[Sequence[float]], list[float]]]
EXPECTED: BudgetCurve = ("expected best of n trials", expected_best)
SO_FAR: BudgetCurve = ("best so far, in this one order", best_so_far)
BUDGET_CURVES: Mapping[str, BudgetCurve] = {  # by sampler: only independent trials are exchangeable
    "random": EXPECTED,
    "qmc": EXPECTED,
    "tpe": SO_FAR,
    "gp": SO_FAR,
}


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
        )
        for r in sorted(trials, key=lambda r: (r.study, r.number or 0))
    )


def tuning_fields(
    trials: Sequence[TrialResult], best_lr: float | None, ranges: Mapping[str, str], sampler: str
) -> dict[str, Any]:
    """Return the fields of a row that concern tuning.

    In the budget curve, a trial without a validation accuracy counts as 0 and a pruned trial with
    its last accuracy. The response to the learning rate uses complete trials only.

    Args:
        trials: The combination's trials.
        best_lr: The learning rate of the best trial.
        ranges: The combination's params; `lr_low` and `lr_high` if it has a range.
        sampler: The name of the sampler.
    """
    complete = [t for t in trials if t.state == "COMPLETE" and t.val_accuracy is not None]
    rates, accuracies = [t.lr for t in complete], [t.val_accuracy or 0.0 for t in complete]
    low, high = (float(ranges[n]) if n in ranges else None for n in ("lr_low", "lr_high"))
    _, curve = BUDGET_CURVES.get(sampler, SO_FAR)
    return {
        "trial_results": tuple(trials),
        "diverged_share": sum(t.diverged for t in trials) / len(trials) if trials else None,
        "expected_best": tuple(curve([t.val_accuracy or 0.0 for t in trials])),
        "lr_low": low,
        "lr_high": high,
        "lr_edge": _edge(best_lr, low, high),
        "lr_response": tuple(sorted(zip(rates, accuracies, strict=True))),
        "accuracy_lost_lr_times_3": accuracy_lost(rates, accuracies, 3),
        "accuracy_lost_lr_third": accuracy_lost(rates, accuracies, 1 / 3),
    }


def _edge(best: float | None, low: float | None, high: float | None) -> str | None:
    if best is None or low is None or high is None:
        return None
    return edge_of_range(best, low, high)
