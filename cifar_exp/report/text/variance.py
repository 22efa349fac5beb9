"""The analysis of variance in words."""

from __future__ import annotations

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.statistics.anova import REPLICATE, Source

NOT_TESTED = "not tested"


def shares(ranking: Ranking) -> str:
    """Return a sentence on the share of the variance of each source; empty if it is not split."""
    sources = [source for source in ranking.two_way if source.omega_squared is not None]
    told = [(source_name(source), share(source, ranking.alpha)) for source in sources]
    known = [f"{name} {text}" for name, text in told if text != NOT_TESTED]
    unknown = [name for name, text in told if text == NOT_TESTED and name not in REPLICATE.values()]
    reason = "" if ranking.spread_pooled else ", as spreads differ"
    found = [f"Share of the variance (omega squared): {', '.join(known)}."] if known else []
    found += [f"Not tested{reason}: {', '.join(unknown)}."] if unknown else []
    return " ".join(found)


def source_name(source: Source) -> str:
    """Return the name of a source, with the luck of tuning if that is part of it."""
    return (
        f"{source.source} or luck of tuning (not separable)" if source.with_luck else source.source
    )


def share(source: Source, alpha: float) -> str:
    """Return the share of the variance: estimated if significant, else an upper bound."""
    estimated = f"{100 * (source.omega_squared or 0.0):.0f} %"
    if source.with_luck:
        return estimated
    if source.p is None:
        return NOT_TESTED
    if source.p < alpha:
        return estimated
    return "not shown" if source.at_most is None else f"at most {100 * source.at_most:.0f} %"
