"""Sweeps that repeat whole studies, or add replicates until the best is decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.comparison.statistics.looks import decide, looks
from cifar_exp.records import RunRecord
from cifar_exp.sweep.events import Event, Notice
from tests import tiny
from tests.bench import Bench, scores, studies

SEARCH = 'trials = 2\nsampler = "{sampler}"\npruner = "none"\nbatch_size = [8, 16]\n'
NUM_TEST_IMAGES = 30
DECIDED = 'until = "decided"\nmost = {most}'
UNEQUAL = 'sgd = { lr = { low = 0.05, high = 0.1 } }\nslow = { type = "sgd", lr = 1e-7 }'
"""The second one learns nothing."""


def definition(
    images: Path, num_studies: int = 1, seeds: int = 1, confirm: str = "", sampler: str = "random"
) -> str:
    search = SEARCH.format(sampler=sampler) + f"studies = {num_studies}"
    return tiny.definition(
        images, search=search, seeds=f"{seeds}\n{confirm}", losses="mse = {}", optimizers=UNEQUAL
    )


def of_study(bench: Bench, number: int) -> list[RunRecord]:
    return [r for r in bench.trainings() if r.study == number]


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe"])
def test_the_first_study_is_that_of_a_sweep_with_one(
    images: Path, bench: Bench, other_bench: Bench, sampler: str
) -> None:
    bench.run(definition(images, 2, sampler=sampler))
    other_bench.run(definition(images, 1, sampler=sampler))
    expected = other_bench.results()
    assert len(expected) == 2 * 3
    found = bench.results()
    assert {name: found[name] for name in expected} == expected
    assert {r.tags["study"] for r in other_bench.trainings()} == {"1"}


def test_studies_differ_in_settings_and_seeds(images: Path, bench: Bench) -> None:
    bench.run(definition(images, 3, seeds=2))
    rates = [r.params["lr"] for r in bench.records("trial") if r.combination == "mse+sgd"]
    assert len(set(rates)) == len(rates) == 3 * 2
    seeds = {(r.kind, r.study, r.number): r.params["seed"] for r in bench.trainings()}
    assert {r.params["seed"] for r in bench.records("trial")} == {
        seeds["trial", study, 0] for study in (1, 2, 3)
    }
    assert len(set(seeds.values())) == 3 * (1 + 2)
    names = {r.name for r in of_study(bench, 2) if r.combination == "mse+sgd"}
    assert names == {
        "mse+sgd study 2 #0", "mse+sgd study 2 #1", "mse+sgd study 2 seed 1",
        "mse+sgd study 2 seed 2",
    }  # fmt: skip
    assert {len(study.trials) for study in studies(bench)} == {2}
    assert len(studies(bench)) == 2 * 3


def test_more_studies_add_to_those_that_exist(
    images: Path, bench: Bench, other_bench: Bench
) -> None:
    bench.run(definition(images, 2))
    first = {r.run_id for r in bench.trainings()}
    found = bench.run(definition(images, 3))
    assert first < {r.run_id for r in bench.trainings()}
    assert scores(found) == scores(other_bench.run(definition(images, 3)))
    assert bench.results() == other_bench.results()


@pytest.mark.parametrize(("num_studies", "seeds", "unit"), [(2, 1, "studies"), (1, 5, "seeds")])
def test_more_replicates_are_trained_until_the_best_is_decided(
    images: Path, bench: Bench, num_studies: int, seeds: int, unit: str
) -> None:
    text = definition(images, num_studies, seeds, DECIDED.format(most=6))
    ranking = bench.run(text)
    rows = ranking.combinations
    samples = {row.combination: row.values for row in rows}
    first, most = max(num_studies, seeds), 6
    expected = decide(samples, looks(first, most), 0.05, num_examples=NUM_TEST_IMAGES)
    assert {name: len(values) for name, values in samples.items()} == expected.needed
    assert [row.may_be_best for row in rows] == [name in expected.remaining for name in samples]
    remaining = f"{len(expected.remaining)} of 2 combinations may be the best"
    sentence = f"{remaining}: no more {unit} ({expected.ended})"
    assert bench.looks[-1] == Notice(sentence=sentence, more=0)
    least = 2 * (3 * num_studies if num_studies > 1 else 2 + seeds)
    trainings = {r.name for r in bench.trainings()}
    more = sum(look.more for look in bench.looks)
    assert len(trainings) == least + more
    of_each = 3 if num_studies > 1 else 1
    assert sum(n - first for n in expected.needed.values()) * of_each == more
    assert sum(event.state is not None for event in bench.events) == len(trainings)
    bench.run(text)
    assert {r.name for r in bench.trainings()} == trainings  # nothing is trained again
    assert [look.more for look in bench.looks] == [more]
    assert sum(event.kept for event in bench.events) == len(trainings)


def test_an_interrupted_decision_is_the_same(
    images: Path, bench: Bench, other_bench: Bench
) -> None:
    text = definition(images, 2, 1, DECIDED.format(most=4))
    expected = other_bench.run(text)
    ended = 0

    def interrupt(event: Event) -> None:
        nonlocal ended
        ended += event.state is not None and not event.kept
        if ended == 3:
            ended = 0
            raise KeyboardInterrupt

    ranking = None
    while ranking is None:
        try:
            ranking = bench.run(text, watch=interrupt)
        except KeyboardInterrupt:
            continue
    assert scores(ranking) == scores(expected)
    assert bench.results() == other_bench.results()
    assert bench.running() == []


def test_a_larger_most_goes_on(images: Path, bench: Bench, other_bench: Bench) -> None:
    for most in (2, 3, 5):
        found = bench.run(definition(images, 2, 1, DECIDED.format(most=most)))
    assert scores(found) == scores(
        other_bench.run(definition(images, 2, 1, DECIDED.format(most=5)))
    )
    assert bench.results() == other_bench.results()
