"""How far a sweep is, by its runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cifar_exp.comparison.progress import CombinationProgress, Running, progress
from tests.records import combination, confirmation, sweep, trial

SWEEP = replace(sweep(trials=3, seeds=2), status="RUNNING")


def test_trainings_are_counted_by_combination() -> None:
    running = {"status": "RUNNING", "state": None, "params": {"epochs": "10"}}
    records = [
        SWEEP,
        combination("mse+sgd"),
        *(trial("mse+sgd", number, accuracy) for number, accuracy in enumerate((0.5, 0.75, None))),
        replace(confirmation("mse+sgd", 1, 0.7, confirms=1), metrics={"seconds": 40.0}),
        confirmation("mse+sgd", 2, None, confirms=1, parent="s/mse+sgd", **running),
        combination("mse+adam"),
        trial("mse+adam", 0, None, **running),
        trial("mse+adam", 1, None, **running),
    ]
    epochs = {"mse+sgd seed 2 of 1": 5, "mse+adam #0": 2}
    found = progress(records, SWEEP, epochs, newest=7)
    assert found.combinations == (
        CombinationProgress(
            name="mse+sgd",
            trials=3,
            all_trials=3,
            confirmations=1,
            all_confirmations=2,
            val_accuracy=0.75,
            running=(Running(epoch=5, epochs=10),),
        ),
        CombinationProgress(
            name="mse+adam",
            trials=0,
            all_trials=3,
            confirmations=0,
            all_confirmations=2,
            val_accuracy=None,
            running=(Running(epoch=2, epochs=10), Running(epoch=0, epochs=10)),
        ),
    )
    assert (found.ended, found.total, found.running) == (4, 10, 3)
    assert found.newest == 7
    # Three trials of 10 s and a confirmation of 40 s: 17.5 s each. 6 - 0.7 trainings are left,
    # and 3 run at once.
    assert found.seconds_left == pytest.approx(5.3 * 17.5 / 3)


def test_no_time_is_left_where_nothing_runs() -> None:
    records = [SWEEP, combination("mse+sgd"), trial("mse+sgd", 0, 0.5)]
    assert progress(records, SWEEP, {}, 0).seconds_left is None
    assert progress([SWEEP], SWEEP, {}, 0).combinations == ()


def test_a_small_search_space_has_fewer_trials() -> None:
    small = replace(combination("mse+sgd"), params={"space_size": "2"})
    [found] = progress([SWEEP, small], SWEEP, {}, 0).combinations
    assert found.all_trials == 2


def test_several_studies_are_counted_together() -> None:
    several = replace(SWEEP, params={"trials": "3", "studies": "4", "seeds": "1"})
    records = [
        several,
        combination("mse+sgd"),
        trial("mse+sgd", 0, 0.5),
        trial("mse+sgd", 0, 0.6, study=2, run_id="second"),
    ]
    [found] = progress(records, several, {}, 0).combinations
    assert (found.trials, found.all_trials, found.all_confirmations) == (2, 12, 4)
