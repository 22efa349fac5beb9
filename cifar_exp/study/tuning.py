"""The tuning of one combination: what its next trials are, and which are given up early.

It is a function of the definition and of the results it is told, kept in memory, so that no trainer
waits for a database. Trials are asked in blocks: sampler and pruner know the results of earlier
blocks, and of their own block the settings that were drawn before. What is trained then does not
depend on the number of trainers, nor on which of them is the first to end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial, TrialState

from cifar_exp import records
from cifar_exp.components.pruners import PRUNERS
from cifar_exp.components.samplers import SAMPLERS
from cifar_exp.experiment import Choices, Combination, Experiment, Range, Value
from cifar_exp.study import pruners, samplers


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """A trial that has ended."""

    number: int
    params: Mapping[str, Value]
    """What was searched, as `Experiment.space` names it."""
    accuracies: Mapping[int, float]
    """The validation accuracy of each epoch."""
    state: records.TrialState
    val_accuracy: float | None
    """That of the last epoch; None for a trial that failed."""


class Tuning:
    """The trials of one combination, numbered from 0.

    Args:
        experiment: The definition.
        combination: What is tuned.
        name: The name of its study; Hyperband draws a trial's bracket from it.
    """

    def __init__(self, experiment: Experiment, combination: Combination, name: str) -> None:
        self.name = name
        self.space = distributions(experiment, combination)
        self.block_size = block_size(experiment)
        self._sampler = SAMPLERS[experiment.search.sampler]
        self._pruner = PRUNERS[experiment.search.pruner]
        self._epochs = experiment.epochs
        self._seed = (experiment.seed, combination.name)
        self._begun: dict[int, tuple[optuna.Study, Trial]] = {}
        self._ended: dict[int, FrozenTrial] = {}

    def ask(self, number: int) -> dict[str, Value]:
        """Return the settings of a trial; all trials of earlier blocks have to be told.

        To ask again gives the same settings.
        """
        if number not in self._begun:
            study = self._study(number)
            trial = study.ask()
            for name, distribution in self.space.items():
                _draw(trial, name, distribution)
            self._begun[number] = study, trial
        return dict(self._begun[number][1].params)

    def is_to_be_pruned(self, number: int, epoch: int, accuracy: float) -> bool:
        """Take note of an epoch of a trial, and say whether to give the trial up there."""
        _, trial = self._begun[number]
        trial.report(accuracy, epoch)
        return epoch < self._epochs and trial.should_prune()  # never after the last one

    def tell(self, result: TrialResult) -> None:
        """Take note of the end of a trial; one that was not asked here is added.

        What pruners note in a trial follows from its epochs, so these are gone through again.
        """
        number = result.number
        if number not in self._begun:
            study = self._study(number)
            study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.RUNNING,
                    params=dict(result.params),
                    distributions=dict(self.space),
                )
            )
            trial = Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)
            self._begun[number] = study, trial
            for epoch, accuracy in sorted(result.accuracies.items()):
                self.is_to_be_pruned(number, epoch, accuracy)
        study, trial = self._begun[number]
        study.tell(trial, _value(result), TrialState[result.state])
        self._ended[number] = study.get_trials(deepcopy=False)[-1]
        self._forget_earlier_blocks(number)

    def tell_all(self, results: Iterable[TrialResult]) -> None:
        """Take note of trials that ended earlier, if any other one depends on them."""
        for result in results:
            if math.isfinite(self.block_size):
                self.tell(result)

    def _study(self, number: int) -> optuna.Study:
        """Return a study that knows what this trial may know."""
        study = optuna.create_study(
            study_name=self.name,
            direction="maximize",
            sampler=samplers.make(self._sampler, self.space, self._seed, number),
            pruner=pruners.make(self._pruner, self._epochs),
        )
        if math.isfinite(self.block_size):
            study.add_trials(self._known(number))
        return study

    def _known(self, number: int) -> Iterator[FrozenTrial]:
        """Give the trials before this one: those of its own block as they began."""
        block_begins = number - number % int(self.block_size)
        for earlier in range(block_begins):
            yield self._ended[earlier]
        for beside in range(block_begins, number):
            yield optuna.trial.create_trial(
                state=TrialState.RUNNING, params=self.ask(beside), distributions=dict(self.space)
            )

    def _forget_earlier_blocks(self, number: int) -> None:
        """Let go of the studies of trials that nobody asks for any more."""
        if not math.isfinite(self.block_size):
            self._begun.pop(number)
            return
        block_begins = number - number % int(self.block_size)
        for old in [n for n in self._begun if n < block_begins and n in self._ended]:
            del self._begun[old]


def block_size(experiment: Experiment) -> float:
    """Return how many trials of a combination are asked together; infinity where none depends."""
    search = experiment.search
    independent = SAMPLERS[search.sampler].independent and search.pruner == "none"
    return math.inf if independent else search.at_once


def distributions(experiment: Experiment, combination: Combination) -> dict[str, BaseDistribution]:
    """Say in Optuna's terms what the study of a combination searches."""
    space = experiment.space(combination)
    return {name: _distribution(values) for name, values in space.items()}


def study_name(experiment: Experiment, combination: Combination, identity: str) -> str:
    """Name the study of a combination."""
    return f"{experiment.name}/{combination.name} {identity}"


def _distribution(values: Range | Choices) -> BaseDistribution:
    match values:
        case Choices(values=choices):
            return CategoricalDistribution(choices)
        case Range(low=int() as low, high=int() as high, log=log):
            return IntDistribution(low, high, log=log)
        case Range(low=low, high=high, log=log):
            return FloatDistribution(low, high, log=log)


def _draw(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{distribution!r} is not searched here")


def _value(result: TrialResult) -> float | None:
    return result.val_accuracy if result.state == "COMPLETE" else None
