"""Definition files: strict parsing of TOML, with all problems reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from cifar_exp.components.validation import (
    NO_OPTIONS,
    DefinitionError,
    Options,
    Problem,
    reported,
)
from cifar_exp.experiment.definition import Experiment
from cifar_exp.experiment.keys import problems_with_name
from cifar_exp.experiment.override import Override, apply

MAX_CHARACTERS = 2**18  # a hundred losses and a hundred optimizers need a tenth of it
MAX_DOTS = 200


def read(text: str, source: str = "definition", options: Options = NO_OPTIONS) -> Experiment:
    """Parse a definition from TOML text.

    Args:
        text: The TOML text.
        source: The source for messages, such as the path of the file.
        options: The command line options that set some of the keys, by key path.

    Raises:
        DefinitionError: The text is not TOML, or the definition is invalid. The message has one
            line per problem, with `source` and key path, or with the option that set the key.
    """
    document = _parse(text, source)
    return read_document(document, source, options, problems_with_name(document))


def read_document(
    document: Mapping[str, Any],
    source: str,
    options: Options = NO_OPTIONS,
    known_problems: Iterable[Problem] = (),
) -> Experiment:
    """Validate a parsed definition; see `read`. `known_problems` are reported too."""
    return reported(
        lambda: Experiment.model_validate(document),
        known_problems,
        source=source,
        options=options,
    )


def definition_text(path: Path, overrides: Sequence[Override]) -> str:
    """Return the text of a definition file in which some values are overridden.

    Raises:
        DefinitionError: The file cannot be read, the text is not TOML, or lacks a table.
    """
    text = _file_text(path)
    if not overrides:
        return text
    document = _parse(text, str(path))
    # A table is set before the values inside of it, which it would remove.
    for override in sorted(overrides, key=lambda override: len(override.path)):
        apply(override, document, str(path))
    try:
        return tomli_w.dumps(document)
    except (RecursionError, ValueError):
        raise DefinitionError(f"{path}: a value is nested too deeply, or too long") from None


def load(path: Path) -> Experiment:
    """Load a definition file; see `read`."""
    return read(_file_text(path), str(path))


def _parse(text: str, source: str) -> dict[str, Any]:
    _check_size(text, source)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # not TOML, or a number with thousands of digits
        raise DefinitionError(f"{source}: {error}") from None
    except RecursionError:
        raise DefinitionError(f"{source}: its values are nested too deeply") from None


def _check_size(text: str, source: str) -> None:
    """Reject text that takes long to parse: the time is quadratic in the dots of a key."""
    if len(text) > MAX_CHARACTERS:
        raise DefinitionError(f"{source}: it has more than {MAX_CHARACTERS} characters")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_DOTS:
            raise DefinitionError(f"{source}: line {number} has more than {MAX_DOTS} dots")


def _file_text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MAX_CHARACTERS + 1)  # a device may be endless
    except FileNotFoundError:
        raise DefinitionError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{path}: a definition is UTF-8 text; this file is not") from None
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read ({error.strerror})") from None
