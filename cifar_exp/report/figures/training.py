"""Figures of the confirmations: learning curves and reliability diagrams."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from cifar_exp.comparison import Curve, Curves, Ranking, Row
from cifar_exp.components.metrics.calibration import NUM_BINS, reliability
from cifar_exp.components.metrics.metrics import SCALED
from cifar_exp.components.metrics.predictions import Predictions, pooled
from cifar_exp.report.figures.colours import Palette
from cifar_exp.report.figures.evidence import Evidence
from cifar_exp.report.figures.picture import Picture, blank, within
from cifar_exp.report.figures.tuning import CROWDED, add_legend, legend_inches

PANELS_PER_ROW = 4
MAX_PANELS = 12
FEW_IMAGES = 30  # in a bin: the error of its accuracy is up to 9 points


def learning_curves(ranking: Ranking, curves: Curves, palette: Palette) -> Picture | None:
    """Draw validation accuracy over epochs: mean over seeds, with a band from lowest to highest."""
    names = [
        row.combination for row in ranking.combinations if any(curves.get(row.combination, ()))
    ]
    if not names:
        return None
    figure = blank(3.8 + legend_inches(palette))
    axes = figure.add_subplot()
    for name in sorted(names, key=lambda name: name in palette.standing_out):
        _curve(axes, name, [curve for curve in curves[name] if curve], palette)
    if ranking.target is not None:
        axes.axhline(100 * ranking.target, color="#666666", linewidth=0.8, linestyle="--")
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy in %")
    axes.set_ylim(within(axes.get_ylim()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend([axes], palette)
    return Picture(
        name="learning-curves",
        title="Learning curves",
        caption="Validation accuracy of the confirmations after each epoch: their mean, "
        "the band from the lowest to the highest. Dashed: the target accuracy."
        f"{CROWDED if palette.crowded else ''}",
        figure=figure,
    )


def reliability_diagrams(ranking: Ranking, evidence: Evidence, palette: Palette) -> Picture | None:
    """Draw accuracy over confidence, one panel per combination."""
    known = [row for row in ranking.combinations if evidence.predictions.get(row.combination)]
    if not known:
        return None
    rows = known[:MAX_PANELS]
    columns = min(PANELS_PER_ROW, len(rows))
    lines = -(-len(rows) // columns)
    figure = blank(0.4 + 2.1 * lines)
    panels = list(figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat)
    for axes, row in zip(panels, rows, strict=False):
        _reliability(axes, row, evidence.predictions[row.combination], palette)
    for axes in panels[len(rows) :]:
        axes.set_visible(False)
    figure.supxlabel("confidence in %", fontsize=9)
    figure.supylabel("accuracy in %", fontsize=9)
    omitted = f" The first {MAX_PANELS} of {len(known)}." if len(known) > MAX_PANELS else ""
    return Picture(
        name="reliability",
        title="Calibration",
        caption="Test images of all confirmations, by the probability of the predicted class in "
        f"{NUM_BINS} bins: on the diagonal, confidence equals accuracy; below it, it is too high. "
        "Line with points: by the loss's own map from logits to probabilities; faint: bins with "
        f"fewer than {FEW_IMAGES} images, which say little; grey bars: share of images. Dotted: "
        "after temperature scaling on the validation split, which compares losses and not their "
        f"maps. ECE, as a fraction: mean of the confirmations, after scaling: →.{omitted}",
        figure=figure,
    )


def _curve(axes: Axes, name: str, curves: Sequence[Curve], palette: Palette) -> None:
    """Draw the curves of one combination; the mean of an epoch is over the curves that reach it."""
    by_epoch: dict[int, list[float]] = {}
    for curve in curves:
        for point in curve:
            by_epoch.setdefault(point.epoch, []).append(100 * point.accuracy)
    epochs = sorted(by_epoch)
    highlighted = name in palette.standing_out
    axes.plot(
        epochs,
        [statistics.fmean(by_epoch[epoch]) for epoch in epochs],
        color=palette.line(name),
        marker=palette.marker(name) if highlighted else None,
        markersize=4,
        markevery=max(1, len(epochs) // 12),
        linewidth=1.5 if highlighted else 0.8,
        label=name,
    )
    if highlighted:
        low, high = ([extreme(by_epoch[epoch]) for epoch in epochs] for extreme in (min, max))
        axes.fill_between(epochs, low, high, color=palette.line(name), alpha=0.15, linewidth=0)


def _reliability(
    axes: Axes, row: Row, predictions: Sequence[Predictions], palette: Palette
) -> None:
    share, confidence, accuracy = reliability(pooled(predictions))
    centres = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
    colour, num_images = palette.colours[row.combination], sum(len(p.label) for p in predictions)
    axes.bar(100 * centres, 100 * share, width=90 / NUM_BINS, color="#dddddd")
    axes.plot([0, 100], [0, 100], color="#666666", linewidth=0.8, linestyle="--")
    seen, many = share > 0, share * num_images >= FEW_IMAGES - 0.5
    for shown, alpha in ((seen, 0.3), (many, 1.0)):
        axes.plot(
            100 * np.where(shown, confidence, np.nan)[seen],
            100 * np.where(shown, accuracy, np.nan)[seen],
            color=colour,
            alpha=alpha,
            marker="o",
            markersize=3.5,
        )
    _draw_scaled(axes, predictions, colour)
    axes.set_title(f"{_short(row.combination)}{_ece(row)}", fontsize=8)
    axes.set(xlim=(0, 100), ylim=(0, 100))


def _draw_scaled(axes: Axes, predictions: Sequence[Predictions], colour: str) -> None:
    """Draw the curve after temperature scaling, if all confirmations have it."""
    scaled = [of_seed.after_scaling() for of_seed in predictions]
    known = [of_seed for of_seed in scaled if of_seed is not None]
    if len(known) == len(scaled):
        share, confidence, accuracy = reliability(pooled(known))
        seen = share > 0
        ends = (100 * confidence[seen], 100 * accuracy[seen])
        axes.plot(*ends, color=colour, linestyle=":", linewidth=1.2)


def _ece(row: Row) -> str:
    """Return the line of a title with the mean calibration error, before and after scaling."""
    raw, scaled = (row.metric_means.get(f"test_{name}") for name in ("ece", SCALED["ece"]))
    after = "" if scaled is None else f" → {scaled:.3f}"
    return "" if raw is None else f"\nECE {raw:.3f}{after}"


def _short(name: str) -> str:
    """Break a long name after its plus sign, so that it fits above a panel."""
    return name if len(name) <= 22 else name.replace("+", "+\n", 1)
