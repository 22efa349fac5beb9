"""The components that a definition names, and the plug-ins they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cifar_exp.components import WORDS
from cifar_exp.components.plugins.discovery import Key
from cifar_exp.components.plugins.plugin import Plugin
from cifar_exp.components.plugins.registry import origin, remember, with_installed

if TYPE_CHECKING:
    from cifar_exp.experiment.combination import Combination
    from cifar_exp.experiment.definition import Experiment


def read(reading: Callable[[], Experiment]) -> Experiment:
    """Read a definition that may name components of installed packages.

    They are imported only if a name is unknown without them. The files of its plug-ins are noted.

    Raises:
        DefinitionError: It is invalid.
        PluginError: An installed plug-in cannot be imported.
    """
    experiment = with_installed(reading)
    remember(key for c in experiment.combinations() for key in named(experiment, c))
    return experiment


def named(experiment: Experiment, combination: Combination) -> list[Key]:
    """Return kind and name of each component that a combination depends on."""
    return [
        ("losses", combination.loss.type),
        ("optimizers", combination.optimizer.type),
        ("schedules", combination.schedule.type),
        ("models", experiment.model.type),
        ("datasets", experiment.dataset.type),
        *(("augmentations", name) for name in experiment.augment.names),
    ]


def plugins_used(experiment: Experiment) -> list[Plugin]:
    """Return the plug-ins that a definition uses, each once."""
    keys = [key for c in experiment.combinations() for key in named(experiment, c)]
    return [*dict.fromkeys(found for key in keys if (found := origin(*key)) is not None)]


def plugin_digests(experiment: Experiment, combination: Combination) -> dict[str, str]:
    """Return the hash of the plug-in of each component of a combination that is not built in."""
    found = {
        f"{WORDS[kind]} {name}": origin(kind, name) for kind, name in named(experiment, combination)
    }
    return {component: plugin.digest for component, plugin in found.items() if plugin is not None}
