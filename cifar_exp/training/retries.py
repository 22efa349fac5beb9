"""What becomes of a training whose process has died under it: a few more attempts, then an end.

A run's tag `attempts` counts them. Only a crash makes another attempt: a training that was
interrupted by its user goes on as if nothing had been.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cifar_exp.records import TRAININGS, RunRecord
from cifar_exp.tracking import Tracker
from cifar_exp.training import checkpoint
from cifar_exp.training.death import MOST_ATTEMPTS, Death

_log = logging.getLogger(__name__)


def settle(tracker: Tracker, records: Iterable[RunRecord], death: Death) -> list[RunRecord]:
    """Count the attempt of each training that a dead process has left open, and end hopeless ones.

    Args:
        tracker: Where they are recorded.
        records: Runs that the process may have worked on, and no other process.
        death: How it died.

    Returns:
        The trainings that it was at.
    """
    running = [r for r in records if r.kind in TRAININGS and r.status == "RUNNING"]
    under_way = [record for record in running if not record.finished]
    for record in under_way:
        _settle(tracker, record, death)
    return under_way


def settle_own(tracker: Tracker, records: Iterable[RunRecord]) -> None:
    """Count the attempts of trainings that a dead sweep has left open in its own process.

    What kills a worker's sweep says nothing of the worker's training. But a training in the
    sweep's own process may itself have been what ended both.
    """
    own = [record for record in records if record.tags.get("process") == "sweep"]
    settle(tracker, own, Death("its process was killed"))


def _settle(tracker: Tracker, record: RunRecord, death: Death) -> None:
    attempts = int(record.tags.get("attempts", "1"))
    if death.final:
        _give_up(tracker, record, death.reason)
    elif attempts >= MOST_ATTEMPTS:
        _give_up(tracker, record, f"crashed {attempts} times (last: {death.reason})")
    else:
        tracker.run(record.run_id).set_tags({"attempts": str(attempts + 1)})
        _log.warning(
            "%s: its process ended (%s); attempt %d of %d follows",
            *(record.name, death.reason, attempts + 1, MOST_ATTEMPTS),
        )


def _give_up(tracker: Tracker, record: RunRecord, reason: str) -> None:
    """End a training as failed, with what its epochs have cost."""
    seconds = tracker.history(record.run_id, "epoch_seconds")
    spent = {"epochs_trained": max(seconds, default=0), "seconds": sum(seconds.values())}
    tracker.run(record.run_id).end_training("FAIL", spent, {"reason": reason})
    checkpoint.remove(record.run_id)
    _log.warning("%s is given up: %s", record.name, reason)
