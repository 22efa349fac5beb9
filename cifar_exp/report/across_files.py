"""The files of a comparison of several experiments."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from cifar_exp.comparison.across import Across
from cifar_exp.report.figures.colours import HUES, MARKERS
from cifar_exp.report.figures.order import rows_figure
from cifar_exp.report.figures.picture import Picture, store, style
from cifar_exp.report.text.across import across_csv, across_json, across_markdown

TEXTS = {"csv": across_csv, "json": across_json, "md": across_markdown}
NAME = "across"


def write_across(across: Across, folder: Path) -> list[Path]:
    """Write a comparison into a folder: `across.` csv, json, md, png and svg; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, to_text in TEXTS.items():
        (folder / f"{NAME}.{suffix}").write_text(to_text(across), encoding="utf-8")
    with style():
        store(ranks_figure(across), folder)
    return [folder / f"{NAME}.{suffix}" for suffix in (*TEXTS, "png", "svg")]


def ranks_figure(across: Across) -> Picture:
    """Draw every rank of each combination and their mean; grey is not distinguishable."""
    figure, axes = rows_figure([row.combination for row in across.combinations])
    for number, experiment in enumerate(across.experiments):
        axes.plot(
            [row.places[number].rank for row in across.combinations],
            range(len(across.combinations)),
            linestyle="none",
            marker=MARKERS[number % len(MARKERS)],
            color=HUES[number % len(HUES)],
            alpha=0.7,
            label=experiment,
        )
    for place, row in enumerate(across.combinations):
        axes.plot(row.mean_rank, place, "|", color="black", markersize=14, markeredgewidth=2)
    _draw_critical_difference(axes, across)
    axes.set_xlabel("rank (1 is best); the black stroke is the mean")
    axes.set_xlim(0.5, len(across.combinations) + 0.5)
    figure.legend(loc="outside upper center", ncols=min(4, len(across.experiments)))
    return Picture(
        name=NAME,
        title="Ranks in every experiment",
        caption="A mark is a rank in one experiment, the stroke the mean over experiments.",
        figure=figure,
    )


def _draw_critical_difference(axes: Axes, across: Across) -> None:
    """Shade what cannot be told from the first, where there are experiments enough to say."""
    if across.critical_difference is None:
        return
    first = across.combinations[0].mean_rank
    axes.axvspan(
        first,
        first + across.critical_difference,
        color="#eeeeee",
        zorder=0,
        label="not distinguishable from the first mean rank",
    )
