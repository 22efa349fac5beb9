"""A ranking as tidy tables in CSV: a row for each combination, confirmation or trial."""

from __future__ import annotations

from dataclasses import fields

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import ConfirmationResult, Row, TrialResult
from cifar_exp.report.text.csv_table import Line, csv_table

# In every table as `test_..._mean` and `_std`, whichever metric is the yardstick.
DOUBLED = ("mean", "std")
SHARED = ("study", "number", "seed", "state", "lr", "batch_size", "val_accuracy", "seconds")
# Tables of their own in `seeds.csv` and `trials.csv`, or in `ranking.json` only.
NESTED = (
    *("trial_results", "confirmation_results", "study_results", "time_to_target", "lr_response"),
    *("test_accuracies", "values", "value_seeds", "lost_seeds", "expected_best"),
    *("settings", "metric_means", "metric_stds"),
)


def to_csv(ranking: Ranking) -> str:
    """Return one row per combination; metrics and settings have a column each."""
    names = _names(ranking)
    return csv_table([_of_combination(ranking, row) for row in ranking.combinations], names)


def seeds_csv(ranking: Ranking) -> str:
    """Return one row per confirmation."""
    return csv_table(
        [
            {**_of_training(ranking, row, result), **result.metrics}
            for row in ranking.combinations
            for result in row.confirmation_results
        ],
        (*_of_row(ranking), *SHARED),
    )


def trials_csv(ranking: Ranking) -> str:
    """Return one row per trial."""
    return csv_table(
        [
            {**_of_training(ranking, row, result), "diverged": result.diverged}
            for row in ranking.combinations
            for result in row.trial_results
        ],
        (*_of_row(ranking), *SHARED),
    )


def _names(ranking: Ranking) -> list[str]:
    first = ("rank", *_of_row(ranking))
    left_out = (*NESTED, *DOUBLED, *first, "schedule")
    return [*first, *(f.name for f in fields(Row) if f.name not in left_out)]


def _of_combination(ranking: Ranking, row: Row) -> Line:
    statistics = {"mean": row.metric_means, "std": row.metric_stds}
    metrics = {
        f"{metric}_{name}": value
        for name, values in statistics.items()
        for metric, value in values.items()
    }
    known = {name: getattr(row, name) for name in _names(ranking)}
    return {**metrics, **known, "yardstick": ranking.yardstick, **row.settings}


def _of_training(ranking: Ranking, row: Row, result: ConfirmationResult | TrialResult) -> Line:
    return {
        **{name: getattr(row, name) for name in _of_row(ranking)},
        **{name: getattr(result, name) for name in SHARED},
        **result.settings,
    }


def _of_row(ranking: Ranking) -> tuple[str, ...]:
    """Return the columns of confirmations and trials that name their combination."""
    names = ("combination", "loss", "optimizer")
    return (*names, "schedule") if ranking.has_schedules else names
