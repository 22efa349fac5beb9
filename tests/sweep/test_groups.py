"""Sweeps in groups have the same ranking as sweeps that train each network alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.sweep import prepare
from cifar_exp.system import paths
from cifar_exp.training.group.program import Program
from tests import tiny
from tests.bench import Bench, scores

WIDTH = 8
WITH_SETTINGS = '{ type = "mlp", width = 8 }'
OPTIMIZERS = """
sgd = { lr = { low = 0.02, high = 0.1 } }
momentum = { type = "sgd", momentum = 0.9, lr = { low = 0.002, high = 0.01 } }
"""
MOMENTUM = OPTIMIZERS.splitlines()[2]
DIGITS = """
name = "tiny"
dataset = "digits"
model = "seed_cnn_relu"
epochs = 2
[search]
trials = 1
batch_size = [64]
sampler = "tpe"
pruner = "median"
[confirm]
seeds = 1
[losses]
cross_entropy = {}
focal = {}
mse = {}
[optimizers]
sgd = { lr = { low = 0.001, high = 0.01 } }
momentum = { type = "sgd", momentum = 0.9, lr = { low = 0.0001, high = 0.001 } }
"""
"""The learning rates are so low that rounding errors do not grow: at 0.09 a change of the weights
by 1e-6 changes the loss of the second epoch by some hundredths, also for a single network."""


@pytest.fixture(autouse=True)
def _no_checkpoints_of_other_tests() -> None:
    for path in paths.checkpoints().glob("*"):
        path.unlink()


def search(sampler: str, pruner: str, more: str) -> str:
    head = f'trials = 4\nsampler = "{sampler}"\npruner = "{pruner}"'
    return f"{head}\nbatch_size = [8, 16]\n{more}"


def assert_alike(found: Bench, expected: Bench, counted: float = 1e-4) -> None:
    """Check that two sweeps have the same trainings and, within rounding, the same numbers.

    Args:
        found: The sweep to check.
        expected: The sweep to compare with.
        counted: The largest difference of accuracies, as rounding may change one prediction.
    """
    one, two = found.results(), expected.results()
    assert one.keys() == two.keys()
    for name, training in two.items():
        assert one[name]["state"] == training["state"], name
        assert one[name]["params"] == training["params"], name
        assert one[name]["points"].keys() == training["points"].keys()
        for metric, points in training["points"].items():
            bound = 1e-4 if metric.endswith(("loss", "nll", "brier")) else counted
            assert one[name]["points"][metric] == [
                [step, pytest.approx(value, rel=1e-3, abs=bound)] for step, value in points
            ], (name, metric)
    for bench in (found, expected):
        assert bench.running() == []
        assert not list(paths.checkpoints().glob("*"))


def assert_tagged_with_their_groups(bench: Bench) -> None:
    """Check the tag of each training against the group in which it began."""
    begun = {(e.study, e.kind, e.number): e for e in bench.events if e.group is not None}
    sizes = Counter(event.group for event in begun.values())
    for record in bench.trainings():
        event = begun[record.combination or "", record.kind, record.number or 0]  # type: ignore[index]
        assert record.tags["trained_together"] == str(event.together) == str(sizes[event.group])
    assert max(sizes.values()) > 1


@pytest.mark.parametrize(("given", "width"), [(None, 1), (1, 1), (3, 3), (1_000_000, 8)])
def test_a_group_has_at_most_the_trainings_that_can_run_at_the_same_time(
    images: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch, given: int | None, width: int
) -> None:
    """Two combinations with four independent trials each."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    experiment = tiny.experiment(images, search=search("random", "none", ""))
    assert prepare.group_width(experiment, data, given) == width


def test_networks_with_settings_are_trained_together(bench: Bench, images: Path) -> None:
    definition = tiny.definition(images).replace('"seed_cnn_relu"', WITH_SETTINGS)
    bench.run(definition, group=WIDTH)
    assert bench.running() == []
    assert_tagged_with_their_groups(bench)


SLOW = pytest.mark.chaos


@pytest.mark.parametrize(
    ("sampler", "pruner", "more"),
    [
        ("tpe", "hyperband", "at_once = 2"),
        pytest.param("tpe", "median", "", marks=SLOW),
        pytest.param("random", "none", "", marks=SLOW),
        pytest.param("random", "hyperband", "", marks=SLOW),
        pytest.param("qmc", "median", "at_once = 2", marks=SLOW),
        pytest.param("gp", "none", "at_once = 2", marks=SLOW),
    ],
)
def test_a_sweep_in_groups_has_the_same_ranking(
    bench: Bench, images: Path, other_bench: Bench, sampler: str, pruner: str, more: str
) -> None:
    changes = {"optimizers": MOMENTUM, "seeds": "1", "epochs": "3"}
    definition = tiny.definition(images, search=search(sampler, pruner, more), **changes)
    bench.run(definition, group=WIDTH)
    assert_tagged_with_their_groups(bench)
    other_bench.run(definition)
    assert {r.tags["trained_together"] for r in other_bench.trainings()} == {"1"}
    assert_alike(bench, other_bench)
    assert scores(bench.ranking()) == scores(other_bench.ranking())


@SLOW
def test_a_sweep_on_digits_in_groups_has_the_same_ranking(bench: Bench, other_bench: Bench) -> None:
    """Six combinations in groups of at most four."""
    bench.run(DIGITS, group=4)
    assert_tagged_with_their_groups(bench)
    assert {r.tags["trained_together"] for r in bench.trainings()} == {"4", "2"}
    other_bench.run(DIGITS)
    assert_alike(bench, other_bench, counted=0.01)


def test_a_group_that_needs_too_much_memory_is_divided_until_it_fits(
    bench: Bench, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For any kind of training; the record has the final size of the group."""
    fine = Program.train_epoch

    def limited(program: Program, epoch: int) -> list[float]:
        losses = fine(program, epoch)
        if len(losses) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return losses

    monkeypatch.setattr(Program, "train_epoch", limited)
    narrow = 'trials = 2\nbatch_size = [8]\nsampler = "random"\npruner = "none"'
    bench.run(tiny.definition(images, search=narrow, seeds="1", epochs="1"), group=WIDTH)
    assert bench.running() == []
    assert {r.state for r in bench.trainings()} == {"COMPLETE"}
    assert {r.tags["trained_together"] for r in bench.trainings()} <= {"1", "2"}
    assert not [r for r in bench.trainings() if "attempts" in r.tags]
