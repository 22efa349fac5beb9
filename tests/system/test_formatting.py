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
        (0, "trial", "0 trials"),
        (1, "trial", "1 trial"),
        (2, "trial", "2 trials"),
        (1, "study", "1 study"),
        (3, "study", "3 studies"),
        (1, "loss", "1 loss"),
        (2, "loss", "2 losses"),
        (2, "class", "2 classes"),
        (2, "batch", "2 batches"),
        (2, "epoch", "2 epochs"),
        (1, "more seed", "1 more seed"),
        (2, "more seed", "2 more seeds"),
    ],
)
def test_a_number_with_its_noun(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text


def test_a_long_list_ends_with_the_number_of_the_others() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcdefgh") == "a, b, c, d, e, f, g, h"
    assert listed("abcdefghij") == "a, b, c, d, e, f, g, h and 2 more"
    assert listed([]) == ""
    assert listed(["a", "b", "c", "d", "e"], 3) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("text", "shown"), [("ü a", "ü a"), ("a\nb\x1b", "a\\nb\\x1b"), ("\udce9", "\\udce9")]
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
