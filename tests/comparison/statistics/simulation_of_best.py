"""Made-up sweeps: how often the true best is excluded, and how many combinations are left.

The tables are printed by `python -m tests.comparison.statistics.simulation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Floats, estimate
from cifar_exp.comparison.statistics.may_be_best import own_estimates, p_may_be_best
from cifar_exp.comparison.statistics.multiple_comparison import worse_than_best
from tests.comparison.statistics.tables import percent, print_header, print_row

ALPHA = 0.05
NUM_DRAWS = 1000
Bools = NDArray[np.bool_]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]

NOISE: Mapping[str, Draw] = {  # of mean 0, so that means stay equal if spreads differ
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails (t, 3 dof)": lambda rng, shape: rng.standard_t(3, shape),
    "1 in 20 fails": lambda rng, shape: (
        rng.standard_normal(shape) + 0.25 - 5.0 * (rng.random(shape) < 0.05)
    ),
    "skewed (exponential)": lambda rng, shape: 1.0 - rng.exponential(1.0, shape),
}

# Test accuracy in % and half of its 95 % interval over 5 seeds: cifar10-medium in docs/results.md.
MEDIUM: Mapping[str, tuple[float, float]] = {
    "smoothed+muon": (74.02, 0.73),
    "cross_entropy+muon": (73.41, 0.57),
    "mse+muon": (72.76, 0.46),
    "focal+muon": (72.00, 0.45),
    "smoothed+momentum": (71.71, 0.51),
    "smoothed+adamw": (69.79, 0.41),
    "cross_entropy+adamw": (69.13, 0.45),
    "mse+adamw": (68.93, 0.78),
    "focal+adamw": (68.07, 1.28),
    "cross_entropy+momentum": (67.20, 2.54),
    "focal+momentum": (66.96, 2.65),
    "mse+momentum": (65.67, 5.60),
    "smoothed+sgd": (60.86, 2.05),
    "cross_entropy+sgd": (60.04, 2.67),
    "mse+sgd": (53.05, 11.43),
    "focal+sgd": (47.97, 16.08),
}
MEANS = np.array([mean for mean, _ in MEDIUM.values()])
SPREADS = np.array([half for _, half in MEDIUM.values()]) * 5**0.5 / stats.t.ppf(0.975, 4)
QUIET, TYPICAL, NOISY = (int(np.argsort(SPREADS)[place]) for place in (0, 8, -1))
POWER = {
    "medium": (MEANS, SPREADS),
    "9, equal spreads, neighbours 0.5 apart": (-0.5 * np.arange(9.0), np.ones(9)),
}


def samples(means: Floats, spreads: Floats, num_values: int) -> list[list[float]]:
    """Return values with exactly these means and standard deviations."""
    pattern = np.arange(num_values) - (num_values - 1) / 2
    pattern /= pattern.std(ddof=1)
    return (means[:, None] + spreads[:, None] * pattern).tolist()  # type: ignore[no-any-return]


def sweeps(
    means: Floats, spreads: Floats, num_values: int, num_sweeps: int, noise: str = "normal"
) -> Floats:
    """Make up the values of sweeps: sweeps x combinations x values."""
    rng = np.random.default_rng(0)
    shape = (num_sweeps, len(means), num_values)
    return np.asarray(means[:, None] + spreads[:, None] * NOISE[noise](rng, shape))


def small_test_set(num_images: int, num_values: int, num_sweeps: int) -> Floats:
    """Make up accuracies of 8 equal networks: 97 % of the images are nearly always correct.

    Each image has its own probability, so the spread of the seeds is below the binomial one.
    """
    rng = np.random.default_rng(0)
    correct = rng.beta(0.3, 0.01, (num_sweeps, 1, 1, num_images))
    shape = (num_sweeps, 8, num_values, num_images)
    return np.asarray((rng.random(shape, dtype=np.float32) < correct).mean(axis=-1))


def excluded(values: Floats, num_examples: int | None = None) -> Bools:
    """Return which combinations are not in the group that may hold the best: sweeps x K."""
    p_values = [
        p_may_be_best(own_estimates(sweep.tolist(), num_examples), NUM_DRAWS, seed)
        for seed, sweep in enumerate(values)
    ]
    return np.array(p_values) <= ALPHA


def worse(values: Floats) -> Bools:
    """Return which combinations are called worse than the first: sweeps x K."""
    estimates = [estimate(sweep.tolist()) for sweep in values]
    return np.array([worse_than_best(e, int(np.argmax(e.means)), ALPHA) for e in estimates])


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """The luck of tuning: random learning rates, of which the best by one noisy value is taken.

    The true accuracy falls with the square of log10(lr); its optimum is a quarter of the range of
    three decades from an end.
    """

    trials: int
    lost: float
    """Points truly lost at three times the best learning rate."""
    spread: float
    """Standard deviation between seeds, in points."""

    def accuracies(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Return the true accuracy of the best setting that each of these searches finds."""
        distance = rng.uniform(-0.75, 2.25, (*shape, self.trials))
        true = -self.lost * (distance / np.log10(3)) ** 2
        best = (true + self.spread * rng.standard_normal(true.shape)).argmax(axis=-1)
        return np.take_along_axis(true, best[..., None], axis=-1)[..., 0]


SEARCHES = [
    *(Search(trials=10, lost=2, spread=spread) for spread in (0.45, 1.2)),
    *(Search(trials=20, lost=2, spread=spread) for spread in (0.45, 1.2)),
    *(Search(trials=10, lost=lost, spread=0.45) for lost in (1, 5)),
]


def tuned(search: Search, num_studies: int, num_values: int, num_sweeps: int) -> Floats:
    """Make up sweeps of nine identical combinations, each tuned: sweeps x 9 x values.

    With one study, all values are seeds of its setting; otherwise each value is of another study.
    """
    rng = np.random.default_rng(0)
    found = search.accuracies(rng, (num_sweeps, 9, num_studies))
    noise = search.spread * rng.standard_normal((num_sweeps, 9, num_values))
    return np.asarray(found + noise)


def print_tables(num_sweeps: int) -> None:
    """Print the tables of the group that may hold the best."""
    print_header("noise", "replicates", "equal spreads", "best quiet", "best typical", "best noisy")
    for noise in NOISE:
        for num_values in (2, 3, 5, 10):
            print_row(noise, num_values, *map(percent, _lost(num_values, num_sweeps, noise)))
    print_header("gaps", "5 replicates", "10", "20")
    for factor in (0.0, 0.1, 0.25, 0.5, 1.0):
        print_row(factor, *(percent(_lost_to_skew(factor, n, num_sweeps)) for n in (5, 10, 20)))
    print_header("replicates", "equal ones have the binomial variance", "the smallest variance")
    for num_values in (2, 3, 5):
        values = small_test_set(360, num_values, num_sweeps // 4)
        rates = (excluded(values, num_examples).mean() for num_examples in (360, None))
        print_row(num_values, *map(percent, rates))
    print_header("combinations", "replicates", "may be best", "not worse than the first")
    for name, (means, spreads) in POWER.items():
        for num_values in (3, 5, 10, 20):
            values = sweeps(means, spreads, num_values, num_sweeps // 4)
            left = (len(means) - wrong(values).sum(axis=1).mean() for wrong in (excluded, worse))
            print_row(name, num_values, *(f"{number:.1f}" for number in left))
    designs = ("1 study, 5 seeds", "5 studies, 1 seed")
    columns = ("best excluded", "any excluded", "any worse than the first")
    print_header(
        "trials", "points lost", "spread", *(f"{d}: {c}" for d in designs for c in columns)
    )
    for search in SEARCHES:
        shares = [share for studies in (1, 5) for share in _errors(search, studies, num_sweeps)]
        print_row(search.trials, search.lost, search.spread, *map(percent, shares))


def _lost(num_values: int, num_sweeps: int, noise: str) -> list[float]:
    """Return how often the best of 16 equal combinations is excluded, by its spread."""
    none = np.zeros(16)
    equal = excluded(sweeps(none, none + 1, num_values, num_sweeps // 8, noise))
    medium = excluded(sweeps(none, SPREADS, num_values, num_sweeps, noise))
    best = medium.mean(axis=0)[[QUIET, TYPICAL, NOISY]]
    return [float(equal.mean()), *best.tolist()]


def _lost_to_skew(factor: float, num_values: int, num_sweeps: int) -> float:
    """Return how often the best is excluded, skewed noise, the gaps of medium times `factor`."""
    means = factor * (MEANS - MEANS[0])
    found = excluded(sweeps(means, SPREADS, num_values, num_sweeps, "skewed (exponential)"))
    return float(found[:, 0].mean())


def _errors(search: Search, num_studies: int, num_sweeps: int) -> list[float]:
    values = tuned(search, num_studies, 5, num_sweeps // 2)
    out, called_worse = excluded(values), worse(values)
    return [
        float(out.mean()),
        float(out.any(axis=1).mean()),
        float(called_worse.any(axis=1).mean()),
    ]
