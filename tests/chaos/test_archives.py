"""Archives, images, caches and stored predictions that are damaged or made to do harm.

`tests/datasets/test_cifar.py` has the members of an archive, its checksums and its pickles one by
one; here they are seen from the command line, and from two processes.
"""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifar_exp.components import datasets
from cifar_exp.components.datasets import Cifar10, DataError, download, load
from cifar_exp.components.datasets.cache import IMAGES, LABELS, META
from cifar_exp.tracking import StoreError, Tracker, read_predictions
from tests.command import Cli
from tests.components.datasets import samples
from tests.components.datasets.samples import TinyCifar, pack
from tests.components.datasets.server import Server, serving
from tests.definitions import changed


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own."""
    root = tmp_path / "cache"
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(root))
    return root


@pytest.fixture
def cifar(tmp_path: Path, cache: Path) -> TinyCifar:
    assert not cache.exists()
    return samples.tiny_cifar10(tmp_path / "cifar")


@pytest.fixture
def known(cifar: TinyCifar, monkeypatch: pytest.MonkeyPatch) -> TinyCifar:
    """The tiny archive, as if it were the official one."""
    monkeypatch.setattr(Cifar10, "archive", cifar.archive)
    return cifar


def definition(here: Path, **dataset: str) -> Path:
    import tomli_w

    path = here.parent / "a.toml"
    path.write_text(tomli_w.dumps(changed({"dataset": {"type": "cifar10", **dataset}})))
    return path


# Row 27: archives that are not what they should be, at the command line.


def refused(cli: Cli, here: Path, file: Path, words: str) -> None:
    shown = cli("run", file)
    assert shown.code == 3
    assert words in shown.last
    assert len(shown.err.splitlines()) == 1
    assert not list(here.iterdir())


@pytest.mark.parametrize("wrong", ["truncated", "another byte", "a web page", "empty"])
def test_a_local_archive_of_another_checksum(
    cli: Cli, here: Path, known: TinyCifar, wrong: str
) -> None:
    whole = known.path.read_bytes()
    known.path.write_bytes(
        {
            "truncated": whole[:1000],
            "another byte": whole[:-1] + bytes([whole[-1] ^ 1]),
            "a web page": b"<html>",
            "empty": b"",
        }[wrong]
    )
    words = f"SHA-256 expected {known.archive.sha256}, found "
    refused(cli, here, definition(here, path=str(known.path)), words)
    known.path.write_bytes(whole)
    assert load(Cifar10(path=known.path)).name == "cifar10"


OUTSIDE = ["../canary", "/tmp/canary-of-an-archive", "cifar-10-batches-py/../../canary"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_members_that_lead_elsewhere_write_nothing(
    *,
    cli: Cli,
    here: Path,
    tmp_path: Path,
    cache: Path,
    cifar: TinyCifar,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: bytes,
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    hostile = pack(tmp_path, cifar.files, Cifar10, members={"data_batch_1": member})
    monkeypatch.setattr(Cifar10, "archive", hostile.archive)
    refused(cli, here, definition(here, path=str(hostile.path)), "lacks cifar-10-batches-py/")
    assert not [*tmp_path.rglob("canary*"), *Path("/tmp").glob("canary-of-an-archive")]
    assert [path.name for path in cache.iterdir() if path.suffix != ".lock"] == []


@pytest.fixture
def server(known: TinyCifar, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the archive, from which it is now downloaded."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(known.path.read_bytes()) as started:
        there = {**_fields(known), "url": f"{started.url}/{known.archive.file}"}
        monkeypatch.setattr(Cifar10, "archive", type(known.archive)(**there))
        yield started


def _fields(cifar: TinyCifar) -> dict[str, Any]:
    return asdict(cifar.archive)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "not there": ({"status": 404}, "404"),
    "broken": ({"status": 500}, "500"),
    "cut off": ({"announced": 10**6}, "IncompleteRead"),
    "another file": ({"body": b"<html>"}, "but got "),
    "silent": ({"delay": 2.0}, "timed out"),
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_download_that_fails_leaves_nothing_and_can_be_tried_again(
    cli: Cli,
    here: Path,
    cache: Path,
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    words: str,
) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.5)
    whole = {name: getattr(server, name) for name in fault}
    for name, value in fault.items():
        setattr(server, name, value)
    refused(cli, here, definition(here), words)
    assert [p.name for p in (cache / "downloads").iterdir() if p.suffix != ".lock"] == []
    for name, value in whole.items():
        setattr(server, name, value)
    assert load(Cifar10()).name == "cifar10"


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
    told = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert told == {f"{load(Cifar10(path=known.path)).fingerprint}\n"}
    assert len(server.requests) == 1


# Row 29: a cache in which a byte has changed.


def flip(path: Path, at: int = -9) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_changed_byte_of_the_cache_is_noticed_and_mended(known: TinyCifar, name: str) -> None:
    made = load(Cifar10(path=known.path))
    before = (made.path / name).read_bytes()
    flip(made.path / name, at=-8 if name == LABELS else -9)
    assert (made.path / name).read_bytes() != before
    assert load(Cifar10(path=known.path)).fingerprint == made.fingerprint
    assert (made.path / name).read_bytes() == before


@pytest.mark.parametrize("name", [IMAGES, LABELS, META])
def test_a_damaged_cache_that_cannot_be_mended_is_named(
    cli: Cli, here: Path, known: TinyCifar, name: str
) -> None:
    made = load(Cifar10(path=known.path))
    known.path.unlink()
    flip(made.path / name, at=-8 if name == LABELS else 3 if name == META else -9)
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
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_among_the_images_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    choice = samples.folder(tmp_path).choice
    os.mkfifo(tmp_path / "data" / "train" / "ant" / "zzz.png")
    with pytest.raises(DataError, match=r"zzz\.png is not a regular file"):
        load(choice)


# Predictions that a comparison reads from an MLflow store.


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("label.npy", content)
    return file.getvalue()


def test_damaged_or_hostile_predictions_are_refused(tracker: Tracker, tmp_path: Path) -> None:
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
