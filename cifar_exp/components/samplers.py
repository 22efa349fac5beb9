"""Samplers, which choose the settings of trials, with their classes in Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from cifar_exp.components.table import Component, table_of

STARTUP_TRIALS = 5  # random trials before the first model is fitted


class Sampler(Component):
    """A sampler of Optuna with its arguments."""

    optuna_class: ClassVar[str]
    """The class in `optuna.samplers` or `cifar_exp.study.samplers`."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Arguments of the class."""
    independent: ClassVar[bool] = False
    """Whether trials are independent of each other."""


class Random(Sampler):
    """Random sampling of every setting from its range."""

    name = "random"
    optuna_class = "RandomSampler"
    independent = True


class Qmc(Sampler):
    """Quasi-random sampling: a scrambled Sobol sequence, which covers the space evenly."""

    name = "qmc"
    optuna_class = "SobolSampler"
    independent = True


class Tpe(Sampler):
    """Tree-structured Parzen estimator, after 5 random trials."""

    name = "tpe"
    optuna_class = "TPESampler"
    options = MappingProxyType({"n_startup_trials": STARTUP_TRIALS})


class Gp(Sampler):
    """Gaussian process with expected improvement, after 5 random trials."""

    name = "gp"
    optuna_class = "GPSampler"
    options = MappingProxyType({"n_startup_trials": STARTUP_TRIALS})


SAMPLERS = table_of(Sampler)
