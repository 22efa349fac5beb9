"""A sweep on changed data, as a user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import read
from cifar_exp.sweep import prepare
from cifar_exp.sweep.earlier_results import not_counted
from tests import tiny
from tests.bench import Bench

CHANGES = """data_changes = { noise = { type = "symmetric", rate = 0.3 }, \
imbalance = { type = "step", ratio = 3 } }"""


def test_a_sweep_on_changed_data_records_the_changes_and_is_another_one(
    bench: Bench, images: Path
) -> None:
    plain = {"epochs": "1", "losses": "mse = {}", "seeds": "1"}
    bench.run(tiny.definition(images, **plain))
    [before] = bench.records("combination")
    bench.run(tiny.definition(images, top=CHANGES, **plain))
    changed = [r for r in bench.trainings() if r.combination_id != before.combination_id]
    assert len(changed) == len(bench.trainings()) / 2
    [confirmed] = [r for r in changed if r.kind == "confirmation"]
    expected = {
        "data_changes.noise.type": "symmetric",
        "data_changes.noise.rate": "0.3",
        "data_changes.noise.in_validation": "False",
        "data_changes.imbalance.type": "step",
        "data_changes.imbalance.ratio": "3.0",
    }
    assert expected.items() <= confirmed.params.items()
    assert any(expected.items() <= sweep.params.items() for sweep in bench.records("sweep"))
    # 18 images of the first class, 6 of the others: none has more than 100 images
    assert {name for name in confirmed.metrics if name.startswith("test_accuracy_")} == {
        "test_accuracy_few"
    }
    assert confirmed.metrics["test_accuracy_few"] == confirmed.metrics["test_accuracy"]
    assert len({r.data_digest for r in bench.trainings()}) == 2
    other = read(tiny.definition(images, top=CHANGES.replace("0.3", "0.2"), **plain))
    found = not_counted(other, prepare.prepare(other), bench.client, bench.records())
    [sentence] = [notice.sentence for notice in found]
    assert "data_changes was {" in sentence
    assert "the images, their labels or the split have changed" not in sentence


def test_noise_without_a_map_for_these_classes_is_bad_input(images: Path) -> None:
    top = 'data_changes = { noise = { type = "asymmetric", rate = 0.3 } }'
    with pytest.raises(DefinitionError, match=r"data_changes.noise.map: is missing; maps are"):
        prepare.prepare(read(tiny.definition(images, top=top)))
    own = top.replace("rate", 'map = { red = "blue" }, rate')
    data = prepare.prepare(read(tiny.definition(images, top=own)))
    assert data.notes == ("5 of 54 training labels are wrong (9.3 %)",)  # 30 % of 18


def test_a_batch_must_fit_into_the_images_that_are_kept(images: Path) -> None:
    top = "data_changes = { subset = 0.1 }"
    with pytest.raises(DefinitionError, match="16 is more than the 6 training images"):
        prepare.prepare(read(tiny.definition(images, top=top)))
