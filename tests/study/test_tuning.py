from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from cifar_exp.components.pruners import PRUNERS
from cifar_exp.components.samplers import SAMPLERS
from cifar_exp.study import StudyError, TrialResult, Tuning, block_size, connect, pruners
from cifar_exp.study.distributions import distributions
from cifar_exp.study.samplers import make
from tests import tiny

SPACE = {
    "lr": FloatDistribution(1e-4, 1.0, log=True),
    "batch_size": CategoricalDistribution((8, 16, 32, 64)),
    "optimizer.momentum": FloatDistribution(0.5, 0.9),
    "optimizer.ns_steps": IntDistribution(3, 6),
}
EPOCHS = 9
RANGES = "sgd = { lr = { low = 1e-3, high = 0.1 }, momentum = { low = 0.5, high = 0.9 } }"


def tuning_of(
    images: Path, sampler: str, pruner: str = "none", at_once: int = 1, trials: int = 12
) -> Tuning:
    search = f'''trials = {trials}
        sampler = "{sampler}"
        pruner = "{pruner}"
        batch_size = [8, 16]
        at_once = {at_once}'''
    experiment = tiny.experiment(images, epochs=str(EPOCHS), search=search, optimizers=RANGES)
    return Tuning(experiment, experiment.combinations()[0], "tiny/cross_entropy+sgd id", 0)


def accuracy(params: Mapping[str, Any], epoch: int) -> float:
    """Return the accuracy of a simulated training, best at learning rate 0.02, momentum 0.8."""
    miss = abs(math.log10(params["lr"] / 0.02)) + abs(params["optimizer.momentum"] - 0.8)
    return float(1 / (1 + miss) * (1 - 0.5**epoch))


def train(tuning: Tuning, number: int) -> TrialResult:
    """Train a trial until it ends or is pruned, without reporting its result."""
    params = tuning.ask(number)
    accuracies: dict[int, float] = {}
    pruned = False
    for epoch in range(1, EPOCHS + 1):
        accuracies[epoch] = accuracy(params, epoch)
        pruned = tuning.is_to_be_pruned(number, epoch, accuracies[epoch])
        if pruned:
            break
    return TrialResult(
        number=number,
        params=params,
        accuracies=accuracies,
        state="PRUNED" if pruned else "COMPLETE",
        val_accuracy=accuracies[epoch],
    )


def complete(
    number: int, params: Mapping[str, Any], accuracies: Mapping[int, float]
) -> TrialResult:
    return TrialResult(
        number=number,
        params=params,
        accuracies=accuracies,
        state="COMPLETE",
        val_accuracy=accuracies[EPOCHS],
    )


def tune(tuning: Tuning, numbers: range) -> list[TrialResult]:
    found = []
    for number in numbers:
        found.append(train(tuning, number))
        tuning.tell(found[-1])
    return found


EVERY = list(itertools.product(sorted(SAMPLERS), sorted(PRUNERS)))


@pytest.mark.parametrize(("sampler", "pruner"), EVERY)
def test_a_tuning_resumed_from_its_results_is_identical(
    images: Path, sampler: str, pruner: str
) -> None:
    """Twelve trials are more than the random first trials of adaptive samplers."""
    whole = tune(tuning_of(images, sampler, pruner), range(12))
    for done in (1, 6, 11):
        resumed = tuning_of(images, sampler, pruner)
        resumed.tell_all(whole[:done])
        assert tune(resumed, range(done, 12)) == whole[done:]
    assert len({str(result.params) for result in whole}) == 12
    if sampler != "gp":  # gp may find good settings only
        pruned = {"PRUNED"} if pruner != "none" else set()
        assert {result.state for result in whole} == {"COMPLETE"} | pruned


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_asking_again_gives_the_same_settings(images: Path, sampler: str) -> None:
    tuning = tuning_of(images, sampler, "median")
    first = tune(tuning, range(7))
    again = tuning_of(images, sampler, "median")
    again.tell_all(first)
    assert tuning.ask(7) == tuning.ask(7) == again.ask(7)


@pytest.mark.parametrize(("sampler", "pruner"), EVERY)
def test_a_block_is_the_same_whichever_trial_ends_first(
    images: Path, sampler: str, pruner: str
) -> None:
    def in_order(order: list[int]) -> list[TrialResult]:
        tuning = tuning_of(images, sampler, pruner, at_once=4)
        found: dict[int, TrialResult] = {}
        for block in (range(4), range(4, 8), range(8, 12)):
            for number in block:
                tuning.ask(number)
            for index in order:
                found[block[index]] = train(tuning, block[index])
                tuning.tell(found[block[index]])
        return [found[number] for number in range(12)]

    assert in_order([0, 1, 2, 3]) == in_order([3, 1, 0, 2])


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_block_depends_on_the_results_of_earlier_blocks_only(images: Path, sampler: str) -> None:
    def next_params(num_reported: int) -> dict[str, Any]:
        tuning = tuning_of(images, sampler, at_once=3)
        results = tune(tuning, range(6))
        fresh = tuning_of(images, sampler, at_once=3)
        fresh.tell_all(results)
        for number in range(6, 6 + num_reported):
            fresh.tell(train(fresh, number))
        return fresh.ask(8)

    assert next_params(0) == next_params(2)


def test_trials_of_one_block_differ(images: Path) -> None:
    tuning = tuning_of(images, "gp", at_once=4)
    tune(tuning, range(8))
    assert len({str(tuning.ask(number)) for number in range(8, 12)}) == 4


@pytest.mark.parametrize(
    ("sampler", "pruner", "at_once", "size"),
    [
        ("random", "none", 1, math.inf),
        ("qmc", "none", 5, math.inf),
        ("random", "median", 1, 1),
        ("qmc", "hyperband", 3, 3),
        ("tpe", "none", 4, 4),
        ("gp", "median", 1, 1),
    ],
)
def test_only_independent_trials_are_asked_at_the_same_time(
    images: Path, sampler: str, pruner: str, at_once: int, size: float
) -> None:
    search = f'trials = 9\nsampler = "{sampler}"\npruner = "{pruner}"\nat_once = {at_once}'
    assert block_size(tiny.experiment(images, search=search)) == size


def test_independent_trials_can_be_asked_in_any_order(images: Path) -> None:
    for sampler in ("random", "qmc"):
        numbers = list(range(12))
        expected = [tuning_of(images, sampler).ask(number) for number in numbers]
        random.Random(1).shuffle(numbers)
        tuning = tuning_of(images, sampler)
        found = {number: tuning.ask(number) for number in numbers}
        assert [found[number] for number in range(12)] == expected


def test_the_median_of_earlier_trials_decides(images: Path) -> None:
    """Five complete trials have .1 to .5 at epoch 3: the median is .3; two epochs are warm-up."""
    tuning = tuning_of(images, "random", "median")
    for number in range(5):
        accuracies = dict.fromkeys(range(1, EPOCHS + 1), 0.1 * (number + 1))
        for epoch, value in accuracies.items():
            tuning.ask(number)
            assert not tuning.is_to_be_pruned(
                number, epoch, value
            )  # too few trials to compare with
        tuning.tell(complete(number, tuning.ask(number), accuracies))
    tuning.ask(5)
    assert [tuning.is_to_be_pruned(5, epoch, 0.29) for epoch in (1, 2, 3)] == [False, True, True]


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_the_first_five_trials_are_random_and_the_next_one_depends_on_their_results(
    images: Path, sampler: str
) -> None:
    def params_of(sign: float) -> list[dict[str, Any]]:
        tuning, asked_before = tuning_of(images, sampler), []
        for number in range(5):
            asked_before.append(tuning.ask(number))
            value = sign * accuracy(asked_before[-1], EPOCHS)
            tuning.tell(complete(number, asked_before[-1], {EPOCHS: value}))
        return [*asked_before, tuning.ask(5)]

    good, bad = params_of(1.0), params_of(-1.0)
    assert good[:5] == bad[:5]
    assert good[5] != bad[5]


def test_nothing_is_pruned_after_the_last_epoch(images: Path) -> None:
    tuning = tuning_of(images, "random", "median")
    tune(tuning, range(6))
    tuning.ask(6)
    decisions = [tuning.is_to_be_pruned(6, epoch, -1.0) for epoch in range(1, EPOCHS + 1)]
    assert decisions == [False] + [True] * (EPOCHS - 2) + [False]


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_a_sampler_depends_on_the_study_and_the_number_only(name: str) -> None:
    def draw(seed: int, number: int) -> dict[str, object]:
        study = optuna.create_study()
        for _ in range(number):
            study.add_trial(
                optuna.trial.create_trial(state=TrialState.FAIL, params={}, distributions={})
            )
        study.sampler = make(SAMPLERS[name], SPACE, (seed, "a+b"), number)
        return study.ask(SPACE).params

    assert draw(0, 0) == draw(0, 0)
    assert draw(0, 3) == draw(0, 3)
    assert draw(0, 0) != draw(1, 0)
    assert draw(0, 0) != draw(0, 3)


def test_the_sobol_points_fill_the_space_evenly() -> None:
    study = optuna.create_study()
    drawn = []
    for number in range(16):
        study.sampler = make(SAMPLERS["qmc"], SPACE, (0, "a+b"), number)
        drawn.append(study.ask(SPACE).params)
    tenths = np.sort([np.log10(params["lr"]) for params in drawn])
    strata = np.floor((tenths + 4) / 4 * 16)
    assert strata.tolist() == list(range(16))  # one learning rate in each sixteenth of the range
    sizes = [params["batch_size"] for params in drawn]
    assert {size: sizes.count(size) for size in (8, 16, 32, 64)} == dict.fromkeys(
        (8, 16, 32, 64), 4
    )
    steps = [params["optimizer.ns_steps"] for params in drawn]
    assert {step: steps.count(step) for step in (3, 4, 5, 6)} == dict.fromkeys((3, 4, 5, 6), 4)


def test_whole_numbers_are_sampled_on_a_log_scale() -> None:
    """In the range 1 to 3, n gets the share ln((n + 1) / n) / ln 4 of 16 points: 8, 4.7, 3.3."""
    space: dict[str, BaseDistribution] = {"n": IntDistribution(1, 3, log=True)}
    study, drawn = optuna.create_study(), []
    for number in range(16):
        study.sampler = make(SAMPLERS["qmc"], space, (0, "a+b"), number)
        drawn.append(study.ask(space).params["n"])
    assert drawn.count(1) == 8
    assert (drawn.count(2), drawn.count(3)) in {(4, 4), (5, 3)}


AS_DOCUMENTED = {
    "none": optuna.pruners.NopPruner(),
    "median": optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "hyperband": optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=27, reduction_factor=3
    ),
}


@pytest.mark.parametrize("name", sorted(PRUNERS))
def test_the_pruners_are_as_documented(name: str) -> None:
    made = pruners.make(PRUNERS[name], 27)
    assert type(made) is type(AS_DOCUMENTED[name])
    assert vars(made) == vars(AS_DOCUMENTED[name])


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_no_two_combinations_or_seeds_have_the_same_first_trial(images: Path, sampler: str) -> None:
    searched = '{ type = "sgd", lr = { low = 1e-3, high = 0.1 } }'
    lrs = []
    for seed in (0, 1):
        experiment = tiny.experiment(
            images,
            top=f"seed = {seed}",
            search=f'trials = 2\nsampler = "{sampler}"',
            optimizers=f"one = {searched}\nother = {searched}",
        )
        for each in experiment.combinations():
            lrs.append(Tuning(experiment, each, "the same name", seed).ask(0)["lr"])
    assert len(set(lrs)) == 8


def test_distributions_follow_the_definition(images: Path) -> None:
    experiment = tiny.experiment(
        images,
        losses="focal = { gamma = { low = 0, high = 3 } }",
        optimizers="""muon = { lr = { low = 1e-4, high = 0.1 }, ns_steps = { low = 2, high = 5 } }
            steps = { type = "muon", lr = 0.1, ns_steps = { low = 2, high = 20 } }""",
    )
    [_, steps] = experiment.combinations()
    assert distributions(experiment, steps) == {
        "batch_size": CategoricalDistribution((8, 16)),
        "loss.gamma": FloatDistribution(0.0, 3.0),
        "optimizer.ns_steps": IntDistribution(2, 20, log=True),
    }
    assert distributions(experiment, experiment.combinations()[0]) == {
        "lr": FloatDistribution(1e-4, 0.1, log=True),
        "batch_size": CategoricalDistribution((8, 16)),
        "loss.gamma": FloatDistribution(0.0, 3.0),
        "optimizer.ns_steps": IntDistribution(2, 5),
    }


def test_a_storage_that_cannot_be_used_is_one_sentence() -> None:
    with pytest.raises(StudyError, match="the Optuna storage cannot be used") as caught:
        connect("sqlite:////proc/none/optuna.db")
    assert "\n" not in str(caught.value)
