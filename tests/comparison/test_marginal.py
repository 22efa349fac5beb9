"""The levels of a factor within the same others, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import stats

from cifar_exp.comparison.factors import Factor
from cifar_exp.comparison.marginal import marginal
from cifar_exp.comparison.ranking import Ranking
from cifar_exp.errors import BadInput
from cifar_exp.report.text.marginal import marginal_csv, marginal_latex, marginal_markdown
from tests.rankings import ranking, row

MEANS = {
    ("mse", "sgd"): {"constant": 0.50, "cosine": 0.56, "step": 0.55},
    ("mse", "adamw"): {"constant": 0.60, "cosine": 0.68, "step": 0.61},
    ("l1", "sgd"): {"constant": 0.40, "cosine": 0.42, "step": 0.43},
    ("l1", "adamw"): {"constant": 0.45, "cosine": 0.45, "step": 0.41},
}


def ranked() -> Ranking:
    rows = [
        replace(
            row(1, f"{loss}+{optimizer}", test_accuracies=(mean - 0.01, mean + 0.01), mean=mean),
            combination=f"{loss}+{optimizer}+{schedule}",
            schedule=schedule,
        )
        for (loss, optimizer), means in MEANS.items()
        for schedule, mean in means.items()
    ]
    return ranking(*sorted(rows, key=lambda row: -(row.mean or 0.0)))


def test_schedules_by_hand() -> None:
    """Means 0.4875, 0.5275, 0.5; cosine is the best in 3 of 4, of which one is a tie."""
    found = marginal(ranked(), "schedule")
    assert found.blocks == ("l1+adamw", "l1+sgd", "mse+adamw", "mse+sgd")
    assert [(level.name, level.best_in) for level in found.levels] == [
        ("cosine", 3),
        ("step", 1),
        ("constant", 1),
    ]
    assert [level.mean for level in found.levels] == pytest.approx([0.5275, 0.5, 0.4875])
    first, step, constant = (level.difference for level in found.levels)
    assert first is None
    assert constant is not None
    assert constant.mean == pytest.approx((0.06 + 0.08 + 0.02 + 0.0) / 4)
    expected = stats.ttest_rel([0.56, 0.68, 0.42, 0.45], [0.50, 0.60, 0.40, 0.45])
    interval = expected.confidence_interval(1 - 0.05 / 3)  # of three pairs
    assert (constant.low, constant.high) == pytest.approx(tuple(interval))
    assert constant.p == pytest.approx(min(1.0, 3 * expected.pvalue))
    assert step is not None
    assert step.mean == pytest.approx(0.0275)


@pytest.mark.parametrize(
    ("factor", "blocks", "first", "best_in"), [("loss", 6, "mse", 6), ("optimizer", 6, "adamw", 5)]
)
def test_other_factors(factor: Factor, blocks: int, first: str, best_in: int) -> None:
    found = marginal(ranked(), factor)
    assert len(found.blocks) == blocks
    assert (found.levels[0].name, found.levels[0].best_in) == (first, best_in)


def test_smaller_may_be_better() -> None:
    found = marginal(replace(ranked(), yardstick="test_nll", smaller_is_better=True), "schedule")
    assert [level.name for level in found.levels] == ["constant", "step", "cosine"]
    worse = found.levels[2].difference
    assert worse is not None
    assert worse.mean == pytest.approx(0.04)


def test_only_complete_blocks_are_compared() -> None:
    complete = ranked()
    rows = [
        replace(row, seeds_failed=1) if row.combination == "mse+sgd+step" else row
        for row in complete.combinations
    ]
    found = marginal(replace(complete, combinations=tuple(rows)), "schedule")
    assert found.left_out == ("mse+sgd",)
    assert len(found.blocks) == 3
    assert "mse+sgd" in marginal_markdown(found)


def test_a_single_block_has_no_interval() -> None:
    rows = [row for row in ranked().combinations if row.combination.startswith("mse+sgd+")]
    found = marginal(ranking(*rows), "schedule")
    assert [level.difference.p for level in found.levels if level.difference] == [None, None]
    assert "no estimate of an error" in marginal_markdown(found)


def test_a_factor_with_one_level_is_refused() -> None:
    rows = [row for row in ranked().combinations if row.schedule == "step"]
    with pytest.raises(BadInput, match="there is no other schedule than step to compare"):
        marginal(ranking(*rows), "schedule")


def test_every_format_has_every_level() -> None:
    found = marginal(ranked(), "schedule")
    for text in (marginal_csv(found), marginal_markdown(found), marginal_latex(found)):
        assert all(name in text for name in ("constant", "cosine", "step"))
    assert len(marginal_csv(found).splitlines()) == 4
