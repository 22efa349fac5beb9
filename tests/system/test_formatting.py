"""Readable times and sizes."""

from __future__ import annotations

import pytest

from cifar_exp.system.formatting import duration, first_line, size


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
