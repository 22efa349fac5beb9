"""The tuning of one combination: the settings of its next trials, and pruning.

The tuning is kept in memory, so that no trainer waits for a database. It depends only on the
definition and the results of the trials. Trials are asked in blocks: sampler and pruner know the
results of earlier blocks, and the settings of earlier trials in the same block. So what is trained
does not depend on the number of trainers or on which trial ends first.

A study tries no setting twice, as the same training has the same result: a setting that was tried
is replaced by a random one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from cifar_exp import records, seeds
from cifar_exp.components.pruners import PRUNERS
from cifar_exp.components.samplers import SAMPLERS
from cifar_exp.experiment import Combination, Experiment, Value, num_settings
from cifar_exp.study import pruners, samplers
from cifar_exp.study.distributions import distributions, draw, quantile


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
        name: From `tuning_name`; Hyperband derives the bracket of a trial from it.
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
        self._seed = (seed, combination.key)
        self._num_settings = num_settings(experiment.space(combination))
        self._settings: dict[int, tuple[Value, ...]] = {}
        """The setting of each trial that was asked or told."""
        self._num_known = 0
        """All trials before this number have a known setting."""
        self._tried: set[tuple[Value, ...]] = set()
        self._begun: dict[int, tuple[optuna.Study, Trial]] = {}
        self._ended: dict[int, FrozenTrial] = {}

    def ask(self, number: int) -> dict[str, Value]:
        """Return the settings of a trial; requires the results of all earlier blocks.

        Repeated calls return the same settings. If all were tried, some of them again by an older
        version, one of them is returned.
        """
        if number not in self._settings:
            self._ask_earlier(number)
            study = self._study(number)
            trial = study.ask()
            for name, distribution in self.space.items():
                draw(trial, name, distribution)
            if self._was_tried(trial.params) and len(self._tried) < self._num_settings:
                study, trial = self._with_trial(number, self._not_tried(number))
            self._begin(number, study, trial)
        return dict(zip(self.space, self._settings[number], strict=True))

    def _ask_earlier(self, number: int) -> None:
        """Ask the earlier trials whose settings are not known, as this one must differ."""
        while self._num_known in self._settings:
            self._num_known += 1
        for earlier in range(self._num_known, number):
            if earlier not in self._settings:
                self.ask(earlier)

    def _begin(self, number: int, study: optuna.Study, trial: Trial) -> None:
        self._begun[number] = study, trial
        self._note(number, trial.params)

    def _note(self, number: int, params: Mapping[str, Value]) -> None:
        self._settings[number] = self._setting(params)
        self._tried.add(self._settings[number])

    def _setting(self, params: Mapping[str, Value]) -> tuple[Value, ...]:
        return tuple(params[name] for name in self.space)

    def _was_tried(self, params: Mapping[str, Value]) -> bool:
        return self._setting(params) in self._tried

    def _not_tried(self, number: int) -> dict[str, Value]:
        """Return a random setting that was not tried; it depends on the trial's number."""
        random = np.random.default_rng(seeds.derive(*self._seed, number, "not tried"))
        while True:
            params = {
                name: quantile(distribution, random.random())
                for name, distribution in self.space.items()
            }
            if math.isinf(self._num_settings) or not self._was_tried(params):
                return params

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
            self._begin(number, *self._with_trial(number, result.params))
            for epoch, accuracy in sorted(result.accuracies.items()):
                self.is_to_be_pruned(number, epoch, accuracy)
        study, trial = self._begun[number]
        study.tell(trial, _value(result), TrialState[result.state])
        self._ended[number] = study.get_trials(deepcopy=False)[-1]
        self._forget_earlier_blocks(number)

    def tell_all(self, results: Iterable[TrialResult]) -> None:
        """Record trials that ended earlier; of independent trials, only the settings.

        All settings are known before a trial is asked, so that none of them is tried again.
        """
        ended = list(results)
        for result in ended:
            self._note(result.number, result.params)
        if math.isfinite(self.block_size):
            for result in ended:
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

    def _with_trial(self, number: int, params: Mapping[str, Value]) -> tuple[optuna.Study, Trial]:
        """Return an in-memory study in which this trial is running with these settings."""
        study = self._study(number)
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.RUNNING, params=dict(params), distributions=dict(self.space)
            )
        )
        return study, Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)

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


def trials_per_block(experiment: Experiment, combination: Combination) -> int:
    """Return how many trials of a study can be trained at the same time."""
    return int(min(experiment.trials_of(combination), block_size(experiment)))


def tuning_name(experiment: str, label: str, identity: str) -> str:
    """Return the name of a tuning, by which older versions stored its study.

    Args:
        experiment: The name of the experiment.
        label: The key of its combination with the number of the study, see `study_label`.
        identity: The identity of its combination.
    """
    return f"{experiment}/{label} {identity}"


def _value(result: TrialResult) -> float | None:
    return result.val_accuracy if result.state == "COMPLETE" else None
