"""Passwords and tokens that a program was given, kept out of what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

HIDDEN = "***"
SECRET_NAME = re.compile(r"passw(or)?d|secret|token|api_?key|access_?key", re.IGNORECASE)
SHORTEST_PIECE = 4  # letters; with shorter ones, half of every sentence would be hidden
SHORTEST_VALUE = 6  # of a variable: there are such as USE_TOKENS=true


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret in it replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def secrets_given(words: Iterable[str], variables: Mapping[str, str]) -> set[str]:
    """Find the secrets in the words of a command line and in environment variables.

    They are the credentials of every address, and the variables that are called a password,
    secret, token or key.
    """
    found = {
        value
        for name, value in variables.items()
        if SECRET_NAME.search(name) and len(value) >= SHORTEST_VALUE
    }
    return found.union(*map(secrets_in, [*words, *variables.values()]))


def secrets_in(address: str) -> set[str]:
    """Find the secrets in an address: a password, or a token in its place, and secret settings.

    Pieces of a password count too: with an `@` or `/` that is not escaped, whoever reads the
    address takes a part of the password for the host, and says that there is no such host.
    """
    pieces = {
        piece
        for secret in _whole_secrets(address)
        for text in (secret, unquote(secret))
        for piece in (text, *re.split(r"[@/:?#&]", text))
    }
    return {piece for piece in pieces if len(piece) >= SHORTEST_PIECE}


def _whole_secrets(address: str) -> Iterator[str]:
    scheme, has_scheme, rest = address.partition("://")
    if not has_scheme:
        return
    if not rest.startswith("/"):  # else it is the path of a file
        name, has_password, password = rest.rpartition("@")[0].partition(":")
        if has_password:
            yield password
        elif scheme.endswith(("http", "https")):  # of databases, it is but the user's name
            yield name
    for name, value in re.findall(r"[?&]([^=&]+)=([^&]*)", rest):
        if SECRET_NAME.search(name):
            yield value


def without_credentials(uri: str) -> str:
    """Leave user name, password and settings (what follows a `?`) out of a URI."""
    scheme, separator, rest = uri.rpartition("://")
    location, _, query = rest.partition("?")
    if "@" in query:  # where does the password end?
        return f"{scheme}{separator}..."
    user, _, host = location.rpartition("@")
    is_path = location.startswith("/") or not (separator or ":" in user)
    return f"{scheme}{separator}{location if is_path else host}"


def store_name(url: str) -> str:
    """Return one name for a store, however its address is written, without secrets."""
    scheme, _, path = url.partition(":///")
    if scheme.startswith("sqlite"):
        return f"sqlite {Path(path.partition('?')[0]).resolve()}"
    driver, separator, rest = without_credentials(url).rstrip("/").partition("://")
    return f"{driver.partition('+')[0]}{separator}{rest}"
