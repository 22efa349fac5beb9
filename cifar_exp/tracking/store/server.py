"""A tracking server: whether an address is one, who asks it, and whether it answers."""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from cifar_exp.errors import Unavailable
from cifar_exp.system.urls import without_credentials

SECONDS_TO_ANSWER = 5
OK = 200


class StoreError(Unavailable):
    """The tracking store cannot be reached, read or written."""


def is_server(uri: str) -> bool:
    """Say whether a tracking URI is a server's address."""
    return uri.startswith(("http://", "https://"))


def move_credentials(uri: str) -> str:
    """Set MLflow's variables to the user and password of an address; return it without them."""
    parts = urlsplit(uri)
    for name, value in (("USERNAME", parts.username), ("PASSWORD", parts.password)):
        if value is not None:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(value)
    return without_credentials(uri).rstrip("/")


def check_server(uri: str) -> None:
    """Ask the server at `uri`, if it is one, for its health: MLflow's client retries for minutes.

    It is asked as that client would ask, with the token, password or certificates that MLflow's
    variables name.

    Raises:
        StoreError: The server does not answer.
    """
    if not is_server(uri):
        return
    handled = sys.exc_info()[1]
    once = {"max_retries": 0, "timeout": SECONDS_TO_ANSWER, "raise_on_status": False}
    try:
        answer = http_request(get_default_host_creds(uri), "/health", "GET", **once)
    except (MlflowException, ImportError) as error:  # a kind of authentication may be missing
        raise StoreError(
            f"the MLflow server {uri} does not answer ({_root(error, handled)}); "
            "start it, or set MLFLOW_TRACKING_URI to another store"
        ) from None
    if answer.status_code != OK:
        raise StoreError(
            f"the MLflow server {uri} answers {answer.status_code} to /health; is it MLflow?"
        )


def _root(error: BaseException, handled: BaseException | None) -> BaseException:
    """Return what an error began with, but for an earlier one that was being handled."""
    before = error.__cause__ or error.__context__
    return error if before in (None, handled) else _root(before, handled)
