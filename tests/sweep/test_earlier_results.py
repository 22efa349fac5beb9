"""Why earlier results of the same name do not count: said for every change that matters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.experiment import read
from cifar_exp.sweep.earlier_results import (
    NOT_KNOWN,
    OTHER_DATA,
    OTHER_ORDER,
    OTHER_VERSION,
    not_counted,
)
from cifar_exp.training.untrained import initial_model
from tests import tiny
from tests.bench import Bench

BOTH = "earlier results of cross_entropy+sgd, mse+sgd do not count: "
MSE = "earlier results of mse+sgd do not count: "
SEARCH = 'trials = 3\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]'
RANGE = "{ low = 0.01, high = 1.0, log = true }"


def said(bench: Bench, data: Dataset, definition: str) -> list[str]:
    found = not_counted(read(definition), data, bench.client, bench.records())
    return [notice.sentence for notice in found]


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"losses": "mse = {}\ncross_entropy = {}"},
        {"losses": "cross_entropy = {}\nmse = {}\nbrier = {}"},
        {"losses": 'cross_entropy = { type = "cross_entropy", label_smoothing = 0 }'},
        {"optimizers": "sgd = { lr = { log = true, high = 1, low = 1e-2 }, momentum = 0 }"},
        {"search": SEARCH.replace("3", "9")},
        {"search": "\n".join(reversed(SEARCH.split("\n")))},
        {"search": f"{SEARCH}\nat_once = 1\nstudies = 2"},
        {"schedules": "constant = {}"},
        {"schedules": "constant = {}\ncosine = {}"},
        {"seeds": '7\nuntil = "decided"'},
        {"top": 'keep_models = "best"\nprecision = "fp32"\nseed = 0\naugment = "none"'},
    ],
)
def test_the_same_definition_in_other_words_finds_all_results(
    bench: Bench, data: Dataset, images: Path, changes: dict[str, str]
) -> None:
    assert said(bench, data, tiny.definition(images, **changes)) == []


def test_earlier_weights_that_are_gone_are_not_needed(
    bench: Bench, data: Dataset, images: Path, tmp_path: Path
) -> None:
    torch = pytest.importorskip("safetensors.torch")
    definition = tiny.definition(images)
    weights = tmp_path / "weights.safetensors"
    model = read(definition).model
    torch.save_file(initial_model(model, data, 9).get_submodule("network").state_dict(), weights)
    table = f'{{ type = "{model.type}", weights = "{weights}" }}'
    bench.run(definition.replace(f'"{model.type}"', table))
    weights.unlink()
    assert said(bench, data, definition) == [f"{BOTH}{NOT_KNOWN}"]


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"search": SEARCH.replace("8, 16", "16, 8")},
            f"{BOTH}search.batch_size was [8, 16], is [16, 8]{OTHER_ORDER}",
        ),
        (
            {"search": SEARCH.replace("8, 16", "8")},
            f"{BOTH}search.batch_size was [8, 16], is [8]",
        ),
        (
            {"search": SEARCH.replace("random", "qmc"), "epochs": "1"},
            f'{BOTH}epochs was 2, is 1, search.sampler was "random", is "qmc"',
        ),
        ({"search": f"{SEARCH}\nat_once = 2"}, f"{BOTH}search.at_once was the default, is 2"),
        ({"top": "seed = 1"}, f"{BOTH}seed was 0, is 1"),
        ({"top": 'precision = "bf16"'}, f'{BOTH}precision was "fp32", is "bf16"'),
        (
            {"optimizers": "sgd = { lr = 0.1 }"},
            f"{BOTH}optimizers.sgd.lr was {RANGE}, is 0.1",
        ),
        (
            {"losses": 'cross_entropy = {}\nmse = { type = "l1" }'},
            f'{MSE}losses.mse.type was "mse", is "l1"',
        ),
        (
            {"schedules": "cosine = {}"},
            f'{BOTH}schedules.cosine.type was the default, is "cosine", '
            "schedules.cosine.warmup was the default, is 0.0, "
            "schedules.cosine.floor was the default, is 0.0",
        ),
    ],
)
def test_what_differs_is_named(
    bench: Bench, data: Dataset, images: Path, changes: dict[str, str], sentence: str
) -> None:
    assert said(bench, data, tiny.definition(images, **changes)) == [sentence]


@pytest.mark.usefixtures("swept")
def test_other_data_another_version_and_a_lost_definition(
    bench: Bench, data: Dataset, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = tiny.definition(images)
    other = replace(data, fingerprint="0" * 64)
    assert said(bench, other, definition) == [BOTH + OTHER_DATA]
    with monkeypatch.context() as patch:
        patch.setattr(LOSSES["mse"], "results_version", lambda _: 9)
        assert said(bench, data, definition) == [MSE + OTHER_VERSION]
    [stored] = tmp_path.rglob("experiment.toml")
    stored.write_text("name = 3")
    assert said(bench, other, definition) == [BOTH + NOT_KNOWN]
    stored.unlink()
    assert said(bench, other, definition) == [BOTH + NOT_KNOWN]


@pytest.mark.usefixtures("swept")
def test_a_sweep_says_it_before_it_trains_and_not_again(bench: Bench, images: Path) -> None:
    changed = tiny.definition(images, epochs="1", losses="mse = {}", seeds="1")
    bench.run(changed)
    assert [notice.sentence for notice in bench.looks] == [f"{MSE}epochs was 2, is 1"]
    bench.run(changed)
    assert bench.looks == []
