"""The definitions that come with the package."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import shipped as module
from cifar_exp.experiment.shipped import find, shipped, summary
from tests.definitions import SHIPPED, every_shipped_one

ROOT = Path(__file__).parents[2]


def test_all_definitions_of_the_repository_are_shipped() -> None:
    assert list(shipped().values()) == SHIPPED


def test_an_installed_package_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "experiments" / "own.toml"
    own.parent.mkdir()
    own.touch()
    monkeypatch.setattr(module, "_PACKAGE", tmp_path)
    assert find("own") == own


def test_a_file_wins_over_a_name(here: Path) -> None:
    assert find("quickstart") == ROOT / "experiments" / "quickstart.toml"
    Path(here, "quickstart.toml").touch()
    assert find("quickstart") == Path("quickstart.toml")
    Path(here, "quickstart").touch()
    assert find("quickstart") == Path("quickstart")


@pytest.mark.parametrize("text", ["none.toml", "folder/quickstart", "./quickstart"])
@pytest.mark.usefixtures("here")
def test_a_path_is_not_a_name(text: str) -> None:
    assert find(text) == Path(text)


def test_an_unknown_name_is_corrected() -> None:
    with pytest.raises(DefinitionError) as caught:
        find("quikstart")
    assert str(caught.value) == (
        "quikstart: there is no such file, and no shipped definition of this name; "
        'did you mean "quickstart"?'
    )


@every_shipped_one
def test_each_has_a_sentence(path: Path) -> None:
    assert 20 < len(summary(path)) < 200


@pytest.mark.chaos
def test_a_wheel_holds_the_definitions(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"  # the build leaves files beside the source
    subprocess.run(["git", "clone", "--quiet", ROOT, source], check=True)
    subprocess.run([*build, "--wheel-dir", tmp_path, source], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    plan = "from cifar_exp.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", plan, "list", "experiments"],
        cwd=tmp_path / "installed",
        env={"PYTHONPATH": str(tmp_path / "installed"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        path.stem for path in SHIPPED
    ]
