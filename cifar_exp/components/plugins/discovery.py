"""The components that a plug-in defines."""

from __future__ import annotations

import importlib
import inspect
import re
from contextlib import suppress
from types import ModuleType
from typing import Any

from cifar_exp.components import BASES, WORDS
from cifar_exp.components.plugins.marks import LINES, MARK
from cifar_exp.components.plugins.plugin import Plugin, PluginError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

MADE = "_component_"
"""Begins the names of the classes that are made of marked functions and classes."""

Key = tuple[str, str]
"""Kind and name of a component."""


def components_in(plugin: Plugin, module: ModuleType) -> dict[Key, Any]:
    """Return the components that a module defines, by kind and name.

    Raises:
        PluginError: There is none, or one is unsuitable.
    """
    _check_marks(plugin, module)
    named = getattr(plugin, "attribute", "")
    found: dict[Key, Any] = {}
    values: dict[Key, Any] = {}
    for variable, value in list(vars(module).items()):
        if variable.startswith(MADE) or (named and variable != named):
            continue
        with_kind = _kind_and_name(value, module)
        if with_kind is None:
            continue
        kind, name = with_kind
        if not NAME.fullmatch(name):
            raise PluginError(f"{told_of(plugin, kind, name, value)}: {name!r} cannot be a name")
        if (kind, name) in found and value is not values[kind, name]:
            told = told_of(plugin, kind, name, value)
            raise PluginError(f"{told}: the file has another one of this name; rename it")
        values[kind, name] = value
        found[kind, name] = _made(plugin, kind, name, value, module)
    if not found:
        raise PluginError(
            f"plug-in {plugin.place} defines no component: decorate a function or class with "
            "@cifar_exp.loss, .optimizer, .network or .dataset, or give a subclass of Loss a name"
        )
    return found


def _check_marks(plugin: Plugin, module: ModuleType) -> None:
    """Check that no two components that a module marks have the same kind and name.

    Raises:
        PluginError: The second one has replaced the first.
    """
    for (kind, name), lines in vars(module).get(LINES, {}).items():
        first, *others = dict.fromkeys(lines)
        if others:
            raise PluginError(
                f"plug-in {plugin.place}, line {others[0]}: {WORDS[kind]} {name}: line {first} "
                "has another one of this name; rename it"
            )


def _kind_and_name(value: Any, module: ModuleType) -> Key | None:
    """Return kind and name of a component that a module defines; None for any other value."""
    if not _is_of(value, module):
        return None
    own = vars(value)
    if MARK in own:
        return own[MARK], value.__name__
    if inspect.isclass(value) and isinstance(own.get("name"), str):
        kinds = [kind for kind in BASES if issubclass(value, _base(kind))]
        return (kinds[0], own["name"]) if kinds else None
    return None


def _is_of(value: Any, module: ModuleType) -> bool:
    """Return whether a function or class is defined in a module, or in a module of a package."""
    defined = getattr(value, "__module__", None)
    if not callable(value) or not hasattr(value, "__dict__") or defined is None:
        return False
    return defined == module.__name__ or str(defined).startswith(f"{module.__name__}.")


def _base(kind: str) -> type:
    module, name = BASES[kind]
    found: type = getattr(importlib.import_module(f"cifar_exp.components.{module}"), name)
    return found


def _made(plugin: Plugin, kind: str, name: str, value: Any, module: ModuleType) -> Any:
    """Return the component of a marked function or class; a component itself is returned."""
    from cifar_exp.components.plugins.contract import checked  # noqa: PLC0415 - imports every kind
    from cifar_exp.components.plugins.forms import FORMS  # noqa: PLC0415

    if MARK not in vars(value):
        return checked(kind, value, f"{plugin.label}{_line_of(value)}")
    try:
        component = FORMS[kind](value, name, module.__name__)
    except PluginError as error:
        raise PluginError(f"{told_of(plugin, kind, name, value)}: {error}") from error
    if inspect.isclass(component):  # so that pickle finds the class by its module and name
        component.__qualname__ = f"{MADE}{name}"
        setattr(module, component.__qualname__, component)
    return checked(kind, component, f"{plugin.label}{_line_of(value)}")


def told_of(plugin: Plugin, kind: str, name: str, value: Any) -> str:
    """Return a component with its place for a message."""
    return f"plug-in {plugin.place}{_line_of(value)}: {WORDS[kind]} {name}"


def _line_of(value: Any) -> str:
    """Return the line where a component is defined, such as `, line 3`; "" if it is not known."""
    with suppress(OSError, TypeError, SyntaxError):
        return f", line {inspect.getsourcelines(_source_of(value))[1]}"
    return ""


def _source_of(value: Any) -> Any:
    """Return the marked function or class that a component was made from, or the component."""
    for attribute in ("function", "torch_class", "__wrapped__"):
        value = getattr(value, attribute, value)
    return value
