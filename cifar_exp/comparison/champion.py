"""The champion of a ranking: the training whose model stands for the first combination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.replicates import best_trials
from cifar_exp.comparison.row import Row
from cifar_exp.records import RunRecord


def champion(ranking: Ranking, trainings: Mapping[str, Sequence[RunRecord]]) -> RunRecord | None:
    """Return the first confirmation of the first combination; None without a result.

    Of several studies, that of the one with the highest validation accuracy. A fixed rule, as the
    test accuracy of the luckiest confirmation would be higher than what the model achieves on
    other images.

    Args:
        ranking: The ranking.
        trainings: The trainings that it counts, by combination.
    """
    first = _first(ranking)
    if first is None:
        return None
    runs = trainings[first.combination]
    best = {study: trial.metrics["val_accuracy"] for study, trial in best_trials(runs).items()}
    complete = [r for r in runs if r.kind == "confirmation" and r.state == "COMPLETE"]
    return min(complete, key=lambda r: (-best[r.study], r.study, r.number or 0), default=None)


def description(ranking: Ranking) -> dict[str, str]:
    """Return what is known of the first combination as short texts; empty without a result.

    What is not known is "", so that it replaces what was known of an earlier ranking.
    """
    first = _first(ranking)
    if first is None:
        return {}
    interval = (first.interval_low, first.interval_high)
    return {
        "combination": first.combination,
        "test_accuracy": _shown(first.test_accuracy_mean),
        "test_accuracy_interval": " to ".join(filter(None, map(_shown, interval))),
        "seeds": str(first.seeds),
        "studies": str(first.studies) if first.studies > 1 else "",
    }


def _first(ranking: Ranking) -> Row | None:
    return next((row for row in ranking.combinations if row.rank == 1), None)


def _shown(accuracy: float | None) -> str:
    return "" if accuracy is None else f"{accuracy:.4f}"
