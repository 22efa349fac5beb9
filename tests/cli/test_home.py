"""Users without a home folder, and words that are not UTF-8."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.command import Cli


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user id without a name, and no HOME, as in a container."""

    def home(_: type[Path]) -> Path:
        if "HOME" not in os.environ:
            raise RuntimeError("Could not determine home directory.")
        return Path(os.environ["HOME"])

    monkeypatch.setattr(Path, "home", classmethod(home))
    monkeypatch.delenv("HOME", raising=False)


@pytest.mark.usefixtures("no_home")
@pytest.mark.parametrize(
    "words", [("plan", "x.toml"), ("run", "x.toml"), ("train",), ("compare", "x"), ("gc", "x")]
)
def test_a_user_without_home_is_told_to_set_one(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.delenv("CIFAR_EXP_CACHE")
    shown = cli(*words)
    assert (shown.code, shown.out, list(here.iterdir())) == (3, "", [])
    assert shown.err.startswith("this user has no home folder: set HOME, or CIFAR_EXP_CACHE, ")


@pytest.mark.usefixtures("no_home")
def test_help_and_lists_need_no_home(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAR_EXP_CACHE")
    for words in (("--help",), ("run", "--help"), ("list", "losses")):
        assert cli(*words).code == 0


@pytest.mark.usefixtures("no_home")
def test_the_cache_is_the_home_of_a_user_without_one(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_EXP_CACHE", "my cache")
    assert cli("compare", "x").last == f"there is no {here / 'mlflow.db'}; set --tracking-uri"
    assert os.environ["HOME"] == str(here / "my cache")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("compare", "caf\udce9"), "NAME..."),
        (("gc", "caf\udce9"), "NAME"),
        (("train", "--experiment-name", "caf\udce9"), "--experiment-name"),
        (("compare", "x", "--tracking-uri", "sqlite:///caf\udce9.db"), "--tracking-uri"),
        (("doctor", "--storage", "sqlite:///caf\udce9.db"), "--storage"),
        (("train", "-s", "dataset.path=caf\udce9"), "-s"),
        (("compare", "x", "--pair", "a", "caf\udce9"), "--pair"),
    ],
)
def test_a_word_that_is_not_utf8_is_named(
    cli: Cli, here: Path, words: tuple[str, ...], option: str
) -> None:
    shown = cli(*words)
    assert shown.code == 2
    assert option in shown.last
    assert r"caf\xe9" in shown.last
    assert shown.last.endswith(" is not UTF-8.")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_data_folder_that_is_not_utf8_is_named_before_decoding(
    cli: Cli, here: Path, command: str
) -> None:
    (here / "d.toml").write_text('dataset = { type = "folder", path = "x" }')
    shown = cli(command, "d.toml", "--data-dir", "caf\udce9")
    assert shown.code == 2
    assert "--data-dir: should be a path in UTF-8" in shown.err.splitlines()
    assert [path.name for path in here.iterdir()] == ["d.toml"]
