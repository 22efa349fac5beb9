"""All figures of a ranking, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from matplotlib.figure import Figure

from cifar_exp.comparison import Ranking
from cifar_exp.components.validation import quoted
from cifar_exp.errors import BadInput
from cifar_exp.report.figures import order, training, tuning
from cifar_exp.report.figures.colours import Palette, palette
from cifar_exp.report.figures.confusion import confusion_matrix
from cifar_exp.report.figures.evidence import Evidence
from cifar_exp.report.figures.picture import Picture, style


class Subject:
    """What figures are drawn of.

    Args:
        ranking: The ranking.
        read_evidence: Returns learning curves and predictions; called when a figure needs them.
    """

    def __init__(self, ranking: Ranking, read_evidence: Callable[[], Evidence]) -> None:
        self.ranking = ranking
        self._read_evidence = read_evidence

    @cached_property
    def colours(self) -> Palette:
        """The colours of the combinations."""
        return palette(self.ranking)

    @cached_property
    def evidence(self) -> Evidence:
        """Learning curves and predictions."""
        return self._read_evidence()


PICTURES: Mapping[str, Callable[[Subject], Picture | None]] = {
    "heat-map": lambda of: order.heat_map(of.ranking),
    "differences": lambda of: order.differences(of.ranking, of.evidence.predictions),
    "seeds": lambda of: order.seeds(of.ranking, of.colours),
    "p-best": lambda of: order.best_shares(of.ranking, of.colours),
    "learning-curves": lambda of: training.learning_curves(
        of.ranking, of.evidence.curves, of.colours
    ),
    "lr-response": lambda of: tuning.lr_response(of.ranking, of.colours),
    "budget": lambda of: tuning.budget(of.ranking, of.colours),
    "cost": lambda of: tuning.cost(of.ranking, of.colours),
    "reliability": lambda of: training.reliability_diagrams(of.ranking, of.evidence, of.colours),
    "confusion": lambda of: confusion_matrix(of.ranking, of.evidence.predictions),
}
"""Draws each figure, by the name of its files; None where the data for it is missing."""


def figure_of(subject: Subject, name: str) -> Figure:
    """Draw the figure with this name, in which a space may stand for a hyphen.

    Raises:
        BadInput: There is no such figure.
    """
    draw = PICTURES.get(name.replace(" ", "-"))
    if draw is None:
        names = ", ".join(known.replace("-", " ") for known in PICTURES)
        raise BadInput(f"unknown figure {quoted(name)}; there are {names}")
    with style():
        picture = draw(subject)
    if picture is None:
        raise BadInput(f"{subject.ranking.experiment} has no data for the figure {quoted(name)}")
    return picture.figure
