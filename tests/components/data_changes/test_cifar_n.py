"""CIFAR-N, on a file in the format of torch.save with the labels of a small archive."""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cifar_exp.components.data_changes import DataChanges, changed, cifar_n
from cifar_exp.components.datasets import DataError, Dataset, load
from cifar_exp.errors import BadInput
from cifar_exp.experiment import read
from tests.components.datasets.samples import TinyCifar, tiny_cifar10


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyCifar:
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "cache"))
    return tiny_cifar10(tmp_path)


@pytest.fixture
def official(tiny: TinyCifar) -> NDArray[np.int64]:
    """The labels of the training images in the order of the archive."""
    return tiny.sample.labels[:-30]


def written(path: Path, content: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the file as torch.save does, and expect its checksum."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    file = replace(cifar_n.FILES["cifar10"], md5=md5)
    monkeypatch.setattr(cifar_n, "FILES", {"cifar10": file})
    return path


def human(official: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return labels of which the first seven are wrong."""
    worse = official.copy()
    worse[:7] = (worse[:7] + 1) % 3
    return {"clean_label": official, "worse_label": worse, "aggre_label": official}


def with_noise(tiny: TinyCifar, path: Path, labels: str = "worse", **settings: Any) -> Dataset:
    noise = {"type": "cifar_n", "labels": labels, "path": path, **settings}
    choice = tiny.choice(path=tiny.path)
    return changed(load(choice), choice, DataChanges(noise=noise))  # type: ignore[arg-type]


def test_every_image_gets_its_human_label(
    tiny: TinyCifar, official: NDArray[np.int64], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = human(official)
    file = written(tmp_path / "CIFAR-10_human.pt", stored, monkeypatch)
    data = with_noise(tiny, file, in_validation=True)
    by_image = {
        image.tobytes(): int(label)
        for image, label in zip(tiny.sample.images, stored["worse_label"], strict=False)
    }
    for split in (data.train, data.val):
        images = split.images.permute(0, 2, 3, 1).numpy()
        assert [by_image[image.tobytes()] for image in images] == split.labels.tolist()
    assert data.test.labels.tolist() == tiny.sample.labels[-30:].tolist()
    wrong = [note for note in data.notes if "training labels are wrong" in note]
    assert len(wrong) == 1


def test_another_order_is_told(
    tiny: TinyCifar, official: NDArray[np.int64], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {key: labels[::-1].copy() for key, labels in human(official).items()}
    stored["clean_label"][0] = (stored["clean_label"][0] + 1) % 3
    file = written(tmp_path / "CIFAR-10_human.pt", stored, monkeypatch)
    with pytest.raises(DataError, match=r"clean labels in .* are not those of cifar10 here in the"):
        with_noise(tiny, file)


def test_another_file_is_refused(tiny: TinyCifar, tmp_path: Path) -> None:
    file = tmp_path / "CIFAR-10_human.pt"
    file.write_bytes(b"something")
    with pytest.raises(
        DataError, match=r"is not the official CIFAR-10_human.pt .MD5 expected 9664"
    ):
        with_noise(tiny, file)


class Malicious:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


def test_no_code_in_the_file_runs(
    tiny: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {"clean_label": Malicious(tmp_path / "canary")}
    file = written(tmp_path / "CIFAR-10_human.pt", stored, monkeypatch)
    with pytest.raises(DataError, match=r"cannot be read .it names posix.mkdir"):
        with_noise(tiny, file)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"clean_label": [1, 2], "worse_label": [1, 2]},
        {"clean_label": np.zeros(3, np.int64), "worse_label": np.zeros(2, np.int64)},
        {"clean_label": np.full(3, 10), "worse_label": np.zeros(3, np.int64)},
    ],
)
def test_other_content_is_refused(
    tiny: TinyCifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: object
) -> None:
    file = written(tmp_path / "CIFAR-10_human.pt", stored, monkeypatch)
    with pytest.raises(DataError, match="fetch it again"):
        with_noise(tiny, file)


DEFINITION = """
name = "x"
dataset = "{}"
model = "lenet"
epochs = 1
data_changes = {{ noise = {{ type = "cifar_n", labels = "{}" }} }}
[losses]
mse = {{}}
[optimizers]
sgd = {{ lr = 0.1 }}
"""


@pytest.mark.parametrize(
    ("dataset", "labels", "words"),
    [
        ("mnist", "worse", "data_changes.noise.type: cifar_n has labels of cifar10 and cifar100, "),
        ("cifar10", "noisy", "data_changes.noise.labels: of cifar10 there are aggre, random1, "),
        ("cifar100", "worse", "data_changes.noise.labels: of cifar100 there are noisy"),
    ],
)
def test_labels_of_other_data_sets_are_refused_before_anything_is_read(
    dataset: str, labels: str, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        read(DEFINITION.format(dataset, labels))
    assert read(DEFINITION.format("cifar10", "aggre")).data_changes is not None
