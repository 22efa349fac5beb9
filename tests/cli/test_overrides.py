"""Overrides: any value of a definition, from the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cifar_exp.cli.overrides import override, read_definition
from cifar_exp.errors import BadInput
from cifar_exp.experiment import Experiment, read_document
from tests.command import Cli
from tests.definitions import SMALL, changed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(tomli_w.dumps(SMALL), encoding="utf-8")
    return path


def options(*overrides: str, **given: Any) -> dict[str, Any]:
    names = ("trials", "studies", "epochs", "seeds", "precision", "dataset", "data_dir")
    return {**dict.fromkeys(names), **given, "overrides": overrides}


def overridden(file: Path, *overrides: str, **given: Any) -> Experiment:
    return read_definition(file, options(*overrides, **given))[1]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("search.trials=5", ("search", "trials"), 5),
        ("ema = 0.999", ("ema",), 0.999),
        ('losses."a.b".gamma=2', ("losses", "a.b", "gamma"), 2),
        ("losses.'a.b'={}", ("losses", "a.b"), {}),
        ('model={type="mlp"}', ("model",), {"type": "mlp"}),
        ("search.batch_size=[8, 16]", ("search", "batch_size"), [8, 16]),
        ("compile=true", ("compile",), True),
        ("precision=bf16", ("precision",), "bf16"),
        ("dataset.path=a=b", ("dataset", "path"), "a=b"),
    ],
)
def test_keys_and_values_are_those_of_toml(text: str, path: tuple[str, ...], value: object) -> None:
    found = override(text)
    assert (found.path, found.value) == (path, value)


@pytest.mark.parametrize(
    "text",
    ["", "=", "=5", "search.trials", "a b=1", "a.=1", ".a=1", "[a]\n[b]\nc=1", "#=1", "\n=1"],
)
def test_what_is_not_an_override_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="write KEY=VALUE, such as"):
        override(text)


def test_overrides_give_the_definition_that_the_file_would_give(file: Path) -> None:
    given = (
        "search.trials=5",
        "losses.focal.gamma=2.5",
        'losses.smoothed={type="cross_entropy", label_smoothing=0.1}',
        "model.head=cosine",
        'optimizers."my.sgd"={type="sgd", lr=0.1}',
    )
    same = {
        "search/trials": 5,
        "losses/focal/gamma": 2.5,
        "losses/smoothed": {"type": "cross_entropy", "label_smoothing": 0.1},
        "model": {"type": "seed_cnn", "head": "cosine"},
        "optimizers/my.sgd": {"type": "sgd", "lr": 0.1},
    }
    text, definition = read_definition(file, options(*given))
    assert definition == read_document(changed(same), "same")
    assert tomllib.loads(text) == changed(same)  # what a sweep stores


def test_another_data_set_begins_without_the_settings_of_the_first(file: Path) -> None:
    file.write_text(tomli_w.dumps(changed({"dataset": {"type": "emnist", "split": "letters"}})))
    text, _ = read_definition(file, options("dataset.size=8", dataset="folder", data_dir=Path("x")))
    assert tomllib.loads(text)["dataset"] == {"type": "folder", "path": "x", "size": 8}


@pytest.mark.parametrize("order", [1, -1])
def test_a_table_keeps_the_values_that_are_set_inside_of_it(file: Path, order: int) -> None:
    given = ('search={sampler="random", trials=9}', "search.batch_size=[8]")
    text, _ = read_definition(file, options(*given[::order], trials=2))
    assert tomllib.loads(text)["search"] == {"sampler": "random", "trials": 2, "batch_size": [8]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("search.trails=5", '-o search.trails: unknown name; did you mean "trials"?'),
        ("search.trials=many", "-o search.trials: should be a whole number"),
        ("losses.focal.gamma=-1", "-o losses.focal.gamma: should be at least 0"),
        ('losses.new={type="focl"}', '-o losses.new.type: unknown loss "focl"; did you mean'),
        ("losses.new=3", "-o losses.new: should be a table of settings, { }"),
        ("name=train", '-o name: "train" is reserved for single trainings'),
        ("epochs.x=1", "epochs is no table, as -o epochs.x needs"),
        ("epochs=2\x1b[31m", "-o epochs: should be a whole number"),
        ("\x1b[31m=2", "-o \\x1b[31m: write KEY=VALUE"),
    ],
)
def test_problems_name_the_override(cli: Cli, file: Path, given: str, sentence: str) -> None:
    shown = cli("plan", file, "-o", given)
    assert shown.code == 2
    assert sentence in shown.last
    assert "\x1b" not in shown.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-o", "epochs=2", "-o", "epochs=3"), "-o epochs: the key is also set by -o epochs"),
        (("--epochs", "2", "-o", "epochs=3"), "-o epochs: the key is also set by --epochs"),
    ],
)
def test_a_key_is_set_once(cli: Cli, file: Path, words: tuple[str, ...], sentence: str) -> None:
    shown = cli("run", file, *words)
    assert (shown.code, shown.last) == (2, sentence)
