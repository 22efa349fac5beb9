"""Schedules that are added to a sweep: earlier results count, under their new names."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.experiment import read
from cifar_exp.maintenance.findings import diagnose
from cifar_exp.study import Tuning, read_states
from tests import tiny
from tests.bench import Bench, scores

SEARCH = 'trials = {}\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]'
TWO = "constant = {}\ncosine = { warmup = { low = 0.0, high = 0.5 } }"


def text(images: Path, schedules: str = "", trials: int = 2) -> str:
    return tiny.definition(
        images, epochs="1", seeds="1", search=SEARCH.format(trials), schedules=schedules
    )


@pytest.mark.parametrize("group", [1, 8])
def test_results_without_schedules_are_those_of_the_constant_one(
    bench: Bench, images: Path, group: int
) -> None:
    alone = bench.run(text(images), group=group)
    both = bench.run(text(images, TWO), group=group)
    names = [row.combination for row in both.combinations]
    assert sorted(names) == [
        f"{loss}+sgd+{schedule}"
        for loss in ("cross_entropy", "mse")
        for schedule in ("constant", "cosine")
    ]
    before = {row.combination: row.values for row in alone.combinations}
    now = {row.combination: row.values for row in both.combinations}
    assert {name: now[f"{name}+constant"] for name in before} == before
    assert len(bench.trainings()) == 4 * 3
    for record in bench.trainings():
        assert record.name.startswith(f"{record.combination} ")
        assert (record.params.get("schedule") == "cosine") == record.name.count("+cosine")
        assert ("schedule.warmup" in record.params) == ("schedule" in record.params)
    studies = read_states(bench.storage_url, "tiny")
    assert len(studies) == 4
    assert diagnose(bench.records(), studies, []) == []
    again = bench.run(text(images), group=group)
    assert all(event.kept for event in bench.events)
    assert scores(again) == scores(alone)


def test_the_same_settings_are_drawn_whatever_the_other_schedules(images: Path) -> None:
    """Also by hyperband, which derives a trial's bracket from the name of the study."""
    drawn = []
    for schedules in ("", "constant = {}", TWO):
        definition = read(text(images, schedules))
        first, *_ = definition.combinations()
        assert first.key == "cross_entropy+sgd"
        drawn.append(Tuning(definition, first, first.key, definition.seed).ask(3))
    assert drawn[1:] == drawn[:1] * 2
