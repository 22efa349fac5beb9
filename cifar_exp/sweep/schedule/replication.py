"""Replication: how many studies or seeds each combination needs, given the results so far."""

from __future__ import annotations

from cifar_exp.comparison import decide_on, replicates
from cifar_exp.comparison.statistics.looks import Decision
from cifar_exp.experiment import Design
from cifar_exp.records import RunRecord
from cifar_exp.sweep.events import Notice
from cifar_exp.sweep.schedule.work import Work
from cifar_exp.system.formatting import counted


class Replication:
    """Sets how many replicates of each combination are trained now.

    It depends on the results alone, so an interrupted sweep continues in the same way. The first
    `update` sets what is needed after the results of earlier executions.

    Args:
        design: What is repeated.
        works: The work of each study.
        num_test_images: Number of images of the test split.
    """

    def __init__(self, design: Design, works: list[Work], num_test_images: int) -> None:
        self._design = design
        self.works = works
        self._num_test_images = num_test_images
        for work in works:
            self._set_needed(work, design.replicates[0])

    def update(self) -> Notice | None:
        """Compare the combinations once all that is needed now has ended.

        Returns:
            The result; None if trainings are left, or if the number of replicates is fixed.
        """
        if any(work.is_unfinished for work in self.works):
            return None
        decision = decide_on(self._samples(), self._design, self._num_test_images)
        if decision is None:
            return None
        before = self._num_needed()
        for work in self.works:
            self._set_needed(work, decision.needed[work.combination.name])
        more = self._num_needed() - before
        return Notice(sentence=_sentence(decision, self._design, more), more=more)

    def repeated(self) -> Notice | None:
        """Return how many trials of older versions try a setting again; None if there are none."""
        number = sum(work.num_repeated for work in self.works if work.num_seeds)
        if not number:
            return None
        trials = counted(number, "trial")
        repeat = "repeats" if number == 1 else "repeat"
        sentence = f"{trials} of an older version {repeat} a setting: they stay in the results"
        return Notice(sentence=sentence, more=number)

    def _set_needed(self, work: Work, num_replicates: int) -> None:
        studies, seeds = self._design.numbers(num_replicates)
        work.num_seeds = len(seeds) if work.study in studies else 0

    def _num_needed(self) -> int:
        """Return the number of trainings that are needed now, finished or not."""
        return sum(w.num_trials + w.num_seeds for w in self.works if w.num_seeds)

    def _samples(self) -> dict[str, tuple[float | None, ...]]:
        results: dict[str, list[RunRecord]] = {}
        for work in self.works:
            results.setdefault(work.combination.name, []).extend(work.results)
        sizes = {work.combination.name: work.space_size for work in self.works}
        return {
            name: replicates(records, self._design, sizes[name])
            for name, records in results.items()
        }


def _sentence(decision: Decision, design: Design, more: int) -> str:
    """Return the result of the last look."""
    remaining = len(decision.remaining)
    combinations = counted(len(decision.needed), "combination")
    compared = f"{remaining} of {combinations} may be the best"
    if decision.ended is None:
        size = max(decision.needed.values())
        return f"{compared}: they get up to {size} {design.unit}, {counted(more, 'more training')}"
    return f"{compared}: no more {design.unit} ({decision.ended})"
