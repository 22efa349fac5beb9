"""The distributions of a search space in Optuna: draws from them, and their quantiles."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial
from scipy.stats import loguniform, uniform

from cifar_exp.experiment import Choices, Combination, Experiment, Range


def distributions(experiment: Experiment, combination: Combination) -> dict[str, BaseDistribution]:
    """Return the search space of a combination as Optuna distributions."""
    space = experiment.space(combination)
    return {name: _distribution(values) for name, values in space.items()}


def _distribution(values: Range | Choices) -> BaseDistribution:
    match values:
        case Choices(values=choices):
            return CategoricalDistribution(choices)
        case Range(low=int() as low, high=int() as high, log=log):
            return IntDistribution(low, high, log=log)
        case Range(low=low, high=high, log=log):
            return FloatDistribution(low, high, log=log)


def draw(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    """Let the sampler of a trial's study draw the value of a setting, and return it."""
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{distribution!r} is not searched here")


def quantile(distribution: BaseDistribution, probability: float) -> Any:
    """Return the quantile of a distribution at a probability from 0 to below 1."""
    match distribution:
        case FloatDistribution(low=low, high=high, log=True):
            return float(loguniform(low, high).ppf(probability))
        case FloatDistribution(low=low, high=high):
            return float(uniform(low, high - low).ppf(probability))
        case IntDistribution(low=low, high=high, log=True):
            return min(high, int(loguniform(low, high + 1).ppf(probability)))
        case IntDistribution(low=low, high=high):
            return min(high, low + int(probability * (high - low + 1)))
        case CategoricalDistribution(choices=choices):
            return choices[int(probability * len(choices))]
    raise TypeError(f"no quantile of {distribution!r}")
