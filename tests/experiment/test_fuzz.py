"""Random definitions: each one is accepted or rejected, without side effects."""

from __future__ import annotations

import copy
import math
import time
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_exp.components.models import read_model
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import Experiment, Override, definition_text, read, read_document
from tests.definitions import SHIPPED
from tests.reading import SOURCE, nothing_touched, read_or_refused

DOCUMENTS = [tomllib.loads(path.read_text(encoding="utf-8")) for path in SHIPPED]
Path = tuple[str | int, ...]


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Import the modules that are imported lazily while a definition is read."""
    for document in DOCUMENTS:
        read_document(document, SOURCE)
    read_model("torchvision:resnet18")


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of all values in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from paths(item, (*path, key))


def nested(depth: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if kind == "table" else [value]
    return value


odd_texts = (
    *("", "lr", "type", "low", "high", "log", "x" * 300, "{}"),
    *("a\nb", "a\0b", "\x1b[2J", "\x9b31m", "\u202e", "\u2028"),
    *("../../etc/passwd", "~nobody-here/x", "os.system", "__class__"),
)
letters = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(odd_texts)
numbers = (
    st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**30, 10**4000])
    | st.floats()
    | st.sampled_from([math.inf, -math.inf, math.nan, 1e-320, 1.8e308])
)
values = st.one_of(
    letters,
    numbers,
    st.booleans(),
    st.dates(),
    st.datetimes(),
    st.times(),
    st.lists(letters | numbers, max_size=3),
    st.dictionaries(letters, letters | numbers, max_size=3),
    st.builds(nested, st.integers(1, 80), st.sampled_from(["table", "list"])),
)
KINDS = ["put", "drop", "rename", "swap", "copy", "add"]


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    """Return a shipped definition with some values replaced, removed, renamed, swapped or added."""
    document: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        all_paths = list(paths(document))
        if all_paths:
            _mutate(draw, document, all_paths)
    return document


def _mutate(draw: st.DrawFn, document: dict[str, Any], all_paths: list[Path]) -> None:
    table, key = _place(document, draw(st.sampled_from(all_paths)))
    other_table, other_key = _place(document, draw(st.sampled_from(all_paths)))
    match draw(st.sampled_from(KINDS)):
        case "put":
            table[key] = draw(values)
        case "drop":
            del table[key]
        case "rename" if isinstance(table, dict):
            table[draw(letters)] = table.pop(key)
        case "swap":
            one, other = copy.deepcopy(table[key]), copy.deepcopy(other_table[other_key])
            table[key] = other
            _put_if_there(other_table, other_key, one)
        case "copy":
            _put_if_there(other_table, other_key, copy.deepcopy(table[key]))
        case "add" if isinstance(table, dict):
            table[draw(letters)] = draw(values)


def _place(document: dict[str, Any], path: Path) -> tuple[Any, str | int]:
    table: Any = document
    for key in path[:-1]:
        table = table[key]
    return table, path[-1]


def _put_if_there(table: Any, key: str | int, value: Any) -> None:
    if isinstance(table, dict) or (isinstance(key, int) and key < len(table)):
        table[key] = value


@given(mutants())
@settings(max_examples=1000, deadline=None)
def test_a_changed_definition_is_read_or_refused(document: dict[str, Any]) -> None:
    with nothing_touched():
        parsed = read_or_refused(lambda: read_document(document, SOURCE))
        text = tomli_w.dumps(document)
        written = read_or_refused(lambda: read(text, SOURCE))
    assert lines(written) == lines(parsed)


def lines(refusal: str | None) -> list[str]:
    """Sort the problems, as TOML is written in another order."""
    return sorted((refusal or "").splitlines())


words = st.sampled_from(
    [*"[]{}=.,\"'#\n ", "name", "losses", "mse", "lr", "low", "type", "true", "nan", "1", "-", "é"]
)


@given(st.text() | st.lists(words, max_size=40).map("".join))
@settings(max_examples=200, deadline=None)
def test_a_text_is_read_or_refused(text: str) -> None:
    with nothing_touched():
        read_or_refused(lambda: read(text, SOURCE))


@given(st.binary(max_size=200), st.sampled_from(SHIPPED), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_bytes_within_a_definition_are_read_or_refused(put_in: bytes, path: Any, at: float) -> None:
    content = path.read_bytes()
    start = int(at * len(content))
    text = (content[:start] + put_in + content[start:]).decode("utf-8", "replace")
    with nothing_touched():
        read_or_refused(lambda: read(text, SOURCE))


UGLY = {
    "lists in lists": "x = " + "[" * 300 + "]" * 300,
    "tables in tables": "x = " + "{a=" * 150 + "1" + "}" * 150,
    "dots": "x" + ".a" * 200 + " = 1",
    "a number beyond the digits that Python writes": "x = 0x" + "f" * 9000,
    "a number in place of a table": "search = 3",
    "a list of tables in place of a table": "[[search]]\n[[search]]",
    "dates": "x = [1979-05-27, 07:32:00, 1979-05-27T07:32:00Z]",
    "text that TOML escapes": 'x = "\\u0000\\u001b\\u202e\\U0010ffff"',
}


@pytest.mark.parametrize("ugly", UGLY.values(), ids=UGLY.keys())
@pytest.mark.parametrize("key", ["epochs", "search.trials", "dataset"])
def test_options_change_even_unusual_definitions(tmp_path: Any, ugly: str, key: str) -> None:
    """They are parsed and written again before they are read."""
    file = tmp_path / "a.toml"
    file.write_text(f"{ugly}\n")

    def reading() -> Experiment:
        try:
            text = definition_text(file, [Override(tuple(key.split(".")), 3, "--key")])
        except DefinitionError as error:
            raise DefinitionError(str(error).replace(str(file), SOURCE)) from None
        return read(text, SOURCE)

    assert read_or_refused(reading) is not None


# Texts whose reading time could grow faster than their length.

LARGEST = 2**18
TEXTS: dict[str, Callable[[int], str]] = {
    "a key of many dots": lambda n: ".".join("a" * (n // 2 - 9)) + " = 1",
    "a table of many dots": lambda n: f"[{'.'.join('a' * (n // 2 - 9))}]",
    "many keys of many dots": lambda n: _lines(n, lambda i: f"{f'k{i}.' * 199}a = 1"),
    "nested lists": lambda n: "a = " + "[" * (n - 4),
    "nested tables": lambda n: "a = " + "{a=" * (n // 3 - 9),
    "unknown keys": lambda n: _lines(n, lambda i: f"k{i} = 1"),
    "unknown losses": lambda n: "[losses]\n" + _lines(n - 9, lambda i: f"k{i} = {{}}"),
    "unknown settings": lambda n: "[losses.mse]\n" + _lines(n - 13, lambda i: f"k{i} = 1"),
    "wrong optimizers": lambda n: (
        "[optimizers]\n" + _lines(n - 13, lambda i: f"k{i} = {{type='sgd', lr={{}}}}")
    ),
    "one long name": lambda n: f"[losses]\n{'x' * (n - 99)} = {{}}",
    "one long text": lambda n: f"name = '{'x' * (n - 99)}'",
    "one long number": lambda n: f"epochs = {'1' * (n - 99)}",
    "one long hexadecimal number": lambda n: f"epochs = 0x{'f' * (n - 99)}",
    "an open string": lambda n: 'a = "' + "\\" * (n - 99),
}
A_PART, FOUR_PARTS = LARGEST // 8, LARGEST // 2


def _lines(num_letters: int, line: Callable[[int], str]) -> str:
    """Return numbered lines with a total length of about this many letters."""
    return "\n".join(line(i) for i in range(num_letters // (len(line(10**5)) + 1)))


KEYS = ("name", "dataset", "epochs", "search", "losses", "optimizers", "unknown")
DEEP = [
    text for key in KEYS for text in (f"{key} = {'[' * 300}{']' * 300}", f"{key}{'.a' * 199} = 1")
]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_deep_values_of_every_kind_are_refused(text: str) -> None:
    with nothing_touched():
        assert read_or_refused(lambda: read(text, SOURCE)) is not None


def seconds_to_refuse(text: str) -> float:
    """Return the processor time, which does not depend on other programs."""
    started = time.process_time()
    with nothing_touched():
        assert read_or_refused(lambda: read(text, SOURCE)) is not None
    return time.process_time() - started


@pytest.mark.parametrize("name", TEXTS)
def test_the_time_to_refuse_a_definition_grows_with_its_length(name: str) -> None:
    """Four times the length takes four times as long; quadratic time would be sixteen times.

    The shorter of two measurements counts, as one may include a garbage collection.
    """
    part, four_parts = (
        min(seconds_to_refuse(TEXTS[name](length)) for _ in range(2))
        for length in (A_PART, FOUR_PARTS)
    )
    assert four_parts < 8 * part + 0.1  # very short times are not compared
