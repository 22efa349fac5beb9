"""Data sets by name: their checksums, their settings, and files that are not the official ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision import datasets as torchvision_datasets

from cifar_exp.components.datasets import DATASETS, DataError, load
from cifar_exp.components.datasets.official import medmnist as medmnist_module
from cifar_exp.components.datasets.official.archived import Archived
from cifar_exp.components.models.build import build
from cifar_exp.components.models.networks import MODELS
from tests.components.models.small import small

from . import official
from .official import TINY, Tiny
from .server import serving

ARCHIVED = [name for name, choice in DATASETS.items() if issubclass(choice, Archived)]


def refused(choice: Archived, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(choice)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def only_file(tiny: Tiny) -> Path:
    choice = tiny[0]
    assert choice.path is not None
    return choice.path / choice.official[choice.needed()[0]].name


def test_every_archived_data_set_has_a_small_archive() -> None:
    assert set(ARCHIVED) == set(TINY)


@pytest.mark.parametrize("name", ARCHIVED)
def test_official_tables_are_complete(name: str) -> None:
    choice = DATASETS[name]
    assert issubclass(choice, Archived)
    files = list(choice.official.values())
    assert all(len(file.md5) == 32 and set(file.md5) <= set("0123456789abcdef") for file in files)
    assert len({file.md5 for file in files}) == len({file.url for file in files}) == len(files)


def test_checksums_are_those_of_torchvision() -> None:
    for name in ("MNIST", "FashionMNIST", "KMNIST"):
        theirs = getattr(torchvision_datasets, name)
        key = {"FashionMNIST": "fashion_mnist"}.get(name, name.lower())
        ours = DATASETS[key].official.values()  # type: ignore[attr-defined]
        assert [(file.name, file.md5) for file in ours] == theirs.resources
        assert all(file.url.removesuffix(file.name) in theirs.mirrors for file in ours)
    assert torchvision_datasets.FashionMNIST.classes == [*DATASETS["fashion_mnist"].classes]  # type: ignore[attr-defined]
    assert torchvision_datasets.KMNIST.classes == [*DATASETS["kmnist"].classes]  # type: ignore[attr-defined]
    svhn = DATASETS["svhn"].official  # type: ignore[attr-defined]
    for key, theirs in (("training", "train"), ("test", "test"), ("extra", "extra")):
        url, _, md5 = torchvision_datasets.SVHN.split_list[theirs]
        assert (svhn[key].url, svhn[key].md5) == (url, md5)
    for name, theirs, md5 in (
        ("stl10", torchvision_datasets.STL10.url, torchvision_datasets.STL10.tgz_md5),
        ("emnist", torchvision_datasets.EMNIST.url, torchvision_datasets.EMNIST.md5),
    ):
        [file] = DATASETS[name].official.values()  # type: ignore[attr-defined]
        assert (file.url, file.md5) == (theirs, md5)


@pytest.mark.parametrize("name", ARCHIVED)
def test_another_file_is_refused(name: str, tmp_path: Path) -> None:
    tiny = TINY[name](tmp_path)
    file = only_file(tiny)
    file.write_bytes(file.read_bytes() + b"\0")
    refused(tiny[0], f"is not the official {file.name} .MD5 expected .*: fetch it again from http")


@pytest.mark.parametrize("name", ARCHIVED)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    tiny = TINY[name](tmp_path)
    only_file(tiny).unlink()
    refused(tiny[0], f"does not contain {only_file(tiny).name}: set `path` to the folder with")


def test_one_file_can_be_the_path(tmp_path: Path) -> None:
    tiny = official.stl10(tmp_path)
    here = load(tiny[0]).fingerprint
    assert load(tiny[0].model_copy(update={"path": only_file(tiny)})).fingerprint == here


@pytest.mark.parametrize("name", ARCHIVED)
@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_a_file_of_another_format_with_the_right_checksum_is_refused(
    name: str, content: bytes, tmp_path: Path
) -> None:
    choice = TINY[name](tmp_path)[0]
    settings = choice.model_dump(exclude={"path"})
    files = {choice.official[key].name: content for key in choice.needed()}
    forged, _, _ = official.tiny(name, tmp_path, files, *official.published(2, 2), **settings)
    refused(forged, f"The official files of {name} .* cannot be read .*: fetch them again")


def test_the_first_file_with_a_checksum_is_kept_by_its_sha256(tmp_path: Path, cache: Path) -> None:
    tiny = official.four_files("mnist")(tmp_path)
    load(tiny[0])
    kept = list((cache / "downloads").glob("*.sha256"))
    assert len(kept) == 4
    assert all(len(file.read_text()) == 64 for file in kept)
    kept[0].write_text("0" * 64)
    refused(tiny[0].model_copy(update={"validation": 0.3}), "is forged; .* delete .*.sha256")


def test_files_are_downloaded_into_a_folder_of_the_data_set(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tiny = official.medmnist(tmp_path)
    file = tiny[0].official["path"]
    with serving(only_file(tiny).read_bytes()) as server:
        remote = type(file)(url=f"{server.url}/{file.name}", md5=file.md5)
        monkeypatch.setattr(type(tiny[0]), "official", {"path": remote})
        data = load(tiny[0].model_copy(update={"path": None}))
    assert data.fingerprint == load(tiny[0]).fingerprint
    assert (cache / "downloads" / "medmnist" / "pathmnist.npz").is_file()


@pytest.mark.parametrize(
    ("split", "classes", "first"), [("balanced", 47, 0), ("byclass", 62, 0), ("digits", 10, 0)]
)
def test_every_split_of_emnist(split: str, classes: int, first: int, tmp_path: Path) -> None:
    choice, images, _ = official.emnist(tmp_path, split, classes, first)
    data = load(choice)
    expected = [*torchvision_datasets.EMNIST.classes_split_dict[split]]
    assert [*data.classes] == expected
    tested = torch.from_numpy(images[-official.TESTED * classes :]).permute(0, 3, 1, 2)
    assert torch.equal(data.test.images, tested)


def test_the_extra_images_of_svhn_are_trained_on(tmp_path: Path) -> None:
    data = load(official.svhn(tmp_path, extra=True)[0])
    assert len(data.train) + len(data.val) == 10 * (official.OF_EACH_CLASS + 1)
    assert data.classes == tuple("0123456789")


def test_a_grey_medical_set_has_its_own_classes(tmp_path: Path) -> None:
    data = load(official.medmnist(tmp_path, "breast", 2, grey=True)[0])
    assert data.classes == ("malignant", "normal, benign")
    assert (len(data.train), len(data.val), len(data.test)) == (8, 4, 4)
    assert data.channels == 3
    assert set(medmnist_module.CLASSES) == set(DATASETS["medmnist"].official)  # type: ignore[attr-defined]


def test_classes_of_the_same_word_have_their_id(tmp_path: Path) -> None:
    data = load(official.tiny_imagenet(tmp_path)[0])
    assert data.classes == ("goldfish", "crane (n02)", "crane (n03)")


@pytest.mark.parametrize("size", [28, 32, 64, 96])
@pytest.mark.parametrize("name", list(MODELS))
def test_every_network_takes_images_of_every_size(name: str, size: int) -> None:
    thirds = (0.5, 0.5, 0.5)
    build(small(name), mean=thirds, std=thirds, size=size, num_classes=3, seed=0)
