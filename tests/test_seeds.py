"""Derived seeds depend on their purpose only."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_exp.seeds import derive

purposes = st.lists(st.integers() | st.text(), max_size=4)


@pytest.mark.parametrize(
    ("purpose", "seed"),
    [
        # by hand: printf '%s' '["order", 0, 1]' | sha256sum | cut -c 1-8
        ((), 0x4F53CDA1),
        (("order", 0, 1), 0xC0DCF2CD),
    ],
)
def test_is_the_beginning_of_a_sha256(purpose: tuple[int | str, ...], seed: int) -> None:
    assert derive(*purpose) == seed


@given(purposes)
def test_fits_into_32_bits_and_repeats(purpose: list[int | str]) -> None:
    assert derive(*purpose) == derive(*purpose)
    assert 0 <= derive(*purpose) < 2**32


def test_other_purposes_have_other_seeds() -> None:
    purposes: list[tuple[int | str, ...]] = [
        (),
        (1,),
        ("1",),
        (1, 23),
        (12, 3),
        (123,),
        ("a", "b"),
        ("b", "a"),
        ("ab",),
        ("a, b",),
        ('a", "b',),
        *(("epoch", 0, epoch) for epoch in range(100)),
        *(("order", 0, epoch) for epoch in range(100)),
    ]
    assert len({derive(*purpose) for purpose in purposes}) == len(purposes)


def test_is_the_same_in_another_process() -> None:
    purpose: list[int | str] = ["é", "search", 7]
    program = (
        "import json, sys; from cifar_exp.seeds import derive; print(derive(*json.load(sys.stdin)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(purpose),
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == derive(*purpose)
