from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cifar_exp
from cifar_exp.experiment import Experiment, load, read, read_document
from cifar_exp.experiment.document import document
from cifar_exp.experiment.keys import problems_with_name
from tests import plugins
from tests.definitions import SMALL, Wrong, changed, every_shipped_one, every_wrong_one

EVERYTHING = {
    "dataset": {"type": "folder", "path": "photos", "size": 16},
    "model": {"type": "timm:resnet18", "drop_rate": 0.1},
    "augment": {"type": "mixup", "alpha": 0.4, "base": "flip"},
    "ema": 0.99,
    "search/studies": 2,
    "confirm/seeds": 5,  # not the default of several studies
    "losses": {"soft": {"type": "cross_entropy", "label_smoothing": 0.1}},
    "optimizers/sgd": {"lr": {"low": 1e-3, "high": 2e-3, "log": False}},
    "optimizers/adamw/weight_decay": {"low": 1e-3, "high": 1e-1},
    "schedules": {"constant": {}, "cosine": {"warmup": 0.1}},
    "data_changes": {"noise": {"type": "symmetric", "rate": 0.2}, "subset": 0.5},
}


@pytest.fixture(autouse=True)
def _no_plugins() -> Iterator[None]:
    with plugins.none_left():
        yield


@every_shipped_one
def test_an_experiment_is_written_as_a_file_that_is_read_as_the_same(path: Path) -> None:
    experiment = load(path)
    assert read(experiment.to_toml()) == experiment


@pytest.mark.parametrize("changes", [{}, *({key: value} for key, value in EVERYTHING.items())])
def test_every_key_is_written(changes: dict[str, Any]) -> None:
    if "augment" in changes:
        changes["losses"] = {"cross_entropy": {}}  # which has a form for mixed labels
    experiment = read_document(changed(changes), "small.toml")
    assert read(experiment.to_toml()) == experiment
    assert Experiment(**document(experiment)) == experiment


@every_wrong_one
def test_a_wrong_experiment_gets_the_sentences_of_a_file(wrong: Wrong) -> None:
    keys = changed(wrong.changes)
    with pytest.raises(cifar_exp.BadInput) as of_file:
        read_document(keys, "FILE", known_problems=problems_with_name(keys))
    with pytest.raises(cifar_exp.BadInput) as of_call:
        cifar_exp.Experiment(**keys)
    assert str(of_call.value) == "\n".join(
        line.removeprefix("FILE: ") for line in str(of_file.value).split("\n")
    )


def test_the_name_of_single_trainings_is_taken() -> None:
    with pytest.raises(cifar_exp.BadInput, match=r'^name: "train" is reserved'):
        cifar_exp.Experiment(**{**SMALL, "name": "train"})


def test_a_file_is_loaded_with_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(cifar_exp.Experiment(**SMALL).to_toml(), encoding="utf-8")
    assert cifar_exp.load(path) == cifar_exp.Experiment(**SMALL)
    assert cifar_exp.load(str(path), {"search.trials": 3}).search.trials == 3
    with pytest.raises(cifar_exp.BadInput, match=rf"^{path}: search.trials: should be at least 1"):
        cifar_exp.load(path, {"search.trials": 0})
    with pytest.raises(cifar_exp.BadInput, match=r"^changes: 'search trials' is no key"):
        cifar_exp.load(path, {"search trials": 3})
    assert cifar_exp.load("quickstart").name == "quickstart"


def test_a_plugin_that_has_changed_is_loaded_again(tmp_path: Path) -> None:
    keys: Any = {**SMALL, "losses": {"tempered": {"heat": 3.0}}}
    cifar_exp.load_plugins(plugins.write(tmp_path, plugins.LOSS))
    with pytest.raises(cifar_exp.BadInput, match=r"losses\.tempered\.heat: unknown name"):
        cifar_exp.Experiment(**keys)
    newer = plugins.LOSS.replace("temperature", "heat")
    cifar_exp.load_plugins(plugins.write(tmp_path, newer))
    assert cifar_exp.Experiment(**keys).losses["tempered"].settings["heat"] == 3.0
    with pytest.raises(cifar_exp.BadInput, match=r"plug-in none\.py: there is no such file"):
        cifar_exp.load_plugins("none.py")


def test_a_component_in_the_program_is_told_to_be_put_in_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @cifar_exp.loss
    def in_a_cell() -> None: ...

    monkeypatch.setattr(sys.modules["__main__"], "in_a_cell", in_a_cell, raising=False)
    with pytest.raises(cifar_exp.BadInput) as caught:
        cifar_exp.Experiment(**{**SMALL, "losses": {"in_a_cell": {}}})
    assert str(caught.value).splitlines()[1] == (
        'loss "in_a_cell" is defined in the program itself, which trainers do not import: put it '
        'in a file, and call cifar_exp.load_plugins("FILE.py")'
    )
