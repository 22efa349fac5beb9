"""What a ranking advises to do next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cifar_exp.comparison import Ranking, Row
from cifar_exp.report.text.next_step import next_step
from cifar_exp.report.text.sentences import sentences
from tests.rankings import ranking, row


def of(rank: int, name: str, *values: float) -> Row:
    mean = sum(values) / len(values)
    return row(rank, name, test_accuracies=values, test_accuracy_mean=mean, seeds=len(values))


FAR = of(1, "a+x", 0.50, 0.52, 0.54), of(2, "b+x", 0.48, 0.50, 0.52)
"""Means one standard deviation of .02 apart: 14 of each, by Cohen's tables."""
NEAR = of(2, "c+x", 0.499, 0.519, 0.539)
"""0.1 points behind the first."""


def studies(given: Ranking, **changes: Any) -> Ranking:
    return replace(given, replicates="studies", **changes)


def test_the_number_that_would_decide() -> None:
    given = ranking(*FAR)
    assert given.replicates_to_decide == 14
    assert next_step(given) == (
        "To do next: 11 more seeds of 2 combinations would probably decide (each with 80 % "
        'probability, if differences and spreads are as observed): `confirm.until = "decided"`, '
        "`confirm.most = 14` in the definition, then `cifar-exp run FILE` again."
    )
    assert next_step(given) in sentences(given)


def test_those_that_do_not_matter_are_left_out() -> None:
    text = next_step(ranking(FAR[0], NEAR, replace(FAR[1], rank=3)))
    assert "differences up to 0.50 points to the first are left out" in text
    assert "`confirm.indifferent = 0.5`" in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (ranking(FAR[0], NEAR), "nothing; the means of those that may be the best differ by at"),
        (studies(ranking(*FAR), replicates_to_decide=4), ": 1 more study of 2 combinations"),
        (replace(ranking(*FAR), replicates_to_decide=None), "more than 1000 seeds would be"),
        (replace(ranking(*FAR), yardstick="test_nll"), "observed): `confirm.seeds = 14` in"),
        (
            replace(ranking(*FAR), definition={"most": "5"}, ended="most reached"),
            "observed): `confirm.most = 14` in",
        ),
        (replace(ranking(*FAR), definition={"most": "5"}), "more replicates are still to be"),
        (ranking(of(1, "a+x", 0.5), of(2, "b+x", 0.4)), "`confirm.seeds = 5` in the definition"),
        (ranking(FAR[0], of(2, "b+x", 0.1, 0.11, 0.12)), "`search.studies = 5` in the definition"),
    ],
)
def test_every_other_advice(given: Ranking, said: str) -> None:
    assert said in next_step(given)


@pytest.mark.parametrize(
    "given",
    [ranking(FAR[0]), ranking(), studies(ranking(FAR[0], of(2, "b+x", 0.1, 0.11, 0.12)))],
)
def test_nothing_is_left_to_do(given: Ranking) -> None:
    assert next_step(given) == ""
