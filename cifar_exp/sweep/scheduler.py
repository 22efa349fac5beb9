"""The share of a sweep that one process trains; others may work on the same sweep.

Every unit of work is idempotent and has a lock. A unit that another process is at is put aside;
when nothing else is left, it is waited for, and what is left then is looked up again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

from cifar_exp.experiment import Combination
from cifar_exp.sweep.executors.pool import Submit
from cifar_exp.sweep.units import Confirmation, Job, Left, Tuning, is_free, resume
from cifar_exp.training.events import Event, Watch

SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True, slots=True)
class Turn:
    """A unit of work: the tuning of a combination, or its confirmation `number`."""

    combination: Combination
    number: int | None = None


Turns = dict["Future[bool]", Turn]


def train_all(job: Job, submit: Submit, watch: Watch) -> None:
    """Tune every combination and confirm each one that is tuned, until nothing is left to do.

    Units that run here are submitted at once; those of other processes are waited for.
    """
    left = [resume(job, combination, watch) for combination in job.experiment.combinations()]
    while held := _train(job, left, submit):
        while not any(is_free(job, turn.combination, turn.number) for turn in held):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        put_aside = {turn.combination.name: turn.combination for turn in held}
        left = [resume(job, combination, watch) for combination in put_aside.values()]


def once(watch: Watch) -> Watch:
    """Let a watch hear of the end of each training once, and of nothing after it."""
    ended: set[tuple[str, str]] = set()

    def told(event: Event) -> None:
        training = (event.combination, event.training)
        if training not in ended:
            if event.state is not None:
                ended.add(training)
            watch(event)

    return told


def _train(job: Job, left: Sequence[Left], submit: Submit) -> list[Turn]:
    """Do what is left, but for the units that other processes are at: they are returned."""
    waiting: Turns = {
        submit(Tuning(job=job, combination=each.combination)): Turn(each.combination)
        for each in left
        if each.tuning
    }
    for each in left:
        waiting |= _confirm(job, each.combination, each.seeds, submit)
    held: list[Turn] = []
    while waiting:
        done, _ = wait_for(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            turn = waiting.pop(future)
            if not future.result():
                held.append(turn)
            elif turn.number is None:
                seeds = range(1, job.experiment.confirm.seeds + 1)
                waiting |= _confirm(job, turn.combination, seeds, submit)
    return held


def _confirm(job: Job, combination: Combination, seeds: Iterable[int], submit: Submit) -> Turns:
    return {
        submit(Confirmation(job=job, combination=combination, number=number)): Turn(
            combination, number
        )
        for number in seeds
    }
