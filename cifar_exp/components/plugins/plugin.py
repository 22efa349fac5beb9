"""A plug-in: the source of components, read once, so that all processes use the same."""

from __future__ import annotations

import hashlib
import importlib
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Protocol

from cifar_exp.errors import BadInput
from cifar_exp.system.formatting import first_line

SECONDS_UNTIL_NOTICE = 15.0
DIGEST_LENGTH = 16

_log = logging.getLogger(__name__)


class PluginError(BadInput):
    """A plug-in cannot be imported, or one of its components is unsuitable."""


class Plugin(Protocol):
    """A source of components, which can be pickled."""

    @property
    def label(self) -> str:
        """The name of the file, or of the package with its version."""

    @property
    def place(self) -> str:
        """Where it is: the path of the file, or the package with its version."""

    @property
    def digest(self) -> str:
        """The hash of its source, which is part of identities."""

    @property
    def options(self) -> list[str]:
        """The options of a command that load it; none for an installed package."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files that are stored with a sweep, by name."""

    def module(self) -> ModuleType:
        """Return the module; it is imported once.

        Raises:
            PluginError: It cannot be imported.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginFile:
    """One Python file, with the source that it had when it was read.

    A trainer that starts later runs this source, not that of the file, which may have changed.
    """

    path: Path
    source: bytes

    @classmethod
    def read(cls, path: Path) -> PluginFile:
        """Read a file.

        Raises:
            PluginError: It cannot be read.
        """
        try:
            return cls(path=path.resolve(), source=path.read_bytes())
        except FileNotFoundError:
            raise PluginError(f"plug-in {path}: there is no such file") from None
        except OSError as error:
            raise PluginError(f"plug-in {path}: cannot be read ({error.strerror})") from None

    @property
    def label(self) -> str:
        """The name of the file."""
        return self.path.name

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self.path)

    @property
    def digest(self) -> str:
        """The hash of the source."""
        return _digest(self.source)

    @property
    def options(self) -> list[str]:
        """The option `--plugin`."""
        return ["--plugin", str(self.path)]

    @property
    def files(self) -> Mapping[str, bytes]:
        """The source by the name of the file."""
        return {self.path.name: self.source}

    def module(self) -> ModuleType:
        """Return the module, see `Plugin`; its name is that of no other module."""
        stem = re.sub(r"\W", "_", self.path.stem)
        name = f"cifar_exp_plugin_{stem}_{self.digest}"
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = str(self.path)
        sys.modules[name] = module  # dataclasses and pickle look it up
        try:
            with _importing(self.place):
                exec(compile(self.source, str(self.path), "exec", dont_inherit=True), vars(module))
        except BaseException:
            del sys.modules[name]
            raise
        return module


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginPackage:
    """A module of an installed package, named by an entry point."""

    name: str
    """Name of the module, such as `my_package.losses`."""
    attribute: str
    """Name of the only class or function in it that is a component; "" for all of them."""
    distribution: str
    """Name and version of the package."""
    expected: str | None = None
    """The digest that it had in the process of the command."""

    @property
    def label(self) -> str:
        """The package and its version."""
        return self.distribution

    @property
    def place(self) -> str:
        """The package, its version and the module."""
        return f"{self.distribution} ({self.name})"

    @property
    def digest(self) -> str:
        """The hash of the source of the imported module; of a package, that of all its modules."""
        return self.expected or first_digest(self.name)

    @property
    def options(self) -> list[str]:
        """No options."""
        return []

    @property
    def files(self) -> Mapping[str, bytes]:
        """No files: the package has a version."""
        return {}

    def module(self) -> ModuleType:
        """Return the module, see `Plugin`.

        Raises:
            PluginError: It cannot be imported, or has changed since the command started.
        """
        with _importing(self.place):
            module = importlib.import_module(self.name)
        found = _digest(*(path.read_bytes() for path in sources(module)))
        if self.expected not in (None, found):
            raise PluginError(f"plug-in {self.place} has changed since the command started")
        return module


@cache
def first_digest(name: str) -> str:
    """Return the hash of the source that a module had when it was asked for first."""
    module = importlib.import_module(name)
    return _digest(*(path.read_bytes() for path in sources(module)))


def sources(module: ModuleType) -> list[Path]:
    """Return the source files of a module; of a package, those of all its modules."""
    if not module.__file__:
        return []
    path = Path(module.__file__)
    return sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]


def lines_in(error: BaseException, files: set[str]) -> int | None:
    """Return the last line of these files in the traceback of an error."""
    if isinstance(error, SyntaxError) and error.filename in files:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename in files), None)


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()[:DIGEST_LENGTH]


@contextmanager
def _importing(place: str) -> Iterator[None]:
    """Convert the errors of an import, and log where it is if it takes long."""
    thread = threading.get_ident()
    timer = threading.Timer(SECONDS_UNTIL_NOTICE, _log_line, (place, thread))
    timer.daemon = True
    timer.start()
    try:
        yield
    except (Exception, SystemExit) as error:
        line = lines_in(error, {place})
        where = place if line is None else f"{place}, line {line}"
        message = error.msg if isinstance(error, SyntaxError) else first_line(error)
        name = type(error).__name__
        reason = f"{name}: {message}" if message else name
        raise PluginError(f"plug-in {where}: cannot be imported ({reason})") from error
    finally:
        timer.cancel()


def _log_line(place: str, thread: int) -> None:
    """Log which plug-in a thread imports, and the line if it is in its file."""
    frames = traceback.extract_stack(sys._current_frames()[thread])
    line = next((f", line {f.lineno}" for f in reversed(frames) if f.filename == place), "")
    _log.warning("importing plug-in %s%s takes long; Ctrl-C ends it", place, line)
