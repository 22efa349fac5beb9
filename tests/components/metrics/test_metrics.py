"""Measures against scikit-learn's, values worked by hand, and slow exact calibration errors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    top_k_accuracy_score,
)

from cifar_exp.components.metrics.calibration import NUM_BINS, reliability
from cifar_exp.components.metrics.predictions import Predictions
from tests.components.metrics import one_network as metrics
from tests.components.metrics.one_network import predict

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


def batch(seed: int, num_examples: int, num_classes: int) -> tuple[Floats, Floats, Integers]:
    """Return logits, their softmax and labels."""
    random = np.random.default_rng(seed)
    logits = 3 * random.standard_normal((num_examples, num_classes))
    powers = np.exp(logits)
    labels = random.integers(num_classes, size=num_examples)
    return logits, powers / powers.sum(axis=1, keepdims=True), labels


def said(*examples: tuple[float, bool]) -> Predictions:
    """Return predictions of class 0 with these confidences, right or wrong."""
    return Predictions(
        label=np.array([0 if right else 1 for _, right in examples], dtype=np.uint8),
        predicted=np.zeros(len(examples), dtype=np.uint8),
        confidence=np.array([confidence for confidence, _ in examples], dtype=np.float32),
    )


sizes = given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 12))


@sizes
@settings(max_examples=30)
def test_accuracy_is_that_of_scikit_learn(seed: int, num_examples: int, num_classes: int) -> None:
    logits, probabilities, labels = batch(seed, num_examples, num_classes)
    expected = accuracy_score(labels, np.argmax(logits, axis=1))
    assert metrics.accuracy(predict(logits, probabilities, labels)) == expected


@sizes
@settings(max_examples=30)
def test_nll_is_that_of_scikit_learn(seed: int, num_examples: int, num_classes: int) -> None:
    _, probabilities, labels = batch(seed, num_examples, num_classes)
    expected = log_loss(labels, probabilities, labels=range(num_classes))
    assert metrics.nll(probabilities, labels) == pytest.approx(expected, rel=1e-12)


@sizes
@settings(max_examples=30)
def test_brier_is_that_of_scikit_learn(seed: int, num_examples: int, num_classes: int) -> None:
    _, probabilities, labels = batch(seed, num_examples, num_classes)
    expected = brier_score_loss(
        labels,
        probabilities,
        labels=range(num_classes),
        scale_by_half=False,
        pos_label=None,
    )
    assert metrics.brier(probabilities, labels) == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(6, 12))
@settings(max_examples=30)
def test_top5_is_that_of_scikit_learn(seed: int, num_examples: int, num_classes: int) -> None:
    logits, _, labels = batch(seed, num_examples, num_classes)
    expected = top_k_accuracy_score(labels, logits, k=5, labels=range(num_classes))
    assert metrics.top5(logits, labels) == expected


@sizes
@settings(max_examples=60)
def test_macro_f1_is_that_of_scikit_learn(seed: int, num_examples: int, num_classes: int) -> None:
    logits, probabilities, labels = batch(seed, num_examples, num_classes)
    expected = f1_score(
        labels,
        logits.argmax(axis=1),
        labels=range(num_classes),
        average="macro",
        zero_division=0,
    )
    measured = metrics.macro_f1(predict(logits, probabilities, labels), num_classes)
    assert measured == pytest.approx(expected, abs=1e-15)


# By hand.


def test_by_hand() -> None:
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]])
    predictions = predict(np.array([[2.0, 1], [2, 1], [1, 2]]), probabilities, labels)
    assert metrics.nll(probabilities, labels) == pytest.approx((math.log(2) + math.log(4)) / 3)
    assert metrics.brier(probabilities, labels) == pytest.approx((2 * 0.25 + 2 * 0.5625) / 3)
    assert metrics.accuracy(predictions) == 2 / 3
    # Both classes: one hit, one example more in labels or predictions. A third has none.
    assert metrics.macro_f1(predictions, 2) == pytest.approx(2 / 3)
    assert metrics.macro_f1(predictions, 3) == pytest.approx(4 / 9)


def test_five_classes_have_no_top_five() -> None:
    assert metrics.top5(np.zeros((2, 5)), np.array([0, 4])) is None


def test_of_equal_logits_the_first_five_are_the_top_five() -> None:
    labels = np.arange(6)
    assert metrics.top5(np.zeros((6, 6)), labels) == 5 / 6
    assert metrics.top5(np.array([[0, 1, 1, 1, 1, 1.0]] * 6), labels) == 5 / 6


def test_calibration_errors_by_hand() -> None:
    predictions = said((0.9, True), (0.9, False), (0.5, True), (0.5, True))
    # |1 - 1.8| in one bin and |2 - 1.0| in the other, over four examples
    assert metrics.ece(predictions) == pytest.approx((0.8 + 1.0) / 4)
    assert metrics.ece_adaptive(predictions) == pytest.approx((0.8 + 1.0) / 4)


def test_gaps_cancel_within_a_bin_of_equal_width_and_not_between_bins() -> None:
    # 0.61 and 0.66 lie between 9/15 = 0.6 and 10/15; 0.59 lies below
    together = said((0.61, True), (0.66, False))
    apart = said((0.59, True), (0.66, False))
    assert metrics.ece(together) == pytest.approx(abs(1 - 1.27) / 2)
    assert metrics.ece(apart) == pytest.approx((0.41 + 0.66) / 2)
    # With fewer examples than bins every confidence has an adaptive bin of its own.
    assert metrics.ece_adaptive(together) == pytest.approx((0.39 + 0.66) / 2)


@pytest.mark.parametrize("fifteenths", range(1, 15))
def test_a_confidence_on_an_edge_is_in_the_bin_below(fifteenths: int) -> None:
    edge = fifteenths / 15
    below = said((edge, True), (edge - 0.03, False))
    above = said((edge, True), (edge + 0.03, False))
    assert metrics.ece(below) == pytest.approx(abs(1 - 2 * edge + 0.03) / 2, abs=1e-7)
    assert metrics.ece(above) == pytest.approx((1 - edge + edge + 0.03) / 2, abs=1e-7)


def test_confidences_0_and_1_have_a_bin() -> None:
    assert metrics.ece(said((0.0, False), (1.0, True))) == 0
    assert metrics.ece(said((0.0, True), (1.0, False))) == 1


def test_equal_confidences_share_an_adaptive_bin() -> None:
    half_right = said(*[(0.5, True), (0.5, False)] * 20)
    assert metrics.ece_adaptive(half_right) == 0
    # 30 examples make bins of two. Three equals at the end of the first reach into the second,
    # which holds nothing else: (0.1, 0.2, 0.2, 0.2) in one bin, then pairs.
    rest = [(0.4 + 0.01 * i, True) for i in range(26)]
    predictions = said((0.1, True), (0.2, False), (0.2, False), (0.2, True), *rest)
    gap = abs(2 - 0.7) + sum(1 - confidence for confidence, _ in rest)
    assert metrics.ece_adaptive(predictions) == pytest.approx(gap / 30)


# Independent calibration errors.


def slow_error(predictions: Predictions, bin_of: Callable[[np.float32], int]) -> float:
    """The sum over bins of |hits - sum of confidences|, in exact fractions, over N."""
    gaps: dict[int, Fraction] = defaultdict(Fraction)
    for index, confidence in enumerate(predictions.confidence):
        right = int(predictions.label[index]) == int(predictions.predicted[index])
        gaps[bin_of(confidence)] += int(right) - Fraction(float(confidence))
    return float(sum(map(abs, gaps.values()), Fraction()) / len(predictions.confidence))


def slow_ece(predictions: Predictions) -> float:
    def bin_of(confidence: np.float32) -> int:
        return next(k for k in range(1, 16) if confidence <= np.float32(k / 15))

    return slow_error(predictions, bin_of)


def slow_ece_adaptive(predictions: Predictions) -> float:
    """The share of examples with less confidence decides the bin, so equals are never parted."""

    def bin_of(confidence: np.float32) -> int:
        return 15 * int(sum(value < confidence for value in values)) // len(values)

    values: list[float] = predictions.confidence.tolist()
    return slow_error(predictions, bin_of)


EDGES = [np.float32(k / 15) for k in range(1, 16)]
ON_OR_BESIDE_AN_EDGE = [
    float(value)
    for edge in EDGES
    for value in (np.nextafter(edge, np.float32(0)), edge, np.nextafter(edge, np.float32(2)))
    if value <= 1
]
confidences = st.one_of(
    st.floats(0, 1, width=32),
    st.sampled_from(ON_OR_BESIDE_AN_EDGE),
    st.sampled_from([0.25, 0.5, 1.0]),  # many equals
)
examples = st.lists(st.tuples(confidences, st.booleans()), min_size=1, max_size=60)


@given(examples)
@settings(max_examples=200)
def test_ece_is_the_slow_one(examples: list[tuple[float, bool]]) -> None:
    predictions = said(*examples)
    assert metrics.ece(predictions) == pytest.approx(slow_ece(predictions), abs=1e-14)


@given(examples)
@settings(max_examples=200)
def test_ece_adaptive_is_the_slow_one(examples: list[tuple[float, bool]]) -> None:
    predictions = said(*examples)
    expected = slow_ece_adaptive(predictions)
    assert metrics.ece_adaptive(predictions) == pytest.approx(expected, abs=1e-14)


@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
@settings(max_examples=30)
def test_ece_is_made_of_scikit_learns_calibration_curve(seed: int, num_examples: int) -> None:
    predictions = predict(*batch(seed, num_examples, 4))
    confidence = predictions.confidence.astype(np.float64)
    accuracies, means = calibration_curve(predictions.correct, confidence, n_bins=15)
    counts, _ = np.histogram(confidence, bins=15, range=(0, 1))
    expected = np.average(np.abs(accuracies - means), weights=counts[counts > 0])
    assert metrics.ece(predictions) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
@settings(max_examples=30)
def test_adaptive_bins_are_equal_parts_of_distinct_confidences(seed: int, bin_size: int) -> None:
    predictions = predict(*batch(seed, 15 * bin_size, 4))
    assume(len(set(predictions.confidence.tolist())) == 15 * bin_size)
    order = np.argsort(predictions.confidence)
    gaps: Floats = predictions.correct[order] - predictions.confidence[order].astype(np.float64)
    expected = np.abs(gaps.reshape(15, bin_size).mean(axis=1)).mean()
    assert metrics.ece_adaptive(predictions) == pytest.approx(expected, abs=1e-14)


# Properties.


@sizes
@settings(max_examples=30)
def test_perfect_predictions(seed: int, num_examples: int, num_classes: int) -> None:
    _, _, labels = batch(seed, num_examples, num_classes)
    perfect = np.eye(num_classes)[labels]
    predictions = predict(perfect, perfect, labels)
    assert metrics.ece(predictions) == metrics.ece_adaptive(predictions) == 0
    assert metrics.brier(perfect, labels) == metrics.nll(perfect, labels) == 0
    assert metrics.accuracy(predictions) == 1
    assert metrics.macro_f1(predictions, num_classes) == pytest.approx(
        len(set(labels.tolist())) / num_classes
    )


@sizes
@settings(max_examples=30)
def test_the_order_of_examples_does_not_matter(
    seed: int, num_examples: int, num_classes: int
) -> None:
    """Logits in halves make equal confidences with different outcomes."""
    logits, _, labels = batch(seed, num_examples, num_classes)
    logits = np.round(logits / 2)
    powers = np.exp(logits)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    order = np.random.default_rng(seed).permutation(num_examples)

    def measures(chosen: Integers) -> list[float | None]:
        z, p, y = logits[chosen], probabilities[chosen], labels[chosen]
        predictions = predict(z, p, y)
        return [
            metrics.accuracy(predictions),
            metrics.top5(z, y),
            metrics.nll(p, y),
            metrics.brier(p, y),
            metrics.ece(predictions),
            metrics.ece_adaptive(predictions),
            metrics.macro_f1(predictions, num_classes),
        ]

    assert measures(order) == pytest.approx(measures(np.arange(num_examples)), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_probability_0_stays_finite(dtype: type[np.floating]) -> None:
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0]], dtype=dtype)
    value = metrics.nll(probabilities, np.array([0, 1]))
    # -ln 2^-1022, the smallest normal number, for one image of two
    assert value == pytest.approx(1022 * math.log(2) / 2)


def test_means_are_taken_in_double_precision() -> None:
    probabilities = np.zeros((4001, 2), dtype=np.float32)
    probabilities[:, 0] = 1
    labels = np.zeros(4001, dtype=np.int64)
    labels[0] = 1
    predictions = predict(probabilities, probabilities, labels)
    assert metrics.accuracy(predictions) == 4000 / 4001
    assert metrics.ece(predictions) == metrics.ece_adaptive(predictions) == 1 / 4001
    assert metrics.brier(probabilities, labels) == 2 / 4001


def test_reliability_is_scikit_learns_calibration_curve() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.2, 1, 500).astype(np.float32)
    predicted = (random.uniform(size=500) < confidence).astype(np.uint8)
    predictions = Predictions(
        label=np.ones(500, dtype=np.uint8), predicted=predicted, confidence=confidence
    )
    share, mean, right = reliability(predictions)
    accuracy, expected = calibration_curve(predicted, confidence, n_bins=NUM_BINS)
    seen = share > 0
    assert mean[seen] == pytest.approx(expected)
    assert right[seen] == pytest.approx(accuracy)
    assert np.isnan(mean[~seen]).all()
    assert np.sum(share[seen] * np.abs(right[seen] - mean[seen])) == pytest.approx(
        metrics.ece(predictions)
    )
