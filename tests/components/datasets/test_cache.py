from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cifar_exp.components.datasets import DataError, Digits, load, open_dataset
from cifar_exp.components.datasets.normalization import mean_and_std
from cifar_exp.system import paths

from .samples import folder, noise, write_image


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def set_meta(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "images truncated": lambda folder: truncate(folder / "images.npy"),
    "labels truncated": lambda folder: truncate(folder / "labels.npy"),
    "images empty": lambda folder: (folder / "images.npy").write_bytes(b""),
    "images of another type": lambda folder: np.save(folder / "images.npy", np.zeros((9, 2, 2, 3))),
    "labels gone": lambda folder: (folder / "labels.npy").unlink(),
    "labels of no class": lambda folder: np.save(folder / "labels.npy", np.full(42, 3)),
    "labels below 0": lambda folder: np.save(folder / "labels.npy", np.full(42, -1)),
    "labels pickled": lambda folder: np.save(folder / "labels.npy", np.array([{}], object)),
    "meta not JSON": lambda folder: (folder / "meta.json").write_text('{"name": "fol'),
    "meta of other rows": lambda folder: set_meta(folder / "meta.json", counts=[1, 2, 3]),
    "meta gone": lambda folder: (folder / "meta.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_refused_by_name_and_rebuilt(tmp_path: Path, damage: str) -> None:
    choice = folder(tmp_path).choice
    good = load(choice)
    expected = good.train.images.clone()
    DAMAGES[damage](good.path)
    with pytest.raises(DataError, match=f"{good.path.name} cannot be used .*: load"):
        open_dataset(good.path)
    again = load(choice)
    assert again.fingerprint == good.fingerprint
    assert torch.equal(again.train.images, expected)


def change_row(path: Path, row: int) -> None:
    array = np.load(path)
    array[row] = (array[row] + 1) % 3  # another label, or other pixels
    np.save(path, array)


CHANGES: dict[str, Callable[[Path], object]] = {
    "first image": lambda folder: change_row(folder / "images.npy", 0),
    "last image": lambda folder: change_row(folder / "images.npy", -1),
    "first label": lambda folder: change_row(folder / "labels.npy", 0),
    "last label": lambda folder: change_row(folder / "labels.npy", -1),
    "counts": lambda folder: set_meta(folder / "meta.json", counts=[29, 4, 9]),
    "classes": lambda folder: set_meta(folder / "meta.json", classes=["ant", "bee", "cat"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_a_complete_cache_is_detected_and_repaired(tmp_path: Path, change: str) -> None:
    choice = folder(tmp_path).choice
    good = load(choice).path
    before = {file.name: file.read_bytes() for file in good.iterdir()}
    CHANGES[change](good)
    open_dataset(good)  # it maps the existing file
    assert {file.name: file.read_bytes() for file in good.iterdir()} != before
    load(choice)
    assert {file.name: file.read_bytes() for file in good.iterdir()} == before


def test_a_missing_folder_gives_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone cannot be used") as caught:
        open_dataset(tmp_path / "gone")
    assert "\n" not in str(caught.value)


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    choice = folder(tmp_path).choice
    made = load(choice)
    made.path.rename(made.path.with_name(f"{made.path.name}.partial"))
    assert load(choice).path == made.path
    assert not list(made.path.parent.glob("*.partial"))


def test_an_interruption_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    choice = folder(tmp_path).choice
    with pytest.raises(KeyboardInterrupt):
        load(choice, interrupt)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    assert len(load(choice).test) == 9


def test_a_full_disk_is_an_error_not_a_crash(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match=r"Cannot write .*No space left.*CIFAR_EXP_CACHE"):
        load(Digits())
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_created_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "file" / "cache"))
    sentence = r"Cannot write the data cache .*: \S+/file/cache\): .*CIFAR_EXP_CACHE"
    with pytest.raises(DataError, match=sentence):
        load(Digits())


def test_a_complete_cache_may_be_read_only(tmp_path: Path, cache: Path) -> None:
    choice = folder(tmp_path).choice
    made = load(choice)
    places = [cache, made.path, *(tmp_path / "data").rglob("*")]
    for place in places:
        place.chmod(0o555)
    if os.access(cache, os.W_OK):
        pytest.skip("this user can write anywhere")
    try:
        assert load(choice).fingerprint == made.fingerprint
        with pytest.raises(DataError, match="Cannot write"):
            load(Digits())
    finally:
        for place in places:
            place.chmod(0o755)


RACE = """
import sys, time
from pathlib import Path
from cifar_exp.components.datasets import Folder, load
place, me, other = Path(sys.argv[1]), *sys.argv[2:]
(place / me).touch()
while not (place / other).exists():
    time.sleep(0.005)
def progress(what, done, total):
    print(what)
    if what.startswith("decoding"):
        time.sleep(0.5)
data = load(Folder(path=place / "data"), progress)
print(data.fingerprint, len(data.train))
"""


@pytest.mark.chaos
def test_of_two_processes_one_decodes(tmp_path: Path) -> None:
    choice = folder(tmp_path).choice
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, tmp_path, *names], stdout=subprocess.PIPE, text=True
        )
        for names in (("one", "two"), ("two", "one"))
    ]
    outputs = [process.communicate(timeout=60)[0].split("\n") for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum(lines.count("decoding images") for lines in outputs) == 1
    assert {lines[-2] for lines in outputs} == {f"{load(choice).fingerprint} 30"}


@pytest.mark.parametrize("change", ["a pixel", "a class name", "a class of an image"])
def test_fingerprint_depends_on_the_content(tmp_path: Path, change: str) -> None:
    sample = folder(tmp_path)
    before = load(sample.choice)
    data = tmp_path / "data"
    if change == "a pixel":
        image = sample.images[0].copy()
        image[0, 0, 0] ^= 1
        write_image(data / "train" / "ant" / "000.png", image)
    elif change == "a class name":
        (data / "train" / "cow").rename(data / "train" / "dog")
        (data / "test" / "cow").rename(data / "test" / "dog")
    else:
        (data / "test" / "ant" / "000.png").rename(data / "test" / "bee" / "000.png")
    after = load(sample.choice)
    assert after.fingerprint != before.fingerprint
    assert after.path != before.path


def test_fingerprint_does_not_depend_on_the_path(tmp_path: Path) -> None:
    before = load(folder(tmp_path / "a").choice)
    after = load(folder(tmp_path / "b").choice)
    assert before.path != after.path
    assert before.fingerprint == after.fingerprint


def test_cache_root_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAR_EXP_CACHE")
    assert paths.cache().name == "cifar_exp"
    assert paths.cache().is_absolute()


def test_mean_and_std_of_more_rows_than_are_read_at_once() -> None:
    images = noise(2500, 3, seed=1)
    mean, std = mean_and_std(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(std, images.std(axis=(0, 1, 2)) / 255)


def test_std_of_one_colour_can_be_divided_by() -> None:
    mean, std = mean_and_std(np.full((4, 2, 2, 3), 51, np.uint8))
    assert mean == pytest.approx((0.2,) * 3)
    assert std == (1 / 255,) * 3
