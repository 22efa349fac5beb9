"""What is wrong with a definition, said in one sentence a problem."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from cifar_exp.errors import BadInput


class DefinitionError(BadInput):
    """A definition, or an option that changes one, that cannot be used as it is."""


IN_WORDS_OF_TOML = {
    "dict_type": "should be a table, { }",
    "model_type": "should be a table, { }",
    "tuple_type": "should be a list, [ ]",
    "path_type": "should be a path in quotes",
}
"""What is said of problems that pydantic tells of in the words of Python."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at one place of a definition."""

    path: tuple[int | str, ...]
    message: str
    type: str = "problem"

    def __str__(self) -> str:
        """Write the key path and what is wrong there."""
        path = ".".join(map(_key, self.path))
        return f"{path}: {self.message}" if path else self.message


def _key(key: int | str) -> str:
    """Write a key as TOML does: quoted, and its line breaks escaped, unless it is a plain word."""
    plain = isinstance(key, int) or re.fullmatch("[A-Za-z0-9_-]+", key)
    return str(key) if plain else json.dumps(key, ensure_ascii=False)


def problems_of(error: ValidationError) -> list[Problem]:
    """List the problems that a failed validation holds."""
    return [
        Problem(
            path=line["loc"],
            type=line["type"],
            message=IN_WORDS_OF_TOML.get(line["type"], line["msg"]),
        )
        for line in error.errors(include_url=False)
    ]


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


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    if not names:
        return "; nothing can be set here"
    near = difflib.get_close_matches(given, names, n=1)
    return f'; did you mean "{near[0]}"?' if near else f"; known are: {', '.join(names)}"
