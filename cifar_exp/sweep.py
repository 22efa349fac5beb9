"""One execution of an experiment: every combination tuned, confirmed and ranked.

The same call again goes on from what MLflow and Optuna hold and repeats nothing.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from cifar_exp import report, study, tracking
from cifar_exp.comparison import Ranking, Row, to_markdown
from cifar_exp.datasets import Dataset, Progress, load, no_progress
from cifar_exp.errors import Unavailable
from cifar_exp.event import Watch
from cifar_exp.experiment import Combination, Experiment, Range
from cifar_exp.folders import lock_file
from cifar_exp.problems import DefinitionError
from cifar_exp.results import Results
from cifar_exp.tracking import Run, Tracker
from cifar_exp.training import initial_model
from cifar_exp.units import Job, confirm_combination, resume, tune_combination
from cifar_exp.workers import Submit, pool


class SweepError(Unavailable):
    """The sweep cannot start, or cannot go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What one execution is asked for."""

    experiment: Experiment
    definition: str
    """The text of the definition."""
    tracking_uri: str
    storage_url: str
    workers: int
    threads: int
    """Threads of each worker."""


def prepare(experiment: Experiment, progress: Progress = no_progress) -> Dataset:
    """Load the data of an experiment, and check that the definition fits it.

    Raises:
        DefinitionError: The network cannot take the images, or a batch is too large.
        DataError: The data is missing or cannot be read.
    """
    data = load(experiment.dataset.choice, progress)
    check_fit(experiment, data)
    return data


def run(sweep: Sweep, data: Dataset, watch: Watch) -> tuple[Ranking, str]:
    """Tune, confirm and rank all combinations.

    Returns:
        The ranking, and the path of the sweep's run in MLflow's pages; `tracking.address` says
        where that is on a server.

    Raises:
        StoreError, StudyError: A store cannot be used.
        SweepError: Another process runs the same experiment.
    """
    name = sweep.experiment.name
    with _alone(sweep), tracking.delivering(sweep.tracking_uri, name, name) as store:
        return _run(replace(sweep, tracking_uri=store), data, watch)


def _run(sweep: Sweep, data: Dataset, watch: Watch) -> tuple[Ranking, str]:
    """Run a sweep that is alone, in a store that is there to stay."""
    tracker, inherited = _connect(sweep)
    try:
        run_ = _open(sweep, data, tracker, inherited)
        parents = _open_combinations(sweep.experiment, data, tracker, run_)
        _train_all(_job(sweep, data, tracker, parents), sweep, watch)
        return _close(tracker, run_, parents), run_.page
    except BaseException:
        with suppress(Exception):  # where the store itself has failed, that is what to tell
            tracker.close_running()
        raise


def check_fit(experiment: Experiment, data: Dataset) -> None:
    """Check that the network takes the images, and that no batch is larger than the split.

    Raises:
        DefinitionError: One of them does not fit.
    """
    available = len(data.train.labels)
    largest = max(experiment.search.batch_size)
    if largest > available:
        message = f"search.batch_size: {largest} is more than the {available} training images"
        raise DefinitionError(message)
    try:
        initial_model(experiment.model, data, experiment.seed)
    except ValueError as error:
        raise DefinitionError(f"model: {error}") from None


@contextmanager
def _alone(sweep: Sweep) -> Iterator[None]:
    """Let no other process on this machine run the same experiment in one of the same stores."""
    name = sweep.experiment.name
    locks = [
        FileLock(lock_file(f"sweep {store} {name}"), timeout=0)
        for store in (sweep.tracking_uri, sweep.storage_url)
    ]
    try:
        with locks[0], locks[1]:
            yield
    except Timeout:
        raise SweepError(f"another process is running experiment {name!r}; wait for it") from None


def _connect(sweep: Sweep) -> tuple[Tracker, str | None]:
    """Create the stores before any worker needs them, and close what dead processes left open.

    Returns the tracker, and the id of the run that `mlflow run` made for this process.
    """
    client = tracking.connect(sweep.tracking_uri)
    study.connect(sweep.storage_url)
    name = sweep.experiment.name
    inherited = tracking.inherited_run(client)
    place = inherited.info.experiment_id if inherited else tracking.mlflow_experiment(client, name)
    tracker = Tracker(sweep.tracking_uri, name, place)
    tracker.close_running()
    return tracker, inherited.info.run_id if inherited else None


def _open(sweep: Sweep, data: Dataset, tracker: Tracker, inherited: str | None) -> Run:
    """Open the sweep's run: the one that `mlflow run` made, an earlier one, or a new one."""
    name = sweep.experiment.name
    tags = {"definition": _definition_hash(sweep.experiment, data)}
    params = _params(sweep.experiment, data)
    if inherited is None:
        run_ = tracker.open_run("sweep", name, tags=tags, params=params)
    else:
        run_ = tracker.adopt(inherited, name, {"kind": "sweep", **tags}, params)
    run_.log_text(sweep.definition, "experiment.toml")
    return run_


def _open_combinations(
    experiment: Experiment, data: Dataset, tracker: Tracker, sweep_run: Run
) -> dict[str, str]:
    """Open the run of each combination under the sweep's; return their ids by name."""
    parents = {}
    for combination in experiment.combinations():
        run_ = tracker.open_combination(
            combination.name,
            parent=sweep_run.run_id,
            combination_id=experiment.identity(combination, data.fingerprint),
            params={"loss": combination.loss.name, "optimizer": combination.optimizer.name},
        )
        run_.log_params(_lr_range(combination.optimizer.lr))  # also where an older version made it
        parents[combination.name] = run_.run_id
    return parents


def _lr_range(lr: float | Range) -> dict[str, float]:
    """Name the ends of the range that a learning rate is searched in; a fixed one has none."""
    return {"lr_low": lr.low, "lr_high": lr.high} if isinstance(lr, Range) else {}


def _job(sweep: Sweep, data: Dataset, tracker: Tracker, parents: dict[str, str]) -> Job:
    return Job(
        experiment=sweep.experiment,
        data_path=data.path,
        tracking_uri=sweep.tracking_uri,
        mlflow_experiment_id=tracker.mlflow_experiment_id,
        storage_url=sweep.storage_url,
        parents=parents,
    )


def _train_all(job: Job, sweep: Sweep, watch: Watch) -> None:
    """Tune every combination, and confirm each one that is tuned, as far as that is left to do.

    Workers are started when there is something to train, and not before.
    """
    left = [resume(job, combination, watch) for combination in job.experiment.combinations()]
    untuned = [each.combination for each in left if each.tuning]
    with _whole_workers(), pool(sweep.workers, sweep.threads, watch) as submit:
        tuned = {submit(tune_combination, job, c): c for c in untuned}
        confirmed: set[Future[None]] = set()
        for each in left:
            confirmed |= _confirm(job, each.combination, each.seeds, submit)
        seeds = range(1, job.experiment.confirm.seeds + 1)
        while tuned:
            done, _ = wait_for(tuned, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                confirmed |= _confirm(job, tuned.pop(future), seeds, submit)
        for future in confirmed:
            future.result()


@contextmanager
def _whole_workers() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        message = "a worker process was killed, or ran out of memory; the same command goes on"
        raise SweepError(message) from None


def _confirm(
    job: Job, combination: Combination, seeds: Iterable[int], submit: Submit
) -> set[Future[None]]:
    return {submit(confirm_combination, job, combination, number) for number in seeds}


def _close(tracker: Tracker, run_: Run, parents: dict[str, str]) -> Ranking:
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


def _definition_hash(experiment: Experiment, data: Dataset) -> str:
    definition = experiment.model_dump_json(exclude={"dataset", "precision"})
    text = f"{data.fingerprint} {experiment.arithmetic} {definition}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _params(experiment: Experiment, data: Dataset) -> dict[str, object]:
    search = experiment.search
    return {
        "dataset": data.name,
        "model": experiment.model,
        "epochs": experiment.epochs,
        "seed": experiment.seed,
        "precision": experiment.arithmetic,
        "augment": experiment.augment,
        "compile": experiment.compile,
        "losses": ", ".join(experiment.losses),
        "optimizers": ", ".join(experiment.optimizers),
        "trials": search.trials,
        "sampler": search.sampler,
        "pruner": search.pruner,
        "batch_size": ", ".join(map(str, search.batch_size)),
        "seeds": experiment.confirm.seeds,
    }
