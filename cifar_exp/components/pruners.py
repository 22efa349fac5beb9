"""The pruners: when a trial is given up early, each in Optuna's terms."""

from __future__ import annotations

from typing import Any, ClassVar

from cifar_exp.components.table import Component, table_of


class Pruner(Component):
    """A way to decide that a trial is given up."""

    optuna_class: ClassVar[str]
    """The class of `optuna.pruners` that does it."""

    @classmethod
    def arguments(cls, epochs: int) -> dict[str, Any]:  # noqa: ARG003
        """Return the arguments of that class, for whole trials of so many epochs."""
        return {}


class NoPruner(Pruner):
    """No trial is given up."""

    name = "none"
    optuna_class = "NopPruner"


class Median(Pruner):
    """A trial is given up that is below the median of earlier ones at the same epoch."""

    name = "median"
    optuna_class = "MedianPruner"

    @classmethod
    def arguments(cls, epochs: int) -> dict[str, Any]:  # noqa: ARG003
        """Return when it begins: after 5 whole trials, and 2 epochs of a trial."""
        return {"n_startup_trials": 5, "n_warmup_steps": 2}


class Hyperband(Pruner):
    """Hyperband: of the trials of a bracket, the best third goes on at each rung."""

    name = "hyperband"
    optuna_class = "HyperbandPruner"

    @classmethod
    def arguments(cls, epochs: int) -> dict[str, Any]:
        """Return the epochs of the first rung and of a whole trial."""
        return {"min_resource": 1, "max_resource": epochs, "reduction_factor": 3}


PRUNERS = table_of(Pruner)
