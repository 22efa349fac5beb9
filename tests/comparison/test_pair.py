"""Differences between two combinations, by hand and by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cifar_exp.comparison.pair import pair
from cifar_exp.comparison.row import ConfirmationResult, StudyResult
from cifar_exp.comparison.statistics.paired import image_difference, paired_difference
from cifar_exp.errors import BadInput
from cifar_exp.report.text.pair import pair_csv, pair_markdown, pair_sentences
from tests.rankings import ranking, row


def test_differences_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, s = 1, and t(.975, 2) / sqrt(3) = 2.4841."""
    found = paired_difference([4.0, 5.0, 7.0], [3.0, 3.0, 4.0], 0.05)
    assert found is not None
    assert (found.mean, found.size) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - 2.4841377, 2 + 2.4841377))


def test_differences_by_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7))
    found = paired_difference(list(first), list(second), 0.1)
    expected = stats.ttest_rel(first, second)
    interval = expected.confidence_interval(0.9)
    assert found is not None
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, *interval))
    ended = paired_difference(list(first), list(second), 0.1, largest=0.01)
    assert ended is not None
    assert (ended.low, ended.high) == (-0.01, 0.01)


@pytest.mark.parametrize("first", [[0.5], [0.5, 0.5]])
def test_without_spread_there_is_no_interval(first: list[float]) -> None:
    found = paired_difference(first, [0.25] * len(first), 0.05)
    assert found is not None
    assert (found.mean, found.low, found.high, found.p) == (0.25, None, None, None)
    assert paired_difference([], [], 0.05) is None


def test_images_by_hand() -> None:
    """Hit rates 1, 1/2, 0, 0 and 1, 0, 1, 0: only the first 1/2 / 4, only the second 1 / 4."""
    first = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    second = np.array([[1, 0, 1, 0]], dtype=bool)
    found = image_difference(first, second)
    assert (found.only_first, found.only_second, found.num_images) == (0.125, 0.25, 4)
    assert found.p is None


def test_two_networks_by_the_exact_test() -> None:
    """5 images against 1: p = 2 (1 + 6) / 2 ** 6."""
    first = np.array([[1] * 5 + [0] + [1] * 4], dtype=bool)
    second = np.array([[0] * 5 + [1] + [1] * 4], dtype=bool)
    assert image_difference(first, second).p == pytest.approx(14 / 64)
    assert image_difference(first, first).p == 1.0


def _confirmed(number: int, study: int, accuracy: float) -> ConfirmationResult:
    return ConfirmationResult(
        number=number,
        study=study,
        seed=number,
        state="COMPLETE",
        val_accuracy=None,
        seconds=None,
        metrics={"test_accuracy": accuracy},
    )


def _study(number: int, lr: float) -> StudyResult:
    return StudyResult(
        number=number,
        lr=lr,
        batch_size=64,
        settings={"loss.gamma": "2"},
        val_accuracy=0.5,
        test_accuracy=0.5,
    )


GIVEN = ranking(
    row(
        1,
        "focal+sgd",
        study_results=(_study(1, 0.1),),
        confirmation_results=(_confirmed(1, 1, 0.9), _confirmed(2, 1, 0.7)),
    ),
    row(
        2,
        "mse+sgd",
        study_results=(_study(1, 0.3),),
        confirmation_results=(_confirmed(2, 1, 0.6), _confirmed(3, 1, 0.1)),
    ),
)


def test_only_common_seeds_and_settings_that_differ() -> None:
    found = pair(GIVEN, "focal+sgd", "mse+sgd")
    assert found.settings == {"loss": ("focal", "mse"), "lr": ("0.1", "0.3")}
    assert found.differences["test_accuracy"].size == 1
    assert found.differences["test_accuracy"].mean == pytest.approx(0.1)
    assert pair_sentences(found)[0] == (
        "Settings of focal+sgd | mse+sgd: loss focal | mse; lr 0.1 | 0.3."
    )
    assert "| test accuracy | 10.00 points | - | - | 1 |" in pair_markdown(found)
    assert pair_csv(found).splitlines()[1].startswith("focal+sgd,mse+sgd,test_accuracy,0.")


@pytest.mark.parametrize(
    ("names", "said"),
    [(("focal+sgd", "l1+sgd"), "no combination 'l1"), (("mse+sgd", "mse+sgd"), "with itself")],
)
def test_a_pair_that_cannot_be_compared(names: tuple[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        pair(GIVEN, *names)
