from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from cifar_exp.components.datasets import Cifar10, Cifar100, DataError, download, load, no_progress
from cifar_exp.components.datasets.cifar_archive import Archive
from cifar_exp.components.datasets.download import downloaded

from .samples import (
    TinyCifar,
    Writer,
    batch,
    noise,
    pack,
    python2_pickle,
    python3_pickle,
    tiny_cifar10,
    tiny_cifar100,
)
from .server import Server, serving

BATCH = "data_batch_3"


@pytest.fixture
def tiny(tmp_path: Path) -> TinyCifar:
    return tiny_cifar10(tmp_path)


def refused(tiny: TinyCifar, words: str, path: Path | None = None) -> None:
    """Check that loading fails with one line that has these words and a solution."""
    with pytest.raises(DataError, match=words) as caught:
        load(tiny.choice(path=path or tiny.path))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def extract(tiny: TinyCifar, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in tiny.files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("make", [tiny_cifar10, tiny_cifar100])
@pytest.mark.parametrize("writer", [python2_pickle, python3_pickle])
@pytest.mark.filterwarnings("error")
def test_rows_are_in_the_order_of_the_batches(
    tmp_path: Path, make: Callable[[Path, Writer], TinyCifar], writer: Writer
) -> None:
    tiny = make(tmp_path, writer)
    data = load(tiny.choice(path=tiny.path))
    images = torch.from_numpy(tiny.sample.images).permute(0, 3, 1, 2)
    assert torch.equal(data.test.images, images[-30:])
    assert data.test.labels.tolist() == tiny.sample.labels[-30:].tolist()
    rows = [int((images == image).all(dim=(1, 2, 3)).nonzero()) for image in data.train.images]
    assert rows == sorted(rows)
    assert data.classes == ("ant", "bee", "cow")


def test_every_path_gives_the_same_data(
    tiny: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = extract(tiny, tmp_path / "extracted" / tiny.archive.folder)
    renamed = tmp_path / "renamed.tgz"
    renamed.write_bytes(tiny.path.read_bytes())
    places = [tiny.path, tiny.path.parent, folder, folder.parent, renamed]
    prints = set()
    for row, place in enumerate(places):
        monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / f"cache{row}"))
        prints.add(load(tiny.choice(path=place)).fingerprint)
    assert len(prints) == 1


def test_the_path_is_not_needed_again(tiny: TinyCifar) -> None:
    first = load(tiny.choice(path=tiny.path))
    tiny.path.unlink()
    assert load(tiny.choice(path=tiny.path)).path == first.path


@pytest.mark.parametrize("place", ["gone", ""])
def test_missing_data_is_named(tiny: TinyCifar, tmp_path: Path, place: str) -> None:
    refused(
        tiny, "contains neither cifar-10-python.tar.gz nor cifar-10-batches-py", tmp_path / place
    )


@pytest.mark.parametrize("flip", [0, 500, -20])
def test_an_archive_with_one_changed_byte_is_refused(tiny: TinyCifar, flip: int) -> None:
    content = bytearray(tiny.path.read_bytes())
    content[flip] ^= 1
    tiny.path.write_bytes(content)
    refused(tiny, f"not the official .*expected {tiny.archive.sha256}, found [0-9a-f]{{64}}, ")


def test_a_truncated_archive_is_refused(tiny: TinyCifar) -> None:
    tiny.path.write_bytes(tiny.path.read_bytes()[:5000])
    refused(tiny, "not the official .* 5000 bytes")


@pytest.mark.parametrize("cut", [0, 5000])
def test_a_broken_archive_of_the_right_checksum_is_refused(tiny: TinyCifar, cut: int) -> None:
    tiny.path.write_bytes(tiny.path.read_bytes()[:cut] or b"hello")
    broken = with_archive(tiny, sha256=sha256(tiny.path))
    refused(broken, "Cannot read the archive .*: fetch it again")


def with_archive(tiny: TinyCifar, **changes: object) -> TinyCifar:
    archive = dataclasses.replace(tiny.archive, **changes)  # type: ignore[arg-type]
    choice = type("Changed", (tiny.choice,), {"archive": archive, "__doc__": "Changed."})
    return dataclasses.replace(tiny, archive=archive, choice=choice)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", [BATCH, "test_batch", "batches.meta"])
def test_an_extracted_file_with_one_changed_byte_is_named(
    tiny: TinyCifar, tmp_path: Path, name: str
) -> None:
    folder = extract(tiny, tmp_path / "extracted")
    content = bytearray(tiny.files[name])
    content[-9] ^= 1
    (folder / name).write_bytes(content)
    refused(tiny, f"extracted/{name} is damaged .MD5 expected [0-9a-f]{{32}}, found", folder)


def test_a_missing_extracted_file_is_named(tiny: TinyCifar, tmp_path: Path) -> None:
    folder = extract(tiny, tmp_path / "extracted")
    (folder / BATCH).unlink()
    refused(tiny, f"Cannot read .*{BATCH} .No such file.*extract cifar-10-python", folder)


def test_a_batch_in_the_archive_is_also_checked(tiny: TinyCifar) -> None:
    changed = with_archive(tiny, train={**tiny.archive.train, BATCH: "0" * 32})
    refused(changed, f"cifar-10-batches-py/{BATCH} in .* is damaged .MD5 expected 0000")


KINDS = [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]


@pytest.mark.parametrize("kind", [*KINDS[1:], tarfile.DIRTYPE])
def test_a_link_in_place_of_a_batch_is_refused(
    tiny: TinyCifar, tmp_path: Path, kind: bytes
) -> None:
    member = tarfile.TarInfo(f"{tiny.archive.folder}/{BATCH}")
    member.type, member.linkname = kind, str(tmp_path / "secret")
    linked = pack(tmp_path, tiny.files, Cifar10, members={BATCH: member})
    refused(linked, f"{BATCH} in .* is a link or no file at all")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["../{}", "/{}", "{}/../../canary", "./{}", "/tmp/canary-of-an-archive"]
)
def test_members_with_other_names_are_ignored(
    tiny: TinyCifar, tmp_path: Path, cache: Path, name: str, kind: bytes
) -> None:
    before = set(tmp_path.rglob("*"))
    member = tarfile.TarInfo(name.format(f"cifar-10-batches-py/{BATCH}"))
    member.type, member.linkname = kind, "/etc/passwd"
    renamed = pack(tmp_path, tiny.files, Cifar10, members={BATCH: member})
    refused(renamed, f"lacks cifar-10-batches-py/{BATCH}")
    assert {path.suffix for path in cache.rglob("*")} == {".lock"}
    assert set(tmp_path.rglob("*")) - before == {cache, *cache.rglob("*")}
    assert not list(Path("/tmp").glob("canary-of-an-archive"))


class Malicious:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


def test_a_malicious_pickle_with_the_right_checksum_does_nothing(
    tiny: TinyCifar, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    evil = pickle.dumps({b"data": Malicious(canary), b"labels": []}, protocol=2)
    hostile = pack(tmp_path, {**tiny.files, BATCH: evil}, Cifar10)
    refused(hostile, f"{BATCH} cannot be read .it names posix.mkdir")
    assert not canary.exists()
    pickle.loads(evil)
    assert canary.exists()


@pytest.mark.parametrize(
    "call", ["numpy\nload", "numpy\nfromfile", "builtins\neval", "numpy.core.multiarray\nscalar"]
)
def test_no_other_global_is_permitted(tiny: TinyCifar, tmp_path: Path, call: str) -> None:
    evil = b"\x80\x02c" + call.encode() + b"\n."
    hostile = pack(tmp_path, {**tiny.files, BATCH: evil}, Cifar10)
    refused(hostile, f"{BATCH} cannot be read .it names {call.split(maxsplit=1)[0]}")


WRONG: dict[str, dict[bytes, object]] = {
    "no data": {b"labels": [0]},
    "no labels": {b"data": np.zeros((1, 3072), np.uint8)},
    "fewer labels": {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
    "a label of no class": {b"data": np.zeros((1, 3072), np.uint8), b"labels": [3]},
    "labels of text": {b"data": np.zeros((1, 3072), np.uint8), b"labels": [b"ant"]},
    "other pixels": {b"data": np.zeros((1, 3073), np.uint8), b"labels": [0]},
    "pixels that are not an array": {b"data": b"abc", b"labels": [0]},
}


@pytest.mark.parametrize("entries", WRONG.values(), ids=WRONG.keys())
def test_a_batch_of_something_else_is_refused(
    tiny: TinyCifar, tmp_path: Path, entries: dict[bytes, object]
) -> None:
    other = pack(tmp_path, {**tiny.files, BATCH: python3_pickle(entries)}, Cifar10)
    refused(other, f"{BATCH} is not a batch of CIFAR images")


@pytest.mark.parametrize("content", [b"", b"hello", python2_pickle({b"label_names": b"ant"})])
def test_invalid_class_names_are_refused(tiny: TinyCifar, tmp_path: Path, content: bytes) -> None:
    other = pack(tmp_path, {**tiny.files, "batches.meta": content}, Cifar10)
    refused(other, "batches.meta (cannot be read|does not hold)")


def test_a_class_with_one_training_image_is_refused(tiny: TinyCifar, tmp_path: Path) -> None:
    files = {
        name: python2_pickle(batch(noise(4, 32, 0), np.array([0, 0, 1, 1]), b"labels"))
        for name in tiny.files
    }
    files["batches.meta"] = tiny.files["batches.meta"]
    refused(pack(tmp_path, files, Cifar10), "Class 'cow' has 0 training image")


@pytest.fixture
def server(tiny: TinyCifar, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(tiny.path.read_bytes()) as started:
        yield started


@pytest.fixture
def remote(tiny: TinyCifar, server: Server) -> TinyCifar:
    return with_archive(tiny, url=f"{server.url}/there/{tiny.archive.file}")


def download_fails(remote: TinyCifar, words: str, cache: Path) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(remote.choice())
    assert f"Cannot download {remote.archive.url} (" in str(caught.value)
    assert f"put it at {cache / 'downloads' / remote.archive.file} or set `path`" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert [p.suffix for p in (cache / "downloads").iterdir() if p.suffix != ".lock"] == []


def test_an_archive_is_downloaded_once(remote: TinyCifar, server: Server, tiny: TinyCifar) -> None:
    steps: list[tuple[str, int, int]] = []
    data = load(remote.choice(), lambda *step: steps.append(step))
    assert data.fingerprint == load(tiny.choice(path=tiny.path)).fingerprint
    size = len(server.body)
    assert ("downloading (bytes)", size, size) in steps
    for file in data.path.iterdir():
        file.unlink()
    load(remote.choice())
    assert server.requests == [f"/there/{tiny.archive.file}"]


def test_of_two_processes_that_need_it_one_downloads(remote: TinyCifar, server: Server) -> None:
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: load(remote.choice()).fingerprint, range(2)))
    assert len(set(made)) == 1
    assert len(server.requests) == 1


def test_of_two_parallel_downloads_only_one_is_done(
    remote: TinyCifar, server: Server, tmp_path: Path
) -> None:
    server.delay = 0.3
    url, checksum = remote.archive.url, remote.archive.sha256
    with ThreadPoolExecutor(2) as pool:
        args = (url, f"sha256:{checksum}", tmp_path / "downloads", no_progress)
        files = list(pool.map(lambda _: downloaded(*args), range(2)))
    assert files[0] == files[1]
    assert len(server.requests) == 1


def test_an_archive_at_the_path_of_the_download_is_used(
    remote: TinyCifar, server: Server, cache: Path
) -> None:
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / remote.archive.file).write_bytes(remote.path.read_bytes())
    load(remote.choice())
    assert server.requests == []


OTHER_FILE = "expected sha256:[0-9a-f]{64} but got [0-9a-f]{64}"
FAULTS: dict[str, tuple[str, object, str]] = {
    "not there": ("status", 404, "404"),
    "broken": ("status", 500, "500"),
    "cut off": ("announced", 10**6, "IncompleteRead"),
    "another file": ("body", b"<html>", OTHER_FILE),
    "empty": ("body", b"", OTHER_FILE),
    "silent": ("delay", 1.0, "timed out"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_download_that_fails_is_reported_and_can_be_repeated(
    remote: TinyCifar, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    name, value, words = FAULTS[fault]
    with monkeypatch.context() as faulty:
        faulty.setattr(download, "TIMEOUT_SECONDS", 0.5)
        faulty.setattr(server, name, value)
        download_fails(remote, words, cache)
    assert load(remote.choice()).name == "cifar10"


def test_a_missing_connection_is_reported(tiny: TinyCifar, cache: Path) -> None:
    nowhere = with_archive(tiny, url=f"http://127.0.0.1:9/{tiny.archive.file}")
    download_fails(nowhere, "Connection", cache)


@pytest.mark.parametrize("choice", [Cifar10, Cifar100])
def test_official_tables_are_complete(choice: type[Cifar10]) -> None:
    archive: Archive = choice.archive
    assert archive.url == f"https://www.cs.toronto.edu/~kriz/{archive.file}"
    assert len(archive.sha256) == 64
    assert all(len(md5) == 32 for md5 in archive.checksums.values())
    assert len(set(archive.checksums.values())) == len(archive.checksums)


def test_official_tables_are_those_of_torchvision() -> None:
    from torchvision import datasets

    for ours, theirs in ((Cifar10, datasets.CIFAR10), (Cifar100, datasets.CIFAR100)):
        archive = ours.archive
        assert archive.train == dict(theirs.train_list)
        assert archive.test == dict(theirs.test_list)
        assert archive.names == (theirs.meta["filename"], theirs.meta["md5"])
        assert archive.names_key == theirs.meta["key"].encode()
        assert (archive.url, archive.folder) == (theirs.url, theirs.base_folder)
