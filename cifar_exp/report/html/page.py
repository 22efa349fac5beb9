"""The report as one HTML file, without scripts and external resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from cifar_exp.comparison import Ranking
from cifar_exp.report.figures.colours import Palette
from cifar_exp.report.html.excerpt import template, with_code
from cifar_exp.report.html.tables import Table, fairness_table, made_table, ranking_table
from cifar_exp.report.text.factors import loss_and_optimizer, losses_and_optimizers
from cifar_exp.report.text.next_step import ONE, next_step
from cifar_exp.report.text.sentences import explanation, fairness, sentences, verdict, warnings
from cifar_exp.report.text.table import mean_text
from cifar_exp.system.formatting import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A section of the page: a figure, a table, or a text that says why there is none."""

    id: str
    title: str
    text: str = ""
    svg: str = ""
    table: Table | None = None


def page(
    ranking: Ranking,
    palette: Palette,
    sections: Sequence[Section],
    trained: tuple[date, date] | None = None,
) -> str:
    """Return the HTML of the page; all text is escaped except the SVG of figures."""
    texts = sentences(ranking)
    shown_elsewhere = {verdict(ranking), next_step(ranking), *fairness(ranking)}
    return template("page").render(
        ranking=ranking,
        subject=losses_and_optimizers(ranking),
        about=f"{_summary(ranking)} {_place_and_time(ranking, trained)}".strip(),
        verdict=with_code(_verdict(ranking)),
        explanation=explanation(ranking),
        sentences=[with_code(text) for text in texts if text not in shown_elsewhere],
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


def _summary(ranking: Ranking) -> str:
    """Return a sentence about what was compared."""
    definition = ranking.definition
    trials = sum(row.trials for row in ranking.combinations)
    confirmed = sum(row.seeds + row.seeds_failed for row in ranking.combinations)
    subject = [definition[name] for name in ("dataset", "model") if name in definition]
    epochs = [counted(int(definition["epochs"]), "epoch")] if "epochs" in definition else []
    size = [
        f"{counted(len(ranking.combinations), 'combination')} of {loss_and_optimizer(ranking)}",
        counted(trials, "trial"),
        counted(confirmed, "confirmation"),
    ]
    return ", ".join([*subject, *epochs, *size]) + "."


def _place_and_time(ranking: Ranking, trained: tuple[date, date] | None) -> str:
    """Return a sentence on when and on which processor the trainings were; empty if not known."""
    days = [] if trained is None else [" to ".join(dict.fromkeys(map(str, trained))) + " (UTC)"]
    places = [
        f"{c.name} {c.value}" + ("" if c.same else " (not all, see Fairness)")
        for c in ranking.fairness
        if c.name in ("device", "processor")
    ]
    return f"Trained: {', '.join([*days, *places])}." if days or places else ""


def _verdict(ranking: Ranking) -> str:
    """Return the verdict, the mean of the first combination, and warnings, as one paragraph."""
    sentence = verdict(ranking) or "No combination has a result yet, so there is nothing to rank."
    first = [
        f"The first has a mean {ranking.method.measure.label} of {mean_text(ranking, row)} over "
        f"{counted(len(row.values), ONE[ranking.replicates])}."
        for row in ranking.combinations[:1]
        if row.mean is not None
    ]
    return " ".join(filter(None, [sentence, *first, next_step(ranking), *warnings(ranking)]))
