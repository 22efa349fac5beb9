"""The scheduler: chooses the next training among those that can start.

The order changes no result, as what is trained depends on the definition only. It affects the
total time, so trainings with the longest chain of dependent trainings start first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from cifar_exp.experiment import Experiment
from cifar_exp.study import block_size
from cifar_exp.sweep.schedule.task import Task
from cifar_exp.sweep.schedule.work import Work


def num_side_by_side(experiment: Experiment) -> int:
    """Return how many trials of an experiment can be trained at the same time."""
    trials = experiment.search.trials
    return len(experiment.combinations()) * int(min(trials, block_size(experiment)))


def max_workers(experiment: Experiment) -> int:
    """Return how many trainings of an experiment can run at the same time: trials or confirmations.

    More workers would have nothing to do.
    """
    confirmations = len(experiment.combinations()) * experiment.confirm.seeds
    return max(num_side_by_side(experiment), confirmations)


class Scheduler:
    """Chooses the next training among all combinations.

    Args:
        works: The remaining work of each combination, in the order of the definition.
        num_images: Number of training images in the data set.
    """

    def __init__(self, works: Sequence[Work], num_images: int) -> None:
        self._works = {work.combination.name: work for work in works}
        self._num_images = num_images
        self._seconds: dict[str, float] = defaultdict(float)
        self._steps: dict[str, int] = defaultdict(int)

    def next(self) -> Task | None:
        """Return the training to start next; None if none can start."""
        ready = [(work, task) for work in self._works.values() for task in work.ready()]
        if not ready:
            return None
        work, task = max(ready, key=lambda pair: self._seconds_until_end(*pair))
        work.begin(task)
        return task

    def work_of(self, task: Task) -> Work:
        """Return the combination that a training belongs to."""
        return self._works[task.combination]

    def add(self, task: Task, num_epochs: int, seconds: float) -> None:
        """Record the time of a training, to estimate others of its combination."""
        self._seconds[task.combination] += seconds
        self._steps[task.combination] += num_epochs * self._steps_per_epoch(task)

    def _seconds_until_end(self, work: Work, task: Task) -> float:
        """Estimate the seconds of a training together with all that depend on it."""
        own = task.config.epochs * self._steps_per_epoch(task) * self._step_seconds(task)
        return own * (1 + work.num_after(task))

    def _step_seconds(self, task: Task) -> float:
        """Estimate the seconds of a step from the combination's trainings, or else from all."""
        steps = self._steps[task.combination]
        if steps:
            return self._seconds[task.combination] / steps
        return sum(self._seconds.values()) / max(1, sum(self._steps.values())) or 1.0

    def _steps_per_epoch(self, task: Task) -> int:
        return math.ceil(self._num_images / task.config.batch_size)
