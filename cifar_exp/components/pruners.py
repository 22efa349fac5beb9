"""Pruners, which stop trials early, with their classes in Optuna."""

from __future__ import annotations

from typing import Any, ClassVar

from cifar_exp.components.table import Component, table_of


class Pruner(Component):
    """A pruner of Optuna with its arguments."""

    optuna_class: ClassVar[str]
    """The class in `optuna.pruners`."""

    @classmethod
    def arguments(cls, epochs: int) -> dict[str, Any]:  # noqa: ARG003
        """Return the arguments of the class, for complete trials with `epochs` epochs."""
        return {}


class NoPruner(Pruner):
    """No trial is pruned."""

    name = "none"
    optuna_class = "NopPruner"


class Median(Pruner):
    """Prunes a trial that is below the median of earlier trials at the same epoch."""

    name = "median"
    optuna_class = "MedianPruner"

    @classmethod
    def arguments(cls, epochs: int) -> dict[str, Any]:  # noqa: ARG003
        """Return when pruning starts: after 5 complete trials, and 2 epochs of a trial."""
        return {"n_startup_trials": 5, "n_warmup_steps": 2}


class Hyperband(Pruner):
    """Hyperband: at each rung of a bracket, the best third of the trials continues."""

    name = "hyperband"
    optuna_class = "HyperbandPruner"

    @classmethod
    def arguments(cls, epochs: int) -> dict[str, Any]:
        """Return the epochs of the first rung and of a complete trial."""
        return {"min_resource": 1, "max_resource": epochs, "reduction_factor": 3}


PRUNERS = table_of(Pruner)
