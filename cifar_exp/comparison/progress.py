"""How far a sweep is: what is done, what runs, and how long the rest takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cifar_exp.comparison.counted import counted, members_of, name_of
from cifar_exp.comparison.replicates import best_trials, num_trials, space_size, studies_of
from cifar_exp.experiment import Design
from cifar_exp.records import TRAININGS, RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A training that runs, with its finished epochs."""

    epoch: int
    epochs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CombinationProgress:
    """How far a combination is."""

    name: str
    trials: int
    """Trials that have ended, over all studies."""
    all_trials: int
    confirmations: int
    all_confirmations: int
    val_accuracy: float | None
    """The best validation accuracy of its complete trials."""
    running: tuple[Running, ...]

    @property
    def ended(self) -> int:
        """The number of its trainings that have ended."""
        return self.trials + self.confirmations

    @property
    def total(self) -> int:
        """The number of all its trainings, as far as it is known."""
        return self.all_trials + self.all_confirmations


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepProgress:
    """How far a sweep is."""

    experiment: str
    status: str
    """The status of its run in MLflow, such as `RUNNING`."""
    combinations: tuple[CombinationProgress, ...]
    seconds_left: float | None
    """The time until the last training ends; None if no training runs, or none has ended."""
    newest: int
    """When the newest thing happened, in milliseconds since 1970."""

    @property
    def ended(self) -> int:
        """The number of trainings that have ended."""
        return sum(each.ended for each in self.combinations)

    @property
    def total(self) -> int:
        """The number of all trainings, as far as it is known."""
        return sum(each.total for each in self.combinations)

    @property
    def running(self) -> int:
        """The number of trainings that run."""
        return sum(len(each.running) for each in self.combinations)


def progress(
    records: Sequence[RunRecord], sweep: RunRecord, epochs: Mapping[str, int], newest: int
) -> SweepProgress:
    """Return how far a sweep is.

    Args:
        records: The runs of its experiment.
        sweep: Its run.
        epochs: The finished epochs of trainings that run, by the ids of their runs.
        newest: When the newest thing happened, in milliseconds since 1970.
    """
    design = Design.of(sweep.params)
    ended, decision = counted(records, sweep)
    running = _running(records)
    combinations = []
    for member in members_of(records, sweep):
        name = name_of(member)
        needed = decision.needed[name] if decision else design.replicates[0]
        combinations.append(
            _combination(
                member,
                ended[name],
                [_epochs_of(run, epochs) for run in running if run.parent == member.run_id],
                design,
                needed,
            )
        )
    return SweepProgress(
        experiment=sweep.experiment,
        status=sweep.status,
        combinations=tuple(combinations),
        seconds_left=_seconds_left(combinations, [r for runs in ended.values() for r in runs]),
        newest=newest,
    )


def _running(records: Iterable[RunRecord]) -> list[RunRecord]:
    return [r for r in records if r.kind in TRAININGS and r.status == "RUNNING"]


def _epochs_of(run: RunRecord, epochs: Mapping[str, int]) -> Running:
    return Running(epoch=epochs.get(run.run_id, 0), epochs=int(run.params.get("epochs", 0)))


def _combination(
    member: RunRecord,
    ended: Sequence[RunRecord],
    running: Sequence[Running],
    design: Design,
    replicates: int,
) -> CombinationProgress:
    studies, seeds = design.numbers(replicates)
    of_study = studies_of(r for r in ended if r.kind == "trial")
    best = best_trials(ended).values()
    return CombinationProgress(
        name=name_of(member),
        trials=sum(map(len, of_study.values())),
        all_trials=sum(
            num_trials(of_study.get(study, []), design, space_size(member)) for study in studies
        ),
        confirmations=sum(r.kind == "confirmation" for r in ended),
        all_confirmations=len(studies) * len(seeds),
        val_accuracy=max((trial.metrics["val_accuracy"] for trial in best), default=None),
        running=tuple(running),
    )


def _seconds_left(
    combinations: Iterable[CombinationProgress], ended: Iterable[RunRecord]
) -> float | None:
    """Return the time left if as many trainings run at once as now, each as long as on average."""
    seconds = [run.metrics["seconds"] for run in ended if "seconds" in run.metrics]
    running = [run for each in combinations for run in each.running]
    if not (seconds and running):
        return None
    done = sum(run.epoch / run.epochs for run in running if run.epochs)
    left = sum(each.total - each.ended for each in combinations) - done
    return max(left, 0) * fmean(seconds) / len(running)
