"""The champion of a sweep, served by MLflow over HTTP from a real tracking server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.server import tracking_server
from cifar_exp.components.datasets import Dataset
from cifar_exp.tracking import connect
from tests import tiny
from tests.bench import Bench
from tests.command import Cli
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

MLFLOW = [sys.executable, "-m", "mlflow", "models"]
CHAMPION = ["-m", "models:/tiny@champion", "--env-manager", "local"]


@pytest.fixture
def server(tmp_path: Path, no_pictures: None) -> Iterator[str]:
    del no_pictures
    (tmp_path / "server").mkdir()
    with tracking_server(tmp_path / "server") as uri:
        yield uri


def test_the_champion_on_a_server_is_registered_once_and_serves(
    server: str, cli: Cli, storage_url: str, images: Path, data: Dataset, tmp_path: Path
) -> None:
    bench = Bench(server, storage_url)
    for _ in range(2):
        bench.run(tiny.definition(images, epochs="1", losses="mse = {}"))
    client = connect(server)
    [version] = client.search_model_versions("name = 'tiny'")
    champion = client.get_run(str(version.run_id))
    assert client.get_model_version_by_alias("tiny", "champion").version == version.version
    assert version.tags["combination"] == "mse+sgd"

    environment = {**os.environ, "MLFLOW_TRACKING_URI": server}
    pixels = data.test.images.numpy()
    accuracy = champion.data.metrics["test_accuracy"]
    with serving(environment, tmp_path) as url:
        assert accuracy_of(posted(url, pixels), data) == accuracy
    (tmp_path / "images.json").write_text(json.dumps({"inputs": pixels.tolist()}))
    files = ["-i", str(tmp_path / "images.json"), "-o", str(tmp_path / "logits.json"), "-t", "json"]
    command = [*MLFLOW, "predict", *CHAMPION, *files]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True)
    answer = json.loads((tmp_path / "logits.json").read_text())
    assert accuracy_of(answer, data) == accuracy

    photo = images / "test" / "red" / "0000.png"
    shown = cli("predict", "tiny", photo, "--tracking-uri", server, "--format", "json")
    [found] = json.loads(shown.out)
    assert len(found["classes"]) == 3


def accuracy_of(answer: Any, data: Dataset) -> float:
    logits = np.array(answer["predictions"])
    return float((logits.argmax(1) == data.test.labels.numpy()).mean())


def posted(url: str, pixels: np.ndarray[Any, Any]) -> Any:
    request = urllib.request.Request(
        f"{url}/invocations",
        data=json.dumps({"inputs": pixels.tolist()}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


@contextmanager
def serving(environment: dict[str, str], folder: Path) -> Iterator[str]:
    """Yield the address of `mlflow models serve`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*MLFLOW, "serve", *CHAMPION, "-p", str(port)]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or is_up(f"{url}/ping"), 120)
        assert process.poll() is None, (folder / "serve.log").read_text()
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
