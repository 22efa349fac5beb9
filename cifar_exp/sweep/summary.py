"""The end of a sweep: what MLflow holds is ranked and written to the runs it is about."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from cifar_exp import report, tracking
from cifar_exp.comparison import Ranking, Row
from cifar_exp.report.text.formats import to_markdown
from cifar_exp.sweep.results import Results
from cifar_exp.tracking import Run, Tracker


def close(tracker: Tracker, run_: Run, parents: Mapping[str, str]) -> Ranking:
    """Rank what MLflow holds now, and write the ranking to the runs it is about."""
    results = Results(tracker.client, tracker.records(), run_.run_id)
    ranking = results.ranking()
    for row in ranking.combinations:
        _close_combination(tracker, parents[row.combination], row)
    run_.log_metrics(
        {
            "combinations": len(ranking.combinations),
            "trials": sum(row.trials for row in ranking.combinations),
            "seconds": sum(row.seconds for row in ranking.combinations),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        report.write(ranking, Path(folder), results.evidence())
        run_.log_folder(folder, "comparison")
    _show(tracker, ranking)
    run_.end()
    return ranking


def _show(tracker: Tracker, ranking: Ranking) -> None:
    """Let MLflow's pages show the ranking, and each combination in its colour of the report."""
    colours = report.colours(row.combination for row in ranking.combinations)
    tracking.colour_runs(tracker.client, tracker.records(), colours)
    tracking.describe_experiment(tracker.client, tracker.mlflow_experiment_id, to_markdown(ranking))
    tracking.save_views(tracker.client, tracker.mlflow_experiment_id)


def _close_combination(tracker: Tracker, run_id: str, row: Row) -> None:
    measured = {
        "rank": row.rank,
        "test_accuracy_mean": row.test_accuracy_mean,
        "test_accuracy_std": row.test_accuracy_std,
        "seeds": row.seeds,
        "trials": row.trials,
        "diverged": row.diverged,
        "seconds": row.seconds,
    }
    best = {"lr": row.lr, "batch_size": row.batch_size}
    tracker.close_combination(
        run_id,
        params={name: value for name, value in best.items() if value is not None},
        metrics={name: value for name, value in measured.items() if value is not None},
    )
