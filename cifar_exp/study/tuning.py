"""The tuning of one combination: the settings of its next trials, and pruning.

The tuning is kept in memory, so that no trainer waits for a database. It depends only on the
definition and the results of the trials. Trials are asked in blocks: sampler and pruner know the
results of earlier blocks, and the settings of earlier trials in the same block. So what is trained
does not depend on the number of trainers or on which trial ends first.
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
    """The sampled settings, with the names of `Experiment.space`."""
    accuracies: Mapping[int, float]
    """The validation accuracy of each epoch."""
    state: records.TrialState
    val_accuracy: float | None
    """Validation accuracy of the last epoch; None for a failed trial."""


class Tuning:
    """The trials of one study of a combination, numbered from 0.

    Args:
        experiment: The definition.
        combination: The combination.
        name: The name of the study; Hyperband derives the bracket of a trial from it.
        seed: The seed of the study.
    """

    def __init__(
        self, experiment: Experiment, combination: Combination, name: str, seed: int
    ) -> None:
        self.name = name
        self.space = distributions(experiment, combination)
        self.block_size = block_size(experiment)
        self._sampler = SAMPLERS[experiment.search.sampler]
        self._pruner = PRUNERS[experiment.search.pruner]
        self._epochs = experiment.epochs
        self._seed = (seed, combination.name)
        self._begun: dict[int, tuple[optuna.Study, Trial]] = {}
        self._ended: dict[int, FrozenTrial] = {}

    def ask(self, number: int) -> dict[str, Value]:
        """Return the settings of a trial; requires the results of all earlier blocks.

        Repeated calls return the same settings.
        """
        if number not in self._begun:
            study = self._study(number)
            trial = study.ask()
            for name, distribution in self.space.items():
                _draw(trial, name, distribution)
            self._begun[number] = study, trial
        return dict(self._begun[number][1].params)

    def is_to_be_pruned(self, number: int, epoch: int, accuracy: float) -> bool:
        """Report an epoch of a trial; return whether to prune the trial."""
        _, trial = self._begun[number]
        trial.report(accuracy, epoch)
        return epoch < self._epochs and trial.should_prune()  # never after the last epoch

    def tell(self, result: TrialResult) -> None:
        """Record the result of a trial; a trial that was not asked in this process is added.

        The epochs of an added trial are reported again, as pruners store attributes at each epoch.
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
        """Record trials that ended earlier, unless the trials are independent."""
        for result in results:
            if math.isfinite(self.block_size):
                self.tell(result)

    def _study(self, number: int) -> optuna.Study:
        """Return an in-memory study with the trials that this trial may depend on."""
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
        """Yield the earlier trials; those of the same block as running, without results."""
        block_start = number - number % int(self.block_size)
        for earlier in range(block_start):
            yield self._ended[earlier]
        for sibling in range(block_start, number):
            yield optuna.trial.create_trial(
                state=TrialState.RUNNING, params=self.ask(sibling), distributions=dict(self.space)
            )

    def _forget_earlier_blocks(self, number: int) -> None:
        """Delete the in-memory studies of finished trials in earlier blocks."""
        if not math.isfinite(self.block_size):
            self._begun.pop(number)
            return
        block_start = number - number % int(self.block_size)
        for old in [n for n in self._begun if n < block_start and n in self._ended]:
            del self._begun[old]


def block_size(experiment: Experiment) -> float:
    """Return how many trials of a combination form a block; infinity if trials are independent."""
    search = experiment.search
    independent = SAMPLERS[search.sampler].independent and search.pruner == "none"
    return math.inf if independent else search.at_once


def trials_per_block(experiment: Experiment) -> int:
    """Return how many trials of a combination can be trained at the same time."""
    return int(min(experiment.search.trials, block_size(experiment)))


def distributions(experiment: Experiment, combination: Combination) -> dict[str, BaseDistribution]:
    """Return the search space of a combination as Optuna distributions."""
    space = experiment.space(combination)
    return {name: _distribution(values) for name, values in space.items()}


def study_name(experiment: str, label: str, identity: str) -> str:
    """Return the name of a study in the Optuna storage.

    Args:
        experiment: The name of the experiment.
        label: The name of the study, see `study_label`.
        identity: The identity of its combination.
    """
    return f"{experiment}/{label} {identity}"


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
