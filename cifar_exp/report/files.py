"""Writes the files of a ranking and of a comparison across experiments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cifar_exp.comparison import Ranking
from cifar_exp.comparison.across import Across
from cifar_exp.report.figures.colours import HUES, MARKERS
from cifar_exp.report.figures.evidence import Evidence
from cifar_exp.report.figures.order import rows_figure
from cifar_exp.report.figures.picture import SUFFIXES, Picture, store, style
from cifar_exp.report.figures.pictures import PICTURES, Subject
from cifar_exp.report.html.page import Section, page
from cifar_exp.report.html.tables import (
    pairs_table,
    studies_table,
    target_table,
    tuning_table,
    variance_table,
)
from cifar_exp.report.text.across import (
    across_csv,
    across_json,
    across_latex,
    across_markdown,
)
from cifar_exp.report.text.formats import to_json, to_latex, to_markdown
from cifar_exp.report.text.tidy import seeds_csv, to_csv, trials_csv

FIGURES = "figures"
NO_PREDICTIONS = Section(
    id="reliability",
    title="Calibration",
    text="No run has stored predictions (older versions stored none), so there are no reliability "
    "diagrams.",
)
TEXTS = {
    "ranking.csv": to_csv,
    "ranking.json": to_json,
    "ranking.md": to_markdown,
    "ranking.tex": to_latex,
    "seeds.csv": seeds_csv,
    "trials.csv": trials_csv,
}


def write(ranking: Ranking, folder: Path, evidence: Evidence | None = None) -> list[Path]:
    """Write the files of `TEXTS`, `report.html` and figures into a folder.

    The same ranking and evidence produce identical bytes.

    Args:
        ranking: The ranking.
        folder: Created if missing; its subfolder `figures` gets PNG, SVG and PDF files.
        evidence: Learning curves and predictions; without it, sections that need it are omitted.

    Returns:
        The paths of the files, sorted.
    """
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    pictures = [figures / f"{name}.{suffix}" for name in PICTURES for suffix in SUFFIXES]
    for old in pictures:
        old.unlink(missing_ok=True)  # figures of an earlier ranking
    for name, to_text in TEXTS.items():
        (folder / name).write_text(to_text(ranking), encoding="utf-8")
    subject = Subject(ranking, lambda: evidence or Evidence())
    with style():
        sections = list(_sections(subject, figures))
    text = page(ranking, subject.colours, sections, subject.evidence.trained)
    (folder / "report.html").write_text(text, encoding="utf-8")
    written = [folder / name for name in [*TEXTS, "report.html"]]
    return sorted([*written, *filter(Path.exists, pictures)])


def _sections(subject: Subject, figures: Path) -> Iterator[Section]:
    """Yield the sections of the page in order; draws and stores their figures."""
    ranking, colours = subject.ranking, subject.colours
    for name in ("heat-map", "differences", "seeds"):
        yield from _drawn(name, subject, figures)
    yield Section(
        id="pairs",
        title="Study by study" if ranking.replicates == "studies" else "Seed by seed",
        text=f"There are no two combinations with results on common {ranking.replicates}.",
        table=pairs_table(ranking),
    )
    yield from _drawn("p-best", subject, figures)
    yield Section(
        id="variance",
        title="Analysis of variance",
        text="Every combination was confirmed on one seed, or all scores are equal, so the "
        "variance cannot be split.",
        table=variance_table(ranking),
    )
    yield from _drawn("learning-curves", subject, figures)
    yield Section(
        id="target",
        title="Time to a target accuracy",
        text="No run has metrics of its epochs, so learning curves and times are unknown.",
        table=target_table(ranking, colours),
    )
    yield from _drawn("lr-response", subject, figures)
    yield from _drawn("budget", subject, figures)
    studies = studies_table(ranking, colours)
    if studies is not None:
        yield Section(id="studies", title="Studies of each combination", table=studies)
    yield Section(
        id="tuning",
        title="Winner's curse and sensitivity to the learning rate",
        text="No combination has a complete trial.",
        table=tuning_table(ranking, colours),
    )
    yield from _drawn("cost", subject, figures)
    yield from list(_drawn("reliability", subject, figures)) or [NO_PREDICTIONS]
    yield from _drawn("confusion", subject, figures)


def _drawn(name: str, subject: Subject, folder: Path) -> Iterator[Section]:
    picture = PICTURES[name](subject)
    if picture is not None:
        svg = store(picture, folder)
        yield Section(id=picture.name, title=picture.title, text=picture.caption, svg=svg)


ACROSS_TEXTS = {
    "csv": across_csv,
    "json": across_json,
    "md": across_markdown,
    "tex": across_latex,
}
ACROSS = "across"


def write_across(across: Across, folder: Path) -> list[Path]:
    """Write `across.csv`, `.json`, `.md`, `.tex` and a figure into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, to_text in ACROSS_TEXTS.items():
        (folder / f"{ACROSS}.{suffix}").write_text(to_text(across), encoding="utf-8")
    with style():
        store(ranks_figure(across), folder)
    return [folder / f"{ACROSS}.{suffix}" for suffix in (*ACROSS_TEXTS, *SUFFIXES)]


def across_figure(across: Across) -> Figure:
    """Return the figure of `ranks_figure`, in the style of the report."""
    with style():
        return ranks_figure(across).figure


def ranks_figure(across: Across) -> Picture:
    """Draw the ranks of each combination and their mean, with the critical difference in grey."""
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
    for position, row in enumerate(across.combinations):
        axes.plot(row.mean_rank, position, "|", color="black", markersize=14, markeredgewidth=2)
    _draw_critical_difference(axes, across)
    axes.set_xlabel("rank (1 is best); the black stroke is the mean")
    axes.set_xlim(0.5, len(across.combinations) + 0.5)
    figure.legend(loc="outside upper center", ncols=min(4, len(across.experiments)))
    return Picture(
        name=ACROSS,
        title="Ranks in every experiment",
        caption="A mark is a rank in one experiment, the stroke the mean over experiments.",
        figure=figure,
    )


def _draw_critical_difference(axes: Axes, across: Across) -> None:
    """Shade mean ranks that are not distinguishable from the first, if there is a test."""
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
