"""The scheduler: chooses the next group of trainings among those that can start.

The order changes no result, as what is trained depends on the definition only. It affects the
total time, so trainings with the longest chain of dependent trainings start first, together with
all that are alike, up to the width of a group.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence, Set

from cifar_exp.experiment import Experiment
from cifar_exp.study import trials_per_block
from cifar_exp.sweep.events import Event, Notice
from cifar_exp.sweep.schedule.replication import Replication
from cifar_exp.sweep.schedule.task import Key, Task
from cifar_exp.sweep.schedule.work import Work


def num_side_by_side(experiment: Experiment) -> int:
    """Return how many trials of an experiment can be trained at the same time."""
    of_each = (trials_per_block(experiment, c) for c in experiment.combinations())
    return experiment.search.studies * sum(of_each)


def max_workers(experiment: Experiment) -> int:
    """Return how many trainings of an experiment can run at the same time: trials or confirmations.

    More workers would have nothing to do, at least not before more replicates are needed.
    """
    return max(num_side_by_side(experiment), experiment.num_confirmations)


class Scheduler:
    """Chooses the next group of trainings among all combinations.

    Args:
        replication: The remaining work of each study, and how much of it is needed.
        num_images: Number of training images in the data set.
        width: The largest number of trainings in a group.
        begun: Trainings that an earlier execution has begun. They come first, and together, so that
            an interrupted group continues as it was.
    """

    def __init__(
        self,
        replication: Replication,
        num_images: int,
        width: int = 1,
        begun: Set[Key] = frozenset(),
    ) -> None:
        self._replication = replication
        self._works = {work.label: work for work in replication.works}
        self._num_images = num_images
        self._width = width
        self._widths: dict[Hashable, int] = {}
        """The width of groups for which a device had too little memory."""
        self._begun = begun
        self._alone: set[Key] = set()
        self._seconds: dict[str, float] = defaultdict(float)
        self._steps: dict[str, int] = defaultdict(int)

    def next(self, num_free: int = 1) -> tuple[Task, ...]:
        """Return the trainings to start next, as one group; none if none can start.

        Args:
            num_free: Number of free trainers, among which the trainings are divided.
        """
        ready = [task for work in self._works.values() for task in work.ready()]
        if not ready:
            return ()
        urgent = max(ready, key=self._urgency)
        group = self._group_of(urgent, ready, math.ceil(len(ready) / num_free))
        for task in group:
            self.work_of(task).begin(task)
        return group

    def again(self, task: Task, *, alone: bool = False) -> None:
        """Start a training again, on request in a group of its own."""
        if alone:
            self._alone.add(task.key)
        self.work_of(task).begin_again(task)

    def narrow(self, group: Sequence[Task], width: int) -> None:
        """Start the trainings of a group again, in groups of at most `width`."""
        alike = group[0].alike
        self._widths[alike] = min(width, self._widths.get(alike, width))
        for task in group:
            self.again(task)

    def look(self) -> Notice | None:
        """Decide on more replicates if all that are needed now have ended; return the result."""
        return self._replication.update()

    def not_left(self) -> list[Event]:
        """Return an event for each training that has become needed and is not left to train."""
        return [event for work in self._works.values() for event in work.not_left()]

    def work_of(self, task: Task) -> Work:
        """Return the work that a training belongs to."""
        return self._works[task.label]

    def add(self, task: Task, num_epochs: int, seconds: float) -> None:
        """Record the time of a training, to estimate others of its combination."""
        self._seconds[task.combination] += seconds
        self._steps[task.combination] += num_epochs * self._steps_per_epoch(task)

    def _group_of(self, urgent: Task, ready: Sequence[Task], share: int) -> tuple[Task, ...]:
        """Return a training with at most `share` that can be trained together, itself first."""
        if self._width == 1 or self._is_alone(urgent):
            return (urgent,)
        alike = [
            task
            for task in ready
            if task is not urgent and task.alike == urgent.alike and not self._is_alone(task)
        ]
        alike.sort(key=self._urgency, reverse=True)
        width = min(share, self._widths.get(urgent.alike, self._width))
        return (urgent, *alike[: width - 1])

    def _is_alone(self, task: Task) -> bool:
        optimizer = task.config.optimizer_settings
        return task.key in self._alone or not optimizer.is_stackable(dict(optimizer))

    def _urgency(self, task: Task) -> tuple[bool, float]:
        return task.key in self._begun, self._seconds_until_end(task)

    def _seconds_until_end(self, task: Task) -> float:
        """Estimate the seconds of a training together with all that depend on it."""
        own = task.config.epochs * self._steps_per_epoch(task) * self._step_seconds(task)
        return own * (1 + self.work_of(task).num_after(task))

    def _step_seconds(self, task: Task) -> float:
        """Estimate the seconds of a step from the combination's trainings, or else from all."""
        steps = self._steps[task.combination]
        if steps:
            return self._seconds[task.combination] / steps
        return sum(self._seconds.values()) / max(1, sum(self._steps.values())) or 1.0

    def _steps_per_epoch(self, task: Task) -> int:
        return math.ceil(self._num_images / task.config.batch_size)
