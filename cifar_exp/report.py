"""What a ranking looks like on paper: its files and figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from cifar_exp.comparison import Ranking, to_csv, to_json, to_markdown

ROW_INCHES = 0.4
LETTER_INCHES = 0.14
AXES_INCHES = 5
DOTS_PER_INCH = 150


def write(ranking: Ranking, folder: Path) -> list[Path]:
    """Write a ranking into a folder as `ranking.` csv, json, md, png and svg; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"csv": to_csv, "json": to_json, "md": to_markdown}
    for suffix, to_text in texts.items():
        (folder / f"ranking.{suffix}").write_text(to_text(ranking), encoding="utf-8")
    figure = ranking_figure(ranking)
    figure.savefig(folder / "ranking.png", dpi=DOTS_PER_INCH)
    # Names stay text that can be searched, and the same ranking gives the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cifar_exp"}):
        figure.savefig(folder / "ranking.svg", metadata={"Date": None})
    return sorted(folder.glob("ranking.*"))


def ranking_figure(ranking: Ranking) -> Figure:
    """Draw each combination's test accuracies: a dot a seed, a bar for mean +- std."""
    rows = [row for row in ranking.combinations if row.test_accuracy_mean is not None]
    labels = [f"{row.rank}. {row.combination}" for row in rows]
    width = AXES_INCHES + LETTER_INCHES * max(map(len, labels), default=0)
    height = 1.2 + ROW_INCHES * max(1, len(rows))
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        accuracies = [100 * value for value in row.test_accuracies]
        axes.plot(accuracies, [place] * len(accuracies), "o", color="#0072b2", alpha=0.5)
        axes.errorbar(
            100 * (row.test_accuracy_mean or 0),
            place,
            xerr=100 * (row.test_accuracy_std or 0),
            fmt="|",
            markersize=14,
            capsize=4,
            color="black",
        )
    axes.set_yticks(range(len(rows)), labels)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("test accuracy in %: each seed, and mean ± standard deviation")
    axes.set_title(ranking.experiment)
    return figure
