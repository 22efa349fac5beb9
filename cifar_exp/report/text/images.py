"""The share of the test images in the error of a difference, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.statistics.estimate import Floats
from cifar_exp.comparison.statistics.images import hit_rates, image_error
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.system.formatting import counted


def image_error_text(ranking: Ranking, predictions: Mapping[str, Sequence[Predictions]]) -> str:
    """Return a sentence on the error of differences to the first that the test images cause.

    It begins with a space; it is empty without predictions of the first and another combination.
    """
    first, *others = (_rates(predictions.get(row.combination, ())) for row in ranking.combinations)
    alike = [other for other in others if len(other) == len(first) > 1]
    if not alike:
        return ""
    errors = sorted(100 * image_error(first, other) for other in alike)
    span = " to ".join(dict.fromkeys(f"{error:.2f}" for error in (errors[0], errors[-1])))
    return (
        f" The test set of {counted(len(first), 'image')} is a sample too: it gives a difference "
        f"in accuracy a standard error of {span} points, which the intervals do not contain."
    )


def _rates(of_seeds: Sequence[Predictions]) -> Floats:
    if not of_seeds:
        return np.zeros(0)
    return hit_rates(np.stack([predictions.correct for predictions in of_seeds]))
