"""Tables of components: every class with a name is in the table of its kind."""

from __future__ import annotations

import importlib
import pkgutil
from typing import ClassVar, TypeVar


class Component:
    """The base class of components that a definition can name."""

    name: ClassVar[str]
    """The name in a definition; a class without a name is a base class."""


Kind = TypeVar("Kind", bound=Component)


def table_of(kind: type[Kind]) -> dict[str, type[Kind]]:
    """Return the subclasses of a kind by name, in the order of their definition.

    Raises:
        ValueError: Two classes have the same name.
    """
    table: dict[str, type[Kind]] = {}
    for component in _subclasses(kind):
        name = vars(component).get("name")
        if name is None:
            continue
        if name in table:
            raise ValueError(
                f"{table[name].__qualname__} and {component.__qualname__} are both called {name!r}"
            )
        table[name] = component
    return table


def import_all(package: str) -> None:
    """Import every module of a package in alphabetical order, to define its components."""
    folder = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(folder):
        importlib.import_module(f"{package}.{module.name}")


def _subclasses(kind: type[Kind]) -> list[type[Kind]]:
    direct: list[type[Kind]] = kind.__subclasses__()
    return [descendant for child in direct for descendant in (child, *_subclasses(child))]
