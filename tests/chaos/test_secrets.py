"""A password in an address or a variable is never printed, recorded or stored."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cifar_exp.system.urls import hide, secrets_given, secrets_in, without_credentials
from cifar_exp.tracking import StoreError, resolve_uri
from cifar_exp.tracking.store.server import check_server
from tests import tiny
from tests.command import Cli, Shown

SECRET = "hunter2secret"
HALVES = ("hunter2", "secret")


@pytest.fixture
def definition(tmp_path: Path, images: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny.definition(images, losses="mse = {}"))
    return path


def check_hidden(shown: Shown) -> None:
    assert not [half for half in HALVES if half in shown.out + shown.err], shown


TRACKING = {
    "a server that does not exist": f"http://user:{SECRET}@127.0.0.1:9/path",
    "a token for a user": f"http://{SECRET}@127.0.0.1:9",
    "a password with an at sign": "http://user:hunter2@secret@127.0.0.1:9",
    "a password with a slash": "http://user:hunter2/secret@127.0.0.1:9",
    "a password that is escaped": "http://user:hunter2%40secret@127.0.0.1:9",
    "a setting": f"https://127.0.0.1:9/?token={SECRET}",
    "a setting with an at sign": "https://127.0.0.1:9/?token=hunter2@secret",
    "an unknown kind of store": f"nonsense://user:{SECRET}@host/db",
    "a driver that is not installed": f"postgresql+nonsense://user:{SECRET}@host/db",
    "a port that is not a number": f"postgresql://user:{SECRET}@host:port/db",
    "a file that cannot be created": f"sqlite:////proc/none/mlflow.db?password={SECRET}",
    "an address without its kind": f"user:{SECRET}@host/db",
}
STORAGE = {
    **{name: address for name, address in TRACKING.items() if "server" not in name},
    "a file of a user": f"sqlite://user:{SECRET}@host/mlflow.db",
    "a database that does not exist": f"postgresql://user:{SECRET}@127.0.0.1:9/db",
    "a database with a slash in its password": "postgresql://user:hunter2/secret@127.0.0.1:9/db",
    "a database with an at sign in its password": "postgresql://user:hunter2@secret@127.0.0.1:9/db",
    "a kind that was removed": f"redis://:{SECRET}@host/0",
}


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize("given", ["option", "variable"])
@pytest.mark.parametrize("address", TRACKING.values(), ids=TRACKING.keys())
def test_a_tracking_store_that_cannot_be_used(
    cli: Cli,
    definition: Path,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    given: str,
    debug: list[str],
) -> None:
    option = ["--tracking-uri", address] if given == "option" else []
    if given == "variable":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    shown = cli("run", definition, *option, *debug)
    assert shown.code == 3
    assert ("Traceback" in shown.err) == bool(debug)
    check_hidden(shown)
    check_hidden(cli("compare", "tiny", *option, *debug))
    assert not list(here.iterdir())


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
@pytest.mark.parametrize("given", ["option", "variable"])
@pytest.mark.parametrize("address", STORAGE.values(), ids=STORAGE.keys())
@pytest.mark.filterwarnings("ignore:Query string argument")
def test_a_storage_that_cannot_be_used(
    cli: Cli,
    definition: Path,
    tracking_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    given: str,
    debug: list[str],
) -> None:
    option = ["--storage", address] if given == "option" else []
    if given == "variable":
        monkeypatch.setenv("OPTUNA_STORAGE", address)
    shown = cli("run", definition, "--tracking-uri", tracking_uri, *option, *debug)
    assert shown.code == 3
    check_hidden(shown)


@pytest.mark.parametrize("place", [(), ("--storge",), ("--workers",)], ids=["", "name", "number"])
def test_an_address_in_the_wrong_place(cli: Cli, definition: Path, place: tuple[str]) -> None:
    shown = cli("run", definition, *place, f"postgresql://user:{SECRET}@host/db")
    assert shown.code == 2
    check_hidden(shown)


@pytest.mark.chaos
@pytest.mark.filterwarnings("ignore:Query string argument")
def test_a_sweep_neither_stores_nor_prints_the_password(
    cli: Cli,
    definition: Path,
    tracking_uri: str,
    storage_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("API_KEY", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    stores = {"--tracking-uri": tracking_uri, "--storage": storage_url}
    addresses = [w for name, uri in stores.items() for w in (name, f"{uri}?password={SECRET}")]
    shown = cli("run", definition, "--workers", 1, "--trials", 1, "--seeds", 1, *addresses)
    assert shown.code == 0, shown.err
    check_hidden(shown)
    check_hidden(cli("compare", "tiny", *addresses[:2]))
    stored = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"mlflow.db", "optuna.db", "report.html"} <= {path.name for path in stored}
    for path in stored:
        assert SECRET.encode() not in path.read_bytes(), path


class _Guarded(BaseHTTPRequestHandler):
    """Answers requests with the right password."""

    def do_GET(self) -> None:
        password = f"Basic {b64encode(b'me:pass word').decode()}"
        authorized = self.headers["Authorization"] in (password, "Bearer a-token")
        self.send_response(200 if authorized and self.path == "/mlflow/health" else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Healthy(_Guarded):
    """Answers health checks, and rejects all other requests."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 400)
        self.end_headers()
        self.wfile.write(b"no")

    do_POST = do_GET  # noqa: N815 - the name is from the standard library


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Answer requests on a port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def guarded() -> Iterator[int]:
    """The port of a server that requires a password."""
    with serving(_Guarded) as port:
        yield port


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=["", "debug"])
def test_a_server_that_rejects_requests(
    cli: Cli, definition: Path, here: Path, monkeypatch: pytest.MonkeyPatch, debug: list[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(_Healthy) as port:
        uri = f"http://user:{SECRET}@127.0.0.1:{port}"
        shown = cli("compare", "tiny", "--tracking-uri", uri, *debug)
        check_hidden(shown)
        assert shown.code == 3
        assert f"the MLflow store http://127.0.0.1:{port} cannot be used" in shown.last
        check_hidden(cli("run", definition, "--tracking-uri", uri, *debug))
    assert not list(here.iterdir())


def test_the_password_is_sent_to_a_server_that_requires_it(
    guarded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(variable, "")  # so that variables set here are removed
        monkeypatch.delenv(variable)
    check_server(resolve_uri(f"http://me:pass%20word@127.0.0.1:{guarded}/mlflow/"))
    for wrong in ("me:other@", "me@", ""):
        with pytest.raises(StoreError, match="answers 401") as caught:
            check_server(resolve_uri(f"http://{wrong}127.0.0.1:{guarded}/mlflow"))
        assert "other" not in str(caught.value)
        monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
        monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    check_server(f"http://127.0.0.1:{guarded}/mlflow")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://u:pw@host:5/db", "postgresql://host:5/db"),
        ("postgresql://host/db?user=u&password=pw", "postgresql://host/db"),
        ("postgresql://u:a@b@host/db", "postgresql://host/db"),
        ("postgresql://u:a/b?c@host/db", "postgresql://..."),
        ("http://host/?token=a@b", "http://..."),
        ("http://host:5000/", "http://host:5000/"),
        ("sqlite:////a/b@c/mlflow.db", "sqlite:////a/b@c/mlflow.db"),
        ("u:pw@host/db", "host/db"),
        ("/home/me@work/mlruns", "/home/me@work/mlruns"),
        ("relative/mlruns", "relative/mlruns"),
    ],
)
def test_an_address_is_shown_without_credentials(address: str, shown: str) -> None:
    assert without_credentials(address) == shown


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("postgresql://u:pass@host/db", {"pass"}),
        ("https://token@host/path", {"token"}),
        ("--tracking-uri=https://token@host", {"token"}),
        ("postgresql://postgres@host/db", set()),
        ("postgresql://u:pass%2Fword@host/db", {"pass%2Fword", "pass/word", "pass", "word"}),
        ("postgresql://host/db?sslpassword=abcd&x=efgh", {"abcd"}),
        ("postgresql://host/db?x=efgh&password=abcd", {"abcd"}),
        ("http://host/a", set()),
        ("sqlite:////home/me@work/mlflow.db", set()),
        ("u:p@h", set()),
    ],
)
def test_the_secrets_of_an_address(address: str, secrets: set[str]) -> None:
    assert secrets_in(address) == secrets


def test_secrets_in_arguments_and_variables_are_found_and_hidden() -> None:
    variables = {"DB_PASSWORD": "pass-word", "PWD": "/home/me", "USE_TOKENS": "true", "TERM": "x"}
    words = ["run", "--storage=postgresql://u:hunter22@host/db"]
    found = secrets_given(words, variables)
    assert found == {"pass-word", "hunter22"}
    text = "in /home/me it is true that hunter22 or pass-word are wrong"
    assert hide(text, found) == "in /home/me it is true that *** or *** are wrong"
    assert hide("hunter22", {"hunter", "hunter22", "22"}) == "***"
