"""What is wrong with a definition, said in one sentence a problem."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from cifar_exp.errors import BadInput

Path = tuple[int | str, ...]
Options = Mapping[Path, str]
"""Words of a command line, by the key path of the definition that they set."""


class DefinitionError(BadInput):
    """A definition, or an option that changes one, that cannot be used as it is."""


LONGEST_QUOTE = 80
"""Letters of a name or value that a problem repeats."""

IN_PLAIN_WORDS = {
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
    "too_short": "should hold at least {min_length}",
    "string_too_long": "should have at most {max_length} letters",
    "greater_than_equal": "should be at least {ge}",
    "greater_than": "should be greater than {gt}",
    "less_than_equal": "should be at most {le}",
    "less_than": "should be less than {lt}",
    "literal_error": "should be {expected}",
    "string_pattern_mismatch": "should be made of letters, digits, _ . and -, "
    "and begin with a letter or digit",
}
"""What is said of problems that pydantic tells of in its own words."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one place of a definition."""

    path: Path
    message: str
    type: str = "problem"

    def __str__(self) -> str:
        """Write the key path and what is wrong there."""
        path = ".".join(map(_key, self.path))
        return f"{path}: {self.message}" if path else self.message

    def told(self, source: str, options: Options) -> str:
        """Write where the value was given, and what is wrong with it.

        Args:
            source: Where the definition comes from, such as its file.
            options: What was typed in place of a key path, if that is where the value comes from;
                the longest path counts.
        """
        typed = max((key for key in options if key == self.path[: len(key)]), key=len, default=None)
        if typed is None:
            return f"{source}: {self}"
        position = ".".join([options[typed], *map(_key, self.path[len(typed) :])])
        return f"{position}: {self.message}"


def _key(key: int | str) -> str:
    """Write a key as TOML does: quoted unless it is a plain word."""
    text = str(key)
    return text if re.fullmatch(f"[A-Za-z0-9_-]{{1,{LONGEST_QUOTE}}}", text) else quoted(text)


def quoted(given: str) -> str:
    """Quote a text on one line, shortened if it is long.

    What would move a terminal's cursor, change its colours or turn the direction of what follows
    is escaped: a definition may be a stranger's.
    """
    short = given if len(given) <= LONGEST_QUOTE else f"{given[:LONGEST_QUOTE]}..."
    escaped = json.dumps(short, ensure_ascii=False)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped)


def problems_of(error: ValidationError) -> list[Problem]:
    """List the problems that a failed validation holds."""
    return [
        Problem(path=line["loc"], type=line["type"], message=_message(line))
        for line in error.errors(include_url=False)
    ]


def _message(line: ErrorDetails) -> str:
    """Say what is wrong in plain words; what `validation_error` carries is said already."""
    context = line.get("ctx", {})
    words = IN_PLAIN_WORDS.get(line["type"])
    if "text" in context:
        return line["msg"]
    return words.format(**context) if words else line["msg"].removeprefix("Input ")


def validation_error(problems: Iterable[Problem]) -> ValidationError:
    """Make the error that carries these problems through pydantic, each of them once."""
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(problem.type, "{text}", {"text": problem.message}),
            loc=problem.path,
            input=None,
        )
        for problem in dict.fromkeys(problems)
    ]
    return ValidationError.from_exception_data("definition", lines)


class Problems:
    """Collects the problems of several places, to be raised as one error.

    Use it as a context; a place is read within `at`, and the error comes at the end.
    """

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __enter__(self) -> Self:
        """Begin to collect."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Raise what was found."""
        if kind is None and self._found:
            raise validation_error(self._found)

    @contextmanager
    def at(self, *path: str) -> Iterator[None]:
        """Catch the problems of the place at this path."""
        try:
            yield
        except ValidationError as error:
            self._found += [
                replace(problem, path=(*path, *problem.path)) for problem in problems_of(error)
            ]


def nearest(given: str, known: Iterable[str]) -> str | None:
    """Return the known name that may have been meant, if one is near."""
    return next(iter(difflib.get_close_matches(given, sorted(known), n=1)), None)


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    if not names:
        return "; nothing can be set here"
    near = nearest(given, names)
    return f'; did you mean "{near}"?' if near else f"; known are: {', '.join(names)}"
