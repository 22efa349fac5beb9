"""Which value of a yardstick a ranking uses: the raw one, or that after temperature scaling."""

from __future__ import annotations

from cifar_exp.comparison.across import Across
from cifar_exp.comparison.method import RAW_OF, YARDSTICKS
from cifar_exp.comparison.ranking import Ranking

SCALED_OF = {raw: scaled for scaled, raw in RAW_OF.items()}


def scaling(ranking: Ranking) -> str:
    """Return a sentence on temperature scaling; empty if it does not change the yardstick."""
    scaled = SCALED_OF.get(ranking.yardstick)
    confirmed = [each.metrics for row in ranking.combinations for each in row.confirmation_results]
    if all(scaled in metrics for metrics in confirmed if metrics):
        return _sentence(ranking.yardstick, f" (--yardstick {scaled} ranks after scaling)")
    return _sentence(
        ranking.yardstick, "; some confirmations, of an older version, have no value after scaling"
    )


def scaling_across(across: Across) -> str:
    """Return the sentence on temperature scaling for several experiments."""
    return _sentence(across.yardstick)


def _sentence(yardstick: str, on_scaled: str = "") -> str:
    label = YARDSTICKS[RAW_OF.get(yardstick, yardstick)].label
    if yardstick in RAW_OF:
        return (
            f"Ranked by {label} after temperature scaling, one number per network fitted on the "
            "validation split, as the raw value also depends on how each loss maps logits to "
            f"probabilities (--yardstick {RAW_OF[yardstick]} ranks by that)."
        )
    if yardstick in SCALED_OF:
        return (
            f"Ranked by {label} without temperature scaling, so the order also depends on how each "
            f"loss maps logits to probabilities{on_scaled}."
        )
    return ""
