"""How a second process finds the sweep that another one has opened."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cifar_exp import tracking
from cifar_exp.errors import Unavailable
from cifar_exp.experiment import Experiment
from cifar_exp.system import locks
from cifar_exp.tracking import Tracker

SECONDS_BETWEEN_LOOKS = 0.3


class OtherDefinition(Unavailable):
    """The sweep that is under way is of another definition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """A sweep that another process has opened."""

    tracker: Tracker
    parents: Mapping[str, str]
    """The run id of each combination, by its name."""


def find(
    stores: Sequence[str],
    tracking_uri: str,
    experiment: Experiment,
    fingerprint: str,
    definition: str,
) -> Shared | None:
    """Wait until the process that holds the sweep has opened all combinations, and return them.

    Args:
        stores: The addresses of MLflow's store and Optuna's, by which the sweep is held.
        tracking_uri: Where its runs are written.
        experiment: What is to be joined.
        fingerprint: That of the data.
        definition: The hash of the definition.

    Returns:
        The sweep, or nothing where no process holds one.

    Raises:
        OtherDefinition: The process runs another definition.
        StoreError: The store cannot be used.
    """
    while not locks.is_free(stores, experiment.name):
        _check_definition(stores, experiment.name, definition)
        shared = _look(tracking_uri, experiment, fingerprint)
        if shared is not None:
            return shared
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return None


def _check_definition(stores: Sequence[str], name: str, definition: str) -> None:
    holder = locks.holder(stores, name)
    if holder is not None and holder.definition != definition:
        raise OtherDefinition(
            f"{holder} runs another definition of experiment {name!r}; "
            "wait for it, or choose another name"
        )


def _look(tracking_uri: str, experiment: Experiment, fingerprint: str) -> Shared | None:
    """Return the sweep, if the runs of all of its combinations are open."""
    if not tracking.exists(tracking_uri):
        return None
    client = tracking.connect(tracking_uri)
    names = {experiment.identity(c, fingerprint): c.name for c in experiment.combinations()}
    parents: dict[str, str] = {}
    for record in tracking.read_records(client, experiment.name, kind="combination"):
        name = names.get(record.combination_id or "")
        if name is not None and record.status == "RUNNING":
            parents.setdefault(name, record.run_id)  # of several, the oldest is gone on with
    if len(parents) < len(names):
        return None
    place = client.get_run(next(iter(parents.values()))).info.experiment_id
    return Shared(tracker=Tracker(tracking_uri, experiment.name, place), parents=parents)
