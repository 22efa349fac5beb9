"""Tests of every data set."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cifar_exp.components.datasets import DATASETS, Dataset, Split, load, open_dataset
from cifar_exp.components.datasets.source import WithDrawnValidation

from .samples import SAMPLES, Sample


@pytest.fixture(params=sorted(SAMPLES))
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    made: Sample = SAMPLES[request.param](tmp_path)
    return made


def splits(data: Dataset) -> tuple[Split, Split, Split]:
    return data.train, data.val, data.test


def counted(images: np.ndarray, labels: np.ndarray) -> Counter[tuple[bytes, int]]:
    return Counter(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


def test_samples_cover_all_datasets() -> None:
    assert SAMPLES.keys() == DATASETS.keys()
    assert [(name, choice.name) for name, choice in DATASETS.items()] == [
        (name, name) for name in DATASETS
    ]


def test_tensors_have_the_documented_types_and_layout(sample: Sample) -> None:
    data = load(sample.choice)
    for split in splits(data):
        assert split.images.dtype == torch.uint8
        assert split.labels.dtype == torch.int64
        assert split.images.shape == (len(split), data.channels, data.size, data.size)
        assert split.images.is_contiguous(memory_format=torch.channels_last)


def test_splits_are_disjoint_and_cover_the_source(sample: Sample) -> None:
    found: Counter[tuple[bytes, int]] = Counter()
    for split in splits(load(sample.choice)):
        found += counted(split.images.permute(0, 2, 3, 1).numpy(), split.labels.numpy())
    assert found == counted(sample.images, sample.labels)


def test_every_class_is_in_every_split(sample: Sample) -> None:
    data = load(sample.choice)
    for split in splits(data):
        assert set(split.labels.tolist()) == set(range(data.num_classes))


def test_validation_takes_a_tenth_of_each_class(sample: Sample) -> None:
    if not isinstance(sample.choice, WithDrawnValidation):
        pytest.skip("it has a validation split of its own")
    data = load(sample.choice)
    whole = Counter(data.train.labels.tolist()) + Counter(data.val.labels.tolist())
    if data.name == "digits":
        whole = Counter(sample.labels.tolist())
    val_counts = Counter(data.val.labels.tolist())
    assert all(abs(val_counts[label] - count / 10) <= 1 for label, count in whole.items())


def test_the_share_of_validation_can_be_set(sample: Sample) -> None:
    if not isinstance(sample.choice, WithDrawnValidation):
        assert "validation" not in type(sample.choice).model_fields
        return
    tenth = load(sample.choice)
    assert load(sample.choice.model_copy(update={"validation": 0.1})).path == tenth.path
    third = load(sample.choice.model_copy(update={"validation": 0.3}))
    assert third.fingerprint != tenth.fingerprint
    assert torch.equal(third.test.images, tenth.test.images)
    whole = Counter(third.train.labels.tolist()) + Counter(third.val.labels.tolist())
    if third.name == "digits":
        whole = Counter(sample.labels.tolist())
    counts = Counter(third.val.labels.tolist())
    assert all(abs(counts[label] - 0.3 * count) <= 1 for label, count in whole.items())


def test_mean_and_std_are_those_of_the_training_images(sample: Sample) -> None:
    data = load(sample.choice)
    pixels = data.train.images.permute(1, 0, 2, 3).reshape(data.channels, -1).numpy() / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(data.std, pixels.std(axis=1), rtol=1e-9)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_images_are_mapped_from_one_file(sample: Sample) -> None:
    data = load(sample.choice)
    maps = [
        line for line in Path("/proc/self/maps").read_text().splitlines() if "images.npy" in line
    ]
    mine = [line for line in maps if str(data.path) in line]
    start, end = (int(side, 16) for side in mine[0].split()[0].split("-"))
    assert len(mine) == 1
    assert all(start <= split.images.data_ptr() < end for split in splits(data))


def test_writing_to_the_tensors_does_not_change_the_file(sample: Sample) -> None:
    data = load(sample.choice)
    before = data.train.images.clone()
    data.train.images.zero_()
    assert torch.equal(open_dataset(data.path).train.images, before)


def test_second_load_only_maps(sample: Sample) -> None:
    steps: list[tuple[str, int, int]] = []
    first = load(sample.choice, lambda *step: steps.append(step))
    assert steps[-1][1] == steps[-1][2] > 0
    steps.clear()
    second = load(sample.choice, lambda *step: steps.append(step))
    assert not steps
    assert (second.path, second.fingerprint) == (first.path, first.fingerprint)


def test_a_new_cache_gets_the_same_content(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(sample.choice)
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "other"))
    second = load(sample.choice)
    assert second.path != first.path
    assert second.fingerprint == first.fingerprint
    assert (second.path / "images.npy").read_bytes() == (first.path / "images.npy").read_bytes()
    assert (second.path / "labels.npy").read_bytes() == (first.path / "labels.npy").read_bytes()


def test_the_cache_contains_only_the_dataset(sample: Sample, cache: Path) -> None:
    data = load(sample.choice)
    left = {path.name for path in cache.iterdir()} - {f"{data.path.name}.lock", "downloads"}
    assert left == {data.path.name}
    assert {path.name for path in data.path.iterdir()} == {"images.npy", "labels.npy", "meta.json"}


@pytest.mark.parametrize("name", DATASETS)
def test_choices_describe_themselves(name: str) -> None:
    choice = DATASETS[name]
    assert (choice.__doc__ or "").splitlines()[0].endswith(".")
    assert all(field.description for field in choice.model_fields.values())


@pytest.mark.parametrize("name", DATASETS)
def test_choices_refuse_unknown_fields(name: str) -> None:
    with pytest.raises(ValidationError, match="colour"):
        DATASETS[name].model_validate({"path": "x", "colour": 1})


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_paths_may_be_written_as_text(name: str) -> None:
    choice = DATASETS[name].model_validate({"path": "some/where"})
    assert choice == DATASETS[name].model_validate({"path": Path("some/where")})


def test_digits_in_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from cifar_exp.components.datasets import *; print(load(Digits()).fingerprint)"
    here = load(SAMPLES["digits"](tmp_path).choice).fingerprint
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "other"))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


def test_importing_loads_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys, cifar_exp.components.datasets; "
        "print({'torch._C', 'sklearn', 'PIL', 'pooch', 'filelock', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
