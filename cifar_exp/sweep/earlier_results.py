"""Earlier results of combinations of the same name that do not count, and what differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from cifar_exp import tracking
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import Combination, Experiment, read
from cifar_exp.experiment.identity import hash_of, identity_settings
from cifar_exp.experiment.named import plugin_digests
from cifar_exp.records import DIGEST_LENGTH, TRAININGS, RunRecord
from cifar_exp.sweep.events import Notice
from cifar_exp.system.formatting import listed, plural
from cifar_exp.tracking import Client, StoreError

NOT_KNOWN = "their definition is not stored, or this version cannot read it"
OTHER_DATA = "the images, their labels or the split have changed"
OTHER_VERSION = "another version of this program trained them, with other results"
OTHER_PLUGIN = "the source of {} has changed"
OTHER_ORDER = " (in another order, other settings are drawn)"


def not_counted(
    experiment: Experiment, data: Dataset, client: Client, records: Sequence[RunRecord]
) -> list[Notice]:
    """Return why earlier results do not count, for combinations that have no results yet.

    Combinations with the same reason share a notice.

    Args:
        experiment: The definition of the sweep that starts.
        data: Its data set.
        client: The MLflow store.
        records: The runs of the experiment in it.
    """
    definition = cache(lambda run_id: _definition(client, run_id))
    with_results = {r.combination_id for r in records if r.kind in TRAININGS and r.finished}
    former = [r for r in records if r.kind == "combination" and r.combination_id in with_results]
    names: dict[str, list[str]] = {}
    for combination in experiment.combinations():
        if experiment.identity(combination, data.fingerprint) in with_results:
            continue
        if earlier := [r for r in former if r.combination == combination.name]:
            newest = max(earlier, key=lambda run: run.start_time)
            before = definition(newest.parent)
            reason = _reason(experiment, before, combination, data, newest, records)
            names.setdefault(reason, []).append(combination.name)
    return [
        Notice(sentence=f"earlier results of {listed(of_reason)} do not count: {reason}")
        for reason, of_reason in names.items()
    ]


def _definition(client: Client, sweep_run_id: str | None) -> Experiment | None:
    """Return the definition of an earlier sweep, if it is stored and this version can read it."""
    try:
        return read(tracking.read_definition(client, sweep_run_id or ""))
    except (StoreError, DefinitionError):
        return None


def _reason(
    experiment: Experiment,
    before: Experiment | None,
    combination: Combination,
    data: Dataset,
    earlier: RunRecord,
    records: Sequence[RunRecord],
) -> str:
    found = before.combinations() if before else []
    same_name = [c for c in found if c.name == combination.name]
    if before is None or not same_name:
        return NOT_KNOWN
    recorded = next((r.params for r in records if r.run_id == earlier.parent), {})
    here = before.model_copy(update={"precision": experiment.precision})
    try:
        was = identity_settings(here, same_name[0], data.fingerprint)
    except OSError:  # a file of pretrained weights is not there any more
        return NOT_KNOWN
    was["precision"] = recorded.get("precision", was["precision"])
    now = identity_settings(experiment, combination, data.fingerprint)
    reasons = list(differences(was, now))
    same_changes = was.get("data_changes") == now.get("data_changes")
    if same_changes and hash_of(was) != earlier.combination_id:
        trainings = [r for r in records if r.combination_id == earlier.combination_id]
        digests = {r.data_digest for r in trainings} - {None}
        same_data = data.fingerprint[:DIGEST_LENGTH] in digests
        reasons.append(
            _change(plugin_digests(experiment, combination)) if same_data else OTHER_DATA
        )
    return ", ".join(reasons)


def _change(plugins: Mapping[str, str]) -> str:
    """Return what has changed, if neither the definition nor the data has."""
    return OTHER_PLUGIN.format(listed(plugins)) if plugins else OTHER_VERSION


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between two `identity_settings`, by the keys of a definition."""
    before, after = dict(_by_key(was)), dict(_by_key(now))
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old != new:
            order = OTHER_ORDER if _is_other_order(old, new) else ""
            yield f"{key} was {_text(old)}, is {_text(new)}{order}"


def _by_key(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every setting except the data by its key in a definition, ranges as one value."""
    for name, value in settings.items():
        if name not in ("data", "search", "combination", "plugins"):
            yield name, value
    for name, value in settings["search"].items():
        yield f"search.{name}", value
    for kind, variant in settings["combination"].items():
        table = plural(kind)
        keys = {"type": variant["type"], **variant["settings"]}
        keys |= {"lr": variant["lr"]} if "lr" in variant else {}
        for name, value in keys.items():
            yield f"{table}.{variant['name']}.{name}", value


def _is_other_order(old: Any, new: Any) -> bool:
    return isinstance(old, list) and isinstance(new, list) and sorted(old) == sorted(new)


def _text(value: Any) -> str:
    """Format a value as in a definition; a missing one is the default."""
    if value is None:
        return "the default"
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {json.dumps(each)}" for name, each in value.items())
        return f"{{ {inner} }}"
    return json.dumps(value)
