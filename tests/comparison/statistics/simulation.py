"""Made-up sweeps by the thousand: how often the procedure errs, and what it can find.

`python -m tests.comparison.statistics.simulation` prints the tables of docs/method.md, in about
ten minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cifar_exp.comparison.statistics.estimate import Floats, estimate
from cifar_exp.comparison.statistics.multiple_comparison import worse_than_best
from cifar_exp.comparison.statistics.power import minimum_detectable_difference
from cifar_exp.comparison.statistics.resampling import draw_means, rank_intervals
from tests.comparison.statistics import simulation_of_best, simulation_of_looks
from tests.comparison.statistics.tables import print_header, print_row

Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]
NOISE: Mapping[str, Draw] = {  # the same for all combinations, so that no claim is right
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails (t, 3 dof)": lambda rng, shape: rng.standard_t(3, shape),
    "skewed (exponential)": lambda rng, shape: -rng.exponential(1.0, shape),
    "1 in 20 seeds fails": lambda rng, shape: (
        rng.standard_normal(shape) - 6.0 * (rng.random(shape) < 0.05)
    ),
}
SPREADS: Mapping[str, Callable[[int], list[float]]] = {
    "equal": lambda k: [1.0] * k,
    "one 3 times": lambda k: [3.0] + [1.0] * (k - 1),
    "one 6 times": lambda k: [6.0] + [1.0] * (k - 1),
    "half 2 times": lambda k: [2.0] * (k // 2) + [1.0] * (k - k // 2),
}


def claims(
    means: Sequence[float],
    spreads: Sequence[float],
    *,
    num_seeds: int,
    num_sweeps: int,
    seed_effect: float = 0.0,
    noise: str = "normal",
) -> int:
    """Count the sweeps in which any combination is called worse than the best, at level 0.05.

    Args:
        means: True mean of each combination.
        spreads: By which the noise of each combination is multiplied.
        num_seeds: Confirmations of each combination.
        num_sweeps: How often all this is made up.
        seed_effect: Standard deviation of what a seed does to all combinations alike.
        noise: A name in `NOISE`.
    """
    rng = np.random.default_rng(0)
    shape = (num_sweeps, len(means), num_seeds)
    own = NOISE[noise](rng, shape) * np.asarray(spreads)[:, None]
    shared = seed_effect * rng.standard_normal((num_sweeps, 1, num_seeds))
    return sum(_claims_any(sweep) for sweep in np.asarray(means)[:, None] + own + shared)


def rank_coverage(gap: float, num_sweeps: int) -> tuple[float, float]:
    """Return how often the true rank of a combination lies in its 90 % interval.

    Twenty combinations, 5 seeds of standard deviation 1, neighbours `gap` apart.

    Returns:
        The share for `rank_intervals`, and for the 5 to 95 % range of the ranks of drawn means.
    """
    rng = np.random.default_rng(1)
    truth = 20 - np.arange(20)
    covered = np.zeros(2)
    for noise in rng.standard_normal((num_sweeps, 20, 5)):
        estimates = estimate((gap * np.arange(20)[:, None] + noise).tolist())
        draws = draw_means(estimates)
        low, high = rank_intervals(estimates, draws, 0.9)
        ranks = 20 - draws.argsort(axis=1).argsort(axis=1)
        bottom, top = np.quantile(ranks, (0.05, 0.95), axis=0)
        covered += [
            np.mean((first <= truth) & (truth <= last))
            for first, last in ((low, high), (bottom, top))
        ]
    confident, drawn = covered / num_sweeps
    return float(confident), float(drawn)


def main(num_sweeps: int = 4000) -> None:
    """Print the tables."""
    sizes = [(k, seeds) for k in (2, 3, 5, 9, 20, 60) for seeds in (2, 3, 5, 10)]
    print_header("combinations", "seeds", *SPREADS)
    for k, seeds in sizes:
        print_row(
            k, seeds, *(_rate(k, seeds, num_sweeps, spread(k)) for spread in SPREADS.values())
        )
    print_header("combinations", "seeds", *NOISE)
    for k, seeds in ((2, 3), (9, 3), (9, 10)):
        print_row(k, seeds, *(_rate(k, seeds, num_sweeps, [1.0] * k, noise=n) for n in NOISE))
    print_header("combinations", "seeds", "smallest difference, in standard deviations")
    for k, seeds in ((k, seeds) for k in (2, 9, 35) for seeds in (3, 5, 10)):
        found = minimum_detectable_difference(estimate([_of_spread_one(seeds)] * k), 0.05)
        print_row(k, seeds, f"{found:.2f}")
    print_header("distance of neighbours", "this interval", "ranks of drawn means")
    for gap in (0.01, 0.1, 1.0):
        print_row(gap, *(f"{100 * share:.0f} %" for share in rank_coverage(gap, num_sweeps // 4)))
    simulation_of_best.print_tables(3 * num_sweeps // 8)
    simulation_of_looks.print_tables(num_sweeps // 4)


def _claims_any(sweep: Floats) -> bool:
    estimates = estimate(sweep.tolist())
    best = int(np.argmax(estimates.means))
    return bool(worse_than_best(estimates, best, alpha=0.05).any())


def _rate(k: int, seeds: int, num_sweeps: int, spreads: list[float], noise: str = "normal") -> str:
    found = claims([0.0] * k, spreads, num_seeds=seeds, num_sweeps=num_sweeps, noise=noise)
    return f"{100 * found / num_sweeps:.1f}"


def _of_spread_one(num_values: int) -> list[float]:
    """Return values of mean 0 and standard deviation 1."""
    values = np.arange(num_values, dtype=float)
    return list((values - values.mean()) / values.std(ddof=1))


if __name__ == "__main__":
    main()
