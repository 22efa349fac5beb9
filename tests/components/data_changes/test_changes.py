"""Label noise, class imbalance and fewer images, on labels whose numbers are worked out by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from cifar_exp.components.data_changes import DataChanges, changed, noise_maps
from cifar_exp.components.data_changes.clean import TRAINING, VALIDATION, CleanLabels
from cifar_exp.components.data_changes.imbalance import ExponentialImbalance, StepImbalance
from cifar_exp.components.data_changes.noise import AsymmetricNoise, SymmetricNoise
from cifar_exp.components.datasets import DATASETS, Dataset, Digits, load, no_progress, open_dataset
from cifar_exp.components.validation import DefinitionError
from tests.components.datasets.samples import tiny_cifar10

SYMMETRIC = {"type": "symmetric", "rate": 0.4}
TAIL = {"type": "exponential", "ratio": 10}


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "cache"))
    return load(Digits())


def after(data: Dataset, **changes: Any) -> Dataset:
    return changed(data, Digits(), DataChanges(**changes))


def clean(labels: NDArray[np.int64], classes: tuple[str, ...]) -> CleanLabels:
    return CleanLabels(
        name="mine",
        classes=classes,
        of_split={TRAINING: labels, VALIDATION: labels},
        validation=0.1,
        progress=no_progress,
    )


def test_symmetric_noise_changes_the_same_number_of_each_class_to_all_others() -> None:
    """Of 4,500 images of each of 10 classes 1,800 change; 200 are expected in each other class."""
    labels = np.arange(45_000) % 10
    noise = SymmetricNoise(**SYMMETRIC)  # type: ignore[arg-type]
    data = clean(labels, tuple("0123456789"))
    noisy = noise.noisy(data, TRAINING, np.arange(45_000))
    table = np.zeros((10, 10), np.int64)
    np.add.at(table, (labels, noisy), 1)
    assert np.diag(table).tolist() == [2700] * 10
    others = table[~np.eye(10, dtype=bool)]
    chi_square = float(((others - 200) ** 2 / 200).sum())
    assert chi_square < 112  # 80 degrees of freedom: above with a probability of 1 %
    assert np.array_equal(noisy, noise.noisy(data, TRAINING, np.arange(45_000)))
    assert not np.array_equal(noisy, noise.noisy(data, VALIDATION, np.arange(45_000)))


def test_a_smaller_rate_changes_a_part_of_the_images_in_the_same_way() -> None:
    labels, rows = np.arange(1000) % 4, np.arange(1000)
    data = clean(labels, ("a", "b", "c", "d"))
    small, large = (
        SymmetricNoise(type="symmetric", rate=rate).noisy(data, TRAINING, rows)
        for rate in (0.2, 0.29)
    )
    assert (int((small != labels).sum()), int((large != labels).sum())) == (200, 288)  # 72 of 250
    wrong = small != labels
    assert np.array_equal(small[wrong], large[wrong])


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.sets(st.integers(0, 59)),
)
def test_the_numbers_are_exact_for_any_rows(
    labels: list[int], rate: float, chosen: set[int]
) -> None:
    array = np.array(labels)
    rows = np.array(sorted(row for row in chosen if row < len(labels)), np.int64)
    noise = SymmetricNoise(type="symmetric", rate=rate)
    noisy = noise.noisy(clean(array, ("a", "b", "c")), TRAINING, rows)
    before = array[rows]
    for label, count in Counter(before.tolist()).items():
        changed_ = int((noisy[before == label] != label).sum())
        assert changed_ == int(rate * count + 1e-9)
    assert set(noisy.tolist()) <= {0, 1, 2}


def test_asymmetric_noise_of_cifar10_is_as_published() -> None:
    """9 to 1, 2 to 0, 3 to 5, 5 to 3, 4 to 7: 40 % of each (Patrini et al. 2017)."""
    labels = np.arange(1000) % 10
    noise = AsymmetricNoise(type="asymmetric", rate=0.4)
    data = clean(labels, noise_maps.CIFAR10_CLASSES)
    noisy = noise.noisy(data, TRAINING, np.arange(1000))
    pairs = Counter(zip(labels.tolist(), noisy.tolist(), strict=True))
    wrong = {pair: count for pair, count in pairs.items() if pair[0] != pair[1]}
    assert wrong == {(9, 1): 40, (2, 0): 40, (3, 5): 40, (5, 3): 40, (4, 7): 40}


def test_asymmetric_noise_of_digits_is_that_of_mnist(digits: Dataset) -> None:
    data = after(digits, noise={"type": "asymmetric", "rate": 0.3})
    pairs = Counter(zip(digits.train.labels.tolist(), data.train.labels.tolist(), strict=True))
    assert {pair for pair in pairs if pair[0] != pair[1]} == {
        (7, 1),
        (2, 7),
        (5, 6),
        (6, 5),
        (3, 8),
    }
    assert torch.equal(data.val.labels, digits.val.labels)
    assert torch.equal(data.test.labels, digits.test.labels)


def test_the_map_of_cifar100_stays_within_superclasses() -> None:
    names = [line.split() for line in noise_maps.CIFAR100_SUPERCLASSES]
    assert [len(line) for line in names] == [5] * 20
    assert all(line == sorted(line) for line in names)
    assert len({name for line in names for name in line}) == len(noise_maps.CIFAR100) == 100
    assert noise_maps.CIFAR100["apple"] == "mushroom"
    assert noise_maps.CIFAR100["sweet_pepper"] == "apple"


def test_a_map_of_ones_own() -> None:
    noise = AsymmetricNoise(type="asymmetric", rate=0.5, map={"cat": "dog"})
    noisy = noise.noisy(
        clean(np.array([0, 0, 1, 2] * 10), ("cat", "dog", "cow")), TRAINING, np.arange(40)
    )
    assert Counter(noisy.tolist()) == {0: 10, 1: 20, 2: 10}


def test_noise_without_a_known_map_says_what_to_do() -> None:
    noise = AsymmetricNoise(type="asymmetric", rate=0.5)
    data = clean(np.array([0, 1]), ("ant", "bee"))
    with pytest.raises(DefinitionError, match=r'of digits only, .* such as map = \{ "ant" = "bee"'):
        noise.noisy(data, TRAINING, np.arange(2))
    noise = AsymmetricNoise(type="asymmetric", rate=0.5, map={"ant": "be", "dog": "ant"})
    with pytest.raises(DefinitionError) as caught:
        noise.noisy(data, TRAINING, np.arange(2))
    assert str(caught.value).splitlines() == [
        'data_changes.noise.map: there is no class "be"; did you mean "bee"?',
        'data_changes.noise.map: there is no class "dog"; known are: ant, bee',
    ]


def test_a_long_tail_is_as_published() -> None:
    """n_c = 5000 * 0.01 ** (c / 9), rounded down: Cao et al. 2019, appendix C, for CIFAR-10."""
    tail = ExponentialImbalance(type="exponential", ratio=100)
    assert tail.numbers([5000] * 10) == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    step = StepImbalance(type="step", ratio=100)
    assert step.numbers([5000] * 10) == [5000] * 5 + [50] * 5
    assert step.numbers([4500] * 10)[-1] == 45


@given(st.lists(st.integers(2, 500), min_size=2, max_size=30), st.floats(1.01, 1000))
def test_no_class_is_empty_or_has_more_than_there_are(available: list[int], ratio: float) -> None:
    for kind in (ExponentialImbalance, StepImbalance):
        name = "exponential" if kind is ExponentialImbalance else "step"
        numbers = kind(type=name, ratio=ratio).numbers(available)  # type: ignore[arg-type]
        assert all(1 <= n <= most for n, most in zip(numbers, available, strict=True))


def test_a_subset_keeps_a_share_of_each_class(digits: Dataset) -> None:
    data = after(digits, subset=0.1)
    whole, kept = (np.bincount(each.train.labels) for each in (digits, data))
    assert kept.tolist() == [round(0.1 * count) for count in whole.tolist()]
    images = {image.numpy().tobytes() for image in digits.train.images}
    assert all(image.numpy().tobytes() in images for image in data.train.images)
    assert torch.equal(data.val.images, digits.val.images)
    assert torch.equal(data.test.images, digits.test.images)


def test_all_changes_together(digits: Dataset) -> None:
    """Half of each class, of that a tail of ratio 10, and of that 40 % of each class are wrong."""
    data = after(digits, subset=0.5, imbalance=TAIL, noise=SYMMETRIC)
    half = [round(0.5 * count) for count in np.bincount(digits.train.labels).tolist()]
    expected = [min(n, int(max(half) * 10 ** (-label / 9) + 1e-9)) for label, n in enumerate(half)]
    assert data.class_counts == tuple(expected)
    assert len(data.train) == sum(expected)
    wrong = sum(int(0.4 * n + 1e-9) for n in expected)
    assert f"{wrong} of {sum(expected)} training labels are wrong" in " ".join(data.notes)
    assert data.changes["data_changes.imbalance.ratio"] == "10.0"
    assert after(digits, imbalance=TAIL).changes.keys() == {
        "data_changes.imbalance.type",
        "data_changes.imbalance.ratio",
    }


def test_validation_labels_are_changed_on_request_only(digits: Dataset) -> None:
    data = after(digits, noise={**SYMMETRIC, "in_validation": True})
    counts = np.bincount(digits.val.labels).tolist()
    assert int((data.val.labels != digits.val.labels).sum()) == sum(int(0.4 * n) for n in counts)


def test_noise_that_changes_no_label_is_told(digits: Dataset) -> None:
    data = after(digits, noise={**SYMMETRIC, "rate": 0.005})
    assert data.notes == (f"0 of {len(digits.train)} training labels are wrong (0.0 %)",)


def test_noise_alone_writes_no_images(digits: Dataset) -> None:
    data = after(digits, noise=SYMMETRIC)
    assert {path.name for path in data.path.iterdir()} == {"labels.npy", "meta.json"}
    again = open_dataset(data.path)
    assert torch.equal(again.train.images, digits.train.images)
    assert torch.equal(again.train.labels, data.train.labels)
    assert (data.mean, data.std) == (digits.mean, digits.std)
    assert len({data.fingerprint, digits.fingerprint, after(digits, subset=0.5).fingerprint}) == 3
    assert after(digits, noise=SYMMETRIC).path == data.path


def test_a_changed_data_set_whose_images_are_gone_is_made_again(digits: Dataset) -> None:
    first = after(digits, noise=SYMMETRIC)
    (digits.path / "images.npy").unlink()
    again = after(load(Digits()), noise=SYMMETRIC)
    assert again.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": {"type": "symetric", "rate": 0.1}}, 'did you mean "symmetric"'),
        ({"noise": {"rate": 0.1}}, "symmetric, asymmetric, cifar_n"),
        ({"noise": "symmetric"}, "should be a table with its `type`"),
        ({"noise": {"type": "symmetric"}}, "is missing"),
        ({"noise": {"type": "symmetric", "rate": 1.0}}, "should be less than 1"),
        ({"noise": {**SYMMETRIC, "rat": 0.1}}, "unknown name"),
        ({"noise": {"type": "asymmetric", "rate": 0.1, "map": {"a": "a"}}}, "with another one"),
        ({"imbalance": {"type": "exponential", "ratio": 1}}, "should be greater than 1"),
        ({"subset": 1.0}, "should be less than 1"),
    ],
)
def test_a_wrong_change_is_told(changes: dict[str, Any], words: str) -> None:
    from cifar_exp.components.validation import problems_of

    with pytest.raises(ValidationError) as caught:
        DataChanges.model_validate(changes)
    assert words in "\n".join(map(str, problems_of(caught.value)))


def test_the_official_classes_are_those_of_the_data_sets(tmp_path: Path) -> None:
    from cifar_exp.components.datasets.official import cinic10

    assert noise_maps.CIFAR10_CLASSES == cinic10.CLASSES
    assert noise_maps.published_map("cinic10", cinic10.CLASSES) is noise_maps.CIFAR10
    assert noise_maps.published_map("mnist", DATASETS["mnist"].classes) is noise_maps.DIGITS  # type: ignore[attr-defined]
    assert tiny_cifar10(tmp_path).sample.labels.max() == 2  # of other classes: no map
