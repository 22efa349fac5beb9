"""Sweeps whose search space has fewer settings than trials."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cifar_exp.experiment import definition
from cifar_exp.report.text.sentences import sentences
from cifar_exp.study import Tuning
from cifar_exp.sweep import disk_space
from cifar_exp.sweep.events import Notice
from cifar_exp.sweep.recording import runs
from cifar_exp.sweep.schedule import work
from tests import tiny
from tests.bench import Bench, scores, studies


def text(images: Path, trials: int, search: str = "") -> str:
    small = f'trials = {trials}\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]{search}'
    return tiny.definition(
        images,
        epochs="1",
        seeds="1",
        losses="mse = {}",
        optimizers="sgd = { lr = 0.1 }",
        search=small,
    )


def sizes(bench: Bench) -> list[str]:
    return sorted(record.params["batch_size"] for record in bench.records("trial"))


@pytest.mark.parametrize("group", [1, 8])
def test_each_setting_is_trained_once_and_never_again(
    bench: Bench, images: Path, group: int
) -> None:
    first = bench.run(text(images, 6), group=group)
    assert sizes(bench) == ["16", "8"]
    assert [(row.trials, row.space_size) for row in first.combinations] == [(2, 2)]
    assert any("Fewer trials than the 6" in line for line in sentences(first))
    [combination] = bench.records("combination")
    assert combination.params["space_size"] == "2"
    [study] = studies(bench)
    assert len(study.trials) == 2
    for trials in (6, 9):
        again = bench.run(text(images, trials), group=group)
        assert scores(again) == scores(first)
        assert all(event.kept for event in bench.events)
        assert len(bench.trainings()) == 3


def test_the_same_setting_is_trained_in_each_study(bench: Bench, images: Path) -> None:
    bench.run(text(images, 6, "\nstudies = 2"))
    assert sizes(bench) == ["16", "16", "8", "8"]
    assert len({record.params["seed"] for record in bench.records("trial")}) == 2


def test_repeated_trials_of_an_older_version_stay(
    bench: Bench, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        for module in (definition, work, runs, disk_space):
            older.setattr(module, "num_settings", lambda _: math.inf)
        older.setattr(Tuning, "_was_tried", lambda *_: False)
        before = bench.run(text(images, 4))
    assert len(sizes(bench)) == 4
    for trials in (4, 9):
        after = bench.run(text(images, trials))
        assert bench.looks == [
            Notice(
                sentence="2 trials of an older version repeat a setting: they stay in the results",
                more=2,
            )
        ]
        assert scores(after) == scores(before)
        assert all(event.kept for event in bench.events)
        assert len(bench.trainings()) == 5
        assert any("try a setting again" in line for line in sentences(after))
