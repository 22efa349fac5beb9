"""What the results of a combination and a sweep depend on, and its hash: the identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.components.settings import Settings
from cifar_exp.experiment.named import plugin_digests, plugins_used
from cifar_exp.experiment.variant import Variant, is_constant

if TYPE_CHECKING:
    from cifar_exp.components.datasets import Dataset
    from cifar_exp.experiment.combination import Combination
    from cifar_exp.experiment.definition import Experiment


def definition_hash(experiment: Experiment, data: Dataset) -> str:
    """Return a hash that differs between definitions with different computations or data."""
    search, confirm = experiment.search, experiment.confirm
    left_out: Any = {
        **dict.fromkeys(experiment.uncounted(dict(experiment)), True),
        "dataset": True,
        "precision": True,
        **({} if experiment.data_changes is None else {"data_changes": {"noise": {"path"}}}),
        "search": search.uncounted(dict(search)),
        "confirm": confirm.uncounted(dict(confirm)),
        "losses": _uncounted(LOSSES, experiment.losses),
        "optimizers": _uncounted(OPTIMIZERS, experiment.optimizers),
    }
    definition = experiment.model_dump_json(exclude=left_out)
    plugins = "".join(f" {plugin.digest}" for plugin in plugins_used(experiment))
    return _hash(f"{data.fingerprint} {experiment.arithmetic} {definition}{plugins}")


def identity_settings(
    experiment: Experiment, combination: Combination, fingerprint: str
) -> dict[str, Any]:
    """Return all that the results of a combination depend on; `fingerprint` is that of the data.

    The numbers of trials, studies and seeds are excluded, as more of them only add results.
    """
    search = experiment.search
    plugins = plugin_digests(experiment, combination)
    return {
        **({"plugins": plugins} if plugins else {}),
        "data": fingerprint,
        "search": search.model_dump(
            mode="json", exclude={"trials", "studies", *search.uncounted(dict(search))}
        ),
        "combination": {
            "loss": _counted(LOSSES, combination.loss),
            "optimizer": _counted(OPTIMIZERS, combination.optimizer),
            **_counted_schedule(combination.schedule),
        },
        "precision": experiment.arithmetic,
        "augment": experiment.augment.identity(),
        "model": experiment.model.identity(),
        **experiment.model_dump(
            include={"epochs", "seed", "compile", "ema"},
            exclude=experiment.uncounted(dict(experiment)),
        ),
        **_changes(experiment),
    }


def _changes(experiment: Experiment) -> dict[str, Any]:
    if experiment.data_changes is None:
        return {}
    return {"data_changes": experiment.data_changes.counted()}


def hash_of(settings: Mapping[str, Any]) -> str:
    """Return the hash of `identity_settings`; it does not depend on the order of keys."""
    return _hash(json.dumps(settings, sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _counted_schedule(schedule: Variant) -> dict[str, Any]:
    """Return a schedule as it enters the identity; a constant one was there without a key."""
    return {} if is_constant(schedule) else {"schedule": _counted(SCHEDULES, schedule)}


def _uncounted(
    table: Mapping[str, type[Settings]], variants: Mapping[str, Variant]
) -> dict[str, Any]:
    """Return the settings that are excluded from an identity, by the name of the variant."""
    return {
        name: {"settings": table[variant.type].uncounted(variant.settings)}
        for name, variant in variants.items()
    }


def _counted(table: Mapping[str, type[Settings]], variant: Variant) -> dict[str, Any]:
    """Return a loss, optimizer or schedule as it enters the identity."""
    component = table[variant.type]
    dumped = variant.model_dump(mode="json")
    uncounted = component.uncounted(variant.settings)
    kept = {name: value for name, value in dumped["settings"].items() if name not in uncounted}
    version = component.results_version(variant.settings)
    return {**dumped, "settings": kept, **({} if version == 1 else {"version": version})}
