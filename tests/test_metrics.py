"""Measures against scikit-learn's, and what they give where it gives nothing finite."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss

from cifar_exp import metrics


def batch(seed: int, num_images: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels."""
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(num_images, num_classes, generator=random)
    return logits, torch.randint(num_classes, (num_images,), generator=random)


sizes = given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(2, 12))


@sizes
@settings(max_examples=30)
def test_accuracy_is_that_of_scikit_learn(seed: int, num_images: int, num_classes: int) -> None:
    logits, labels = batch(seed, num_images, num_classes)
    expected = accuracy_score(labels.numpy(), np.argmax(logits.numpy(), axis=1))
    assert metrics.accuracy(logits, labels) == pytest.approx(expected, abs=1e-15)


@sizes
@settings(max_examples=30)
def test_nll_is_that_of_scikit_learn(seed: int, num_images: int, num_classes: int) -> None:
    logits, labels = batch(seed, num_images, num_classes)
    probabilities = torch.softmax(logits.double(), dim=1)
    expected = log_loss(labels.numpy(), probabilities.numpy(), labels=range(num_classes))
    assert metrics.nll(probabilities, labels) == pytest.approx(expected, rel=1e-12)


def test_by_hand() -> None:
    labels = torch.tensor([0, 1, 1])
    probabilities = torch.tensor([[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]], dtype=torch.float64)
    assert metrics.nll(probabilities, labels) == pytest.approx((math.log(2) + math.log(4)) / 3)
    assert metrics.accuracy(torch.tensor([[2.0, 1], [2, 1], [1, 2]]), labels) == 2 / 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_probability_0_stays_finite(dtype: torch.dtype) -> None:
    probabilities = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=dtype)
    value = metrics.nll(probabilities, torch.tensor([0, 1]))
    # -ln 2^-1022, the smallest normal number, for one image of two
    assert value == pytest.approx(1022 * math.log(2) / 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_means_are_taken_in_double_precision(dtype: torch.dtype) -> None:
    logits = torch.zeros(4001, 2, dtype=dtype)
    logits[:, 0] = 1
    labels = torch.zeros(4001, dtype=torch.int64)
    labels[0] = 1
    assert metrics.accuracy(logits, labels) == 4000 / 4001
