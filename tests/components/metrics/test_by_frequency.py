from __future__ import annotations

import numpy as np
import pytest

from cifar_exp.components.metrics.by_frequency import accuracy_by_frequency, frequencies
from cifar_exp.components.metrics.metrics import BY_FREQUENCY
from cifar_exp.components.metrics.predictions import Predictions


def test_frequencies_are_those_of_the_publication() -> None:
    found = frequencies(np.array([1280, 101, 100, 20, 19]))
    assert found.of_class.tolist() == ["many", "many", "medium", "medium", "few"]


def test_the_limits_grow_with_the_largest_class() -> None:
    """4,500 is 3.515625 times 1,280, so the limits are 351.6 and 70.3."""
    counts = np.array([4500, 2697, 1617, 969, 581, 348, 208, 125, 75, 45])
    assert frequencies(counts).of_class.tolist() == ["many"] * 5 + ["medium"] * 4 + ["few"]


def test_accuracy_is_that_of_the_examples_of_these_classes() -> None:
    predictions = Predictions(
        label=np.array([0, 0, 0, 1, 1, 3], np.uint8),
        predicted=np.array([0, 1, 0, 1, 0, 3], np.uint8),
        confidence=np.ones(6, np.float32),
    )
    found = accuracy_by_frequency(predictions, np.array([500, 50, 10, 60]))
    assert found == {
        "accuracy_many": pytest.approx(2 / 3),
        "accuracy_medium": pytest.approx(2 / 3),
    }  # the class with few images is not tested
    assert set(found) < set(BY_FREQUENCY)
