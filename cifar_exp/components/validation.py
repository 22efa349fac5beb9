"""Validation problems of a definition, with one sentence per problem."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from cifar_exp.errors import BadInput
from cifar_exp.system.formatting import printable

Path = tuple[int | str, ...]
Options = Mapping[Path, str]
"""Command line options by the key path that they set in a definition."""
NO_OPTIONS: Options = {}
Validated = TypeVar("Validated")

Unknown = tuple[str, str]
"""What a component is, such as `loss`, and a name that none has."""


class DefinitionError(BadInput):
    """A definition, or an option that changes one, is invalid.

    Attributes:
        unknown: The components that are unknown.
    """

    def __init__(self, message: str, unknown: Iterable[Unknown] = ()) -> None:
        super().__init__(message)
        self.unknown = tuple(unknown)


MAX_QUOTED = 80
"""Number of characters of a name or value that are quoted in a problem."""

MESSAGES = {
    "missing": "is missing",
    "dict_type": "should be a table, {{ }}",
    "model_type": "should be a table, {{ }}",
    "tuple_type": "should be a list, [ ]",
    "path_type": "should be a path in quotes",
    "string_type": "should be a text in quotes",
    "bool_type": "should be true or false",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "finite_number": "should be a finite number",
    "too_short": "should have at least {min_length}",
    "string_too_long": "should have at most {max_length} characters",
    "greater_than_equal": "should be at least {ge}",
    "greater_than": "should be greater than {gt}",
    "less_than_equal": "should be at most {le}",
    "less_than": "should be less than {lt}",
    "literal_error": "should be {expected}",
    "value_error": "{error}",
    "string_pattern_mismatch": "should be made of letters, digits, _ . and -, "
    "and begin with a letter or digit",
}
"""Replacements for messages of pydantic, by error type."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem at a key path of a definition."""

    path: Path
    message: str
    type: str = "problem"
    unknown: Unknown | None = None
    """The component that is unknown, if this is the problem."""

    def __str__(self) -> str:
        """Return key path and message."""
        path = ".".join(map(_key, self.path))
        return f"{path}: {self.message}" if path else self.message

    def told(self, source: str, options: Options) -> str:
        """Return the source of the value and the message.

        Args:
            source: The source of the definition, such as its file; "" if it was not read.
            options: The command line options by the key path that they set, of which
                the longest matching path is used.
        """
        option_path = max(
            (key for key in options if key == self.path[: len(key)]), key=len, default=None
        )
        if option_path is None:
            return f"{source}: {self}" if source else str(self)
        position = ".".join([options[option_path], *map(_key, self.path[len(option_path) :])])
        return f"{position}: {self.message}"


def _key(key: int | str) -> str:
    """Format a key as in TOML: quoted unless it is a bare key."""
    text = str(key)
    return text if re.fullmatch(f"[A-Za-z0-9_-]{{1,{MAX_QUOTED}}}", text) else quoted(text)


def quoted(text: str) -> str:
    """Quote a text on one line, shortened if it is long.

    Control characters, which could move the cursor of a terminal, change colours or reverse the
    text direction, are escaped, as a definition may come from an untrusted source.
    """
    short = text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}..."
    escaped = json.dumps(short, ensure_ascii=False)
    return printable(escaped)


def problems_of(error: ValidationError) -> list[Problem]:
    """Return the problems of a failed validation."""
    return [
        Problem(
            path=line["loc"],
            type=line["type"],
            message=_message(line),
            unknown=line.get("ctx", {}).get("unknown"),
        )
        for line in error.errors(include_url=False)
    ]


def _message(line: ErrorDetails) -> str:
    """Return the message of an error; that of `validation_error` is used unchanged."""
    context = line.get("ctx", {})
    template = MESSAGES.get(line["type"])
    if "text" in context:
        return line["msg"]
    return template.format(**context) if template else line["msg"].removeprefix("Input ")


def reported(
    validate: Callable[[], Validated],
    known: Iterable[Problem] = (),
    *,
    source: str = "",
    options: Options = NO_OPTIONS,
) -> Validated:
    """Return the result of a validation; all problems are reported at once.

    Args:
        validate: Raises the ValidationError of pydantic.
        known: Problems that were found before.
        source: The source for messages, such as the path of a file; "" if there is none.
        options: The command line options that set some of the keys, by key path.

    Raises:
        DefinitionError: There are problems; the message has one line for each.
    """
    problems = list(known)
    try:
        validated = validate()
    except ValidationError as error:
        problems += problems_of(error)
    if problems:
        messages = [problem.told(source, options) for problem in problems]
        unknown = [problem.unknown for problem in problems if problem.unknown]
        raise DefinitionError("\n".join(dict.fromkeys(messages)), unknown)
    return validated


def validation_error(problems: Iterable[Problem]) -> ValidationError:
    """Return a pydantic error with these problems, without duplicates."""
    lines = [
        InitErrorDetails(
            type=_custom_error(problem.type, problem.message, problem.unknown),
            loc=problem.path,
            input=None,
        )
        for problem in dict.fromkeys(problems)
    ]
    return ValidationError.from_exception_data("definition", lines)


def _custom_error(type_: Any, text: str, unknown_: Unknown | None) -> PydanticCustomError:
    return PydanticCustomError(type_, "{text}", {"text": text, "unknown": unknown_})


class Problems:
    """Collects problems, to raise them as one error.

    Used as a context manager: values are validated within `at`, and the error is raised at exit.
    """

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __enter__(self) -> Self:
        """Return the collector."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raise the collected problems."""
        if kind is None and self._found:
            raise validation_error(self._found)

    @contextmanager
    def at(self, *path: str) -> Iterator[None]:
        """Collect the problems raised in the block, under this path."""
        try:
            yield
        except ValidationError as error:
            self._found += [
                replace(problem, path=(*path, *problem.path)) for problem in problems_of(error)
            ]


def name_and_settings(kind: Any, raw: Any) -> tuple[Any, dict[str, Any]]:
    """Return the type of a component and its settings, from its name or a table with its `type`."""
    table = {"type": raw} if isinstance(raw, str) else raw
    if not isinstance(table, dict) or "type" not in table:
        raise PydanticCustomError(kind, "should be a name, or a table with its `type`")
    return table["type"], {name: value for name, value in table.items() if name != "type"}


def nearest(text: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name, if one is similar enough; case does not matter."""
    names = {name.casefold(): name for name in sorted(known)}
    matches = difflib.get_close_matches(text.casefold(), names, n=1)
    return names[matches[0]] if matches else None


def suggestion(text: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known name, or all names."""
    names = sorted(known)
    if not names:
        return "; there are no settings"
    match = nearest(text, names)
    return f'; did you mean "{match}"?' if match else f"; known are: {', '.join(names)}"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the message about an unknown name, with the nearest known name, or all names."""
    return f"unknown {kind} {quoted(name)}{suggestion(name, known)}"


def check_known(kind: str, name: str, table: Mapping[str, object]) -> str:
    """Return a name if it is in a table; otherwise raise a validation error of that kind."""
    if name not in table:
        raise unknown_error(kind, name, unknown(kind, name, table))
    return name


def unknown_error(kind: str, name: str, message: str) -> PydanticCustomError:
    """Return the validation error about an unknown component."""
    return _custom_error(kind, message, (kind, name))
