"""The files in docker/, without Docker: linters, and the same commands on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from tests import tiny
from tests.bench import Bench
from tests.postgresql import SECRET, Server, postgresql
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
COMPOSE = sorted(DOCKER.glob("compose*.yaml"))
SCRIPTS = sorted(DOCKER.glob("*.sh"))
IN_IMAGE = "/opt/cifar_exp/"


def program(name: str) -> str:
    """Return the path of a linter that is installed as a Python package."""
    found = shutil.which(
        name, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    )
    return found or pytest.skip(f"{name} is not installed")


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with the values of variables, as Compose reads it."""
    form = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
    return form.sub(lambda found: variables.get(found[1]) or default(*found.groups()), text)


def default(name: str, operator: str | None, word: str | None) -> str:
    if operator == "?":
        raise KeyError(f"{name}: {word}")
    return word or ""


def services(**variables: str) -> dict[str, Any]:
    """Return the services of compose.yaml."""
    text = interpolated((DOCKER / "compose.yaml").read_text(), variables)
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


@pytest.mark.parametrize(
    ("linter", "files"),
    [("hadolint", [DOCKER / "Dockerfile"]), ("shellcheck", SCRIPTS)],
)
def test_linters_find_nothing(linter: str, files: list[Path]) -> None:
    ended = subprocess.run(
        [program(linter), *map(str, files)], capture_output=True, text=True, check=False
    )
    assert ended.stdout + ended.stderr == ""


@pytest.mark.parametrize("file", COMPOSE, ids=lambda file: file.name)
def test_compose_files_follow_the_specification(file: Path) -> None:
    compose_spec = pytest.importorskip("compose_spec")
    text = interpolated(file.read_text(), {"POSTGRES_PASSWORD": SECRET})
    found = compose_spec.PyCompose.from_yaml(text)
    targets = re.findall(r"^FROM \S+ AS (\w+)", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)
    builds = [each["build"] for each in found.to_dict()["services"].values() if "build" in each]
    assert builds
    assert all(build["target"] in targets for build in builds)


def test_the_password_is_in_no_file_and_must_be_set() -> None:
    with pytest.raises(KeyError, match="set a password"):
        services()
    text = interpolated((DOCKER / "compose.yaml").read_text(), {"POSTGRES_PASSWORD": SECRET})
    assert text.count(SECRET) == 3


def build_context(folder: Path) -> Path:
    """Copy what .dockerignore lets into the image."""
    folder.mkdir()
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, copy = ROOT / line[1:], folder / line[1:]
            copy_all = shutil.copytree if source.is_dir() else shutil.copy
            copy_all(source, copy)
    return folder


def test_the_image_gets_what_the_package_is_built_from(tmp_path: Path) -> None:
    source = build_context(tmp_path / "source")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, source], check=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "cifar_exp/experiments/quickstart.toml" in archive.namelist()


@pytest.mark.skipif(sys.platform == "win32", reason="the script is for sh")
def test_another_index_gives_torch_without_what_it_needs(tmp_path: Path) -> None:
    log, venv, python = tmp_path / "log", tmp_path / "venv", tmp_path / "bin" / "python3"
    (venv / "bin").mkdir(parents=True)
    python.parent.mkdir()
    for program, script in ((python, ""), (venv / "bin" / "pip", f'echo "$@" >> "{log}"\n')):
        program.write_text(f"#!/bin/sh\n{script}")
        program.chmod(0o755)
    subprocess.run(
        [DOCKER / "install.sh", venv, "https://index.example/cpu"],
        env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )
    of_torch, of_package = (line.split() for line in log.read_text().splitlines())
    assert {"--no-deps", "constraints.txt"} < set(of_torch)
    assert of_torch[-4:] == ["--index-url", "https://index.example/cpu", "torch", "torchvision"]
    assert not {"--no-deps", "--index-url"} & set(of_package)


class Machine:
    """This machine as a container: the image's files and variables, other addresses."""

    def __init__(self, folder: Path, database: Server) -> None:
        self.port = "5123"
        self.folder = folder
        self.image = build_context(folder / "image")
        self.services = services(POSTGRES_PASSWORD=SECRET)
        self._places = {
            IN_IMAGE: f"{self.image}/",
            "/artifacts": str(folder / "artifacts"),
            "/cache": str(folder / "cache"),
            "//cifar_exp:": "//owner:",
            "@postgres/": f"@127.0.0.1:{database.port}/",
            "mlflow:5000": f"127.0.0.1:{self.port}",
        }

    def here(self, text: str) -> str:
        """Return a text of the image or of compose.yaml with the places of this machine."""
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def variables(self, service: str) -> dict[str, str]:
        of_image = re.findall(r"(CIFAR_EXP_\w+)=(\S+)", (DOCKER / "Dockerfile").read_text())
        of_service = self.services[service]["environment"]
        given = {name: self.here(value) for name, value in [*of_image, *of_service.items()]}
        scripts = [f"{self.image}/venv/bin", sysconfig.get_path("scripts"), os.environ["PATH"]]
        # The packages that cifar_exp needs are those of the tests.
        packages = sysconfig.get_path("purelib")
        return {**os.environ, **given, "PATH": os.pathsep.join(scripts), "PYTHONPATH": packages}

    def install(self) -> None:
        """Do what the image's last step does, but without the packages that it needs."""
        [step] = re.findall(
            r"^RUN (\S+/install.sh \S+)$", (DOCKER / "Dockerfile").read_text(), re.M
        )
        environment = {**os.environ, "PIP_NO_DEPS": "1"}
        subprocess.run(self.here(step).split(), env=environment, check=True, capture_output=True)

    @contextmanager
    def server(self) -> Iterator[str]:
        """Start MLflow's server as compose.yaml does, on another port."""
        words = [self.here(word) for word in self.services["mlflow"]["entrypoint"]]
        with (self.folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [*words, self.port],
                env=self.variables("mlflow"),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            uri = f"http://127.0.0.1:{self.port}"
            wait_until(lambda: answer(f"{uri}/health") == 200, seconds=120)
            yield uri
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def answer(address: str, host: str = "localhost") -> int:
    request = urllib.request.Request(address, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.chaos
@pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for sh")
@pytest.mark.usefixtures("data")
def test_what_the_containers_run_makes_a_sweep(images: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    definition = tmp_path / "work" / "tiny.toml"
    definition.write_text(tiny.definition(images, losses="mse = {}"))
    statements = re.findall(r"^[^-].*;$", (DOCKER / "databases.sql").read_text(), re.MULTILINE)
    with postgresql("CREATE DATABASE mlflow", *statements) as database:
        machine = Machine(tmp_path, database)
        machine.install()
        with machine.server() as uri:
            assert answer(f"{uri}/", "mlflow:5000") == 200
            assert answer(f"{uri}/", "elsewhere.example") == 403
            ended = subprocess.run(
                ["cifar-exp", "run", "tiny.toml", "--workers", "1"],
                env=machine.variables("sweep"),
                cwd=definition.parent,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            assert SECRET not in ended.stdout + ended.stderr
            bench = Bench(uri, database.url("optuna"))
            assert [r.state for r in bench.trainings()] == ["COMPLETE"] * 5
        assert optuna.get_all_study_names(bench.storage_url) == ["tiny/mse+sgd"]
    assert [path.name for path in (tmp_path / "artifacts").rglob("ranking.csv")] == ["ranking.csv"]
    assert [path.name for path in definition.parent.iterdir()] == ["tiny.toml"]
    assert (tmp_path / "cache" / "outbox").is_dir()
