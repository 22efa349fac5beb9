"""Several processes in the same stores at once: budgets, doubles and who goes on."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.records import RunRecord
from tests import tiny
from tests.bench import Bench, scores, studies, tiny_search
from tests.chaos.template import ROOT, Program
from tests.once import once
from tests.waiting import wait_until

SLOWLY = {"PYTHONPATH": str(ROOT), "CHAOS_EPOCHS": os.devnull, "CHAOS_SECONDS": "0.1"}
"""All trainings together last longer than a process takes to start."""
LOSSES = "cross_entropy = {}\nmse = {}\nbrier = {}"
ONE_EACH = ["--workers", "1", "--threads", "1"]
TRAININGS = {"trial": 9, "confirmation": 6}
EPOCHS = 6


def definition_of(images: Path) -> str:
    search = tiny_search("tpe", "median")
    return tiny.definition(images, epochs=str(EPOCHS), losses=LOSSES, search=search)


@pytest.fixture
def definition(images: Path, tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(definition_of(images))
    return file


@pytest.fixture
def start(bench: Bench) -> Iterator[Callable[..., Program]]:
    """Start `cifar-exp run` as a process; none of them outlives the test."""
    processes: list[Program] = []

    def start_(definition: Path, *options: str) -> Program:
        words = ["run", str(definition), "--storage", bench.storage_url, *ONE_EACH, *options]
        process = Program(*words, cwd=Path.cwd(), environment=SLOWLY)
        processes.append(process)
        return process

    yield start_
    for process in processes:
        process.kill()
        process.wait(10)


Alone = tuple[list[tuple[object, ...]], object]


@pytest.fixture(scope="module")
def alone(
    images: Path, data: Dataset, tmp_path_factory: pytest.TempPathFactory, store_template: Path
) -> Alone:
    """The ranking and the results of one process that works alone."""
    del data

    def bench_of(folder: Path) -> Bench:
        return Bench(f"sqlite:///{folder / 'mlflow.db'}", f"sqlite:///{folder / 'optuna.db'}")

    def fill(folder: Path) -> None:
        shutil.copy(store_template, folder / "mlflow.db")
        bench = bench_of(folder)
        with chdir(folder), pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", bench.tracking_uri)  # MLflow keeps it there
            bench.run(definition_of(images))

    bench = bench_of(once(tmp_path_factory, "alone", fill))
    return scores(bench.ranking()), bench.results()


def check(bench: Bench, definition: Path, alone: Alone) -> None:
    """The budget is exact, nothing is there twice or open, and all is as if one had done it."""
    records = bench.records()
    trainings = [r for r in records if r.kind in TRAININGS]
    assert Counter(r.kind for r in trainings) == TRAININGS
    keys = [(r.combination_id, r.kind, r.number) for r in trainings]
    assert len(set(keys)) == len(keys)
    assert all(r.finished for r in trainings)
    assert not [r for r in records if r.status == "RUNNING"]
    assert Counter(r.kind for r in records if r.kind not in TRAININGS) == {
        "sweep": 1,
        "combination": 3,
    }
    assert {len(study.trials) for study in studies(bench)} == {3}
    ranking, results = alone
    assert bench.results() == results
    assert scores(bench.run(definition.read_text())) == ranking


def began(bench: Bench) -> Callable[[], bool]:
    return lambda: any(r.kind == "trial" and r.status == "RUNNING" for r in bench.records())


def trained_here(out: str) -> int:
    """Count the trials that a process says it has trained itself."""
    lines = [line for line in out.splitlines() if line.startswith("[") and " trial " in line]
    return sum("there already" not in line for line in lines)


@pytest.mark.chaos
@pytest.mark.chaos_short
def test_two_processes_share_a_sweep(
    bench: Bench, start: Callable[..., Program], definition: Path, alone: Alone
) -> None:
    both = [start(definition, "--join") for _ in range(2)]
    shown = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], shown
    tables = [out.partition("tiny\n")[2].partition("All runs:")[0] for out, _ in shown]
    assert tables[0] == tables[1]
    pids = {
        line.split()[2]
        for out, _ in shown
        for line in out.splitlines()
        if line.startswith("beside process ")
    }
    assert pids <= {str(process.pid) for process in both}
    assert len(pids) == 1
    done = [trained_here(out) for out, _ in shown]
    assert sum(done) == TRAININGS["trial"]
    assert min(done) > 0
    check(bench, definition, alone)


@pytest.mark.chaos
def test_the_one_that_joined_finishes_what_the_first_has_left(
    bench: Bench, start: Callable[..., Program], definition: Path, alone: Alone
) -> None:
    first = start(definition)
    wait_until(began(bench))
    second = start(definition, "--join")
    wait_until(lambda: len({r.combination for r in open_trials(bench)}) == 2)
    first.send_signal(signal.SIGKILL)
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert f"beside process {first.pid} on " in out
    check(bench, definition, alone)


@pytest.mark.chaos
def test_the_first_finishes_what_the_one_that_joined_has_left(
    bench: Bench, start: Callable[..., Program], definition: Path, alone: Alone
) -> None:
    first = start(definition)
    wait_until(began(bench))
    second = start(definition, "--join")
    wait_until(lambda: len({r.combination for r in open_trials(bench)}) == 2)
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 130
    assert err.splitlines()[-1].endswith("the same command goes on from here")
    _, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    check(bench, definition, alone)


def open_trials(bench: Bench) -> list[RunRecord]:
    return [r for r in bench.records("trial") if r.status == "RUNNING"]


@pytest.mark.chaos
def test_without_join_the_second_is_told_and_starts_nothing(
    bench: Bench, start: Callable[..., Program], definition: Path
) -> None:
    first = start(definition)
    wait_until(began(bench))
    second = start(definition)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 3
    assert f"experiment 'tiny' is in use by process {first.pid} on " in err.splitlines()[-1]
    changed = definition.with_name("changed.toml")
    text = definition.read_text()
    changed.write_text(text.replace(f"epochs = {EPOCHS}", f"epochs = {EPOCHS - 1}"))
    assert changed.read_text() != text
    third = start(changed, "--join")
    _, err = third.communicate(timeout=60)
    assert third.returncode == 3
    assert "runs another definition of experiment 'tiny'" in err.splitlines()[-1]
    assert first.poll() is None


@pytest.mark.chaos
def test_four_processes_make_empty_stores_together(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Dataset
) -> None:
    del data
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    files = []
    for number in range(4):
        file = tmp_path / f"{number}.toml"
        search = "trials = 1\nbatch_size = [16]"
        file.write_text(
            tiny.definition(
                images, name=f"e{number}", epochs="1", search=search, losses="mse = {}", seeds="1"
            )
        )
        files.append(file)
    processes = [
        Program(
            *("run", str(file), *ONE_EACH),
            cwd=tmp_path,
            environment={**SLOWLY, "CHAOS_SECONDS": "0"},
        )
        for file in files
    ]
    errors = [process.communicate(timeout=180)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, errors
    bench = Bench(f"sqlite:///{tmp_path / 'mlflow.db'}", f"sqlite:///{tmp_path / 'optuna.db'}")
    for number in range(4):
        assert len(bench.records("trial", f"e{number}")) == 1
