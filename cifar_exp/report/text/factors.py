"""The factors of a ranking in words."""

from __future__ import annotations

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.system.formatting import plural


def loss_and_optimizer(ranking: Ranking) -> str:
    """Return `loss and optimizer`, with the schedule if there are several."""
    return _joined(list(ranking.factors), "and")


def losses_and_optimizers(ranking: Ranking) -> str:
    """Return the factors in the plural."""
    return _joined([plural(factor) for factor in ranking.factors], "and")


def the_loss_or_the_optimizer(ranking: Ranking) -> str:
    """Return the factors as those that a sentence is not about."""
    return _joined([f"the {factor}" for factor in ranking.factors], "or")


def _joined(names: list[str], word: str) -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}"
