"""A sentence on what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.replicates import DECIDED_BY
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.power import MOST_REPLICATES, POWER
from cifar_exp.report.text.factors import loss_and_optimizer
from cifar_exp.system.formatting import counted

AGAIN = "in the definition, then `cifar-exp run FILE` again"
ENOUGH = 5
FIXED = {"seeds": "confirm.seeds", "studies": "search.studies"}
"""The key of the definition for the number of replicates."""
ONE = {"seeds": "seed", "studies": "study"}


def next_step(ranking: Ranking) -> str:
    """Return what to do to find the best; empty if it is found or nothing is compared."""
    compared = [row for row in ranking.combinations if row.in_best_group is not None]
    group = [row for row in compared if row.may_be_best]
    if len(compared) < 2:
        return ""
    if "most" in ranking.definition and ranking.ended is None:
        return "To do next: more replicates are still to be trained: `cifar-exp run FILE` again."
    if any(row.may_be_best is False for row in compared) and not group:
        return ""
    if not group:
        return f"To do next: `{FIXED[ranking.replicates]} = {ENOUGH}` {AGAIN}, to know the spread."
    if len(group) == 1:
        return _after_decision(ranking)
    return _more_replicates(ranking, group)


def _after_decision(ranking: Ranking) -> str:
    if ranking.replicates == "studies":
        return ""
    return (
        f"To do next: `search.studies = {ENOUGH}` {AGAIN}, to see whether the best setting is "
        f"also of the best {loss_and_optimizer(ranking)}."
    )


def _more_replicates(ranking: Ranking, group: Sequence[Row]) -> str:
    unit, needed = ranking.replicates, ranking.replicates_to_decide
    by_accuracy = ranking.yardstick == DECIDED_BY
    near = [row for row in group if (row.difference_to_best or 0.0) <= ranking.rope / 100]
    rope = ranking.method.measure.difference(ranking.rope / 100)
    if len(near) == len(group) or (ranking.ended == "indifferent" and by_accuracy):
        most = f"at most {rope}" if len(near) == len(group) else "less than matters"
        return (
            f"To do next: nothing; the means of those that may be the best differ by {most}"
            ", so choose by cost."
        )
    if needed is None:
        return (
            f"To do next: nothing; more than {MOST_REPLICATES} {unit} would be needed to tell "
            "those that may be the best apart."
        )
    more = max(1, needed - min(len(row.values) for row in group))
    names = f"{len(group)} combinations"
    told = f"{counted(more, f'more {ONE[unit]}')} of {names} would probably decide"
    chance = f"each with {100 * POWER:g} % probability, if differences and spreads are as observed"
    alike = f"; differences up to {rope} to the first are left out" if len(near) > 1 else ""
    return f"To do next: {told} ({chance}{alike}): {_keys(ranking, needed, len(near) > 1)} {AGAIN}."


def _keys(ranking: Ranking, needed: int, indifferent: bool) -> str:
    """Return the keys that train more replicates, only of those in question if that is possible."""
    if ranking.yardstick != DECIDED_BY:
        return f"`{FIXED[ranking.replicates]} = {needed}`"
    known = "most" in ranking.definition
    until = [] if known else ['`confirm.until = "decided"`']
    within = [f"`confirm.indifferent = {ranking.rope:g}`"] if indifferent else []
    return ", ".join([*until, *within, f"`confirm.most = {needed}`"])
