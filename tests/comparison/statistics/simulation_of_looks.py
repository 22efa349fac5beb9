"""Made-up sweeps with looks: what they cost, what is left, and how often the true best is lost.

The tables are printed by `python -m tests.comparison.statistics.simulation`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np

from cifar_exp.comparison.statistics import looks as looks_module
from cifar_exp.comparison.statistics.estimate import Estimates, Floats
from cifar_exp.comparison.statistics.looks import Decision, alpha_shares, decide
from cifar_exp.comparison.statistics.may_be_best import p_may_be_best
from tests.comparison.statistics.simulation_of_best import (
    ALPHA,
    MEANS,
    NUM_DRAWS,
    SPREADS,
    sweeps,
)
from tests.comparison.statistics.tables import percent, print_header, print_row

Shares = Callable[[int], Sequence[float]]
SPLITS: dict[str, Shares] = {
    "half of what is left, the last all": alpha_shares,
    "equal": lambda n: [1 / n] * n,
    "1/2, 1/4, 1/8, ...": lambda n: [0.5**k for k in range(1, n + 1)],
    "6 / (pi k)^2": lambda n: [6 / (np.pi * k) ** 2 for k in range(1, n + 1)],
}
TRUTHS = {
    "medium": (MEANS, SPREADS),
    "medium's spreads, equal means": (np.zeros(16), SPREADS),
    "8 equal": (np.zeros(8), np.ones(8)),
    "8, neighbours 0.4 apart": (-0.4 * np.arange(8.0), np.ones(8)),
}
"""Means and standard deviations; the best is the first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the looks cost and find, as means over sweeps; the true best is the first."""

    replicates: float
    left: float
    alone: float
    """Share of sweeps in which the true best alone is left."""
    lost: float
    """Share of sweeps in which the true best is dropped."""


def replay(
    values: Floats, plan: Sequence[int], shares: Shares = alpha_shares, indifferent: float = 0.0
) -> list[Decision]:
    """Replay the looks on sweeps x combinations x values, which are named by their position."""
    seeds = itertools.count()

    def test(estimates: Estimates) -> Floats:
        return p_may_be_best(estimates, NUM_DRAWS, next(seeds))

    with patch.object(looks_module, "alpha_shares", shares):
        return [
            decide(
                {str(k): line for k, line in enumerate(sweep.tolist())},
                plan,
                ALPHA,
                indifferent,
                test=test,
            )
            for sweep in values
        ]


def outcome(decisions: Sequence[Decision]) -> Outcome:
    """Summarize the decisions of sweeps in which the true best is named 0."""
    return Outcome(
        replicates=float(np.mean([sum(d.needed.values()) for d in decisions])),
        left=float(np.mean([len(d.remaining) for d in decisions])),
        alone=float(np.mean([d.remaining == ("0",) for d in decisions])),
        lost=float(np.mean(["0" not in d.remaining for d in decisions])),
    )


def lost_to_extension(values: Floats, first: int, most: int) -> float:
    """Return how often the best is lost if `most` is doubled until one is left, at most `most`."""
    plans = [looks_module.looks(first, size) for size in looks_module.looks(first, most)]
    lost = 0
    for sweep in values:
        ends = (replay(sweep[None], plan)[0] for plan in plans)
        last = next((d for d in ends if len(d.remaining) == 1), None)
        lost += "0" not in (last or replay(sweep[None], plans[-1])[0]).remaining
    return lost / len(values)


def print_tables(num_sweeps: int) -> None:
    """Print the tables of the looks."""
    print_header("combinations", "plan", "replicates", "left", "best alone", "best lost")
    for name, (means, spreads) in TRUTHS.items():
        values = sweeps(means, spreads, 40, num_sweeps)
        for plan in ((5,), (20,), (5, 10, 20), (5, 10, 20, 40), (3, 6, 12, 24)):
            _print_outcome(outcome(replay(values, plan)), name, ", ".join(map(str, plan)))
    print_header("combinations", "split", "replicates", "left", "best alone", "best lost")
    for name in ("medium", "8, neighbours 0.4 apart"):
        values = sweeps(*TRUTHS[name], 20, num_sweeps)
        for split, shares in SPLITS.items():
            _print_outcome(outcome(replay(values, (5, 10, 20), shares)), name, split)
    print_header("best of 8 equal lost if the maximum is doubled from 5 to 40 until one is left")
    print_row(percent(lost_to_extension(sweeps(*TRUTHS["8 equal"], 40, num_sweeps), 5, 40)))
    print_header("indifferent", "replicates", "left", "best alone", "best lost")
    values = sweeps(MEANS, SPREADS, 20, num_sweeps)
    for points in (0.0, 0.3, 0.6):
        _print_outcome(outcome(replay(values, (5, 10, 20), indifferent=points)), points)


def _print_outcome(found: Outcome, *names: object) -> None:
    means = (f"{found.replicates:.0f}", f"{found.left:.1f}")
    print_row(*names, *means, percent(found.alone), percent(found.lost))
