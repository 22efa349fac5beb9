"""The components of plug-ins: added to the tables of components, with the plug-in of each."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from cifar_exp.components import WORDS, components_of
from cifar_exp.components.plugins import VARIABLE, notes
from cifar_exp.components.plugins.discovery import Key, components_in, told_of
from cifar_exp.components.plugins.marks import MARK
from cifar_exp.components.plugins.plugin import (
    Plugin,
    PluginError,
    PluginFile,
    PluginPackage,
    first_digest,
    lines_in,
    sources,
)
from cifar_exp.components.validation import DefinitionError
from cifar_exp.system.formatting import printable

ENTRY_POINTS = "cifar_exp.components"
Read = TypeVar("Read")

_modules: dict[Plugin, ModuleType] = {}
"""The modules of the loaded plug-ins."""
_origins: dict[Key, Plugin] = {}


def files(paths: Iterable[Path]) -> list[Plugin]:
    """Read these files and those that CIFAR_EXP_PLUGINS names; each file once.

    Raises:
        PluginError: One cannot be read.
    """
    variable = os.environ.get(VARIABLE, "").split(os.pathsep)
    every = [*(Path(path) for path in variable if path), *paths]
    return [*{file.path: file for file in map(PluginFile.read, every)}.values()]


def load(plugins: Iterable[Plugin]) -> None:
    """Import plug-ins and add their components to the tables; one that is loaded is left out.

    Raises:
        PluginError: A plug-in cannot be imported, defines nothing or a name that is taken.
    """
    for plugin in plugins:
        if plugin in _modules:
            continue
        module = plugin.module()
        _ = plugin.digest  # that of what was imported, whatever happens to the file later
        for key, component in components_in(plugin, module).items():
            _add(plugin, key, component)
        _modules[plugin] = module


def load_again(plugins: Sequence[Plugin]) -> None:
    """Load plug-ins as `load` does, in place of earlier versions of the same files.

    Raises:
        PluginError: As `load`.
    """
    places = {plugin.place for plugin in plugins}
    for earlier in [p for p in _modules if p.place in places and p not in plugins]:
        for kind, name in components(earlier):
            del components_of(kind)[name]  # type: ignore[attr-defined]  # only plug-ins change it
            del _origins[kind, name]
        del _modules[earlier]
    load(plugins)


def loaded() -> tuple[Plugin, ...]:
    """Return the plug-ins of this process, to load them in another one."""
    return tuple(
        replace(plugin, expected=plugin.digest) if isinstance(plugin, PluginPackage) else plugin
        for plugin in _modules
    )


def loaded_plugins() -> tuple[Plugin, ...]:
    """Return the plug-ins of this process."""
    return tuple(_modules)


def modules() -> list[ModuleType]:
    """Return the modules of the loaded plug-ins."""
    return [*_modules.values()]


def load_installed() -> bool:
    """Import the modules that installed packages name as entry points; return whether any is new.

    Raises:
        PluginError: As `load`.
    """
    before = len(_modules)
    load(_installed())
    return len(_modules) > before


def origin(kind: str, name: str) -> Plugin | None:
    """Return the plug-in that a component comes from; None if it is built in."""
    return _origins.get((kind, name))


def components(plugin: Plugin) -> list[Key]:
    """Return kind and name of the components of a plug-in."""
    return [key for key, of in _origins.items() if of == plugin]


def with_installed(read: Callable[[], Read]) -> Read:
    """Read a definition; installed plug-ins are imported only if it has unknown names.

    Raises:
        DefinitionError: It is invalid. An unknown name whose plug-in was used before is explained.
        PluginError: As `load`.
    """
    try:
        return read()
    except DefinitionError as error:
        if not any(word in WORDS.values() for word, _ in error.unknown):
            raise
        if not load_installed():
            raise _explained(error) from None
    try:
        return read()
    except DefinitionError as error:
        raise _explained(error) from None


def remember(keys: Iterable[Key]) -> None:
    """Note the files of components, so that a later command can name one that is not given."""
    used = {key: _origins[key] for key in keys if key in _origins}
    notes.remember({(WORDS[kind], name): p.place for (kind, name), p in used.items() if p.options})


def place_in_plugin(error: BaseException) -> str | None:
    """Return the last line of a plug-in in the traceback of an error, such as `my.py, line 3`."""
    for module in modules():
        line = lines_in(error, {str(path) for path in sources(module)})
        if line is not None and module.__file__:
            return f"{Path(module.__file__).name}, line {line}"
    return None


def _explained(error: DefinitionError) -> DefinitionError:
    """Return the error with the plug-ins from which unknown names came before."""
    text = str(error)
    for word, name in error.unknown:
        if place := notes.place_of(word, name):
            place = printable(place)
            text += f'\n{word} "{name}" came from plug-in {place}: add --plugin {place}'
        if _is_in_program(word, name):
            text += (
                f'\n{word} "{name}" is defined in the program itself, which trainers do not '
                'import: put it in a file, and call cifar_exp.load_plugins("FILE.py")'
            )
    return DefinitionError(text, unknown=error.unknown)


def _is_in_program(word: str, name: str) -> bool:
    """Return whether the main module marks a component of this name."""
    marked = getattr(getattr(sys.modules["__main__"], name, None), MARK, None)
    return marked is not None and WORDS[marked] == word


@functools.cache
def _installed() -> list[PluginPackage]:
    """Return the entry points of installed packages; none of them is imported."""
    return [
        PluginPackage(
            name=entry.module,
            attribute=entry.attr,
            distribution=f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module,
        )
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)
    ]


def _add(plugin: Plugin, key: Key, component: Any) -> None:
    """Add a component to the table of its kind.

    Raises:
        PluginError: The name is taken.
    """
    kind, name = key
    table = components_of(kind)
    if name in table:
        other = _origins.get(key)
        taken = other.place if other else _built_in_place(table[name])
        told = told_of(plugin, kind, name, component)
        raise PluginError(f"{told}: the name is taken by the one of {taken}; rename it")
    table[name] = component  # type: ignore[index]  # only plug-ins change a table
    _origins[key] = plugin


def _built_in_place(component: Any) -> str:
    return f"cifar_exp (built in, {component.__module__})"


def forget() -> None:
    """Remove all components of plug-ins from the tables, for tests."""
    for kind, name in _origins:
        del components_of(kind)[name]  # type: ignore[attr-defined]
    _origins.clear()
    _modules.clear()
    _installed.cache_clear()
    first_digest.cache_clear()
