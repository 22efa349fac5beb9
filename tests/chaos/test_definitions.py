"""Untrusted definitions: they run no code, import nothing and write no files."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cifar_exp.experiment import read_document
from cifar_exp.tracking import Tracker
from tests.command import Cli
from tests.definitions import changed
from tests.reading import SOURCE, read_or_refused

# Code and imports: row 25.


@pytest.fixture
def canary(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the module `evil` creates when it is imported."""
    (here.parent / "evil.py").write_text("import pathlib\npathlib.Path('canary').touch()\n")
    monkeypatch.syspath_prepend(here.parent)
    return here / "canary"


CODE = [
    "os.system",
    "logging.os.system",
    "torch.load",
    "__import__('evil')",
    "evil",
    "evil:run",
    "evil.run",
    "torchvision:evil",
    "torchvision:../evil",
    "!!python/object/apply:os.system [touch canary]",
    "$(touch canary)",
    "`touch canary`",
    "; touch canary",
    "| touch canary",
    "{{ 7 * 7 }}",
    "${oc.env:HOME}",
    "file:../evil.py",
    "../evil.py",
]
PLACES = {
    "model": lambda code: {"model": code},
    "dataset": lambda code: {"dataset": code},
    "dataset type": lambda code: {"dataset": {"type": code}},
    "loss": lambda code: {f"losses/{code.replace('/', '')}": {}},
    "loss type": lambda code: {"losses/a": {"type": code}},
    "loss setting": lambda code: {"losses/focal/gamma": code},
    "optimizer type": lambda code: {"optimizers/a": {"type": code, "lr": 0.1}},
    "learning rate": lambda code: {"optimizers/sgd/lr": code},
    "sampler": lambda code: {"search/sampler": code},
    "precision": lambda code: {"precision": code},
    "augment": lambda code: {"augment": code},
    "hydra's target": lambda code: {"_target_": code},
    "class": lambda code: {"losses/mse/__class__": code},
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_code_in_a_definition_is_refused_as_text(canary: Path, place: Any) -> None:
    for code in CODE:
        document = changed(place(code))
        assert read_or_refused(lambda document=document: read_document(document, SOURCE))  # type: ignore[misc]
        assert "evil" not in sys.modules
        assert not canary.exists()


@pytest.mark.parametrize("code", ["evil", "torchvision:evil", "$(touch canary)"])
def test_a_command_with_such_a_definition_ends_with_code_2(
    cli: Cli, here: Path, canary: Path, code: str
) -> None:
    (here.parent / "a.toml").write_text(tomli_w.dumps(changed({"model": code})))
    for command in ("run", "plan"):
        shown = cli(command, here.parent / "a.toml")
        assert (shown.code, shown.out) == (2, "")
        assert "model: unknown model" in shown.last
    assert cli("run", code).code == 2
    assert cli("train", "--model", code).code == 2
    assert not canary.exists()
    assert not list(here.iterdir())


@pytest.mark.chaos
def test_a_shell_command_for_mlflow_run_is_a_file_name(here: Path) -> None:
    project = Path(__file__).parents[2]
    mlflow = Path(sys.executable).with_name("mlflow")
    command = [str(mlflow), "run", str(project), "--env-manager=local"]
    code = "$(touch canary); touch canary; `touch canary`"
    done = subprocess.run(
        [*command, "-P", f"experiment={code}.toml"],
        cwd=here,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(here)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"{code}.toml: there is no such file" in done.stderr
    assert not list(here.rglob("canary"))
    assert not list(project.glob("canary*"))


# Values and files: rows 20 to 23. The other tests are in `tests/definitions.py` and
# `tests/experiment/`.


def test_a_device_of_unlimited_size(cli: Cli, here: Path) -> None:
    shown = cli("run", "/dev/zero")
    assert shown.code == 2
    assert shown.last == "/dev/zero: it has more than 262144 characters"
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    "setting",
    [
        "optimizer.momentum=nan",
        "optimizer.momentum=0.5\nx = 1",
        "optimizer.momentum=" + "9" * 5000,
        "optimizer.momentum=" + "[" * 5000,
        "optimizer.momentum=0x" + "f" * 5000,
        "optimizer.momentum=__import__('os')",
        "optimizer.__class__=1",
        "os.system=1",
        "=",
        "",
    ],
    ids=range(10),
)
def test_a_setting_that_is_none(cli: Cli, here: Path, setting: str) -> None:
    shown = cli("train", "-s", setting)
    assert shown.code == 2
    assert "Traceback" not in shown.err
    assert not list(here.iterdir())


@pytest.mark.parametrize("option", ["--alpha", "--rope", "--target"])
def test_a_comparison_with_nan(cli: Cli, here: Path, option: str) -> None:
    shown = cli("compare", "tiny", option, "nan")
    assert shown.code == 2
    assert option in shown.err
    assert not list(here.iterdir())


# Size: rows 24 and 37.


def many(num_losses: int, num_optimizers: int, trials: int) -> str:
    document = changed({"search/trials": trials})
    document["losses"] = {f"loss{n}": {"type": "mse"} for n in range(num_losses)}
    sgd = {"type": "sgd", "lr": {"low": 0.1, "high": 0.2}}
    document["optimizers"] = {f"opt{n}": sgd for n in range(num_optimizers)}
    return tomli_w.dumps(document)


def test_ten_million_trainings_are_not_started_without_yes(cli: Cli, here: Path) -> None:
    file = here.parent / "a.toml"
    file.write_text(many(100, 100, 1000))
    started = time.perf_counter()
    shown = cli("run", file)
    assert time.perf_counter() - started < 2
    assert (shown.code, shown.out) == (2, "")
    assert f"{file}: 10050000 trainings, and more than 10000 need --yes" in shown.last
    assert "--yes" in shown.last
    assert not list(here.iterdir())


def test_with_yes_they_are_started(cli: Cli, here: Path) -> None:
    file = here.parent / "a.toml"
    text = many(100, 100, 1000).replace('"digits"', '{ type = "folder", path = "/proc/none" }')
    file.write_text(text)
    shown = cli("run", file, "--yes")
    assert shown.code == 3  # the images are missing, which is the next error
    assert shown.out.startswith("10050000 trainings: 10000 combinations")
    assert "/proc/none" in shown.last


def test_long_and_unusual_parameters_are_distinct_and_found_again(tracker: Tracker) -> None:
    params: dict[str, Any] = {
        "long": "x" * 9000,
        "odd": "é\N{BUG}\n\u202e",
        "none": None,
        "nan": float("nan"),
    }
    other = {**params, "long": "x" * 8999 + "y"}
    run = tracker.open_run("sweep", "tiny", tags={}, params=params)
    assert tracker.open_run("sweep", "tiny", tags={}, params=params).run_id == run.run_id
    stored = tracker.client.get_run(run.run_id).data.params
    assert stored["odd"] == params["odd"]
    assert (stored["none"], stored["nan"]) == ("None", "nan")
    assert tracker.open_run("sweep", "tiny", tags={}, params=other).run_id != run.run_id


def test_a_long_definition_of_any_characters_is_stored_unchanged(tracker: Tracker) -> None:
    run = tracker.open_run("sweep", "tiny", tags={}, params={})
    text = "# é\N{BUG}\u202e\n" * 5000
    run.log_text(text, "experiment.toml")
    path = tracker.client.download_artifacts(run.run_id, "experiment.toml")
    assert Path(path).read_text(encoding="utf-8") == text
