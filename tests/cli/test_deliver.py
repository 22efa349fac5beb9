from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cifar_exp.cli.deliver import deliver
from cifar_exp.errors import BadInput
from cifar_exp.tracking import StoreError, connect, outbox_of


@pytest.fixture(autouse=True)
def _own_outboxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_EXP_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")


def test_an_empty_outbox_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    for uri in (None, "http://127.0.0.1:9"):
        deliver(uri)
        assert capsys.readouterr().out == "there is nothing to deliver\n"


def test_only_servers_have_an_outbox() -> None:
    with pytest.raises(BadInput, match="--tracking-uri"):
        deliver("sqlite:///mlflow.db")


def test_an_unavailable_server_is_named_and_everything_is_kept() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    outbox = outbox_of(uri)
    outbox.open()
    client = connect(outbox.uri)
    run = client.create_run(outbox.experiment(client, "tiny"))
    with pytest.raises(StoreError, match=f"{uri} does not answer"):
        deliver(None)
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"
