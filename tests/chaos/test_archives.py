"""Archives, images, caches and stored predictions that are damaged or malicious.

`tests/components/datasets/` has unit tests of the members of an archive, its checksums, its pickles
and its download; here they are tested with the command line, and with two processes.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_exp.components import datasets
from cifar_exp.components.datasets import Cifar10, DataError, load
from cifar_exp.components.datasets.cache import IMAGES, LABELS, META
from cifar_exp.tracking import StoreError, Tracker, read_predictions
from tests.command import Cli
from tests.components.datasets import samples
from tests.components.datasets.samples import TinyCifar
from tests.components.datasets.server import Server, serving
from tests.definitions import changed


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for one test."""
    root = tmp_path / "cache"
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(root))
    return root


@pytest.fixture
def cifar(tmp_path: Path, cache: Path) -> TinyCifar:
    assert not cache.exists()
    return samples.tiny_cifar10(tmp_path / "cifar")


@pytest.fixture
def known(cifar: TinyCifar, monkeypatch: pytest.MonkeyPatch) -> TinyCifar:
    """The tiny archive, treated as the official one."""
    monkeypatch.setattr(Cifar10, "archive", cifar.archive)
    return cifar


def definition(here: Path, **dataset: str) -> Path:
    import tomli_w

    path = here.parent / "a.toml"
    path.write_text(tomli_w.dumps(changed({"dataset": {"type": "cifar10", **dataset}})))
    return path


# Row 27: invalid archives, with the command line.


def refused(cli: Cli, here: Path, file: Path, words: str) -> None:
    shown = cli("run", file)
    assert shown.code == 3
    assert words in shown.last
    assert len(shown.err.splitlines()) == 1
    assert not list(here.iterdir())


def test_a_local_archive_of_another_checksum(cli: Cli, here: Path, known: TinyCifar) -> None:
    whole = known.path.read_bytes()
    known.path.write_bytes(whole[:1000])
    words = f"SHA-256 expected {known.archive.sha256}, found "
    refused(cli, here, definition(here, path=str(known.path)), words)
    known.path.write_bytes(whole)
    assert load(Cifar10(path=known.path)).name == "cifar10"


@pytest.fixture
def server(known: TinyCifar, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server from which the archive is downloaded."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(known.path.read_bytes()) as started:
        there = {**_fields(known), "url": f"{started.url}/{known.archive.file}"}
        monkeypatch.setattr(Cifar10, "archive", type(known.archive)(**there))
        yield started


def _fields(cifar: TinyCifar) -> dict[str, Any]:
    return asdict(cifar.archive)


def test_a_download_that_fails(cli: Cli, here: Path, server: Server) -> None:
    server.status = 500
    refused(cli, here, definition(here), "500")


# Row 28: two processes lack the data.

LOAD = """
import ast, sys
from pathlib import Path
from cifar_exp.components.datasets import Cifar10, load
from cifar_exp.components.datasets.cifar_archive import Archive
Cifar10.archive = Archive(**ast.literal_eval(sys.argv[1]))
Path(sys.argv[2]).touch()
while not Path(sys.argv[3]).exists():
    pass
print(load(Cifar10()).fingerprint)
"""


@pytest.mark.chaos
@pytest.mark.chaos_short
def test_of_two_processes_one_downloads(tmp_path: Path, known: TinyCifar, server: Server) -> None:
    server.delay = 0.3
    here, there = str(tmp_path / "one"), str(tmp_path / "other")
    archive = repr(asdict(Cifar10.archive))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD, archive, *places],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for places in ((here, there), (there, here))
    ]
    printed = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert printed == {f"{load(Cifar10(path=known.path)).fingerprint}\n"}
    assert len(server.requests) == 1


# Row 29: a cache in which a byte has changed.


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "at"),
    [(IMAGES, -9), (LABELS, -16), (META, 3)],  # the second-last label changes from 1 to 0
)
def test_a_damaged_cache_that_cannot_be_repaired_is_named(
    cli: Cli, here: Path, known: TinyCifar, name: str, at: int
) -> None:
    made = load(Cifar10(path=known.path))
    known.path.unlink()
    flip(made.path / name, at)
    refused(cli, here, definition(here, path=str(known.path)), f"The cached data set {made.path}")
    shown = cli("run", definition(here, path=str(known.path)))
    assert name in shown.last
    assert f"That failed: {known.path} does not exist" in shown.last


class Hostile:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_pickles_in_the_cache_are_never_loaded(known: TinyCifar, tmp_path: Path, name: str) -> None:
    made = load(Cifar10(path=known.path))
    canary = tmp_path / "canary"
    array = np.array([Hostile(canary)], dtype=object)
    for write in (
        lambda path: np.save(path, array, allow_pickle=True),
        lambda path: path.write_bytes(pickle.dumps(Hostile(canary))),
    ):
        write(made.path / name)
        with pytest.raises(DataError, match="cannot be used"):
            datasets.open_dataset(made.path)
        assert not canary.exists()
    assert load(Cifar10(path=known.path)).fingerprint == made.fingerprint


@pytest.mark.usefixtures("cache")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are not supported here")
def test_a_pipe_among_the_images_is_refused_without_waiting(tmp_path: Path) -> None:
    choice = samples.folder(tmp_path).choice
    os.mkfifo(tmp_path / "data" / "train" / "ant" / "zzz.png")
    with pytest.raises(DataError, match=r"zzz\.png \(not a regular file\)"):
        load(choice)


# Predictions read by a comparison from an MLflow store.


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("label.npy", content)
    return file.getvalue()


def test_damaged_or_malicious_predictions_are_refused(tracker: Tracker, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    objects = np.array([Hostile(canary)], dtype=object)
    whole = npz(label=np.zeros(3), predicted=np.zeros(3), confidence=np.zeros(3))
    for content in (
        b"",
        b"PK\x03\x04",
        whole[: len(whole) // 2],
        whole[:60] + b"\xff" * 20 + whole[80:],
        npz(other=np.zeros(3)),
        npz(label=objects, predicted=objects, confidence=objects),
        zipped(pickle.dumps(Hostile(canary))),
        pickle.dumps(Hostile(canary)),
        b"\x93NUMPY\x01\x00",
    ):
        run = tracker.new_run("confirmation", "it", tags={}, params={})
        (tmp_path / "predictions.npz").write_bytes(content)
        tracker.client.log_artifact(run.run_id, str(tmp_path / "predictions.npz"))
        with pytest.raises(StoreError, match=r"predictions\.npz"):
            read_predictions(tracker.client, run.run_id)
    assert not canary.exists()
