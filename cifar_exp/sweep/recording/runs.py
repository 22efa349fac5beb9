"""The MLflow runs of a sweep and its combinations: opened at the start, closed with the ranking."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cifar_exp import report, tracking
from cifar_exp.comparison import Ranking, Row
from cifar_exp.comparison.champion import champion, description
from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Combination, Experiment, Range, Space, num_settings
from cifar_exp.experiment.identity import definition_hash
from cifar_exp.experiment.named import plugins_used
from cifar_exp.report.text.formats import to_markdown
from cifar_exp.sweep.results import Results
from cifar_exp.tracking import Run, Tracker


def open_sweep(
    experiment: Experiment, definition: str, data: Dataset, tracker: Tracker, inherited: str | None
) -> Run:
    """Open the run of a sweep: the existing one of the same definition, or a new one.

    Args:
        experiment: The experiment.
        definition: The text of the definition, which is stored in the run.
        data: The data set.
        tracker: The MLflow store.
        inherited: The id of the run that `mlflow run` created for this process, if any; it is used.
    """
    tags = {"definition": definition_hash(experiment, data)}
    params = _params(experiment, data)
    if inherited is None:
        run_ = tracker.open_run("sweep", experiment.name, tags=tags, params=params)
    else:
        run_ = tracker.adopt(inherited, experiment.name, {"kind": "sweep", **tags}, params)
    run_.describe_data(data)  # not among `params`: older versions did not
    run_.log_text(definition, tracking.DEFINITION_FILE)
    run_.log_plugins(plugins_used(experiment))
    return run_


def open_combinations(
    experiment: Experiment, data: Dataset, tracker: Tracker, sweep_run: Run
) -> dict[str, str]:
    """Open the run of each combination as a child of the sweep's; return their ids by name."""
    parents = {}
    for combination in experiment.combinations():
        run_ = tracker.open_combination(
            combination.name,
            parent=sweep_run.run_id,
            combination_id=experiment.identity(combination, data.fingerprint),
            params=_components(experiment, combination),
        )
        run_.log_params(_lr_range(combination.optimizer.lr))  # older versions did not
        run_.log_params(_space_size(experiment.space(combination)))
        parents[combination.name] = run_.run_id
    return parents


def _components(experiment: Experiment, combination: Combination) -> dict[str, str]:
    """Return the params of a combination; the schedule if the definition has schedules."""
    names = {"loss": combination.loss.name, "optimizer": combination.optimizer.name}
    return {**names, "schedule": combination.schedule.name} if experiment.schedules else names


def _lr_range(lr: float | Range) -> dict[str, float]:
    """Return the ends of the searched range of a learning rate; empty if it is fixed."""
    return {"lr_low": lr.low, "lr_high": lr.high} if isinstance(lr, Range) else {}


def _space_size(space: Space) -> dict[str, int]:
    """Return the number of settings in a search space; empty if it is infinite."""
    size = num_settings(space)
    return {"space_size": int(size)} if math.isfinite(size) else {}


def _params(experiment: Experiment, data: Dataset) -> dict[str, object]:
    search = experiment.search
    return {
        "dataset": data.name,
        **data.changes,
        "model": experiment.model.type,
        **{f"model.{name}": value for name, value in experiment.model.params().items()},
        "epochs": experiment.epochs,
        "seed": experiment.seed,
        "precision": experiment.arithmetic,
        "augment": str(experiment.augment),
        "compile": experiment.compile,
        **({} if experiment.ema is None else {"ema": experiment.ema}),
        "losses": ", ".join(experiment.losses),
        "optimizers": ", ".join(experiment.optimizers),
        **({"schedules": ", ".join(experiment.schedules)} if experiment.schedules else {}),
        "sampler": search.sampler,
        "pruner": search.pruner,
        "batch_size": ", ".join(map(str, search.batch_size)),
        **experiment.design.params(),
    }


def close(tracker: Tracker, run_: Run, parents: Mapping[str, str]) -> Ranking:
    """Compute the ranking from MLflow, and write it to the runs of the sweep and combinations."""
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
    _log_best(run_, ranking.combinations[0])
    with tempfile.TemporaryDirectory() as folder:
        report.write(ranking, Path(folder), results.evidence())
        run_.log_folder(folder, "comparison")
    _update_ui(tracker, ranking)
    if best := champion(ranking, results.trainings):
        run_.set_tags(tracking.champion_tags(best.run_id, description(ranking)))
    run_.end()
    return ranking


def _log_best(run_: Run, best: Row) -> None:
    """Record the first combination of a ranking in the run of its sweep, if it has a rank."""
    if best.rank is not None:
        run_.log_metrics(_accuracies(best))
        run_.set_tags({"best_combination": best.combination})


def _accuracies(row: Row) -> dict[str, float]:
    """Return the mean and the spread of the test accuracy, rounded as MLflow shows all digits."""
    values = {
        "test_accuracy_mean": row.test_accuracy_mean,
        "test_accuracy_std": row.test_accuracy_std,
    }
    return {name: round(value, 6) for name, value in values.items() if value is not None}


def _update_ui(tracker: Tracker, ranking: Ranking) -> None:
    """Show the ranking in MLflow's UI, with the colours of the report for the combinations."""
    colours = report.colours(row.combination for row in ranking.combinations)
    tracking.describe_runs(tracker.client, tracker.records(), colours)
    tracking.describe_experiment(tracker.client, tracker.mlflow_experiment_id, to_markdown(ranking))
    tracking.save_views(tracker.client, tracker.mlflow_experiment_id)


def _close_combination(tracker: Tracker, run_id: str, row: Row) -> None:
    metrics = {
        "seeds": row.seeds,
        "trials": row.trials,
        "diverged": row.diverged,
        "seconds": round(row.seconds, 2),
        **_accuracies(row),
        **({} if row.rank is None else {"rank": row.rank}),
    }
    best = {"lr": row.lr, "batch_size": row.batch_size}
    tracker.close_combination(
        run_id,
        params={name: value for name, value in best.items() if value is not None},
        metrics=metrics,
    )
