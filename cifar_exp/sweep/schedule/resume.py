"""Resume: an execution continues from the trainings in MLflow; studies are updated to match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cifar_exp import study, tracking
from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Combination, Experiment
from cifar_exp.records import RunRecord, study_label
from cifar_exp.study import StoredStudy, StudyKey, StudyNames, TrialResult, Tuning, tuning_name
from cifar_exp.sweep.schedule.model_retention import MODEL_RETENTION, ModelRetention
from cifar_exp.sweep.schedule.work import Work
from cifar_exp.tracking import Tracker


def records_by_study(
    experiment: Experiment, data: Dataset, tracker: Tracker
) -> dict[str, list[RunRecord]]:
    """Read the runs of each study, keyed by its label."""
    names = {experiment.identity(c, data.fingerprint): c.name for c in experiment.combinations()}
    runs: dict[str, list[RunRecord]] = {label: [] for _, _, label in _studies(experiment)}
    for record in tracker.records():
        label = study_label(names.get(record.combination_id or "", ""), record.study)
        if label in runs:
            runs[label].append(record)
    return runs


def trial_results(
    experiment: Experiment, records: Mapping[str, Sequence[RunRecord]], tracker: Tracker
) -> dict[str, list[TrialResult]]:
    """Return the finished trials of each study, with the accuracy of every epoch."""
    trials = [
        r
        for runs_of_one in records.values()
        for r in runs_of_one
        if r.kind == "trial" and r.finished
    ]
    accuracies = tracking.read_accuracies(tracker.client, [r.run_id for r in trials])
    return {
        label: results_of(experiment, c, records[label], accuracies)
        for c, _, label in _studies(experiment)
    }


def works_of(
    experiment: Experiment,
    data: Dataset,
    records: Mapping[str, Sequence[RunRecord]],
    ended: Mapping[str, Sequence[TrialResult]],
) -> list[Work]:
    """Return the work of each study, in the order of the definition."""
    return [
        _work(experiment, combination, number, data, records[label], ended[label])
        for combination, number, label in _studies(experiment)
    ]


def _studies(experiment: Experiment) -> list[tuple[Combination, int, str]]:
    """Return the combination, number and label of every study."""
    return [
        (combination, number, study_label(combination.name, number))
        for combination in experiment.combinations()
        for number in experiment.design.all_studies
    ]


def _work(
    experiment: Experiment,
    combination: Combination,
    number: int,
    data: Dataset,
    records: Sequence[RunRecord],
    ended: Sequence[TrialResult],
) -> Work:
    identity = experiment.identity(combination, data.fingerprint)
    name = tuning_name(experiment.name, study_label(combination.key, number), identity)
    tuning = Tuning(experiment, combination, name, experiment.study_seed(number))
    work = Work(experiment, combination, number, identity, tuning, records)
    if not work.tuned:
        tuning.tell_all(result for result in ended if result.number in work.trials)
    return work


def stored_studies(
    storage_url: str,
    experiment: Experiment,
    works: Iterable[Work],
    ended: Mapping[str, Sequence[TrialResult]],
    records: Mapping[str, Sequence[RunRecord]],
    tracker: Tracker,
) -> dict[str, StoredStudy]:
    """Return the stored study of each work; those that are needed now are updated to MLflow."""
    storage = study.connect(storage_url)
    names = StudyNames(storage)
    studies = {}
    for work in works:
        label = work.label
        run_ids = {r.number: r.run_id for r in records[label] if r.kind == "trial" and r.finished}
        key = StudyKey(experiment=experiment.name, combination_id=work.identity, study=work.study)
        name = names.name(key, study_label(work.combination.key, work.study))
        note = study.note(experiment, work.combination, key, _runs_page(tracker, key))
        stored = studies[label] = StoredStudy(storage, name, key, work.tuning.space, note)
        if work.num_seeds or ended[label]:
            stored.follow(ended[label], run_ids)
    return studies


def _runs_page(tracker: Tracker, key: StudyKey) -> str | None:
    """Return the address of the runs of a combination in MLflow's UI."""
    condition = f"tags.combination_id = '{key.combination_id}'"
    return tracking.runs_page(tracker.uri, tracker.mlflow_experiment_id, condition)


def model_retention(
    experiment: Experiment, works: Iterable[Work], tracker: Tracker
) -> dict[str, ModelRetention]:
    """Return the model retention of each study, updated with the finished trials.

    Models that an interrupted execution did not delete are deleted.
    """
    retentions: dict[str, ModelRetention] = {}
    for work in works:
        retention = retentions[work.label] = MODEL_RETENTION[experiment.keep_models]()
        for number in sorted(work.trials):
            if work.trials[number].state == "COMPLETE":
                replaced = retention.add(number, work.trials[number].metrics["val_accuracy"])
                if replaced is not None:
                    tracker.delete_models(work.trials[replaced].run_id)
    return retentions


def results_of(
    experiment: Experiment,
    combination: Combination,
    records: Sequence[RunRecord],
    accuracies: Mapping[str, Mapping[int, float]],
) -> list[TrialResult]:
    """Return the finished trials of a study in MLflow, ordered by number.

    Args:
        experiment: The definition.
        combination: The combination.
        records: The runs of the study.
        accuracies: The validation accuracy of each epoch by run id.
    """
    trials = [r for r in records if r.kind == "trial" and r.finished and r.number is not None]
    runs = [
        TrialResult(
            number=record.number or 0,
            params=experiment.parse(combination, record.params),
            accuracies=accuracies.get(record.run_id, {}),
            state=record.state or "FAIL",
            val_accuracy=record.metrics.get("val_accuracy") if record.state != "FAIL" else None,
        )
        for record in trials
    ]
    return sorted(runs, key=lambda result: result.number)
