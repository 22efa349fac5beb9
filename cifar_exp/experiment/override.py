"""Values that a command or a call sets in a definition."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cifar_exp.components.validation import DefinitionError, Options


@dataclass(frozen=True, slots=True)
class Override:
    """A value of a definition, and where it comes from.

    Attributes:
        path: The keys that lead to the value.
        value: The value, as in TOML.
        option: What sets it, for messages, such as `--trials`.
    """

    path: tuple[str, ...]
    value: Any
    option: str


def keys_of(dotted: str) -> tuple[str, ...]:
    """Parse a dotted key of TOML; empty if it is not one."""
    keys: list[str] = []
    try:
        inner: Any = tomllib.loads(f"{dotted} = 0")
        while isinstance(inner, dict):
            [(key, inner)] = inner.items()
            keys.append(key)
    except (ValueError, RecursionError):
        return ()
    return tuple(keys)


def options_of(overrides: Iterable[Override]) -> Options:
    """Return the option that sets each key path.

    Raises:
        DefinitionError: Two options set the same key.
    """
    options: dict[tuple[int | str, ...], str] = {}
    for override in overrides:
        if override.path in options:
            other = options[override.path]
            raise DefinitionError(f"{override.option}: the key is also set by {other}")
        options[override.path] = override.option
    return options


def apply(override: Override, document: dict[str, Any], source: str) -> None:
    """Set a value in a parsed definition; missing tables are added.

    The name of a component becomes a table with its `type`. `source` is that of the definition.

    Raises:
        DefinitionError: The key is inside of a value that is not a table.
    """
    *tables, name = override.path
    table = document
    for position, key in enumerate(tables, start=1):
        inner = table.get(key, {})
        if isinstance(inner, str):
            inner = {"type": inner}
        if not isinstance(inner, dict):
            path = ".".join(override.path[:position])
            raise DefinitionError(f"{source}: {path} is no table, as {override.option} needs")
        table[key] = inner
        table = inner
    table[name] = override.value
