"""A disk that becomes full during a sweep, and has free space again later."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.tracking import connect
from tests import tiny
from tests.bench import Bench, studies, tiny_search, trained
from tests.chaos.template import ROOT, Program
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos
DISK_BYTES = 24_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with a size of some megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def definition(images: Path, tmp_path: Path, data: Dataset) -> Path:
    del data
    file = tmp_path / "tiny.toml"
    search = tiny_search("random", "none")
    file.write_text(tiny.definition(images, epochs="8", search=search, losses="mse = {}"))
    return file


def run(
    bench: Bench, definition: Path, cwd: Path, most_bytes: int | None = None, **variables: str
) -> Program:
    stores = ["--tracking-uri", bench.tracking_uri, "--storage", bench.storage_url]
    words = ["run", str(definition), *stores, "--workers", "2", "--threads", "1"]
    environment = {"PYTHONPATH": str(ROOT), "CHAOS_EPOCHS": os.devnull, **variables}
    return Program(*words, cwd=cwd, environment=environment, most_bytes=most_bytes)


def fill(folder: Path) -> Path:
    """Fill a disk completely."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk does not become full")


def check_paused(process: Program) -> None:
    _, errors = process.communicate(90)
    assert process.poll() == 3, errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("the disk is full")
    assert last.endswith("free some space, then run the same command again to resume")
    assert "Traceback" not in errors


def check_whole(bench: Bench, other: Bench, definition: Path, kept: set[str]) -> None:
    """No finished training is lost or repeated, and the results equal those with free space."""
    trainings = bench.trainings()
    assert Counter(r.kind for r in trainings) == {"trial": 3, "confirmation": 2}
    assert kept <= {r.run_id for r in trainings}
    assert bench.running() == []
    assert {t.state.name for s in studies(bench) for t in s.trials} == {"COMPLETE"}
    other.run(definition.read_text())
    assert bench.results() == other.results()


def test_a_sweep_on_a_full_disk_continues_when_there_is_space(
    other_bench: Bench, small_disk: Path, definition: Path, tmp_path: Path
) -> None:
    shutil.copy(tmp_path / "mlflow.db", small_disk)
    bench = Bench(f"sqlite:///{small_disk}/mlflow.db", f"sqlite:///{small_disk}/optuna.db")
    assert (
        bench.records() == []
    )  # the first check imports MLflow, which can take longer than the sweep
    process = run(bench, definition, small_disk, CHAOS_SECONDS="0.1")
    wait_until(trained(bench, 1))
    kept = {r.run_id for r in bench.records() if r.finished}
    filler = fill(small_disk)
    check_paused(process)
    filler.unlink()
    again = run(bench, definition, small_disk)
    _, errors = again.communicate(90)
    assert again.poll() == 0, errors
    assert kept
    check_whole(bench, other_bench, definition, kept)


def test_a_sweep_continues_without_space_for_checkpoints(
    bench: Bench, other_bench: Bench, small_disk: Path, definition: Path, tmp_path: Path
) -> None:
    assert (
        bench.records() == []
    )  # the first check imports MLflow, which can take longer than the sweep
    process = run(bench, definition, tmp_path, CIFAR_EXP_CACHE=str(small_disk), CHAOS_SECONDS="0.1")
    wait_until(trained(bench, 1))
    kept = {r.run_id for r in bench.records() if r.finished}
    fill(small_disk)
    _, errors = process.communicate(90)
    assert process.poll() == 0, errors
    assert "No space left on device" in errors
    assert [file for file in small_disk.glob("checkpoints/*") if file.suffix != ".lock"] == []
    check_whole(bench, other_bench, definition, kept)


@pytest.mark.parametrize("store", ["mlflow.db", "optuna.db"])
def test_a_store_without_free_space_ends_the_sweep_before_it_begins(
    definition: Path, tmp_path: Path, store: str
) -> None:
    folder = tmp_path / "stores"
    folder.mkdir()
    (folder / store).symlink_to("/dev/full")
    bench = Bench(f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/optuna.db")
    check_paused(run(bench, definition, folder))
    made = {path.name for path in folder.iterdir()} - {store}
    assert made <= {"mlflow.db"}  # with empty tables
    if made:
        names = {found.name for found in connect(bench.tracking_uri).search_experiments()}
        assert names == {"Default"}


def test_a_database_that_cannot_grow_ends_the_sweep(
    bench: Bench, other_bench: Bench, definition: Path, tmp_path: Path
) -> None:
    limit = (tmp_path / "mlflow.db").stat().st_size + 200_000  # its log is a separate file

    check_paused(run(bench, definition, tmp_path, limit))
    kept = {r.run_id for r in bench.records() if r.finished}
    again = run(bench, definition, tmp_path)
    _, errors = again.communicate(90)
    assert again.poll() == 0, errors
    check_whole(bench, other_bench, definition, kept)
