from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial, TrialState

from cifar_exp.components.datasets import Dataset
from cifar_exp.records import RunRecord
from cifar_exp.study import StudyError, connect, tune, tuning
from cifar_exp.study.pruners import PRUNERS
from cifar_exp.study.samplers import SAMPLERS, make
from cifar_exp.study.tuning import distributions
from cifar_exp.tracking import Tracker, mlflow_experiment
from cifar_exp.tracking import connect as connect_store
from cifar_exp.training import loop
from cifar_exp.training.context import Task
from cifar_exp.training.events import Event
from tests import tiny

SPACE = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "batch_size": CategoricalDistribution((8, 16, 32, 64)),
    "optimizer.momentum": FloatDistribution(0.5, 0.9),
    "optimizer.ns_steps": IntDistribution(3, 6),
}


@dataclass
class Bench:
    """A task, and the storage of its study."""

    task: Task
    storage_url: str

    @property
    def tracker(self) -> Tracker:
        return self.task.tracker


BenchOf = Callable[..., Bench]


@pytest.fixture
def bench_of(images: Path, data: Dataset, tracking_uri: str, storage_url: str) -> BenchOf:
    place = mlflow_experiment(connect_store(tracking_uri), "tiny")
    tracker = Tracker(tracking_uri, "tiny", place)

    def of(**changes: str) -> Bench:
        experiment = tiny.experiment(images, epochs="1", **changes)
        return Bench(
            Task(
                experiment=experiment,
                combination=experiment.combinations()[0],
                data=data,
                tracker=tracker,
                parent="parent",
            ),
            storage_url,
        )

    return of


def search(trials: int, sampler: str = "random", pruner: str = "none") -> str:
    names = f'sampler = "{sampler}"\npruner = "{pruner}"'
    return f"trials = {trials}\n{names}\nbatch_size = [8, 16]"


def run(bench: Bench) -> list[Event]:
    events: list[Event] = []
    tune(bench.task, bench.storage_url, events.append)
    return events


def study_of(bench: Bench) -> optuna.Study:
    [summary] = optuna.get_all_study_summaries(bench.storage_url)
    return optuna.load_study(study_name=summary.study_name, storage=bench.storage_url)


def trials_of(bench: Bench) -> list[RunRecord]:
    return bench.tracker.records(kind="trial")


def params_of(bench: Bench) -> list[dict[str, object]]:
    return [trial.params for trial in study_of(bench).trials]


def test_a_study_has_exactly_its_trials_in_both_stores(bench_of: BenchOf) -> None:
    bench = bench_of(search=search(4))
    events = run(bench)
    study, records = study_of(bench), trials_of(bench)
    assert [record.number for record in records] == [trial.number for trial in study.trials]
    for record, trial in zip(records, study.trials, strict=True):
        assert record.name == f"cross_entropy+sgd #{trial.number}"
        assert record.metrics["val_accuracy"] == trial.value
        assert record.params["lr"] == str(trial.params["lr"])
        assert record.params["batch_size"] == str(trial.params["batch_size"])
        assert trial.user_attrs["mlflow_run_id"] == record.run_id
        assert record.parent == "parent"
    assert [e.training for e in events if e.state] == [f"trial {number}" for number in range(4)]


def test_the_study_can_be_read_by_its_name(bench_of: BenchOf) -> None:
    bench = bench_of(search=search(1))
    run(bench)
    study = study_of(bench)
    assert study.study_name == f"tiny/cross_entropy+sgd {bench.task.identity}"
    assert study.metric_names == ["val_accuracy"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE


def test_tuning_again_does_nothing(bench_of: BenchOf) -> None:
    bench = bench_of(search=search(3))
    run(bench)
    before = trials_of(bench)
    assert run(bench) == []
    assert trials_of(bench) == before


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_trials_are_the_same_in_one_go_or_in_two(bench_of: BenchOf, sampler: str) -> None:
    """Seven trials go beyond the random start of the samplers that learn."""
    whole = bench_of(search=search(7, sampler))
    run(whole)
    expected = params_of(whole)
    for record in trials_of(whole):
        whole.tracker.client.delete_run(record.run_id)
    run(bench_of(search=search(3, sampler)))
    run(whole)
    assert params_of(whole) == expected
    assert len({str(params) for params in expected}) == 7


def test_a_trial_that_was_cut_short_is_trained_again_with_its_parameters(
    bench_of: BenchOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(search=search(4))
    run(bench)
    expected = params_of(bench)
    for record in trials_of(bench):
        bench.tracker.client.delete_run(record.run_id)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    run(bench_of(search=search(2)))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", cut)
        with pytest.raises(KeyboardInterrupt):
            run(bench)
    assert [t.state for t in study_of(bench).trials][-1] == TrialState.RUNNING
    bench.tracker.close_running()
    run(bench)
    assert params_of(bench) == expected
    assert [t.state for t in study_of(bench).trials] == [TrialState.COMPLETE] * 4
    assert [(r.number, r.state) for r in trials_of(bench)] == [
        (number, "COMPLETE") for number in range(4)
    ]


@pytest.mark.parametrize("drawn", [0, 1, 2])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_a_trial_cut_short_between_two_draws_has_the_values_of_a_whole_one(
    bench_of: BenchOf, monkeypatch: pytest.MonkeyPatch, sampler: str, drawn: int
) -> None:
    ranges = "sgd = { lr = { low = 1e-3, high = 0.1 }, momentum = { low = 0.5, high = 0.9 } }"
    bench = bench_of(search=search(7, sampler), optimizers=ranges)
    run(bench)
    expected = params_of(bench)
    for record in trials_of(bench):
        bench.tracker.client.delete_run(record.run_id)
    draw = tuning._draw

    def cut(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
        if trial.number in (0, 6) and len(trial.params) == drawn:  # random, and from a model
            raise KeyboardInterrupt
        return draw(trial, name, distribution)

    for _ in range(2):
        monkeypatch.setattr(tuning, "_draw", cut)
        with pytest.raises(KeyboardInterrupt):
            run(bench)
        monkeypatch.setattr(tuning, "_draw", draw)
        run(bench_of(search=search(6, sampler), optimizers=ranges))
    run(bench)
    assert params_of(bench) == expected


def test_a_trial_that_mlflow_has_finished_is_told_to_the_study(
    bench_of: BenchOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the run was closed and before the study knew."""
    bench = bench_of(search=search(2))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            run(bench)
    [done] = trials_of(bench)
    run(bench)
    assert trials_of(bench)[0] == done
    assert [t.value for t in study_of(bench).trials] == [
        record.metrics["val_accuracy"] for record in trials_of(bench)
    ]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_lost_study_is_rebuilt_from_mlflow(bench_of: BenchOf, sampler: str) -> None:
    bench = bench_of(search=search(6, sampler))
    run(bench)
    expected, before = params_of(bench), trials_of(bench)
    optuna.delete_study(study_name=study_of(bench).study_name, storage=bench.storage_url)
    run(bench)
    assert trials_of(bench) == before
    assert params_of(bench) == expected
    assert [t.value for t in study_of(bench).trials] == [
        record.metrics["val_accuracy"] for record in before
    ]


def test_trials_lost_in_mlflow_are_trained_again_with_the_same_parameters(
    bench_of: BenchOf,
) -> None:
    bench = bench_of(search=search(4))
    run(bench)
    before, expected = trials_of(bench), params_of(bench)
    for record in before[1:3]:
        bench.tracker.client.delete_run(record.run_id)
    run(bench)
    after = sorted(trials_of(bench), key=lambda record: record.number or 0)
    assert params_of(bench) == expected
    assert [record.params for record in after] == [record.params for record in before]
    assert [r.metrics["val_accuracy"] for r in after] == [r.metrics["val_accuracy"] for r in before]
    assert (after[0].run_id, after[3].run_id) == (before[0].run_id, before[3].run_id)


def test_a_diverged_trial_counts_and_is_not_repeated(bench_of: BenchOf) -> None:
    bench = bench_of(search=search(3), optimizers="sgd = { lr = { low = 1e20, high = 1e30 } }")
    run(bench)
    run(bench)
    assert [record.state for record in trials_of(bench)] == ["FAIL"] * 3
    assert [t.state for t in study_of(bench).trials] == [TrialState.FAIL] * 3


def test_settings_given_as_ranges_are_searched_and_recorded(bench_of: BenchOf) -> None:
    bench = bench_of(
        search=search(3),
        losses="focal = { gamma = { low = 0.5, high = 3.0 } }",
        optimizers="muon = { lr = 0.01, ns_steps = { low = 2, high = 5 } }",
    )
    run(bench)
    for record, params in zip(trials_of(bench), params_of(bench), strict=True):
        assert set(params) == {"batch_size", "loss.gamma", "optimizer.ns_steps"}
        assert {name: record.params[name] for name in params} == {
            name: str(value) for name, value in params.items()
        }
        assert isinstance(params["optimizer.ns_steps"], int)
        assert record.params["lr"] == "0.01"


def test_a_study_prunes_what_falls_behind(
    bench_of: BenchOf, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial is a little worse than the one before, so the median cuts all after the fifth."""
    bench = bench_of()
    longer = tiny.experiment(images, epochs="4", search=search(8, pruner="median"))
    bench.task = replace(bench.task, experiment=longer)
    begun: list[int] = []

    def train(*_: object) -> Iterator[loop.EpochMetrics]:
        begun.append(len(begun))
        scores = tiny.scores(accuracy=0.9 - 0.01 * begun[-1])
        for epoch in range(1, 5):
            yield loop.EpochMetrics(
                epoch=epoch, train_loss=1.0, val=scores, seconds=1.0, images_per_second=1.0
            )

    monkeypatch.setattr(loop, "train", train)
    run(bench)
    records = trials_of(bench)
    assert [record.state for record in records] == ["COMPLETE"] * 5 + ["PRUNED"] * 3
    assert [record.metrics["epochs_trained"] for record in records] == [4] * 5 + [2] * 3
    states = [trial.state.name for trial in study_of(bench).trials]
    assert states == [record.state for record in records]


def test_a_rebuilt_study_knows_every_epoch(bench_of: BenchOf, images: Path) -> None:
    """Pruners compare trials epoch by epoch."""
    bench = bench_of(search=search(2))
    longer = tiny.experiment(images, epochs="3", search=search(2))
    bench.task = replace(bench.task, experiment=longer)
    run(bench)
    expected = [trial.intermediate_values for trial in study_of(bench).trials]
    optuna.delete_study(study_name=study_of(bench).study_name, storage=bench.storage_url)
    run(bench)
    assert [trial.intermediate_values for trial in study_of(bench).trials] == expected
    assert [sorted(values) for values in expected] == [[1, 2, 3]] * 2


def test_only_the_best_model_is_kept_when_asked(bench_of: BenchOf) -> None:
    bench = bench_of(search=search(5), top='keep_models = "best"')
    run(bench)
    client = bench.tracker.client
    held = client.search_logged_models([bench.tracker.mlflow_experiment_id])
    best = max(trials_of(bench), key=lambda record: record.metrics["val_accuracy"])
    [kept] = held
    assert kept.source_run_id == best.run_id
    files = [path for path in Path("mlruns").rglob("MLmodel") if path.is_file()]
    assert len(files) == 1


def test_models_that_are_not_to_be_kept_any_more_are_deleted(bench_of: BenchOf) -> None:
    """As after an interruption between a better trial and the deletion of the one before it."""
    run(bench_of(search=search(4)))
    bench = bench_of(search=search(4), top='keep_models = "best"')
    run(bench)
    [kept] = bench.tracker.client.search_logged_models([bench.tracker.mlflow_experiment_id])
    best = max(trials_of(bench), key=lambda record: record.metrics["val_accuracy"])
    assert kept.source_run_id == best.run_id


@pytest.mark.parametrize("kept", ["all", "best"])
def test_a_combinations_runs_are_read_once_and_not_for_each_trial(
    bench_of: BenchOf, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    bench = bench_of(search=search(4), top=f'keep_models = "{kept}"')
    read, reads = Tracker.records, []

    def noted(tracker: Tracker, **tags: str) -> list[RunRecord]:
        reads.append(tags)
        return read(tracker, **tags)

    monkeypatch.setattr(Tracker, "records", noted)
    run(bench)
    assert len(reads) == 1


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_sampler_depends_on_the_study_and_the_number_alone(name: str) -> None:
    def draw(seed: int, number: int) -> dict[str, object]:
        study = optuna.create_study()
        for _ in range(number):
            study.add_trial(
                optuna.trial.create_trial(state=TrialState.FAIL, params={}, distributions={})
            )
        study.sampler = make(name, SPACE, (seed, "a+b"), number)
        return study.ask(SPACE).params

    assert draw(0, 0) == draw(0, 0)
    assert draw(0, 3) == draw(0, 3)
    assert draw(0, 0) != draw(1, 0)
    assert draw(0, 0) != draw(0, 3)


def test_the_sobol_points_fill_the_space_evenly() -> None:
    study = optuna.create_study()
    drawn = []
    for number in range(16):
        study.sampler = make("qmc", SPACE, (0, "a+b"), number)
        drawn.append(study.ask(SPACE).params)
    tenths = np.sort([np.log10(params["lr"]) for params in drawn])
    strata = np.floor((tenths + 4) / 4 * 16)
    assert strata.tolist() == list(range(16))  # one learning rate in each sixteenth
    sizes = [params["batch_size"] for params in drawn]
    assert {size: sizes.count(size) for size in (8, 16, 32, 64)} == dict.fromkeys(
        (8, 16, 32, 64), 4
    )
    steps = [params["optimizer.ns_steps"] for params in drawn]
    assert {step: steps.count(step) for step in (3, 4, 5, 6)} == dict.fromkeys((3, 4, 5, 6), 4)


def test_whole_numbers_on_a_log_scale_are_drawn_on_it() -> None:
    space: dict[str, BaseDistribution] = {"n": IntDistribution(1, 1023, log=True)}
    drawn = []
    for number in range(20):
        study = optuna.create_study()
        for _ in range(number):
            study.add_trial(
                optuna.trial.create_trial(state=TrialState.FAIL, params={}, distributions={})
            )
        study.sampler = make("qmc", space, (0, "a+b"), number)
        drawn.append(study.ask(space).params["n"])
    assert all(isinstance(value, int) and 1 <= value <= 1023 for value in drawn)
    assert 8 <= sum(value < 32 for value in drawn) <= 12  # half of the decades, half of the draws


def test_every_pruner_can_be_built() -> None:
    for build in PRUNERS.values():
        assert isinstance(build(5), optuna.pruners.BasePruner)


def test_distributions_follow_the_definition(bench_of: BenchOf) -> None:
    bench = bench_of(
        losses="focal = { gamma = { low = 0, high = 3 } }",
        optimizers="muon = { lr = { low = 1e-4, high = 0.1 }, ns_steps = { low = 2, high = 5 } }",
    )
    assert distributions(bench.task.experiment, bench.task.combination) == {
        "lr": FloatDistribution(1e-4, 0.1, log=True),
        "batch_size": CategoricalDistribution((8, 16)),
        "loss.gamma": FloatDistribution(0.0, 3.0),
        "optimizer.ns_steps": IntDistribution(2, 5),
    }


def test_a_storage_that_cannot_be_used_is_one_sentence() -> None:
    with pytest.raises(StudyError, match="the Optuna storage cannot be used") as caught:
        connect("sqlite:////proc/none/optuna.db")
    assert "\n" not in str(caught.value)
