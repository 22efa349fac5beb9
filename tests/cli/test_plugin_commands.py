"""Plug-ins on the command line: list, check, plan, and definitions without their plug-in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.plugins import registry
from tests import plugins, tiny
from tests.command import Cli
from tests.plugins import LOSS, NETWORK, OPTIMIZER, write, write_package
from tests.reading import nothing_touched


@pytest.fixture(autouse=True)
def _none_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "cache"))
    with plugins.none_left():
        yield


def test_the_list_names_the_file_or_the_package(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(here, LOSS)
    write_package(here)
    monkeypatch.syspath_prepend(here)
    shown = cli("list", "losses", "--plugin", "my.py")
    assert shown.code == 0
    lines = shown.out.splitlines()
    own = f"tempered: Cross-entropy of divided logits. [{path}]"
    assert "    temperature = 2.0" in lines[lines.index(own) :]
    assert (
        "packaged: Cross-entropy of divided logits. [own-losses 1.2 (own_losses.losses)]" in lines
    )
    assert sum("[" in line and ".py" in line for line in lines) == 1


def test_check_prints_what_it_found(cli: Cli, here: Path) -> None:
    write(here, LOSS)
    shown = cli("check", "--plugin", "my.py")
    assert (shown.code, shown.err) == (0, "")
    assert "loss tempered" in shown.out
    assert "largest difference" in shown.out
    assert "FAILED" not in shown.out


def test_check_fails_with_a_sentence(cli: Cli, here: Path) -> None:
    write(here, LOSS.replace(', reduction="none"', ""))
    shown = cli("check", "loss", "tempered", "--plugin", "my.py")
    assert shown.code == 1
    assert "FAILED" in shown.out
    problem = "TypeError: loss tempered (my.py, line 5) returned shape ()"
    assert shown.last.startswith(f"loss tempered: one value per image: {problem}")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("check",), "there is no component of a plug-in to check: give --plugin FILE.py"),
        (("check", "loss"), "there is no loss of a plug-in to check"),
        (("check", "loss", "focl"), 'unknown loss "focl"; did you mean "focal"?'),
        (
            ("check", "loss", "focal", "-s", "gama=1"),
            '-s gama: unknown name; did you mean "gamma"?',
        ),
        (("check", "network", "resnet19"), 'unknown model "resnet19"; did you mean "resnet18"?'),
        (
            ("check", "network", "torchvision:resnet18", "-s", "type=1"),
            "-s type: unknown name",
        ),
        (("check", "loss", "focal", "-s", "gamma"), "-s gamma: write NAME=VALUE"),
        (
            ("check", "augmentation", "flip", "-s", "p=1"),
            "-s p: unknown name; there are no settings",
        ),
        (("list", "losses", "--plugin", "no.py"), "plug-in no.py: there is no such file"),
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_words(cli: Cli, words: tuple[str, ...], problem: str) -> None:
    shown = cli(*words)
    assert shown.code == 2
    assert problem in shown.err


def test_a_definition_without_its_plugin_names_the_file(cli: Cli, here: Path, images: Path) -> None:
    path = write(here, LOSS, NETWORK, OPTIMIZER)
    text = tiny.definition(images, losses="tempered = {}", optimizers="Plain = { lr = 0.1 }")
    (here / "mine.toml").write_text(text.replace("seed_cnn_relu", "Colours"), encoding="utf-8")
    shown = cli("plan", "mine.toml", "--plugin", "my.py", "--workers", 1, "--group", 4)
    assert shown.code == 0, shown.err
    assert "trained one by one, without a form for groups: " in shown.out
    registry.forget()
    shown = cli("run", "mine.toml")
    assert shown.code == 2
    assert shown.last == f'optimizer "Plain" came from plug-in {path}: add --plugin {path}'
    assert 'mine.toml: losses.tempered.type: unknown loss "tempered"' in shown.err
    assert not (here / "mlflow.db").exists()


def test_a_single_training_records_its_plugin(
    cli: Cli, images: Path, tmp_path: Path, tracking_uri: str
) -> None:
    from cifar_exp import tracking

    path = write(tmp_path, LOSS)
    data = ("--dataset", "folder", "--data-dir", images, "--epochs", 1, "--batch-size", 16)
    shown = cli("train", *data, "--loss", "tempered", "--plugin", path, "-s", "loss.temperature=3")
    assert shown.code == 0, shown.err
    [run] = tracking.read_records(tracking.connect(tracking_uri), "train")
    [plugin] = registry.loaded_plugins()
    assert run.tags["plugins"] == f"my.py {plugin.digest}"
    assert run.params["loss.temperature"] == "3.0"
    [stored] = tmp_path.glob("mlruns/*/*/artifacts/plugins/my.py")
    assert stored.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("place", ["my.py", "./my.py", "my", "my:tempered", "my.tempered"])
def test_a_definition_that_names_a_file_or_module_imports_nothing(
    here: Path, images: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    from cifar_exp.components.validation import DefinitionError
    from cifar_exp.experiment import read

    write(here, "raise SystemExit\n", LOSS)
    monkeypatch.syspath_prepend(here)
    definitions = [
        tiny.definition(images, losses=f'own = {{ type = "{place}" }}'),
        tiny.definition(images, optimizers=f'own = {{ type = "{place}", lr = 0.1 }}'),
        tiny.definition(images).replace("seed_cnn_relu", place),
        tiny.definition(images, top=f'augment = "{place}"'),
        tiny.definition(images, top=f'plugin = "{place}"'),
    ]
    for definition in definitions:
        with nothing_touched(), pytest.raises(DefinitionError):
            read(definition)
    assert "tempered" not in LOSSES
