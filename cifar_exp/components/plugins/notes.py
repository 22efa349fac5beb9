"""A note in the cache of the plug-in files that were used, to name one that is missing later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cifar_exp.system import paths
from cifar_exp.system.shared import share

FILE = "plugins.json"


def remember(places: Mapping[tuple[str, str], str]) -> None:
    """Note from which file each component came; a cache that cannot be written is left alone."""
    if not places:
        return
    noted = {**_read(), **{f"{kind} {name}": place for (kind, name), place in places.items()}}
    with suppress(OSError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps(noted, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        share(partial)
        partial.replace(path)


def place_of(kind: str, name: str) -> str | None:
    """Return the file that a component came from when it was last used on this machine."""
    return _read().get(f"{kind} {name}")


def _path() -> Path:
    return paths.cache() / FILE


def _read() -> dict[str, str]:
    with suppress(OSError, ValueError):
        noted = json.loads(_path().read_text(encoding="utf-8"))
        if isinstance(noted, dict):
            return {key: str(place) for key, place in noted.items()}
    return {}
