from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_exp.components.datasets import DataError
from cifar_exp.components.datasets.split import drawn_order, held_out, published_order

NAMES = ("ant", "bee")


def test_the_split_does_not_change_between_versions() -> None:
    marked = np.flatnonzero(held_out(np.arange(40) % 2, 0.1, NAMES))
    assert marked.tolist() == [4, 27, 31, 34]


def test_cifar_10_is_split_45000_5000_10000() -> None:
    labels = np.arange(60_000) % 10
    order = published_order(labels, (50_000, 0, 10_000), tuple("0123456789"))
    assert order.counts == (45_000, 5_000, 10_000)
    assert np.bincount(labels[order.rows[45_000:50_000]]).tolist() == [500] * 10
    assert order.rows[50_000:].tolist() == list(range(50_000, 60_000))


@given(st.lists(st.integers(0, 1), min_size=4, max_size=80), st.integers(0, 5))
def test_published_order_is_stratified_and_keeps_the_order(labels: list[int], test: int) -> None:
    labels = [0, 0, 1, 1, *labels]
    rows = np.array([*labels, *[0] * test])
    order = published_order(rows, (len(labels), 0, test), NAMES)
    train, val, last = np.split(order.rows, np.cumsum(order.counts)[:2])
    assert sorted(order.rows) == list(range(len(labels) + test))
    assert all((np.diff(part) > 0).all() for part in (train, val, last))
    for label in (0, 1):
        in_val = sum(labels[row] == label for row in val)
        assert in_val == max(1, round(labels.count(label) / 10))


def test_another_share_is_held_out_of_each_class() -> None:
    order = published_order(np.arange(1000) % 2, (900, 0, 100), NAMES, validation=0.3)
    assert order.counts == (630, 270, 100)
    assert np.bincount(order.rows[630:900] % 2).tolist() == [135, 135]


def test_a_published_validation_split_is_kept() -> None:
    order = published_order(np.arange(100) % 2, (60, 30, 10), NAMES, validation=0.3)
    assert (order.counts, order.rows.tolist()) == ((60, 30, 10), list(range(100)))


def test_drawn_order_is_stratified() -> None:
    labels = np.arange(1000) % 2
    order = drawn_order(labels, val=0.1, test=0.2, classes=NAMES)
    assert order.counts == (700, 100, 200)
    parts = np.split(labels[order.rows], np.cumsum(order.counts)[:2])
    assert [part.sum() for part in parts] == [350, 50, 100]


def test_the_drawn_images_are_in_no_regular_pattern() -> None:
    marked = np.flatnonzero(held_out(np.zeros(10_000, np.int64), 0.1, ("ant",)))
    assert len(set(np.diff(marked))) > 20
    assert abs(marked.mean() - 5000) < 300


@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 0]])
def test_a_class_of_one_or_none_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match=r"'bee' has .* at least 2"):
        held_out(np.array(labels), 0.1, NAMES)


def test_all_classes_with_too_few_images_are_named() -> None:
    words = "Class 'ant' has 1 training image, 'cow' has 0 training images, but at least 2"
    with pytest.raises(DataError, match=words):
        held_out(np.array([0, 1, 1]), 0.1, ("ant", "bee", "cow"))
