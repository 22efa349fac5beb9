"""Figures of tuning: response to the learning rate, budget curves, accuracy against time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullFormatter

from cifar_exp.comparison import Ranking, Row
from cifar_exp.report.figures.colours import GREY, Palette
from cifar_exp.report.figures.picture import Picture, blank, within

PANELS_PER_ROW = 3
CROWDED = " Colours and markers: may be the best; grey: the others."


def lr_response(ranking: Ranking, palette: Palette) -> Picture | None:
    """Draw validation accuracy over learning rate, one panel per optimizer."""
    rows = [row for row in ranking.combinations if row.lr_response]
    if not rows:
        return None
    optimizers = sorted({row.optimizer for row in rows})
    lines = -(-len(optimizers) // PANELS_PER_ROW)
    figure = blank(0.3 + 2.5 * lines + legend_inches(palette))
    columns = min(PANELS_PER_ROW, len(optimizers))
    panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for axes, optimizer in zip(panels, optimizers, strict=False):
        axes.set_title(optimizer, fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("learning rate")
        for row in _grey_first(rows, palette):
            if row.optimizer == optimizer:
                rates, accuracies = zip(*row.lr_response, strict=True)
                _line(axes, row.combination, rates, accuracies, palette)
    panels[0].set_ylim(within(panels[0].get_ylim()))
    for axes in panels[len(optimizers) :]:
        axes.set_visible(False)
    figure.supylabel("validation accuracy in %", fontsize=9)
    add_legend(figure.axes[: len(optimizers)], palette)
    return Picture(
        name="lr-response",
        title="Response to the learning rate",
        caption="Validation accuracy of every complete trial at its learning rate, batch sizes "
        f"mixed.{CROWDED if palette.crowded else ''}",
        figure=figure,
    )


def budget(ranking: Ranking, palette: Palette) -> Picture | None:
    """Draw the best validation accuracy over the number of trials."""
    rows = [row for row in ranking.combinations if row.expected_best]
    if not rows:
        return None
    figure = blank(3.6 + legend_inches(palette))
    axes = figure.add_subplot()
    for row in _grey_first(rows, palette):
        trials = range(1, 1 + len(row.expected_best))
        _line(axes, row.combination, trials, row.expected_best, palette)
    of_studies = "; mean over the studies" if ranking.replicates == "studies" else ""
    axes.set_xlabel("trials")
    axes.set_ylabel("best validation accuracy in %")
    axes.set_ylim(within(axes.get_ylim()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend([axes], palette)
    return Picture(
        name="budget",
        title="Budget curves",
        caption="Best validation accuracy over the number of trials: "
        f"{ranking.budget_curve}{of_studies}.{CROWDED if palette.crowded else ''}",
        figure=figure,
    )


def cost(ranking: Ranking, palette: Palette) -> Picture | None:
    """Draw the mean yardstick over the training time of all trials."""
    rows = [row for row in ranking.combinations if row.mean is not None and row.seconds > 0]
    if not rows:
        return None
    measure = ranking.method.measure
    scale = 100 if measure.percent else 1
    figure = blank(3.6 + legend_inches(palette))
    axes = figure.add_subplot()
    for row in _grey_first(rows, palette):
        name = row.combination
        axes.plot(
            seconds_without_divergence(row),
            scale * (row.mean or 0.0),
            palette.marker(name),
            color=palette.line(name),
            markersize=7 if name in palette.standing_out else 5,
            label=name,
            clip_on=False,
        )
    axes.set_xlabel("training time of all trials in seconds")
    axes.set_ylabel(f"{measure.label} in %" if measure.percent else measure.label)
    axes.set_ylim(within(axes.get_ylim(), measure.bounds, scale))
    add_legend([axes], palette)
    better = "Lower" if ranking.smaller_is_better else "Higher"
    return Picture(
        name="cost",
        title="Result and tuning time",
        caption=f"{better} and further left is better. The time is that of all trials of a "
        "combination, without confirmations. A trial that diverged early counts as long as a "
        "complete one on average, so divergence saves no time; a pruned trial counts with the time "
        f"it took.{CROWDED if palette.crowded else ''}",
        figure=figure,
    )


def seconds_without_divergence(row: Row) -> float:
    """Return the time of all trials; a diverged one counts as long as the complete ones."""
    complete = [t.seconds for t in row.trial_results if t.state == "COMPLETE"]
    if not complete:
        return row.seconds
    usual = statistics.fmean(complete)
    return sum(max(t.seconds, usual) if t.diverged else t.seconds for t in row.trial_results)


def add_legend(axes: Sequence[Axes], palette: Palette) -> None:
    """Add a legend of the highlighted lines below the axes, in rank order."""
    handles = {
        label: handle
        for panel in axes
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    names = [name for name in palette.standing_out if name in handles]
    longest = max(map(len, names), default=0)
    axes[0].figure.legend(
        [handles[name] for name in names],
        names,
        loc="outside lower center",
        ncols=3 if longest < 26 else 2 if longest < 40 else 1,
        fontsize=8,
    )


def legend_inches(palette: Palette) -> float:
    """Return the height of the legend in inches."""
    longest = max(map(len, palette.standing_out), default=0)
    columns = 3 if longest < 26 else 2 if longest < 40 else 1
    return 0.2 * -(-len(palette.standing_out) // columns)


def _grey_first(rows: Sequence[Row], palette: Palette) -> list[Row]:
    """Sort grey lines first, so that they are drawn behind the others."""
    return sorted(rows, key=lambda row: row.combination in palette.standing_out)


def _line(
    axes: Axes, name: str, positions: Sequence[float], accuracies: Sequence[float], palette: Palette
) -> None:
    axes.plot(
        positions,
        [100 * value for value in accuracies],
        color=palette.line(name),
        marker=palette.marker(name),
        markersize=4,
        linewidth=0.8 if palette.line(name) == GREY else 1.5,
        label=name,
        clip_on=False,
    )
