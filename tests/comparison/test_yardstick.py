"""Which value a ranking compares where temperature scaling changes it, and what it says of it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from cifar_exp.api.comparison import by_one_yardstick
from cifar_exp.comparison import Method, Ranking, rank
from cifar_exp.comparison.across import across
from cifar_exp.components.metrics.metrics import SCALED
from cifar_exp.records import RunRecord
from cifar_exp.report.text.across import across_sentences
from cifar_exp.report.text.sentences import sentences
from tests.records import combination, confirmation, sweep, trial

RAW, AFTER = (3.0, 3.1), (0.4, 0.5)
"""NLL of a combination that is the worst as it is, and the best after scaling."""


def measured(name: str, raw: tuple[float, ...], after: tuple[float, ...]) -> list[RunRecord]:
    """Return a combination with these NLLs; `after` may be of fewer confirmations."""
    scores = [{"test_accuracy": 0.5, "test_nll": nll} for nll in raw]
    for known, nll in zip(scores, after, strict=False):
        known["test_nll_scaled"] = nll
    confirmed = [
        confirmation(name, number, 0.5, metrics=known) for number, known in enumerate(scores, 1)
    ]
    return [combination(name), trial(name, 0, 0.5), *confirmed]


def ranked(yardstick: str, after: tuple[float, ...] = AFTER) -> Ranking:
    records = [*measured("a+x", RAW, after), *measured("b+x", (1.0, 1.1), (1.0, 1.1))]
    return rank([sweep(), *records], method=Method(yardstick=yardstick))


@pytest.mark.parametrize(
    ("asked", "after", "used", "first"),
    [
        ("nll", AFTER, "test_nll_scaled", "a+x"),
        ("test_nll_scaled", AFTER, "test_nll_scaled", "a+x"),
        ("test_nll", AFTER, "test_nll", "b+x"),
        ("nll", AFTER[:1], "test_nll", "b+x"),
        ("nll", (), "test_nll", "b+x"),
        ("accuracy", AFTER, "test_accuracy", "a+x"),
    ],
)
def test_a_quantity_is_compared_after_scaling_if_all_have_that_value(
    asked: str, after: tuple[float, ...], used: str, first: str
) -> None:
    found = ranked(asked, after)
    assert (found.yardstick, found.combinations[0].combination) == (used, first)
    assert found.method.yardstick == used


SAID = {
    ("nll", AFTER): "Ranked by test NLL after temperature scaling, one number per network",
    (
        "test_nll",
        AFTER,
    ): "logits to probabilities (--yardstick test_nll_scaled ranks after scaling)",
    ("nll", AFTER[:1]): "some confirmations, of an older version, have no value after scaling",
}


@pytest.mark.parametrize(("asked", "after"), SAID)
def test_the_ranking_says_which_value_and_why(asked: str, after: tuple[float, ...]) -> None:
    found = ranked(asked, after)
    [sentence] = [text for text in sentences(found) if "scaling" in text]
    assert SAID[asked, after] in sentence
    assert "depends on how each loss maps logits to probabilities" in sentence
    assert not [text for text in sentences(ranked("accuracy", after)) if "scaling" in text]


def test_several_experiments_say_it_too() -> None:
    rankings = [ranked("nll"), replace(ranked("nll"), experiment="another")]
    assert [text for text in across_sentences(across(rankings)) if "after temperature" in text]


def test_several_experiments_are_ranked_by_one_yardstick() -> None:
    """One of them has no values after scaling."""
    stored: Any = [
        SimpleNamespace(ranking=lambda method, after=after: ranked(method.yardstick, after))
        for after in (AFTER, ())
    ]
    both = by_one_yardstick(stored, Method(yardstick="nll"))
    assert [found.yardstick for found in both] == ["test_nll"] * 2
    alike = by_one_yardstick(stored[:1] * 2, Method(yardstick="nll"))
    assert [found.yardstick for found in alike] == ["test_nll_scaled"] * 2


def test_a_yardstick_before_any_confirmation_is_the_raw_one() -> None:
    assert Method(yardstick="ece").resolved([]).yardstick == "test_ece"
    assert SCALED.keys() == {"nll", "brier", "ece", "ece_adaptive"}
