"""A study tries no setting twice, and draws as before where no setting repeats."""

from __future__ import annotations

import itertools
from pathlib import Path

import optuna
import pytest

from cifar_exp.components.pruners import PRUNERS
from cifar_exp.components.samplers import SAMPLERS
from cifar_exp.experiment import Experiment, Value
from cifar_exp.records import TrialState
from cifar_exp.study import TrialResult, Tuning
from cifar_exp.study.distributions import distributions
from cifar_exp.study.samplers import make
from tests import tiny

SIX = "muon = { lr = 0.1, ns_steps = { low = 2, high = 4 } }"  # with two batch sizes
EVERY_SETTING = set(itertools.product((8, 16), (2, 3, 4)))
REAL = "sgd = { lr = { low = 1e-3, high = 0.1 } }"


def definition(
    images: Path, sampler: str, pruner: str, at_once: int = 1, optimizers: str = SIX
) -> Experiment:
    search = f'''trials = 9
        sampler = "{sampler}"
        pruner = "{pruner}"
        batch_size = [8, 16]
        at_once = {at_once}'''
    return tiny.experiment(images, search=search, optimizers=optimizers)


def tuning_of(experiment: Experiment) -> Tuning:
    return Tuning(experiment, experiment.combinations()[0], "the study", 0)


def result(number: int, params: dict[str, Value], state: TrialState = "COMPLETE") -> TrialResult:
    accuracy = None if state == "FAIL" else 0.5 + number / 100
    accuracies = {} if accuracy is None else {1: accuracy}
    return TrialResult(
        number=number, params=params, accuracies=accuracies, state=state, val_accuracy=accuracy
    )


def tune(tuning: Tuning, numbers: range, state: TrialState = "COMPLETE") -> list[TrialResult]:
    """Ask the trials of each block together, then end them."""
    size = int(min(tuning.block_size, len(numbers)))
    found = []
    for start in range(0, len(numbers), size):
        block = numbers[start : start + size]
        ended = [result(number, tuning.ask(number), state) for number in block]
        for each in ended:
            tuning.tell(each)
        found += ended
    return found


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize(
    ("sampler", "pruner"), list(itertools.product(SAMPLERS, ("none", "median")))
)
def test_each_of_six_settings_is_tried_once(
    images: Path, sampler: str, pruner: str, at_once: int
) -> None:
    experiment = definition(images, sampler, pruner, at_once)
    assert experiment.trials_of(experiment.combinations()[0]) == 6
    found = tune(tuning_of(experiment), range(6))
    assert {tuple(each.params.values()) for each in found} == EVERY_SETTING
    resumed = tuning_of(experiment)
    resumed.tell_all(found[:4])
    assert tune(resumed, range(4, 6)) == found[4:]


@pytest.mark.parametrize("state", ["PRUNED", "FAIL"])
def test_a_pruned_or_failed_setting_is_not_tried_again(images: Path, state: TrialState) -> None:
    found = tune(tuning_of(definition(images, "tpe", "median")), range(6), state)
    assert {tuple(each.params.values()) for each in found} == EVERY_SETTING


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_independent_trials_can_be_asked_in_any_order(images: Path, sampler: str) -> None:
    experiment = definition(images, sampler, "none")
    forward, backward = tuning_of(experiment), tuning_of(experiment)
    last_first = {number: backward.ask(number) for number in reversed(range(6))}
    assert last_first == {number: forward.ask(number) for number in range(6)}


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_a_draw_is_replaced_only_if_it_repeats(images: Path, sampler: str) -> None:
    """The draws of the sampler itself, by Optuna: those that are new stay."""
    experiment = definition(images, sampler, "none")
    combination = experiment.combinations()[0]
    space = distributions(experiment, combination)
    tuning, tried = tuning_of(experiment), set()
    num_repeats = 0
    for number in range(6):
        drawing = make(SAMPLERS[sampler], space, (0, combination.name), number)
        drawn = optuna.create_study(sampler=drawing).ask(space).params
        asked = tuning.ask(number)
        repeats = tuple(drawn.items()) in tried
        assert (asked != drawn) == repeats
        tried.add(tuple(asked.items()))
        num_repeats += repeats
    assert num_repeats > 0


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("pruner", ["none", "median"])
@pytest.mark.parametrize("optimizers", [SIX, REAL])
def test_a_setting_recorded_by_an_older_version_is_not_drawn(
    images: Path, sampler: str, pruner: str, optimizers: str
) -> None:
    """An older version has tried a setting twice, and the one that is drawn next."""
    experiment = definition(images, sampler, pruner, optimizers=optimizers)
    first = tuning_of(experiment).ask(0)
    older = [result(0, first), result(1, first)]
    usual = tuning_of(experiment)
    usual.tell_all(older)
    drawn = usual.ask(2)
    resumed = tuning_of(experiment)
    resumed.tell_all([result(0, drawn), result(1, drawn)])
    assert resumed.ask(2) not in (drawn,)
    assert drawn != first


def test_pruners_decide_about_a_replaced_trial(images: Path) -> None:
    """Hyperband and the median need the trial's own number and the earlier trials."""
    for pruner in PRUNERS:
        tuning = tuning_of(definition(images, "random", pruner))
        for each in (result(number, tuning.ask(number)) for number in range(6)):
            assert tuning.is_to_be_pruned(each.number, 1, 0.5) in (False, True)
            tuning.tell(each)


@pytest.mark.parametrize("ended", [1, 3])
@pytest.mark.parametrize("size", [8, 16])
def test_of_a_block_of_an_older_version_the_rest_tries_what_is_left(
    images: Path, ended: int, size: int
) -> None:
    """There are two settings; one trial of the block has ended, and those before it were killed."""
    experiment = definition(images, "tpe", "none", at_once=4, optimizers="sgd = { lr = 0.05 }")
    tuning = tuning_of(experiment)
    tuning.tell_all([result(ended, {"batch_size": size})])
    first, *others = (tuning.ask(number)["batch_size"] for number in range(ended))
    assert first == 24 - size
    assert set(others) <= {8, 16}
