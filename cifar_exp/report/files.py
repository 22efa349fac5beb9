"""The files of a ranking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cifar_exp.comparison import Ranking
from cifar_exp.report.figures import order, training, tuning
from cifar_exp.report.figures.colours import Palette, palette
from cifar_exp.report.figures.evidence import Evidence
from cifar_exp.report.figures.picture import Picture, store, style
from cifar_exp.report.html.page import Section, page
from cifar_exp.report.html.tables import target_table, tuning_table, variance_table
from cifar_exp.report.text.formats import to_csv, to_json, to_markdown

FIGURES = "figures"
PICTURES = (
    *("heat-map", "differences", "seeds", "p-best", "learning-curves"),
    *("lr-response", "budget", "cost", "reliability"),
)
"""The names of all figures that there can be."""
NO_PREDICTIONS = Section(
    id="reliability",
    title="Can the confidence be trusted?",
    text="No run holds its predictions (older versions stored none), so there are no reliability "
    "diagrams.",
)
TEXTS = {"csv": to_csv, "json": to_json, "md": to_markdown}


def write(ranking: Ranking, folder: Path, evidence: Evidence | None = None) -> list[Path]:
    """Write a ranking into a folder: `ranking.` csv, json, md, `report.html`, and figures.

    The same ranking and evidence give the same bytes.

    Args:
        ranking: The ranking.
        folder: It is made where it is not there; its folder `figures` gets PNG and SVG files.
        evidence: Epochs and predictions; sections that need them are left out without it.

    Returns:
        The files.
    """
    colours = palette(ranking)
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    pictures = [figures / f"{name}.{suffix}" for name in PICTURES for suffix in ("png", "svg")]
    for old in pictures:
        old.unlink(missing_ok=True)  # an earlier ranking's figure that this one does not have
    for suffix, to_text in TEXTS.items():
        (folder / f"ranking.{suffix}").write_text(to_text(ranking), encoding="utf-8")
    with style():
        sections = list(_sections(ranking, evidence or Evidence(), colours, figures))
    (folder / "report.html").write_text(page(ranking, colours, sections), encoding="utf-8")
    names = [f"ranking.{suffix}" for suffix in TEXTS]
    written = [folder / name for name in [*names, "report.html"]]
    return sorted([*written, *filter(Path.exists, pictures)])


def _sections(
    ranking: Ranking, evidence: Evidence, colours: Palette, figures: Path
) -> Iterator[Section]:
    """Draw what there is to draw, in the order of the page."""
    yield from _drawn(order.heat_map(ranking), figures)
    yield from _drawn(order.differences(ranking), figures)
    yield from _drawn(order.seeds(ranking, colours), figures)
    yield from _drawn(order.best_shares(ranking, colours), figures)
    yield Section(
        id="variance",
        title="Loss, optimizer, or both?",
        text="Every combination was confirmed on one seed, or all scores are equal, so the "
        "variance cannot be split.",
        table=variance_table(ranking),
    )
    curves = training.learning_curves(ranking, evidence.curves, colours)
    yield from _drawn(curves, figures)
    yield Section(
        id="target",
        title="Time to a target accuracy",
        text="No run holds its epochs, so learning curves and time to a target are not known.",
        table=target_table(ranking, colours),
    )
    yield from _drawn(tuning.lr_response(ranking, colours), figures)
    yield from _drawn(tuning.budget(ranking, colours), figures)
    yield Section(
        id="tuning",
        title="What tuning flatters, and forgives",
        text="No combination has a complete trial.",
        table=tuning_table(ranking, colours),
    )
    yield from _drawn(tuning.cost(ranking, colours), figures)
    reliability = training.reliability_diagrams(ranking, evidence, colours)
    yield from _drawn(reliability, figures) if reliability else [NO_PREDICTIONS]


def _drawn(picture: Picture | None, folder: Path) -> Iterator[Section]:
    if picture is not None:
        svg = store(picture, folder)
        yield Section(id=picture.name, title=picture.title, text=picture.caption, svg=svg)
