"""Made-up sweeps by the thousand: how often the procedure errs, and what it can find.

`python -m tests.statistics.simulation` prints the tables of docs/method.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cifar_exp.statistics.estimate import Floats, estimate
from cifar_exp.statistics.order import worse_than_best
from cifar_exp.statistics.power import minimum_detectable_difference


def claims(
    means: Sequence[float],
    spreads: Sequence[float],
    *,
    num_seeds: int,
    num_sweeps: int,
    seed_effect: float = 0.0,
    alpha: float = 0.05,
) -> int:
    """Count the sweeps in which any combination is called worse than the observed best.

    Args:
        means: True mean of each combination.
        spreads: True standard deviation of single values of each combination.
        num_seeds: Confirmations of each combination.
        num_sweeps: How often all this is made up.
        seed_effect: Standard deviation of what a seed does to all combinations alike.
        alpha: Level of the claims.
    """
    rng = np.random.default_rng(0)
    shape = (num_sweeps, len(means), num_seeds)
    noise = rng.standard_normal(shape) * np.asarray(spreads)[:, None]
    shared = seed_effect * rng.standard_normal((num_sweeps, 1, num_seeds))
    values = np.asarray(means)[:, None] + noise + shared
    return sum(_claims_any(sweep, alpha) for sweep in values)


def _claims_any(sweep: Floats, alpha: float) -> bool:
    estimates = estimate(sweep.tolist())
    best = int(np.argmax(estimates.means))
    return bool(worse_than_best(estimates, best, alpha).any())


SPREADS: dict[str, Callable[[int], list[float]]] = {
    "equal": lambda k: [1.0] * k,
    "one 3 times": lambda k: [3.0] + [1.0] * (k - 1),
    "one 6 times": lambda k: [6.0] + [1.0] * (k - 1),
    "half 2 times": lambda k: [2.0] * (k // 2) + [1.0] * (k - k // 2),
}


def main(num_sweeps: int = 4000) -> None:
    """Print error rates and power as Markdown tables."""
    print("| combinations | seeds | " + " | ".join(SPREADS) + " |")
    print("|---:|---:|" + "---:|" * len(SPREADS))
    for k in (2, 3, 5, 9, 20, 60):
        for seeds in (2, 3, 5, 10):
            rates = [
                claims([0.0] * k, spread(k), num_seeds=seeds, num_sweeps=num_sweeps) / num_sweeps
                for spread in SPREADS.values()
            ]
            print(f"| {k} | {seeds} | " + " | ".join(f"{100 * r:.1f}" for r in rates) + " |")
    print(
        "\n| combinations | seeds | smallest difference, in standard deviations |\n|---:|---:|---:|"
    )
    for k in (2, 9, 35):
        for seeds in (3, 5, 10):
            typical = estimate([_spread_one(seeds)] * k)
            found = minimum_detectable_difference(typical, 0.05)
            print(f"| {k} | {seeds} | {found:.2f} |")


def _spread_one(num_values: int) -> list[float]:
    """Return values of mean 0 and standard deviation 1."""
    values = np.arange(num_values, dtype=float)
    return list((values - values.mean()) / values.std(ddof=1))


if __name__ == "__main__":
    main()
