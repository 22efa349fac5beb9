"""Readable times and sizes."""

from __future__ import annotations

import pytest

from cifar_exp.system.formatting import counted, duration, first_line, listed, printable, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (40, "40 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (12 * 60, "12 min"),
        (89 * 60, "89 min"),
        (90 * 60, "1.5 h"),
        (3.5 * 3600, "3.5 h"),
        (100 * 3600, "100.0 h"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(0, "0 MB"), (40e6, "40 MB"), (999e6, "999 MB"), (1e9, "1.0 GB"), (3.5e9, "3.5 GB")],
)
def test_size(num_bytes: float, text: str) -> None:
    assert size(num_bytes) == text


@pytest.mark.parametrize(
    ("said", "line"), [("a b\nc\nd", "a b"), ("\n  a b \n", "a b"), ("one", "one"), ("", "")]
)
def test_the_first_line_of_an_error(said: str, line: str) -> None:
    assert first_line(ValueError(said)) == line


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "class", "1 class"),
        (0, "class", "0 classes"),
        (2, "study", "2 studies"),
        (1, "study", "1 study"),
        (3, "seed", "3 seeds"),
    ],
)
def test_a_number_with_its_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_a_long_list_is_shortened() -> None:
    assert listed([]) == ""
    assert listed(["a", "b", "c"], 3) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("text", "shown"), [("ü a", "ü a"), ("a\nb\x1b", "a\\nb\\x1b"), ("\udce9", "\\udce9")]
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
