"""Figures of the ranking: heat map, differences to the first, seeds, P(best)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cifar_exp.comparison import Ranking, Row
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.report.figures.colours import Palette
from cifar_exp.report.figures.picture import WIDTH, Picture, blank, within
from cifar_exp.report.text.images import image_error_text
from cifar_exp.report.text.table import interval_text

ROW_INCHES = 0.28
EDGE_INCHES = 0.9
LETTER_INCHES = 0.13  # width of the widest letters
DOTS = {
    "seeds": "Each dot is one confirmation: the best setting trained on a new seed and scored once "
    "on the test set.",
    "studies": "Each dot is one study: a search of its own, whose best setting was trained on new "
    "seeds and scored once on the test set.",
}
LONG_NAME = 14  # letters; longer column names are rotated


def heat_map(ranking: Ranking) -> Picture | None:
    """Draw the mean of each loss with each optimizer; a frame marks what may be the best.

    Of several schedules each has a panel.
    """
    rows = _scored(ranking)
    if not rows:
        return None
    losses = sorted({row.loss for row in ranking.combinations})
    optimizers = sorted({row.optimizer for row in ranking.combinations})
    schedules = sorted({row.schedule for row in ranking.combinations})
    longest = max(map(len, optimizers))
    rotated = longest if longest > LONG_NAME else 0
    height = EDGE_INCHES + 0.5 * len(losses) + LETTER_INCHES * rotated
    width = max(WIDTH, 2.5 + 1.1 * len(optimizers) + LETTER_INCHES * max(map(len, losses)))
    figure = blank(height * len(schedules), width)
    scale = _scale(ranking)
    means = [scale * (row.mean or 0.0) for row in rows]
    norm = Normalize(min(means), max(means))
    panels = figure.subplots(len(schedules), 1, squeeze=False)[:, 0]
    for axes, schedule in zip(panels, schedules, strict=True):
        of_schedule = [row for row in rows if row.schedule == schedule]
        _draw_cells(axes, ranking, of_schedule, (losses, optimizers), norm)
        axes.tick_params(axis="x", rotation=90 if rotated else 0)
        if len(schedules) > 1:
            axes.set_title(schedule, fontsize=9)
    figure.colorbar(ScalarMappable(norm, _colours(ranking)), ax=panels, label=_label(ranking))
    return Picture(
        name="heat-map",
        title="Every loss with every optimizer" + (" and schedule" if len(schedules) > 1 else ""),
        caption=f"Mean {ranking.method.measure.label} with its {_level(ranking)} interval; lighter "
        "is better. A red frame marks those that may be the best.",
        figure=figure,
    )


def _draw_cells(
    axes: Axes,
    ranking: Ranking,
    rows: Sequence[Row],
    names: tuple[Sequence[str], Sequence[str]],
    norm: Normalize,
) -> None:
    """Draw the combinations of one schedule; `names` are the losses and the optimizers."""
    losses, optimizers = names
    cells = np.full((len(losses), len(optimizers)), np.nan)
    for row in rows:
        mean = _scale(ranking) * (row.mean or 0.0)
        cells[losses.index(row.loss), optimizers.index(row.optimizer)] = mean
    axes.imshow(cells, cmap=_colours(ranking), norm=norm, aspect="auto")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(optimizers)), optimizers)
    axes.set_yticks(range(len(losses)), losses)
    axes.tick_params(length=0, axis="both")
    for row in rows:
        position = (optimizers.index(row.optimizer), losses.index(row.loss))
        fraction = float(np.ma.filled(norm(cells[position[1], position[0]]), 0.0))
        is_dark = (fraction > 0.5) == ranking.smaller_is_better
        axes.text(*position, _cell(ranking, row), ha="center", va="center", color="wk"[not is_dark])
        if row.may_be_best:
            axes.add_patch(_frame(position))


def differences(
    ranking: Ranking, predictions: Mapping[str, Sequence[Predictions]] | None = None
) -> Picture | None:
    """Draw the difference of each combination to the first, with simultaneous intervals.

    Args:
        ranking: The ranking.
        predictions: The predictions of each combination on the test images, for the caption.
    """
    rows = [row for row in ranking.combinations if row.difference_to_best is not None]
    if len(rows) < 2:
        return None
    figure, axes = rows_figure([_name(row) for row in rows])
    scale, rope = _scale(ranking), _scale(ranking) * ranking.rope / 100
    axes.axvspan(-rope, rope, color="#eeeeee", zorder=0)
    axes.axvline(0, color="#666666", linewidth=0.8)
    for position, row in enumerate(rows):
        value = scale * (row.difference_to_best or 0.0)
        colour = "#0072b2" if row.may_be_best else "#555555"
        if row.difference_low is not None and row.difference_high is not None and position > 0:
            ends = [scale * row.difference_low, scale * row.difference_high]
            axes.plot(ends, [position, position], color=colour, linewidth=1.6)
        axes.plot(value, position, "o" if row.may_be_best else "s", color=colour, markersize=5)
    axes.set_xlabel(f"worse than the first by ({_unit(ranking)})")
    largest = ranking.method.measure.range
    axes.set_xlim(within(axes.get_xlim(), (-largest, largest), scale))
    return Picture(
        name="differences",
        title="Difference to the first",
        caption=f"Difference of means to the first, with {_level(ranking)} intervals that hold "
        "for all combinations together. Blue dots: may be the best; dark squares: not. The grey "
        "band is the region of practical equivalence "
        f"(±{ranking.method.measure.difference(ranking.rope / 100)})."
        f"{image_error_text(ranking, predictions or {})}",
        figure=figure,
    )


def seeds(ranking: Ranking, palette: Palette) -> Picture | None:
    """Draw each confirmation as a dot, with the mean and its interval."""
    rows = _scored(ranking)
    if not rows:
        return None
    figure, axes = rows_figure([_name(row) for row in rows])
    scale = _scale(ranking)
    for position, row in enumerate(rows):
        colour = palette.colours[row.combination]
        axes.plot(
            [scale * value for value in row.values],
            [position] * len(row.values),
            "o",
            color=colour,
            markersize=5,
            alpha=0.75,
            clip_on=False,
        )
        mean = scale * (row.mean or 0.0)
        axes.plot(mean, position, "|", color="black", markersize=11)
        if row.interval_low is not None and row.interval_high is not None:
            ends = [scale * row.interval_low, scale * row.interval_high]
            axes.plot(ends, [position, position], color="black", linewidth=1)
    axes.set_xlabel(_label(ranking))
    axes.set_xlim(within(axes.get_xlim(), ranking.method.measure.bounds, scale))
    return Picture(
        name="seeds",
        title="Every study" if ranking.replicates == "studies" else "Every seed",
        caption=f"{DOTS[ranking.replicates]} The mark is the mean of the dots, the line its "
        f"{_level(ranking)} interval.",
        figure=figure,
    )


def best_shares(ranking: Ranking, palette: Palette) -> Picture | None:
    """Draw the probability of being the best as a bar chart."""
    rows = [row for row in ranking.combinations if row.p_best is not None]
    if len(rows) < 2:
        return None
    figure, axes = rows_figure([_name(row) for row in rows])
    for position, row in enumerate(rows):
        fraction = row.p_best or 0.0
        axes.barh(position, fraction, height=0.65, color=palette.colours[row.combination])
        axes.text(fraction + 0.01, position, f"{fraction:.2f}", va="center", fontsize=8)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("P(best)")
    return Picture(
        name="p-best",
        title="Probability of being the best",
        caption=f"Share of 10 000 draws of all means, given the observed {ranking.replicates}, in "
        "which the combination comes first. Means that lie close together are drawn closer "
        "(empirical Bayes), as the first of similar combinations was lucky.",
        figure=figure,
    )


def _colours(ranking: Ranking) -> str:
    return "cividis_r" if ranking.smaller_is_better else "cividis"


def _scored(ranking: Ranking) -> list[Row]:
    return [row for row in ranking.combinations if row.mean is not None]


def rows_figure(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Return a figure with one row per name, the first at the top, and its axes."""
    longest = LETTER_INCHES * max(map(len, names))
    figure = blank(EDGE_INCHES + ROW_INCHES * len(names), max(WIDTH, WIDTH / 2 + longest))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    return figure, axes


def _frame(position: tuple[int, int]) -> Rectangle:
    corner = (position[0] - 0.48, position[1] - 0.47)
    return Rectangle(corner, 0.96, 0.94, fill=False, edgecolor="#d62728", linewidth=2.5)


def _name(row: Row) -> str:
    return row.combination if row.rank is None else f"{row.rank}. {row.combination}"


def _cell(ranking: Ranking, row: Row) -> str:
    measure = ranking.method.measure
    if row.mean is None:
        return ""
    interval = interval_text(measure, row, even="\n± {half}", cut="\n{low} to {high}")
    return f"{measure.text(row.mean)}{interval}"


def _scale(ranking: Ranking) -> int:
    return 100 if ranking.method.measure.percent else 1


def _unit(ranking: Ranking) -> str:
    return "points" if ranking.method.measure.percent else ranking.method.measure.label


def _label(ranking: Ranking) -> str:
    measure = ranking.method.measure
    return f"{measure.label} in %" if measure.percent else measure.label


def _level(ranking: Ranking) -> str:
    return f"{100 * (1 - ranking.alpha):g} %"
