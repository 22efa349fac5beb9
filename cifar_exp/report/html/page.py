"""The report as one HTML file that needs no script and no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from cifar_exp.comparison import Ranking
from cifar_exp.report.figures.colours import Palette
from cifar_exp.report.html.tables import Table, fairness_table, made_table, ranking_table
from cifar_exp.report.text.sentences import fairness, sentences, verdict, warnings
from cifar_exp.report.text.table import mean_text

TEMPLATE = Path(__file__).with_name("page.html.jinja")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of the page: a figure, a table, or a line that says why there is none."""

    id: str
    title: str
    text: str = ""
    svg: str = ""
    table: Table | None = None


def page(ranking: Ranking, palette: Palette, sections: Sequence[Section]) -> str:
    """Return the page; every text is escaped, the figures' SVG is taken as it is."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined
    )
    said = sentences(ranking)
    apart = {verdict(ranking), *fairness(ranking)}
    return environment.get_template(TEMPLATE.name).render(
        ranking=ranking,
        about=_about(ranking),
        verdict=_verdict(ranking),
        sentences=[text for text in said if text not in apart],
        sections=[
            {
                "id": section.id,
                "title": section.title,
                "text": section.text,
                "svg": Markup(section.svg),
                "table": section.table,
            }
            for section in sections
        ],
        tables={
            "ranking": ranking_table(ranking, palette),
            "fairness": fairness_table(ranking),
            "made": made_table(ranking),
        },
    )


def _about(ranking: Ranking) -> str:
    """Say what was compared."""
    given = ranking.definition
    trials = sum(row.trials for row in ranking.combinations)
    confirmed = sum(row.seeds + row.seeds_failed for row in ranking.combinations)
    what = [given[name] for name in ("dataset", "model") if name in given]
    epochs = [f"{given['epochs']} epochs"] if "epochs" in given else []
    count = len(ranking.combinations)
    counted = [
        f"{count} combination{'' if count == 1 else 's'} of loss and optimizer",
        f"{trials} trials",
        f"{confirmed} confirmations",
    ]
    return ", ".join([*what, *epochs, *counted]) + "."


def _verdict(ranking: Ranking) -> str:
    """Say who is best in one paragraph, and what to beware of."""
    said = verdict(ranking) or "No combination has a result yet, so there is nothing to rank."
    first = [
        f"The first has a mean {ranking.method.measure.label} of {mean_text(ranking, row)} over "
        f"{len(row.values)} seed{'' if len(row.values) == 1 else 's'}."
        for row in ranking.combinations[:1]
        if row.mean is not None
    ]
    return " ".join([said, *first, *warnings(ranking)])
