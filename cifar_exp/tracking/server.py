"""A tracking server: whether an address is one, who asks it, and whether it answers."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from cifar_exp.errors import Unavailable
from cifar_exp.redaction import hide, secrets_in
from cifar_exp.wording import without_credentials

SECONDS_TO_ANSWER = 5


class StoreError(Unavailable):
    """The tracking store cannot be reached, read or written."""


def is_server(uri: str) -> bool:
    """Say whether a tracking URI is a server's address."""
    return uri.startswith(("http://", "https://"))


def take_credentials(uri: str) -> str:
    """Return a server's address without user and password, which MLflow's variables hold then.

    MLflow puts the address into its messages: what is not in there cannot be shown.
    """
    parts = urlsplit(uri)
    for name, value in (("USERNAME", parts.username), ("PASSWORD", parts.password)):
        if value is not None:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(value)
    return without_credentials(uri).rstrip("/")


def check_server(uri: str) -> None:
    """Ask the server at `uri`, if it is one, for its health: MLflow itself retries for minutes.

    Raises:
        StoreError: The server does not answer.
    """
    if not is_server(uri):
        return
    address = take_credentials(uri)
    try:
        urllib.request.urlopen(_health_request(address), timeout=SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError as error:
        raise StoreError(
            f"the MLflow server {address} answers {error.code} to /health; is it MLflow?"
        ) from None
    except (OSError, ValueError) as error:
        reason = hide(str(getattr(error, "reason", error)), secrets_in(uri))
        raise StoreError(
            f"the MLflow server {address} does not answer ({reason}); "
            "start it, or set MLFLOW_TRACKING_URI to another store"
        ) from None


def _health_request(address: str) -> urllib.request.Request:
    """Ask for the health of a server, as the user that MLflow's variables name."""
    request = urllib.request.Request(f"{address}/health")
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user is not None:
        pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        request.add_header("Authorization", f"Basic {b64encode(pair.encode()).decode()}")
    return request
