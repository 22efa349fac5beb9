from __future__ import annotations

import csv
import io
import json
import math
import os
import runpy
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow.projects._project_spec import load_project
from sklearn.metrics import accuracy_score, f1_score

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import read
from cifar_exp.sweep import prepare
from cifar_exp.sweep.events import Event
from cifar_exp.sweep.executors.local import TrainerProcess
from cifar_exp.system import locks, temporary
from cifar_exp.tracking import connect, read_predictions
from cifar_exp.training import checkpoint, loop
from cifar_exp.training.loop import EpochMetrics
from tests import tiny
from tests.bench import SCALED, SCORES, SCORES_BY_EPOCH, Bench, scores, studies, tiny_search
from tests.command import Cli
from tests.components.metrics import one_network

ROOT = Path(__file__).parents[2]


def test_a_sweep_writes_the_documented_runs(bench: Bench, images: Path) -> None:
    definition = tiny.definition(images)
    ranking = bench.run(definition)
    [top] = bench.records("sweep")
    combinations = bench.records("combination")
    assert (top.name, top.parent, top.status) == ("tiny", None, "FINISHED")
    assert {c.name for c in combinations} == {"cross_entropy+sgd", "mse+sgd"}
    assert {(c.parent, c.status) for c in combinations} == {(top.run_id, "FINISHED")}
    for combination in combinations:
        children = [r for r in bench.records() if r.parent == combination.run_id]
        assert Counter(r.kind for r in children) == {"trial": 3, "confirmation": 2}
        assert {r.combination for r in children} == {combination.name}
        trials = [r.name for r in children if r.kind == "trial"]
        assert trials == [f"{combination.name} #{number}" for number in range(3)]
        seeds = sorted(r.name for r in children if r.kind == "confirmation")
        assert seeds == [f"{combination.name} seed {number}" for number in (1, 2)]
    assert (top.metrics["combinations"], top.metrics["trials"]) == (2, 6)
    trial_seconds = [r.metrics["seconds"] for r in bench.records("trial")]
    assert top.metrics["seconds"] == pytest.approx(sum(trial_seconds))
    for row in ranking.combinations:
        [run] = [c for c in combinations if c.name == row.combination]
        assert run.metrics["rank"] == row.rank
        for name in ("test_accuracy_mean", "test_accuracy_std"):
            assert run.metrics[name] == pytest.approx(getattr(row, name), abs=5e-7)
            assert len(str(run.metrics[name])) <= len("0.123456")
        assert (run.metrics["seeds"], run.metrics["trials"], run.metrics["diverged"]) == (2, 3, 0)
        assert run.params["lr"] == str(row.lr)
        assert run.params["batch_size"] == str(row.batch_size)
        spent = [r.metrics["seconds"] for r in bench.records("trial") if r.parent == run.run_id]
        assert run.metrics["seconds"] == pytest.approx(sum(spent), abs=0.005)
    best = ranking.combinations[0]
    assert top.tags["best_combination"] == best.combination
    assert top.metrics["test_accuracy_mean"] == pytest.approx(best.test_accuracy_mean, abs=5e-7)
    assert top.metrics["test_accuracy_std"] == pytest.approx(best.test_accuracy_std, abs=5e-7)
    for training in bench.trainings():
        assert 0 < training.metrics["peak_memory"] < 100_000  # MiB


def test_the_range_of_the_learning_rate_is_recorded_and_stays(bench: Bench, images: Path) -> None:
    optimizers = "sgd = { lr = { low = 0.01, high = 1.0 } }\nfixed = { type = 'sgd', lr = 0.05 }"
    definition = tiny.definition(images, losses="mse = {}", optimizers=optimizers)
    bench.run(definition)
    more = definition.replace("trials = 3", "trials = 6")  # the best setting may change
    ranking = bench.run(more)
    rows = {row.combination: row for row in ranking.combinations}
    assert (rows["mse+sgd"].lr_low, rows["mse+sgd"].lr_high) == (0.01, 1.0)
    assert (rows["mse+fixed"].lr_low, rows["mse+fixed"].lr_high) == (None, None)
    [run] = [r for r in bench.records("combination") if r.name == "mse+sgd"]
    assert (run.params["lr_low"], run.params["lr_high"]) == ("0.01", "1.0")


@pytest.mark.usefixtures("swept")
def test_the_conditions_of_a_real_sweep_are_the_same_for_all(bench: Bench, images: Path) -> None:
    ranking = bench.ranking()
    stored = {condition.name: condition for condition in ranking.fairness}
    assert all(condition.same for condition in ranking.fairness)
    assert (stored["trials"].value, stored["confirmation seeds"].value) == ("3", "1, 2")
    assert stored["data and split"].value == tiny.dataset(images).fingerprint[:8]
    assert stored.keys() >= {"epochs", "precision", "device", "threads", "tuning seed", "torch"}


@pytest.mark.usefixtures("swept")
def test_only_confirmations_use_the_test_set_with_fresh_seeds(bench: Bench) -> None:
    trials, confirmations = bench.records("trial"), bench.records("confirmation")
    assert not [r for r in trials if any(name.startswith("test") for name in r.metrics)]
    scores = {"temperature"} | {f"test_{name}" for name in SCORES | SCALED}
    assert all(scores | set(SCORES_BY_EPOCH) <= set(r.metrics) for r in confirmations)
    assert {r.params["seed"] for r in trials} == {"0"}
    assert {r.params["seed"] for r in confirmations} == {"1", "2"}


@pytest.mark.usefixtures("swept")
def test_the_predictions_of_a_confirmation_give_its_scores(bench: Bench) -> None:
    client = connect(bench.tracking_uri)
    for record in bench.records("confirmation"):
        predictions = read_predictions(client, record.run_id)
        label, predicted = predictions.label, predictions.predicted
        assert len(label) == len(predictions.confidence) == 30
        kinds = [array.dtype.name for array in (label, predicted, predictions.confidence)]
        assert kinds == ["uint8", "uint8", "float32"]
        assert record.metrics["test_accuracy"] == accuracy_score(label, predicted)
        assert record.metrics["test_ece"] == one_network.ece(predictions)
        assert record.metrics["test_ece_adaptive"] == one_network.ece_adaptive(predictions)
        after = predictions.after_scaling()
        assert after is not None
        assert record.metrics["test_ece_scaled"] == one_network.ece(after)
        assert record.metrics["test_macro_f1"] == pytest.approx(
            f1_score(label, predicted, average="macro")
        )
    for record in bench.records("trial"):
        assert "predictions.npz" not in [a.path for a in client.list_artifacts(record.run_id)]


@pytest.mark.usefixtures("swept")
def test_the_confirmed_setting_is_that_of_the_best_trial(bench: Bench) -> None:
    for name in ("cross_entropy+sgd", "mse+sgd"):
        trials = [r for r in bench.records("trial") if r.combination == name]
        best = max(trials, key=lambda r: (r.metrics["val_accuracy"], -(r.number or 0)))
        for record in bench.records("confirmation"):
            if record.combination == name:
                assert record.confirms == best.number
                assert {**record.params, "seed": "0"} == best.params


def test_the_run_of_the_sweep_has_the_definition_and_the_comparison(
    bench: Bench, images: Path, tmp_path: Path
) -> None:
    definition = tiny.definition(images)
    ranking = bench.run(definition)
    [top] = bench.records("sweep")
    client = connect(bench.tracking_uri)
    fetched = Path(client.download_artifacts(top.run_id, "", str(tmp_path)))
    assert (fetched / "experiment.toml").read_text() == definition
    stored = json.loads((fetched / "comparison" / "ranking.json").read_text())
    assert stored["experiment"] == "tiny"
    assert [row["combination"] for row in stored["combinations"]] == [
        row.combination for row in ranking.combinations
    ]
    rows = list(csv.DictReader(io.StringIO((fetched / "comparison" / "ranking.csv").read_text())))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert bench.page == f"/experiments/1/runs/{top.run_id}"
    assert top.params == {
        "dataset": "folder",
        "classes": "blue, green, red",
        "model": "seed_cnn_relu",
        "epochs": "2",
        "seed": "0",
        "precision": "fp32",
        "augment": "none",
        "compile": "False",
        "losses": "cross_entropy, mse",
        "optimizers": "sgd",
        "trials": "3",
        "sampler": "random",
        "pruner": "none",
        "batch_size": "8, 16",
        "seeds": "2",
    }


@pytest.mark.usefixtures("swept")
def test_a_repeated_sweep_trains_nothing_and_starts_no_worker(
    bench: Bench, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("there is nothing to train")

    first = bench.ranking()
    before = {record.run_id for record in bench.records()}
    monkeypatch.setattr(TrainerProcess, "__init__", refuse)
    second = bench.run(tiny.definition(images), workers=2, inline=False)
    assert {record.run_id for record in bench.records()} == before
    assert second == first
    assert len(bench.events) == 10
    assert all(event.kept for event in bench.events)


@pytest.mark.usefixtures("swept")
def test_lost_studies_are_restored_if_nothing_remains_to_train(bench: Bench, images: Path) -> None:
    stored = {study.study_name: [t.value for t in study.trials] for study in studies(bench)}
    for name in stored:
        optuna.delete_study(study_name=name, storage=bench.storage_url)
    bench.run(tiny.definition(images))
    again = {study.study_name: [t.value for t in study.trials] for study in studies(bench)}
    assert again == stored
    assert len(stored) == 2


def test_each_training_is_reported_from_its_beginning_to_its_end(
    bench: Bench, images: Path
) -> None:
    bench.run(tiny.definition(images, losses="mse = {}"))
    epochs_of: dict[str, list[int]] = {}
    for event in bench.events:
        epochs_of.setdefault(event.training, []).append(event.epoch)
    names = ["trial 0", "trial 1", "trial 2", "seed 1", "seed 2"]
    assert epochs_of == {name: [0, 1, 2, 2] for name in names}


def test_confirmations_without_a_trial_to_confirm_are_reported(bench: Bench, images: Path) -> None:
    wild = tiny.definition(
        images, losses="mse = {}", optimizers="sgd = { lr = { low = 1e29, high = 1e30 } }"
    )
    for kept in (False, True):
        bench.run(wild)
        ended = [(e.training, e.kept, e.diverged, e.reason) for e in bench.events if e.state]
        reason = ended[0][-1]
        assert reason is not None
        assert "not finite" in reason
        assert ended == [
            *((f"trial {number}", kept, True, reason) for number in range(3)),
            *((f"seed {number}", False, False, "no trial has a result") for number in (1, 2)),
        ]


@pytest.mark.usefixtures("swept")
def test_more_trials_and_seeds_add_to_existing_ones(bench: Bench, images: Path) -> None:
    before = {r.run_id for r in bench.trainings()}
    more = (
        tiny.definition(images)
        .replace("trials = 3", "trials = 5")
        .replace("seeds = 2", "seeds = 3")
    )
    ranking = bench.run(more)
    assert [row.trials for row in ranking.combinations] == [5, 5]
    assert [row.seeds for row in ranking.combinations] == [3, 3]
    assert before < {r.run_id for r in bench.records()}
    assert len(bench.records("combination")) == 2
    assert len(bench.records("trial")) == 10
    parents = {r.run_id for r in bench.records("combination")}
    assert {r.parent for r in bench.records("trial")} == parents


@pytest.mark.usefixtures("swept")
def test_more_trials_give_the_result_of_a_sweep_of_that_size(
    bench: Bench, images: Path, other_bench: Bench
) -> None:
    more = tiny.definition(images).replace("trials = 3", "trials = 5")
    grown = scores(bench.run(more))
    assert scores(other_bench.run(more)) == grown


@pytest.mark.usefixtures("swept")
def test_with_fewer_trials_the_others_are_not_ranked(bench: Bench, images: Path) -> None:
    small = tiny.definition(images)
    first = bench.ranking()
    bench.run(small.replace("trials = 3", "trials = 5"))
    again = bench.run(small)
    assert scores(again) == scores(first)
    assert [row.trials for row in again.combinations] == [3, 3]


@pytest.mark.usefixtures("swept")
def test_a_new_loss_tunes_only_its_own_combinations(bench: Bench, images: Path) -> None:
    before = {record.run_id for record in bench.records("trial")}
    wider = tiny.definition(images, losses="cross_entropy = {}\nmse = {}\nbrier = {}")
    ranking = bench.run(wider)
    new = [r for r in bench.records("trial") if r.run_id not in before]
    assert len(ranking.combinations) == 3
    assert {record.combination for record in new} == {"brier+sgd"}


@pytest.mark.usefixtures("swept")
def test_a_changed_setting_starts_again_and_keeps_the_old_runs(bench: Bench, images: Path) -> None:
    before = {record.run_id for record in bench.records()}
    changed = bench.run(tiny.definition(images, epochs="1"))
    assert before < {record.run_id for record in bench.records()}
    assert [row.trials for row in changed.combinations] == [3, 3]
    assert bench.ranking() == changed  # the latest sweep is compared


@pytest.mark.usefixtures("swept")
def test_a_restored_definition_restores_the_earlier_sweep(bench: Bench, images: Path) -> None:
    first = bench.ranking()
    bench.run(tiny.definition(images, epochs="1"))
    again = bench.run(tiny.definition(images))
    assert again == first
    assert len(bench.records("sweep")) == 2
    assert bench.ranking() == first


@pytest.mark.parametrize("days", [-1, 1])
def test_a_changed_clock_makes_no_run_stale(
    bench: Bench, images: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    small = tiny.definition(images, epochs="1", losses="mse = {}")
    bench.run(small)
    before = {r.run_id for r in bench.records()}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + days * 86400)
    more = bench.run(small.replace("trials = 3", "trials = 4"))
    assert before <= {r.run_id for r in bench.records()}
    assert [row.trials for row in more.combinations] == [4]
    assert len(bench.records("trial")) == 4
    assert all(r.metrics["seconds"] > 0 for r in bench.records("trial"))
    assert scores(bench.run(small.replace("trials = 3", "trials = 4"))) == scores(more)


def test_one_and_two_workers_give_the_same_trials_and_metrics(
    bench: Bench, images: Path, other_bench: Bench
) -> None:
    definition = tiny.definition(images, search=tiny_search("tpe", "median"))
    alone = bench.run(definition)
    together = other_bench.run(definition, workers=2, inline=False)
    assert scores(together) == scores(alone)
    assert other_bench.results() == bench.results()
    assert Counter(e.state for e in other_bench.events if e.state) == {"COMPLETE": 10}


def test_the_order_of_the_definition_changes_no_training(
    bench: Bench, images: Path, other_bench: Bench
) -> None:
    bench.run(tiny.definition(images, losses="cross_entropy = {}\nmse = {}"))
    other_bench.run(tiny.definition(images, losses="mse = {}\ncross_entropy = {}"))
    assert other_bench.results() == bench.results()


def test_a_trial_resumed_from_its_checkpoint_is_pruned_at_the_same_epoch(
    bench: Bench, images: Path, other_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the study is lost: the pruner gets the earlier epochs from MLflow."""

    def interrupt(event: Event) -> None:
        if (event.training, event.epoch) == ("trial 4", 4):
            raise KeyboardInterrupt

    search = tiny_search("tpe", "hyperband").replace("trials = 3", "trials = 6")
    definition = tiny.definition(images, losses="mse = {}", epochs="5", search=search)
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "MOST_SHARE", math.inf)
    with pytest.raises(KeyboardInterrupt):
        bench.run(definition, watch=interrupt)
    [stored] = studies(bench)
    optuna.delete_study(study_name=stored.study_name, storage=bench.storage_url)
    begun: list[int] = []
    train = loop.train

    def watched(*given: Any) -> Iterator[EpochMetrics]:
        begun.append(given[4])  # the number of epochs that are done
        return train(*given)

    monkeypatch.setattr(loop, "train", watched)
    resumed = bench.run(definition)
    assert 3 in begun  # the interrupted trial, after three epochs
    assert scores(resumed) == scores(other_bench.run(definition))
    assert bench.results() == other_bench.results()
    [one], [two] = studies(bench), studies(other_bench)
    reported = [(t.state, t.value, t.params, t.intermediate_values) for t in one.trials]
    assert reported == [(t.state, t.value, t.params, t.intermediate_values) for t in two.trials]


def test_sweeps_of_every_loss_and_every_optimizer_succeed(bench: Bench, images: Path) -> None:
    rates = "{ lr = { low = 1e-3, high = 1e-2 } }"
    for losses, optimizers in (
        ("\n".join(f"{name} = {{}}" for name in LOSSES), f"sgd = {rates}"),
        ("cross_entropy = {}", "\n".join(f"{name} = {rates}" for name in OPTIMIZERS)),
    ):
        definition = tiny.definition(
            images,
            epochs="1",
            seeds="1",
            search="trials = 1\nbatch_size = [16]",
            losses=losses,
            optimizers=optimizers,
        )
        cosine = '{ type = "seed_cnn_relu", head = "cosine" }'  # which some losses need
        ranking = bench.run(definition.replace('"seed_cnn_relu"', cosine))
        assert ranking.complete
        assert len(ranking.combinations) in (len(LOSSES), len(OPTIMIZERS))


def test_a_combination_that_only_diverges_is_listed_last(bench: Bench, images: Path) -> None:
    wild = "sgd = { lr = 0.05 }\nwild = { type = 'sgd', lr = { low = 1e29, high = 1e30 } }"
    ranking = bench.run(tiny.definition(images, losses="cross_entropy = {}", optimizers=wild))
    assert not ranking.complete
    last = ranking.combinations[-1]
    assert (last.combination, last.rank, last.diverged) == ("cross_entropy+wild", None, 3)
    [run] = [r for r in bench.records("combination") if r.name == last.combination]
    assert run.status == "FINISHED"
    assert "rank" not in run.metrics


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"search": "batch_size = [8, 1000]"}, "1000 is more than the 54 training images"),
        ({"top": "", "epochs": "1\nprecision = 'fp32'", "model": "lenet"}, "lenet"),
    ],
)
def test_a_definition_that_does_not_fit_the_data_starts_nothing(
    images: Path, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    model = change.pop("model", "seed_cnn_relu")
    definition = tiny.definition(images, **change).replace("seed_cnn_relu", model)
    with pytest.raises(DefinitionError, match=message):
        prepare.prepare(read(definition))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("swept")
def test_a_sweep_removes_the_folders_of_killed_sweeps_and_its_own(
    bench: Bench, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if no training remains."""
    place = tmp_path / "temporary"
    monkeypatch.setattr("tempfile.tempdir", str(place))
    more = tiny.definition(images, seeds="3")
    for definition in (tiny.definition(images), more):
        abandoned = place / f"{temporary.PREFIX}abandoned"
        abandoned.mkdir(parents=True)
        (abandoned / temporary.LOCKED).touch()
        bench.run(definition)
        assert not list(place.glob(f"{temporary.PREFIX}*"))


def test_an_experiment_in_use_by_another_process_is_rejected(bench: Bench, images: Path) -> None:
    definition = tiny.definition(images)
    stores = (bench.tracking_uri, bench.storage_url)
    with locks.alone(stores, "tiny"), pytest.raises(locks.InUse, match="in use by process"):
        bench.run(definition)
    assert bench.records() == []


# Commands started by `mlflow run`. The tests of killed processes are in `chaos/`.


def mlflow_run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager=local", *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_mlflow_run_creates_one_sweep_run_and_compares_it(
    bench: Bench, images: Path, tmp_path: Path
) -> None:
    definition = tmp_path / "tiny.toml"
    definition.write_text(tiny.definition(images))
    given = [
        "-P",
        f"experiment={definition}",
        "-P",
        "trials=2",
        "-P",
        f"storage={bench.storage_url}",
    ]
    done = mlflow_run(*given, "-P", "workers=2", "--experiment-name", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    client = connect(bench.tracking_uri)
    place = client.get_experiment_by_name("mine")
    assert place is not None
    runs = client.search_runs([place.experiment_id], max_results=100)
    tops = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.data.tags["kind"] for run in tops] == ["sweep"]
    [top] = tops
    assert (top.info.run_name, top.info.status) == ("tiny", "FINISHED")
    assert top.data.tags["mlflow.source.type"] == "PROJECT"
    assert top.data.params["trials"] == "2"
    assert top.data.params["experiment"] == str(definition)
    assert top.data.params["epochs"] == "2"
    assert Counter(run.data.tags["kind"] for run in runs) == {
        "sweep": 1,
        "combination": 2,
        "trial": 4,
        "confirmation": 4,
    }
    assert client.search_runs(["0"]) == []


def words_of(entry_point: str, **params: object) -> list[str]:
    """The arguments of the command that `mlflow run` starts, after `cifar-exp`."""
    command = load_project(str(ROOT)).get_entry_point(entry_point).compute_command(params, None)
    program, *words = shlex.split(command)
    assert program == "cifar-exp"
    return words


def test_entry_point_compare_and_the_script_print_the_ranking(
    bench: Bench, images: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run(tiny.definition(images, epochs="1", search=tiny_search("random", "none")))
    compared = cli(*words_of("compare", name="tiny"))
    assert compared.code == 0
    assert "cross_entropy+sgd" in compared.out
    monkeypatch.setattr(sys, "argv", ["compare.py", "tiny"])
    with pytest.raises(SystemExit) as ended, redirect_stdout(io.StringIO()) as out:
        runpy.run_path(str(ROOT / "scripts" / "compare.py"), run_name="__main__")
    assert (ended.value.code, out.getvalue()) == (0, compared.out)


def test_entry_point_train_trains_once(tracking_uri: str, cli: Cli) -> None:
    done = cli(*words_of("train", epochs=1, lr=0.05, threads=1))
    assert done.code == 0, done.err
    client = connect(tracking_uri)
    place = client.get_experiment_by_name("train")
    assert place is not None
    [run] = client.search_runs([place.experiment_id])
    assert (run.data.tags["kind"], run.info.status) == ("train", "FINISHED")
    assert {run.data.params[name] for name in ("lr", "epochs")} == {"0.05", "1"}
    assert run.data.params["loss.label_smoothing"] == "0.0"
    assert 0 < run.data.metrics["val_accuracy"] < 1
