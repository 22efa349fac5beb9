from __future__ import annotations

import errno
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException

from cifar_exp.records import RunRecord
from cifar_exp.sweep import disk_space
from cifar_exp.sweep.disk_space import (
    BYTES_PER_MODEL,
    BYTES_PER_PREDICTION,
    BYTES_PER_RUN,
    Need,
    NoRoom,
    need,
)
from tests import records, tiny
from tests.bench import Bench


def free(monkeypatch: pytest.MonkeyPatch, num_bytes: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=num_bytes))


MODEL = 1_000_000 + BYTES_PER_MODEL  # the size of a network is a million bytes
PREDICTIONS = 30 * BYTES_PER_PREDICTION


def test_the_space_still_needed_by_hand(images: Path) -> None:
    experiment = tiny.experiment(images)  # 2 combinations of 3 trials and 2 confirmations
    best = tiny.experiment(images, top='keep_models = "best"')
    one = [
        records.trial("cross_entropy+sgd", number, 0.5, combination_id="x") for number in range(5)
    ]
    both = [
        *one,
        *(records.trial("mse+sgd", number, 0.5, combination_id="y") for number in range(3)),
    ]
    for request, done, models, runs in (
        (experiment, [], 6 + 4, 10),
        (experiment, one, 3 + 4, 7),  # two of its trials exceed the definition
        (best, [], 2 + 4, 10),
        (best, both, 0 + 4, 4),
    ):
        files = models * MODEL + 4 * PREDICTIONS
        expected = Need(files=files, rows=runs * BYTES_PER_RUN)
        assert need(request, 1_000_000, 30, done) == expected


def test_each_study_is_stored(images: Path) -> None:
    """2 combinations x 3 studies x (3 trials + 2 confirmations); some trainings exist already."""
    search = 'trials = 3\nstudies = 3\nsampler = "random"\npruner = "none"\nbatch_size = [8]'
    experiment = tiny.experiment(images, search=search)
    best = tiny.experiment(images, search=search, top='keep_models = "best"')
    done = [
        records.trial("mse+sgd", number, 0.5, combination_id="x", study=study)
        for study in (1, 2, 4)  # one study exceeds the definition
        for number in range(3)
    ]
    done.append(records.confirmation("mse+sgd", 1, 0.5, combination_id="x", study=2))
    for request, models in ((experiment, 12 + 11), (best, 2 * 3 + 11)):
        files = models * MODEL + 11 * PREDICTIONS
        expected = Need(files=files, rows=(12 + 11) * BYTES_PER_RUN)
        assert need(request, 1_000_000, 30, done) == expected


def test_a_small_search_space_needs_less(images: Path) -> None:
    """2 combinations of 2 settings, not 6 trials; one has one trial, or 3 of an older version."""
    search = "trials = 6\nbatch_size = [8, 16]"
    small = tiny.experiment(images, search=search, optimizers="sgd = { lr = 0.1 }")

    def tried(*sizes: str) -> list[RunRecord]:
        params = [{"lr": "0.1", "batch_size": size} for size in sizes]
        return [records.trial("mse+sgd", n, 0.5, params=p) for n, p in enumerate(params)]

    for done, trials in ([], 4), (tried("8"), 3), (tried("8", "8", "8"), 3), (tried("8", "16"), 2):
        files = (trials + 4) * MODEL + 4 * PREDICTIONS
        expected = Need(files=files, rows=(trials + 4) * BYTES_PER_RUN)
        assert need(small, 1_000_000, 30, done) == expected


def test_with_more_replicates_until_decided_the_minimum_is_assumed(images: Path) -> None:
    until = tiny.experiment(images, seeds='2\nuntil = "decided"\nmost = 9')
    assert need(until, 1_000_000, 30) == need(tiny.experiment(images), 1_000_000, 30)


def test_the_needs_of_one_disk_are_added_up(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny.experiment(images)
    needs = [(tmp_path / "not" / "made" / "yet", 6_000_000), (tmp_path, 6_000_000)]
    free(monkeypatch, 12_000_000)
    disk_space.check(experiment, needs)
    free(monkeypatch, 9_000_000)
    with pytest.raises(NoRoom) as raised:
        disk_space.check(experiment, needs)
    assert str(raised.value) == (
        f"experiment 'tiny' needs about 3 MB more than the 9 MB free on {tmp_path}; "
        'free some, or set keep_models = "best"'
    )
    with pytest.raises(NoRoom) as raised:
        disk_space.check(tiny.experiment(images, top='keep_models = "best"'), needs)
    assert str(raised.value).endswith("; free some")


def test_a_sweep_without_space_trains_nothing_and_a_finished_one_needs_none(
    bench: Bench, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tiny.definition(images, epochs="1", losses="mse = {}")
    with monkeypatch.context() as full:
        free(full, 1000)
        with pytest.raises(NoRoom, match="experiment 'tiny' needs about"):
            bench.run(definition)
    assert bench.records() == []
    first = bench.run(definition)
    free(monkeypatch, 0)
    assert bench.run(definition) == first


class WrappedError(Exception):
    pass


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def sqlite_full() -> sqlite3.Error:
    """The error of a database that cannot grow."""
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError) as raised:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    return raised.value


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "path"),
    [
        (OSError(errno.EFBIG, "File too large", "/x/mlflow.db"), " at /x/mlflow.db"),
        (sqlite_error(sqlite3.SQLITE_IOERR_WRITE), ""),
        (sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), ""),
        (OSError(errno.ENOSPC, "No space left on device", "/x/model"), " at /x/model"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x/model"), " at /x/model"),
        (raised_from(WrappedError("x"), OSError(errno.ENOSPC, "full", "/y")), " at /y"),
        (sqlite_full(), ""),
        (MlflowException("(sqlite3.OperationalError) database or disk is full"), ""),
    ],
)
def test_a_full_disk_is_reported_in_one_sentence(error: Exception, path: str) -> None:
    with pytest.raises(NoRoom) as raised, disk_space.told_when_full():
        raise error
    expected = f"the disk is full{path}: free some space, then run the same command again to resume"
    assert str(raised.value) == expected


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "denied", "/x"),
        sqlite_error(sqlite3.SQLITE_IOERR_READ),
        ValueError("x"),
    ],
)
def test_other_errors_are_not_changed(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, disk_space.told_when_full():
        raise error
    assert raised.value is error
