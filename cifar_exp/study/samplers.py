"""How the settings of the next trial are chosen.

Every sampler is made anew for each trial, from a seed that depends on the experiment's seed, the
combination and the trial's number. So a study's trials are the same in one run or in ten.
"""

from __future__ import annotations

from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from scipy.stats import loguniform, qmc, uniform

from cifar_exp import seeds
from cifar_exp.components.samplers import Sampler


class SobolSampler(BaseSampler):
    """A scrambled Sobol sequence over all that is searched: trial n takes its nth point.

    Optuna's own sampler counts points in the study, so an interrupted trial would shift all later
    ones, and it draws categorical settings at random. Source: Owen, Scrambling Sobol' and
    Niederreiter-Xing points, 1998.
    """

    def __init__(self, space: dict[str, BaseDistribution], seed: int, number: int) -> None:
        self.space = space
        self.seed = seed
        self.number = number

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """Say that all settings are sampled together."""
        del study, trial
        return self.space

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Return the point of the sequence that has the trial's number."""
        del study, trial, search_space
        points = qmc.Sobol(d=len(self.space), seed=self.seed)
        if self.number > 0:
            points.fast_forward(self.number)
        point = points.random(1)[0]
        return {
            name: _quantile(distribution, float(share))
            for (name, distribution), share in zip(self.space.items(), point, strict=True)
        }

    def sample_independent(self, study: Any, trial: Any, param_name: str, _: Any) -> Any:
        """Refuse: everything is sampled together."""
        del trial
        raise KeyError(f"{param_name} is not in the search space of {study.study_name}")


def _quantile(distribution: BaseDistribution, share: float) -> Any:
    """Return the value below which this share of a distribution lies."""
    match distribution:
        case FloatDistribution(low=low, high=high, log=True):
            return float(loguniform(low, high).ppf(share))
        case FloatDistribution(low=low, high=high):
            return float(uniform(low, high - low).ppf(share))
        case IntDistribution(low=low, high=high, log=True):
            return min(high, int(loguniform(low, high + 1).ppf(share)))
        case IntDistribution(low=low, high=high):
            return min(high, low + int(share * (high - low + 1)))
        case CategoricalDistribution(choices=choices):
            return choices[int(share * len(choices))]
    raise TypeError(f"no quantile of {distribution!r}")


def make(
    sampler: type[Sampler],
    space: dict[str, BaseDistribution],
    study_seed: tuple[int | str, ...],
    number: int,
) -> BaseSampler:
    """Return the sampler of one trial of a study."""
    if sampler.optuna_class == SobolSampler.__name__:
        return SobolSampler(space, seeds.derive(*study_seed), number)
    made = getattr(optuna.samplers, sampler.optuna_class)
    return cast("BaseSampler", made(seed=seeds.derive(*study_seed, number), **sampler.options))
