"""Made-up sweeps with a known truth: how far the numbers of a ranking are from it.

`python -m tests.comparison.statistics.calibration` prints tables of docs/method.md, in a few
minutes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from cifar_exp.comparison.statistics.anova import Source, analysis_of_variance
from cifar_exp.comparison.statistics.estimate import Floats, estimate, own_spreads
from cifar_exp.comparison.statistics.interval import half_widths
from cifar_exp.comparison.statistics.paired import paired_difference
from cifar_exp.comparison.statistics.prior import shrunk_means
from cifar_exp.comparison.statistics.resampling import best_shares, draw_means, equivalent_shares
from cifar_exp.comparison.statistics.sensitivity import accuracy_lost

LEVEL = 0.05
SEEDS = 5
SIDE = 3
TRIALS = 10
DECADES = 3.0
ROPE = 0.5

Truth = Callable[[np.random.Generator], Floats]
TRUTHS: Mapping[str, Truth] = {  # nine true means, in standard deviations of a seed
    "equal": lambda rng: np.zeros(9),  # noqa: ARG005
    "similar": lambda rng: 0.2 * rng.standard_normal(9),
    "different": lambda rng: 0.5 * rng.standard_normal(9),
    "far apart": lambda rng: 3.0 * rng.standard_normal(9),
    "three similar, others far behind": lambda rng: np.concatenate(
        [0.1 * rng.standard_normal(3), -8 + 3 * rng.standard_normal(6)]
    ),
    "one ahead by 1": lambda rng: np.eye(9)[0],  # noqa: ARG005
}
SPREADS: Mapping[str, Floats] = {
    "equal": np.ones(9),
    "one 3 times": np.array([3.0] + [1.0] * 8),
    "one 6 times": np.array([6.0] + [1.0] * 8),
}


def effect_rate(
    tuning: float,
    num_sweeps: int,
    *,
    studies: bool,
    against: bool = True,
    spreads: Floats | None = None,
    f_test: bool = False,
) -> float:
    """Return how often the loss has p < .05 in 3 x 3 combinations without any true effect.

    Args:
        tuning: Standard deviation of the luck of tuning; that of a seed is 1.
        num_sweeps: Number of sweeps.
        studies: Whether each of five values has a tuning of its own; otherwise they share one.
        against: Whether the test knows that; otherwise it takes values for independent tunings.
        spreads: By which the noise of each combination is multiplied.
        f_test: Whether to use the F test although spreads differ.
    """
    rng = np.random.default_rng(0)
    scale = np.ones(SIDE * SIDE) if spreads is None else spreads
    significant = 0
    for _ in range(num_sweeps):
        luck = rng.standard_normal((SIDE * SIDE, SEEDS if studies else 1))
        noise = rng.standard_normal((SIDE * SIDE, SEEDS))
        found = analysed(
            scale[:, None] * (tuning * luck + noise),
            tuned_once=against and not studies,
            equal_spreads=f_test or spreads is None,
        )
        significant += (found["loss"].p or 0.0) < LEVEL
    return significant / num_sweeps


def schedule_rates(tuning: float, num_sweeps: int) -> tuple[float, float, float]:
    """Return how often a schedule is shown to matter in 3 x 3 x 3 combinations without any effect.

    By the analysis of variance of combinations that are tuned once, by that of repeated tunings,
    and by any of the intervals of `compare --by`, of combinations that are tuned once.

    Args:
        tuning: Standard deviation of the luck of tuning; that of a seed is 1.
        num_sweeps: Number of sweeps.
    """
    rng = np.random.default_rng(0)
    significant = np.zeros(3)
    for _ in range(num_sweeps):
        noise = rng.standard_normal((SIDE**3, SEEDS))
        once = tuning * rng.standard_normal((SIDE**3, 1)) + noise
        repeated = tuning * rng.standard_normal((SIDE**3, SEEDS)) + noise
        by_level = once.mean(axis=1).reshape(-1, SIDE).T
        first, *others = sorted(by_level, key=np.mean, reverse=True)
        found = (paired_difference(list(first), list(level), LEVEL / SIDE) for level in others)
        significant += (
            (_three_factors(once, tuned_once=True)["schedule"].p or 0.0) < LEVEL,
            (_three_factors(repeated, tuned_once=False)["schedule"].p or 0.0) < LEVEL,
            any((difference.low or 0.0) > 0 for difference in found if difference),
        )
    once_rate, repeated_rate, by_rate = (significant / num_sweeps).tolist()
    return once_rate, repeated_rate, by_rate


def _three_factors(values: Floats, *, tuned_once: bool) -> dict[str, Source]:
    cells = itertools.product("abc", "xyz", "123", range(values.shape[1]))
    losses, optimizers, schedules, replicates = zip(*cells, strict=True)
    factors = {"loss": losses, "optimizer": optimizers, "schedule": schedules}
    found = analysis_of_variance(
        values.ravel().tolist(), factors, replicates, tuned_once=tuned_once
    )
    return {source.source: source for source in found}


def bound_coverage(effect: float, tuning: float, num_sweeps: int) -> float:
    """Return how often the share of the loss is below its bound; 3 x 3, each tuned once.

    Args:
        effect: Standard deviation of the true effects of the losses; that of a seed is 1.
        tuning: Standard deviation of the luck of tuning.
        num_sweeps: Number of sweeps.
    """
    rng = np.random.default_rng(0)
    losses = effect * np.repeat(np.array([-1.5, 0.0, 1.5]) / 1.5**0.5, SIDE)
    share = effect**2 / (effect**2 + tuning**2 + 1)
    held = 0
    for _ in range(num_sweeps):
        means = losses + tuning * rng.standard_normal(SIDE * SIDE)
        values = means[:, None] + rng.standard_normal((SIDE * SIDE, SEEDS))
        held += (analysed(values, tuned_once=True)["loss"].at_most or 0.0) >= share
    return held / num_sweeps


def analysed(values: Floats, *, tuned_once: bool, equal_spreads: bool = True) -> dict[str, Source]:
    """Return the sources of 3 x 3 combinations x replicates."""
    cells = itertools.product("abc", "xyz", range(values.shape[1]))
    losses, optimizers, replicates = zip(*cells, strict=True)
    found = analysis_of_variance(
        values.ravel().tolist(),
        {"loss": losses, "optimizer": optimizers},
        replicates,
        tuned_once=tuned_once,
        equal_spreads=equal_spreads,
    )
    return {source.source: source for source in found}


def interval_coverage(spreads: Floats, num_seeds: int, num_sweeps: int) -> tuple[float, ...]:
    """Return how often 95 % intervals cover: of the first and of the other combinations.

    Returns:
        First and others by the variance that the comparison uses (pooled unless spreads differ
        visibly), then first and others by own variances.
    """
    rng = np.random.default_rng(0)
    covered = np.zeros((2, len(spreads)))
    for noise in rng.standard_normal((num_sweeps, len(spreads), num_seeds)):
        values = (spreads[:, None] * noise).tolist()
        for k, found in enumerate((estimate(values), own_spreads(values))):
            covered[k] += np.abs(found.means) <= half_widths(found, LEVEL)
    shares = covered / num_sweeps
    return tuple(float(share) for row in shares for share in (row[0], row[1:].mean()))


def best_calibration(truth: str, num_sweeps: int, num_seeds: int = SEEDS) -> tuple[float, ...]:
    """Return what P(best) says of the first of nine combinations, and how often it is the best.

    Args:
        truth: A name in `TRUTHS`.
        num_sweeps: Number of sweeps.
        num_seeds: Number of seeds.

    Returns:
        The mean of the largest P(best), how often that combination is the best (a tie of k counts
        1 / k), and the mean of the largest P(best) under a flat prior.
    """
    rng = np.random.default_rng(0)
    told = np.zeros(3)
    for _ in range(num_sweeps):
        means = TRUTHS[truth](rng)
        found = estimate((means[:, None] + rng.standard_normal((9, num_seeds))).tolist())
        shares = best_shares(shrunk_means(found))
        best = means == means.max()
        told += [
            shares.max(),
            best[shares.argmax()] / best.sum(),
            best_shares(draw_means(found)).max(),
        ]
    return tuple((told / num_sweeps).tolist())


def equivalence_calibration(truth: str, num_sweeps: int) -> tuple[float, float]:
    """Return the mean of P(equivalent to the first), and how often a difference is within .5."""
    rng = np.random.default_rng(0)
    told = np.zeros(2)
    for _ in range(num_sweeps):
        means = TRUTHS[truth](rng)
        found = estimate((means[:, None] + rng.standard_normal((9, SEEDS))).tolist())
        first = int(found.means.argmax())
        shares = equivalent_shares(draw_means(found), first, ROPE)
        others = np.arange(9) != first
        told += [shares[others].mean(), (np.abs(means - means[first]) < ROPE)[others].mean()]
    said, true = told / num_sweeps
    return float(said), float(true)


def sensitivity_bias(true_loss: float, spread: float, num_sweeps: int) -> tuple[float, float]:
    """Return how far the accuracy lost at three times the learning rate is from the truth.

    The accuracy is a parabola in the logarithm of the rate; ten random trials over three decades.

    Args:
        true_loss: What is truly lost at three times the optimal rate.
        spread: Standard deviation of a training.
        num_sweeps: Number of sweeps.

    Returns:
        The mean error with the best trial's accuracy at the top, and with that of five fresh seeds.
    """
    rng = np.random.default_rng(0)
    curvature = true_loss / np.log10(3) ** 2
    errors = []
    for _ in range(num_sweeps):
        places = DECADES * (rng.random(TRIALS) - 0.5)
        values = 0.7 - curvature * places**2 + spread * rng.standard_normal(TRIALS)
        best = int(values.argmax())
        top = 0.7 - curvature * places[best] ** 2
        fresh = top + spread * rng.standard_normal() / SEEDS**0.5
        others = [(10 ** places[k], values[k]) for k in range(TRIALS) if k != best]
        truth = top - (0.7 - curvature * (places[best] + np.log10(3)) ** 2)
        found = [
            accuracy_lost(others, (10 ** places[best], accuracy), 3)
            for accuracy in (values[best], fresh)
        ]
        errors += [[lost - truth for lost in found if lost is not None]]
    known = np.array([pair for pair in errors if pair])
    naive, confirmed = known.mean(axis=0)
    return float(naive), float(confirmed)


def main(num_sweeps: int = 2000) -> None:
    """Print the tables."""
    _print("tuning", "tuned once, as if repeated", "tuned once", "repeated")
    for tuning in (0.0, 0.5, 1.0, 3.0):
        rates = (
            effect_rate(tuning, num_sweeps, studies=studies, against=against)
            for studies, against in ((False, False), (False, True), (True, True))
        )
        _print(tuning, *map(_percent, rates))
    _print("tuning", "schedule, tuned once", "schedule, repeated", "any interval of --by")
    for tuning in (0.0, 1.0, 3.0):
        _print(tuning, *map(_percent, schedule_rates(tuning, num_sweeps // 2)))
    _print("spreads of the repeated tunings", "F test", "Welch and James")
    for name, spreads in SPREADS.items():
        rates = (
            effect_rate(1.0, num_sweeps // 2, studies=True, spreads=spreads, f_test=f_test)
            for f_test in (True, False)
        )
        _print(name, *map(_percent, rates))
    _print("effect of the losses", "tuning", "share below its bound")
    for effect, tuning in itertools.product((0.3, 1.0, 2.0), (0.0, 1.0, 3.0)):
        _print(effect, tuning, _percent(bound_coverage(effect, tuning, num_sweeps // 2)))
    _print("spreads", "seeds", "first, pretest", "others, pretest", "first, own", "others, own")
    for (name, spreads), seeds in itertools.product(SPREADS.items(), (3, 5, 10)):
        _print(name, seeds, *map(_percent, interval_coverage(spreads, seeds, num_sweeps)))
    _print("true means", "P best", "is the best", "P best, flat prior", "equivalent", "truly")
    for truth in TRUTHS:
        best = best_calibration(truth, num_sweeps // 4)
        equal = equivalence_calibration(truth, num_sweeps // 4)
        _print(truth, *(f"{number:.2f}" for number in (*best, *equal)))
    _print("points lost", "spread", "best trial at the top", "fresh seeds at the top")
    for loss, spread in itertools.product((0.0, 1.0, 2.0, 5.0), (0.45, 1.2)):
        biases = sensitivity_bias(loss, spread, num_sweeps)
        _print(loss, spread, *(f"{bias:+.2f}" for bias in biases))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _print(*texts: object) -> None:
    print(f"| {' | '.join(map(str, texts))} |", flush=True)


if __name__ == "__main__":
    main()
