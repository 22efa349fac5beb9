"""One training by hand, recorded like a trial but part of no sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cifar_exp import tracking
from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Experiment
from cifar_exp.system.locks import Units
from cifar_exp.tracking import Tracker
from cifar_exp.training import trial
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.trial import Outcome, Stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Single:
    """What one training is asked for."""

    experiment: Experiment
    tracking_uri: str
    mlflow_experiment: str
    threads: int


def run(single: Single, data: Dataset, after_epoch: Stop) -> tuple[Outcome, str]:
    """Train once and record it in MLflow; see `trial.record`.

    Returns:
        How the training ended, and the path of its run in MLflow's pages; `tracking.address` says
        where that is on a server.
    """
    with tracking.delivering(single.tracking_uri, single.mlflow_experiment) as store:
        return _run(replace(single, tracking_uri=store), data, after_epoch)


def _run(single: Single, data: Dataset, after_epoch: Stop) -> tuple[Outcome, str]:
    experiment = single.experiment
    prepare_process(single.threads)
    [combination] = experiment.combinations()
    (batch_size,) = experiment.search.batch_size
    config = experiment.trial(combination, {"batch_size": batch_size}, experiment.seed)
    client = tracking.connect(single.tracking_uri)
    inherited = tracking.inherited_run(client)
    params = trial.params(config, data)
    if inherited:
        tracker = Tracker(single.tracking_uri, experiment.name, inherited.info.experiment_id)
        run_ = tracker.adopt(inherited.info.run_id, combination.name, {"kind": "train"}, params)
    else:
        place = tracking.mlflow_experiment(client, single.mlflow_experiment)
        tracker = Tracker(single.tracking_uri, experiment.name, place)
        run_ = tracker.new_run("train", combination.name, tags={}, params=params)
    try:
        with Units(store=single.tracking_uri, experiment=experiment.name).held(run_.run_id):
            return trial.record(config, data, run_, stop=after_epoch), run_.page
    except BaseException:
        run_.end("KILLED")
        raise
