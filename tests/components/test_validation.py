"""Problems keep their path and text when pydantic passes them on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from cifar_exp.components.validation import (
    DefinitionError,
    Problem,
    Problems,
    problems_of,
    suggestion,
    validation_error,
)
from cifar_exp.errors import BadInput

WHOLE = TypeAdapter(int)


def broken(path: tuple[str, ...], message: str) -> ValidationError:
    return validation_error([Problem(path=path, message=message)])


def test_a_problem_is_written_with_its_key_path() -> None:
    assert str(Problem(path=("search", "batch_size", 1), message="wrong")) == (
        "search.batch_size.1: wrong"
    )


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *[("a-b_1", "a-b_1"), ("a.b", '"a.b"'), ("a\nb", '"a\\nb"'), ('"', '"\\""'), ("", '""')],
        # control characters: cursor movement, colours, writing direction
        *[("\x1b[2J", '"\\u001b[2J"'), ("\x9b31m", '"\\x9b31m"'), ("\u202e", '"\\u202e"')],
        # at most 80 letters are printed
        *[("x" * 80, "x" * 80), ("x" * 81, f'"{"x" * 80}..."')],
        *[("é" * 80, f'"{"é" * 80}"'), ("é" * 81, f'"{"é" * 80}..."')],
    ],
)
def test_keys_are_quoted_if_toml_requires_it(key: str, text: str) -> None:
    assert str(Problem(path=("losses", key), message="wrong")) == f"losses.{text}: wrong"


def test_a_problem_of_the_whole_definition_has_no_key_path() -> None:
    assert str(Problem(path=(), message="wrong")) == "wrong"


@given(st.lists(st.tuples(st.lists(st.text() | st.integers(0, 9)), st.text(min_size=1))))
def test_pydantic_passes_problems_unchanged(given_: list[tuple[list[str | int], str]]) -> None:
    problems = [Problem(path=tuple(path), message=message) for path, message in given_]
    assert problems_of(validation_error(problems)) == list(dict.fromkeys(problems))


def test_braces_in_a_message_are_kept() -> None:
    assert str(problems_of(broken(("a",), "{text} {0} {}"))[0]) == "a: {text} {0} {}"


def test_each_problem_is_reported_once() -> None:
    twice = [Problem(path=("a",), message="wrong")] * 2
    assert len(problems_of(validation_error(twice))) == 1


def test_problems_of_several_places_are_one_error() -> None:
    with pytest.raises(ValidationError) as caught, Problems() as problems:  # noqa: PT012
        with problems.at("first"):
            raise broken(("a",), "wrong")
        with problems.at("second", "third"):
            WHOLE.validate_python("x")
        with problems.at("fourth"):
            WHOLE.validate_python(1)
        with problems.at():
            raise broken(("b",), "wrong too")
    assert [(p.path, p.message.partition(",")[0]) for p in problems_of(caught.value)] == [
        (("first", "a"), "wrong"),
        (("second", "third"), "should be a valid integer"),
        (("b",), "wrong too"),
    ]


def test_without_problems_nothing_is_raised() -> None:
    with Problems() as problems, problems.at("a"):
        WHOLE.validate_python(1)


def test_other_errors_are_not_caught() -> None:
    with pytest.raises(KeyError), Problems() as problems, problems.at("a"):
        raise KeyError("a bug")


def test_messages_do_not_use_names_of_python_types() -> None:
    class Model(BaseModel):
        table: dict[str, int]
        items: tuple[int, ...]

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"table": 1, "items": 2})
    assert [str(problem) for problem in problems_of(caught.value)] == [
        "table: should be a table, { }",
        "items: should be a list, [ ]",
    ]


@pytest.mark.parametrize(
    ("word", "known", "sentence"),
    [
        ("adamm", ["sgd", "adam"], '; did you mean "adam"?'),
        ("xyz", ["sgd", "adam"], "; known are: adam, sgd"),
        ("xyz", [], "; there are no settings"),
        ("", ["sgd"], "; known are: sgd"),
    ],
)
def test_suggestion(word: str, known: list[str], sentence: str) -> None:
    assert suggestion(word, known) == sentence


def test_a_definition_error_is_bad_input() -> None:
    assert issubclass(DefinitionError, BadInput)
