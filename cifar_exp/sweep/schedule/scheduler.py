"""Which training begins next, of all that can begin.

The order changes no result: what is trained depends on the definition alone. It only decides how
long the last trainer has to be waited for, so those with the most behind them begin first.
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


class Scheduler:
    """Chooses among the trainings of all combinations that can begin.

    Args:
        works: What is left of each combination, in the order of the definition.
        num_images: Training images of the data set.
    """

    def __init__(self, works: Sequence[Work], num_images: int) -> None:
        self._works = {work.combination.name: work for work in works}
        self._num_images = num_images
        self._seconds: dict[str, float] = defaultdict(float)
        self._steps: dict[str, int] = defaultdict(int)

    def next(self) -> Task | None:
        """Return the training that is to begin next, if one can."""
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
        """Take note of how long a training took: others of its combination will be like it."""
        self._seconds[task.combination] += seconds
        self._steps[task.combination] += num_epochs * self._steps_per_epoch(task)

    def _seconds_until_end(self, work: Work, task: Task) -> float:
        """Guess how long a training takes together with all that has to wait for it."""
        own = task.config.epochs * self._steps_per_epoch(task) * self._step_seconds(task)
        return own * (1 + work.num_after(task))

    def _step_seconds(self, task: Task) -> float:
        """Guess the time of a step: as measured for the combination, or else for all of them."""
        steps = self._steps[task.combination]
        if steps:
            return self._seconds[task.combination] / steps
        return sum(self._seconds.values()) / max(1, sum(self._steps.values())) or 1.0

    def _steps_per_epoch(self, task: Task) -> int:
        return math.ceil(self._num_images / task.config.batch_size)
