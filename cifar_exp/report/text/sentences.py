"""The sentences below the table of a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cifar_exp.comparison.fairness import Condition
from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import Row
from cifar_exp.report.text.variance import shares

ENOUGH_SEEDS = 5
LONGEST_LIST = 8
SHORT_COMMIT = 10


def sentences(ranking: Ranking) -> list[str]:
    """Return all sentences: verdict, method, further results, warnings and conditions."""
    writers = (verdict, _method, _detectable, _equivalent, shares, _curse, _diverged)
    found = [write(ranking) for write in writers]
    return [text for text in (*found, *warnings(ranking), *fairness(ranking)) if text]


def verdict(ranking: Ranking) -> str:
    """Return a sentence on the first combination and those not distinguishable from it."""
    compared = [row for row in ranking.combinations if row.in_best_group is not None]
    if not compared:
        return ""
    best, *others = compared
    if ranking.spread_pooled is None:
        reason = _why_no_interval(compared)
        return f"{best.combination} is first, but this cannot be tested: {reason}."
    near = [row.combination for row in others if row.in_best_group]
    if not others:
        return f"{best.combination} is the only combination that can be compared."
    if not near:
        return f"{best.combination} is best: all others are worse, at level {_level(ranking)}."
    return (
        f"{best.combination} is first; not distinguishable from it at level "
        f"{_level(ranking)}: {_listed(near)}."
    )


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
        "Best learning rate at the edge of its range, so a better one may lie outside": edges,
    }
    found = [f"{text}: {_listed(names)}." for text, names in texts.items() if names]
    if sizes and min(sizes) < ENOUGH_SEEDS and ranking.spread_pooled is not None:
        found.append(
            f"With {min(sizes)} seeds for some combinations, unequal spreads may stay "
            f"undetected and claims are less reliable: use at least {ENOUGH_SEEDS} seeds."
        )
    return found


def fairness(ranking: Ranking) -> list[str]:
    """Return sentences on the conditions that were and were not the same for all combinations."""
    same = [f"{c.name} {_short(c.value)}" for c in ranking.fairness if c.same]
    found = [f"The same for all: {'; '.join(same)}."] if same else []
    return [*found, *(_difference(c) for c in ranking.fairness if not c.same)]


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
        f"± is the {level} t interval of each combination's own seeds. Compared {variance}. "
        f"ranks: {ranks} interval of the rank."
    )


def _detectable(ranking: Ranking) -> str:
    difference = ranking.minimum_detectable_difference
    if difference is None:
        return ""
    sizes = sorted(
        {len(row.values) for row in ranking.combinations if row.in_best_group is not None}
    )
    seeds = f"{' to '.join(map(str, sizes[:: max(1, len(sizes) - 1)]))} seeds"
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
    return f"As good as the first in practice (within {rope}): {_listed(names)}."


def _curse(ranking: Ranking) -> str:
    """Return a sentence on the winner's curse in the validation accuracy of the best trials."""
    rows = [row for row in ranking.combinations if row.winners_curse is not None]
    gaps = [(row.winners_curse or 0.0, row.combination) for row in rows if not row.seeds_failed]
    lost = [
        f"{row.combination} at least {100 * (row.winners_curse or 0.0):+.2f}"
        for row in rows
        if row.seeds_failed
    ]
    left_out = f" Without those that lost seeds: {_listed(lost)}." if lost else ""
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
    return f"Diverged trials: {_listed(names)}." if names else ""


def _why_no_interval(rows: Sequence[Row]) -> str:
    if max(len(row.values) for row in rows) < 2:
        return "one seed each gives no estimate of the spread"
    return "the seeds of each combination have equal values"


def _difference(condition: Condition) -> str:
    others = [f"{_short(value)} for {name}" for name, value in condition.different.items()]
    return f"Not the same: {condition.name} {_short(condition.value)}, but {_listed(others)}."


def _level(ranking: Ranking) -> str:
    return f"{ranking.alpha:g}"


def _short(value: str) -> str:
    """Shorten a value that looks like a hash."""
    return value[:SHORT_COMMIT] if len(value) >= 40 and " " not in value else value


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - LONGEST_LIST
    return ", ".join(names[:LONGEST_LIST]) + (f" and {more} more" if more > 0 else "")
