"""Several processes with the same stores at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from tests import tiny
from tests.bench import Bench, tiny_search
from tests.chaos.template import ROOT, Program
from tests.waiting import wait_until

SLOWLY = {"PYTHONPATH": str(ROOT), "CHAOS_EPOCHS": os.devnull, "CHAOS_SECONDS": "0.1"}
"""Together the trainings take longer than the start of a process."""
LOSSES = "cross_entropy = {}\nmse = {}\nbrier = {}"
ONE_EACH = ["--workers", "1", "--threads", "1"]
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
    """Start `cifar-exp run` in a process that is ended after the test."""
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


def began(bench: Bench) -> Callable[[], bool]:
    return lambda: any(r.kind == "trial" and r.status == "RUNNING" for r in bench.records())


@pytest.mark.chaos
@pytest.mark.chaos_short
def test_the_second_sweep_is_rejected_and_starts_nothing(
    bench: Bench, start: Callable[..., Program], definition: Path
) -> None:
    first = start(definition)
    wait_until(began(bench))
    second = start(definition)
    _, err = second.communicate(timeout=60)
    assert second.returncode == 3
    assert f"experiment 'tiny' is in use by process {first.pid} on " in err.splitlines()[-1]
    assert first.poll() is None


@pytest.mark.chaos
def test_four_processes_create_stores_at_the_same_time(
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
        assert len(bench.records("trial", name=f"e{number}")) == 1
