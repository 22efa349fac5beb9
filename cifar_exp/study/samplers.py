"""Samplers, which choose the settings of the next trial.

A new sampler is created for each trial, with a seed that depends on the experiment's seed, the
combination and the trial's number. So the trials of a study do not depend on interruptions.
"""

from __future__ import annotations

from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from scipy.stats import qmc

from cifar_exp import seeds
from cifar_exp.components.samplers import Sampler
from cifar_exp.study.distributions import quantile


class SobolSampler(BaseSampler):
    """A scrambled Sobol sequence over the search space: trial n uses the nth point.

    Optuna's own sampler counts the points in the study, so an interrupted trial would shift all
    later ones, and it draws categorical settings at random.

    Source: Owen, Scrambling Sobol' and Niederreiter-Xing points, 1998.
    """

    def __init__(self, space: dict[str, BaseDistribution], seed: int, number: int) -> None:
        self.space = space
        self.seed = seed
        self.number = number

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, BaseDistribution]:
        """Return the whole space: all settings are sampled together."""
        del study, trial
        return self.space

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        """Return the settings at the point of the sequence with the trial's number."""
        del study, trial, search_space
        points = qmc.Sobol(d=len(self.space), seed=self.seed)
        if self.number > 0:
            points.fast_forward(self.number)
        point = points.random(1)[0]
        return {
            name: quantile(distribution, float(probability))
            for (name, distribution), probability in zip(self.space.items(), point, strict=True)
        }

    def sample_independent(self, study: Any, trial: Any, param_name: str, _: Any) -> Any:
        """Raise KeyError: all settings are sampled together."""
        del trial
        raise KeyError(f"{param_name} is not in the search space of {study.study_name}")


def make(
    sampler: type[Sampler],
    space: dict[str, BaseDistribution],
    study_seed: tuple[int | str, ...],
    number: int,
) -> BaseSampler:
    """Return the Optuna sampler of one trial of a study."""
    if sampler.optuna_class == SobolSampler.__name__:
        return SobolSampler(space, seeds.derive(*study_seed), number)
    sampler_class = getattr(optuna.samplers, sampler.optuna_class)
    return cast(
        "BaseSampler", sampler_class(seed=seeds.derive(*study_seed, number), **sampler.options)
    )
