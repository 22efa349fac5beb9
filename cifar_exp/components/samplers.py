"""The samplers: how the settings of trials are chosen, each in Optuna's terms."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from cifar_exp.components.table import Component, table_of

STARTUP_TRIALS = 5  # random trials before a model of the trials so far is of any use


class Sampler(Component):
    """A way to choose settings."""

    optuna_class: ClassVar[str]
    """The class that does it: one of `optuna.samplers`, or of `cifar_exp.study.samplers`."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Arguments of that class."""
    independent: ClassVar[bool] = False
    """Whether a trial depends on no other one."""


class Random(Sampler):
    """Every setting is drawn at random from its range."""

    name = "random"
    optuna_class = "RandomSampler"
    independent = True


class Qmc(Sampler):
    """Settings are the points of a scrambled Sobol sequence, which fills the space evenly."""

    name = "qmc"
    optuna_class = "SobolSampler"
    independent = True


class Tpe(Sampler):
    """Tree-structured Parzen estimator: settings near those of good trials, after 5 random ones."""

    name = "tpe"
    optuna_class = "TPESampler"
    options = MappingProxyType({"n_startup_trials": STARTUP_TRIALS})


class Gp(Sampler):
    """Gaussian process: settings that may improve most on the best trial, after 5 random ones."""

    name = "gp"
    optuna_class = "GPSampler"
    options = MappingProxyType({"n_startup_trials": STARTUP_TRIALS})


SAMPLERS = table_of(Sampler)
