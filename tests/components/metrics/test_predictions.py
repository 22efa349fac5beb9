from __future__ import annotations

import numpy as np
import pytest

from tests.components.metrics.one_network import predict


def test_the_largest_logit_decides_where_probabilities_are_equal() -> None:
    logits = np.array([[800.0, 900.0, 100.0], [3.0, 1.0, 3.0]])
    probabilities = np.array([[0.5, 0.5, 0.0], [0.4, 0.2, 0.4]])
    predictions = predict(logits, probabilities, np.array([0, 2]))
    assert predictions.predicted.tolist() == [1, 0]  # the first of equal logits
    assert predictions.confidence.tolist() == [0.5, np.float32(0.4)]
    assert predictions.correct.tolist() == [False, False]


@pytest.mark.parametrize(
    ("num_classes", "kind"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (70_000, np.uint32)]
)
def test_classes_are_of_the_smallest_type(num_classes: int, kind: type) -> None:
    logits = np.eye(2, num_classes, k=num_classes - 2)
    predictions = predict(logits, logits, np.array([num_classes - 2, num_classes - 1]))
    assert predictions.label.dtype == predictions.predicted.dtype == kind
    assert predictions.confidence.dtype == np.float32
    assert predictions.label.tolist() == predictions.predicted.tolist()
    assert predictions.correct.all()
