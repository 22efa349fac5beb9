"""The tables of components: a class that has a name is in the table of its kind."""

from __future__ import annotations

import importlib
import pkgutil
from typing import ClassVar, TypeVar


class Component:
    """Something that a definition can name."""

    name: ClassVar[str]
    """Its name in a definition; a class without one is a base of others."""


Kind = TypeVar("Kind", bound=Component)


def table_of(kind: type[Kind]) -> dict[str, type[Kind]]:
    """Return the classes below a kind that have a name, by it, in the order of their definition.

    Raises:
        ValueError: Two of them have the same name.
    """
    found: dict[str, type[Kind]] = {}
    for component in _below(kind):
        name = vars(component).get("name")
        if name is None:
            continue
        if name in found:
            raise ValueError(
                f"{found[name].__qualname__} and {component.__qualname__} are both called {name!r}"
            )
        found[name] = component
    return found


def import_all(package: str) -> None:
    """Import every module of a package, in alphabetical order: each may define components."""
    folder = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(folder):
        importlib.import_module(f"{package}.{module.name}")


def _below(kind: type[Kind]) -> list[type[Kind]]:
    direct: list[type[Kind]] = kind.__subclasses__()
    return [found for below in direct for found in (below, *_below(below))]
