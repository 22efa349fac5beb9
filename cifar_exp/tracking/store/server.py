"""Tracking servers: recognition of addresses, credentials and health check."""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote, urlsplit

from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from cifar_exp.errors import Unavailable
from cifar_exp.system.urls import is_server, without_credentials

SECONDS_TO_ANSWER = 5
OK = 200


class StoreError(Unavailable):
    """The tracking store cannot be reached, read or written."""


def move_credentials(uri: str) -> str:
    """Move user and password from a server's address into MLflow's environment variables.

    Returns the address without them.
    """
    parts = urlsplit(uri)
    for name, value in (("USERNAME", parts.username), ("PASSWORD", parts.password)):
        if value is not None:
            os.environ[f"MLFLOW_TRACKING_{name}"] = unquote(value)
    return without_credentials(uri).rstrip("/")


def check_server(uri: str) -> None:
    """Check the health of the server at `uri`, if it is one; MLflow's client retries for minutes.

    The request uses MLflow's settings: the token, password or certificates in its variables.

    Raises:
        StoreError: The server does not respond, or responds with an error.
    """
    if not is_server(uri):
        return
    handled = sys.exc_info()[1]
    request_options = {"max_retries": 0, "timeout": SECONDS_TO_ANSWER, "raise_on_status": False}
    try:
        response = http_request(get_default_host_creds(uri), "/health", "GET", **request_options)
    except (MlflowException, ImportError) as error:  # an authentication plugin may be missing
        raise StoreError(
            f"the MLflow server {uri} does not answer ({_root(error, handled)}); "
            "start it, or set MLFLOW_TRACKING_URI to another store"
        ) from None
    if response.status_code != OK:
        raise StoreError(
            f"the MLflow server {uri} answers {response.status_code} to /health; is it MLflow?"
        )


def _root(error: BaseException, handled: BaseException | None) -> BaseException:
    """Return the first error in a chain, up to the one that was being handled before."""
    earlier = error.__cause__ or error.__context__
    return error if earlier in (None, handled) else _root(earlier, handled)
