"""Figure of the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from cifar_exp.comparison import Ranking
from cifar_exp.comparison.statistics.estimate import Floats
from cifar_exp.components.metrics.predictions import Predictions, pooled
from cifar_exp.report.figures.picture import Picture, blank

MOST_WRITTEN = 20
"""Number of classes up to which every cell has a number."""


def confusion_matrix(
    ranking: Ranking, predictions: Mapping[str, Sequence[Predictions]]
) -> Picture | None:
    """Draw what the first combination predicts for each class; None without its predictions."""
    first = next((row for row in ranking.combinations if row.rank == 1), None)
    found = predictions.get(first.combination, ()) if first else ()
    if first is None or not found:
        return None
    shares = 100 * confusion(found)
    inches = 1.2 + min(6.0, 0.42 * len(shares))
    figure = blank(inches, inches + 1.2)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    axes.grid(visible=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=20, integer=True))
    axes.set(xlabel="predicted class", ylabel="class")
    figure.colorbar(image, label="% of the images of the class", shrink=0.8)
    if len(shares) <= MOST_WRITTEN:
        for (line, column), share in np.ndenumerate(shares):
            if share >= 0.5:
                colour = "w" if share > 50 else "k"
                axes.text(column, line, f"{share:.0f}", ha="center", va="center", color=colour)
    return Picture(
        name="confusion",
        title="Confusion matrix of the first",
        caption=f"What the networks of {first.combination} predict for the test images of each "
        "class, in % of its images, over all confirmations. On the diagonal they are right; shares "
        "below 0.5 % have no number.",
        figure=figure,
    )


def confusion(predictions: Sequence[Predictions]) -> Floats:
    """Return the fraction of each class (rows) that is predicted as each class (columns), C x C."""
    of_all = pooled(predictions)
    label, predicted = of_all.label.astype(np.int64), of_all.predicted.astype(np.int64)
    num_classes = 1 + int(max(label.max(), predicted.max()))
    counts = np.bincount(label * num_classes + predicted, minlength=num_classes**2)
    table = counts.reshape(num_classes, num_classes).astype(np.float64)
    return np.asarray(table / np.maximum(table.sum(axis=1, keepdims=True), 1))
