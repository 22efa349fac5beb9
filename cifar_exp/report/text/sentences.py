"""The sentences below the table of a ranking."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_exp.comparison.fairness import Condition
from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.replicates import DECIDED_BY
from cifar_exp.comparison.row import Row
from cifar_exp.report.text.factors import the_loss_or_the_optimizer
from cifar_exp.report.text.next_step import ONE, next_step
from cifar_exp.report.text.search_space import repeated, small_spaces
from cifar_exp.report.text.variance import shares
from cifar_exp.report.text.yardstick import scaling
from cifar_exp.system.formatting import counted, listed

ENOUGH_SEEDS = 5
SHORT_COMMIT = 10
MAY_BE_BEST = (
    "may be best: yes, unless the replicates show that another combination is at least as good. If "
    "the whole comparison were repeated, the true best would have a yes in at least {confidence} "
    "of the repetitions, so the others can be left aside at this risk. Several yes do not mean "
    "equally good: more replicates would tell them apart."
)


def sentences(ranking: Ranking) -> list[str]:
    """Return all sentences: verdict, method, further results, warnings and conditions."""
    writers = (
        *(scope, verdict, next_step, scaling, _differences, _group_method, _method),
        *(_detectable, _equivalent, shares, _curse, _diverged, small_spaces, repeated),
    )
    found = [write(ranking) for write in writers]
    return [text for text in (*found, *warnings(ranking), *fairness(ranking)) if text]


def scope(ranking: Ranking) -> str:
    """Return a sentence on what the results are true for."""
    if not _compared(ranking):
        return ""
    same = "on this validation split and these test images"
    if ranking.replicates == "studies":
        return (
            f"True for each {_joined(ranking)}, tuned in this search space with this budget, "
            f"{same}: each combination was tuned several times, and the errors include the luck of "
            "tuning."
        )
    return (
        f"True for these settings, found by one search each, {same}; not for "
        f"{the_loss_or_the_optimizer(ranking)}: tuned again, another setting may win."
    )


def _joined(ranking: Ranking) -> str:
    first, *others = ranking.factors
    return f"{first} with its {' and '.join(others)}"


def verdict(ranking: Ranking) -> str:
    """Return a sentence on the combinations that may be the best."""
    compared = _compared(ranking)
    if not compared:
        return ""
    first, *others = compared
    if first.may_be_best is None:
        reason = _why_no_interval(ranking, compared)
        return f"{first.combination} is first, but this cannot be tested: {reason}."
    if not others:
        return f"{first.combination} is the only combination that can be compared."
    group = [row.combination for row in compared if row.may_be_best]
    ended = f" {_ended(ranking)}" if ranking.ended and ranking.yardstick == DECIDED_BY else ""
    if not group:
        return f"All that may be the best have lost {ranking.replicates}, so none is named.{ended}"
    if len(group) == 1:
        return f"{group[0]} is the best of {len(compared)}, with {_confidence(ranking)}.{ended}"
    return (
        f"{len(group)} of {len(compared)} may be the best, with {_confidence(ranking)}: "
        f"{listed(group)}.{ended}"
    )


def _ended(ranking: Ranking) -> str:
    """Return why no more replicates are trained."""
    reasons = {
        "one left": "only one may be the best",
        "indifferent": "the difference of those that may be the best does not matter",
        "most reached": "the largest number is reached",
    }
    reason = reasons.get(ranking.ended or "", "no combination has a result")
    return f"No more {ranking.replicates} are trained: {reason}."


def explanation(ranking: Ranking) -> str:
    """Return what the column `may be best` says and does not say, in three sentences."""
    return MAY_BE_BEST.format(confidence=_percent(1 - ranking.group_alpha))


def warnings(ranking: Ranking) -> list[str]:
    """Return sentences on what makes the ranking less reliable."""
    rows = ranking.combinations
    lost = [
        f"{r.combination} ({r.seeds} of {r.seeds + r.seeds_failed})" for r in rows if r.seeds_failed
    ]
    none = [row.combination for row in rows if row.rank is None]
    edges = [f"{row.combination} ({row.lr_edge} end)" for row in rows if row.lr_edge]
    sizes = [len(row.values) for row in rows if row.in_best_group is not None]
    texts = {
        "No result": none,
        "Seeds were lost, so these rank behind and are not compared": lost,
        "Best learning rate at the edge of its range or of those tried, so a better one may lie "
        "outside": edges,
    }
    found = [f"{text}: {listed(names)}." for text, names in texts.items() if names]
    if sizes and min(sizes) < ENOUGH_SEEDS and ranking.spread_pooled is not None:
        found.append(
            f"With {counted(min(sizes), ONE[ranking.replicates])} for some combinations, unequal "
            "spreads may stay undetected and differences to the first are less reliable: use at "
            f"least {ENOUGH_SEEDS} {ranking.replicates}."
        )
    return found


def fairness(ranking: Ranking) -> list[str]:
    """Return sentences on the conditions that were and were not the same for all combinations."""
    same = [f"{c.name} {_short(c.value)}" for c in ranking.fairness if c.same]
    found = [f"The same for all: {'; '.join(same)}."] if same else []
    return [*found, *(_difference(c) for c in ranking.fairness if not c.same)]


def _differences(ranking: Ranking) -> str:
    """Return how much worse than the first the others are, with simultaneous intervals."""
    rows = [row for row in _compared(ranking)[1:] if row.difference_high is not None]
    if not rows:
        return ""
    worse = sum(row.in_best_group is False and not row.may_be_best for row in rows)
    differences = listed(_difference_text(ranking, row) for row in rows)
    return (
        f"How much worse than the first, with {_percent(1 - ranking.alpha)} intervals that hold "
        f"for all together: {differences}. Shown to be worse: {worse} of {len(rows)}."
    )


def _difference_text(ranking: Ranking, row: Row) -> str:
    measure = ranking.method.measure
    by, low, high = (
        value or 0.0 for value in (row.difference_to_best, row.difference_low, row.difference_high)
    )
    interval = f"({measure.text(low)} to {measure.text(high)})"
    return f"{row.combination} {measure.difference(by)} {interval}"


def _group_method(ranking: Ranking) -> str:
    if not any(row.p_may_be_best is not None for row in ranking.combinations):
        return ""
    return (
        "may be best: multiple comparisons with the best (Hsu 1984; Gupta 1965), parametric "
        "bootstrap with own variances."
    )


def _method(ranking: Ranking) -> str:
    if ranking.spread_pooled is None:
        return ""
    level = f"{100 * (1 - ranking.alpha):g} %"
    test = "" if ranking.spread_p is None else f" (Breusch-Pagan p = {ranking.spread_p:.2g})"
    if ranking.spread_pooled:
        variance = f"by Tukey-Kramer, with one variance for all combinations{test}"
    else:
        variance = f"by Welch's t and Holm over all pairs, as spreads differ{test}"
    ranks = f"{100 * ranking.rank_level:g} %"
    return (
        f"± is the {level} t interval of each combination's own {ranking.replicates}. "
        f"Compared {variance}. ranks: {ranks} interval of the rank."
    )


def _detectable(ranking: Ranking) -> str:
    difference = ranking.minimum_detectable_difference
    if difference is None:
        return ""
    sizes = sorted(
        {len(row.values) for row in ranking.combinations if row.in_best_group is not None}
    )
    counts = " to ".join(map(str, sizes[:: max(1, len(sizes) - 1)]))
    seeds = f"{counts} {ranking.replicates}"
    measure = ranking.method.measure
    if difference >= measure.range:
        return f"{seeds} are too few here to show any difference in 80 of 100 sweeps."
    pairs = "" if ranking.spread_pooled else " (the median pair)"
    return (
        f"Smallest difference that {seeds} show in 80 of 100 sweeps{pairs}: "
        f"{measure.difference(difference)}."
    )


def _equivalent(ranking: Ranking) -> str:
    rows = ranking.combinations[1:]
    names = [row.combination for row in rows if row.equivalent]
    if not names:
        return ""
    rope = ranking.method.measure.difference(ranking.rope / 100)
    return f"As good as the first in practice (within {rope}): {listed(names)}."


def _curse(ranking: Ranking) -> str:
    """Return a sentence on the winner's curse in the validation accuracy of the best trials."""
    rows = [row for row in ranking.combinations if row.winners_curse is not None]
    gaps = [(row.winners_curse or 0.0, row.combination) for row in rows if not row.seeds_failed]
    lost = [
        f"{row.combination} at least {100 * (row.winners_curse or 0.0):+.2f}"
        for row in rows
        if row.seeds_failed
    ]
    left_out = f" Without those that lost seeds: {listed(lost)}." if lost else ""
    if not gaps:
        return ""
    largest, name = max(gaps)
    mean = sum(gap for gap, _ in gaps) / len(gaps)
    return (
        "Validation accuracy of the best trials minus that of the same settings on fresh seeds: "
        f"{100 * mean:+.2f} points on average, at most {100 * largest:+.2f} ({name}).{left_out}"
    )


def _diverged(ranking: Ranking) -> str:
    rows = [row for row in ranking.combinations if row.diverged]
    names = [f"{row.combination} {row.diverged} of {row.trials}" for row in rows]
    return f"Diverged trials: {listed(names)}." if names else ""


def _why_no_interval(ranking: Ranking, rows: Sequence[Row]) -> str:
    if "most" in ranking.definition and ranking.ended is None:
        return f"the first {ranking.replicates} of each are not complete"
    if max(len(row.values) for row in rows) < 2:
        return "one seed each gives no estimate of the spread"
    return f"the {ranking.replicates} of each combination have equal values"


def _difference(condition: Condition) -> str:
    others = [f"{_short(value)} for {name}" for name, value in condition.different.items()]
    return f"Not the same: {condition.name} {_short(condition.value)}, but {listed(others)}."


def _compared(ranking: Ranking) -> list[Row]:
    return [row for row in ranking.combinations if row.in_best_group is not None]


def _confidence(ranking: Ranking) -> str:
    return f"{_percent(1 - ranking.group_alpha)} confidence"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _short(value: str) -> str:
    """Shorten a value that looks like a hash."""
    return value[:SHORT_COMMIT] if len(value) >= 40 and " " not in value else value
