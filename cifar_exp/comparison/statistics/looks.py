"""Looks at a growing number of replicates: only what may still be the best needs more of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cifar_exp.comparison.statistics.estimate import Estimates, Floats
from cifar_exp.comparison.statistics.may_be_best import own_estimates, p_may_be_best

Ending = Literal["one left", "indifferent", "most reached", "none left"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The state of a comparison after all looks for which there are replicates."""

    remaining: tuple[str, ...]
    """Those that may still be the best, in the order of the samples."""
    needed: Mapping[str, int]
    """Number of replicates that each needs in all: those out what they had at their last look."""
    ended: Ending | None
    """Why no more replicates are needed; None if some of `needed` are missing."""
    p_values: Mapping[str, float] = field(default_factory=dict)
    """P-value of each that was compared, adjusted for the number of looks; out if <= alpha."""


def looks(first: int, most: int) -> tuple[int, ...]:
    """Return the numbers of replicates at which to look: `first`, doubled, the last is `most`.

    Raises:
        ValueError: Not 1 <= `first` <= `most`.
    """
    if not 1 <= first <= most:
        raise ValueError(f"no looks from {first} to {most} replicates")
    sizes = [first]
    while sizes[-1] < most:
        sizes.append(min(2 * sizes[-1], most))
    return tuple(sizes)


def alpha_shares(num_looks: int) -> tuple[float, ...]:
    """Return the share of alpha of each look: half of what is left, and all of it for the last.

    With more looks, the shares of all but the last one stay the same.
    """
    earlier = [0.5**number for number in range(1, num_looks)]
    return (*earlier, 1 - sum(earlier))


def decide(
    samples: Mapping[str, Sequence[float | None]],
    looks: Sequence[int],
    alpha: float,
    indifferent: float = 0.0,
    num_examples: int | None = None,
    test: Callable[[Estimates], Floats] = p_may_be_best,
) -> Decision:
    """Replay the looks: at each, drop those that are not the best among the remaining ones.

    A pure function of its arguments: the same samples give the same decisions, whenever they were
    measured. The best is dropped with probability at most alpha, over all looks together.

    Args:
        samples: Values of each combination in the order of its replicates, larger is better; None
            is a failed replicate. Those beyond the current look are ignored.
        looks: Ascending numbers of replicates, from `looks`.
        alpha: Level of all looks together, split by `alpha_shares`.
        indifferent: The comparison ends if the means of all that remain differ by at most this, in
            the units of the values; 0: never.
        num_examples: As in `own_estimates`.
        test: Returns the p-value of each mean.
    """
    remaining, ended = tuple(samples), None
    needed: dict[str, int] = {}
    p_values: dict[str, float] = {}
    for size, share in zip(looks, alpha_shares(len(looks)), strict=True):
        needed |= dict.fromkeys(remaining, size)
        if any(len(samples[name]) < size for name in remaining):
            return Decision(remaining=remaining, needed=needed, ended=None, p_values=p_values)
        values = _compared({name: samples[name][:size] for name in remaining})
        for name, p_value in _p_values(values, num_examples, test).items():
            p_values[name] = min(p_value / share, p_values.get(name, 1.0))
        remaining = tuple(name for name in values if p_values.get(name, 1.0) > alpha)
        ended = _ending([values[name] for name in remaining], indifferent)
        if ended is not None:
            break
    ended = ended or "most reached"
    return Decision(remaining=remaining, needed=needed, ended=ended, p_values=p_values)


def _compared(samples: Mapping[str, Sequence[float | None]]) -> dict[str, list[float]]:
    """Return the values of those without a failed replicate; if all have one, those measured."""
    measured = {name: [v for v in values if v is not None] for name, values in samples.items()}
    complete = {name: v for name, v in measured.items() if len(v) == len(samples[name])}
    return complete or {name: values for name, values in measured.items() if values}


def _p_values(
    values: Mapping[str, Sequence[float]],
    num_examples: int | None,
    test: Callable[[Estimates], Floats],
) -> dict[str, float]:
    """Return the p-value of each; empty if no spread is known, or with fewer than two."""
    if len(values) < 2:
        return {}
    estimates = own_estimates(list(values.values()), num_examples)
    if not estimates.known:
        return {}
    return dict(zip(values, test(estimates).tolist(), strict=True))


def _ending(remaining: Sequence[Sequence[float]], indifferent: float) -> Ending | None:
    """Return why a comparison ends with these values, if it does."""
    if len(remaining) < 2:
        return "one left" if remaining else "none left"
    means = [sum(values) / len(values) for values in remaining]
    if indifferent > 0 and max(means) - min(means) <= indifferent:
        return "indifferent"
    return None
