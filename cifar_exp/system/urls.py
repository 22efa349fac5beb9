"""Hides passwords and tokens in messages, and normalises addresses of stores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

LOCAL_UI = "http://127.0.0.1:5000"
"""The address at which `mlflow ui` serves a store of this machine."""

HIDDEN = "***"
SECRET_NAME = re.compile(r"passw(or)?d|secret|token|api_?key|access_?key", re.IGNORECASE)
SHORTEST_PIECE = 4  # characters; shorter ones occur in ordinary words
SHORTEST_VALUE = 6  # characters; excludes variables such as USE_TOKENS=true


def is_server(tracking_uri: str) -> bool:
    """Return whether an MLflow store is a server, and not a database or folder."""
    return tracking_uri.startswith(("http://", "https://"))


def ui_of(tracking_uri: str) -> str:
    """Return the address of MLflow's UI for a store: that of a server, else the local one."""
    if is_server(tracking_uri):
        return without_credentials(tracking_uri).rstrip("/")
    return LOCAL_UI


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret replaced by `***`."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def secrets_given(words: Iterable[str], variables: Mapping[str, str]) -> set[str]:
    """Return the secrets in a command line and in environment variables.

    These are the credentials in addresses, and the values of variables whose name contains
    password, secret, token or key.
    """
    found = {
        value
        for name, value in variables.items()
        if SECRET_NAME.search(name) and len(value) >= SHORTEST_VALUE
    }
    return found.union(*map(secrets_in, [*words, *variables.values()]))


def secrets_in(address: str) -> set[str]:
    """Return the secrets in an address: password, token, and secret query parameters.

    Parts of a password are included: if it has an unescaped `@` or `/`, a part may be taken for the
    host and appear in an error message.
    """
    pieces = {
        piece
        for secret in _complete_secrets(address)
        for text in (secret, unquote(secret))
        for piece in (text, *re.split(r"[@/:?#&]", text))
    }
    return {piece for piece in pieces if len(piece) >= SHORTEST_PIECE}


def _complete_secrets(address: str) -> Iterator[str]:
    scheme, has_scheme, rest = address.partition("://")
    if not has_scheme:
        return
    if not rest.startswith("/"):  # otherwise it is a file path
        name, has_password, password = rest.rpartition("@")[0].partition(":")
        if has_password:
            yield password
        elif scheme.endswith(("http", "https")):  # for databases it is only the user name
            yield name
    for name, value in re.findall(r"[?&]([^=&]+)=([^&]*)", rest):
        if SECRET_NAME.search(name):
            yield value


def without_credentials(uri: str) -> str:
    """Return a URI without user name, password and query."""
    scheme, separator, rest = uri.rpartition("://")
    location, _, query = rest.partition("?")
    if "@" in query:  # the end of the password is ambiguous
        return f"{scheme}{separator}..."
    user, _, host = location.rpartition("@")
    is_path = location.startswith("/") or not (separator or ":" in user)
    return f"{scheme}{separator}{location if is_path else host}"


def store_name(url: str) -> str:
    """Return a canonical name of a store without secrets, the same for equivalent addresses."""
    scheme, _, path = url.partition(":///")
    if scheme.startswith("sqlite"):
        return f"sqlite {Path(unquote(path.partition('?')[0])).resolve()}"
    driver, separator, rest = without_credentials(url).rstrip("/").partition("://")
    return f"{driver.partition('+')[0]}{separator}{rest}"
