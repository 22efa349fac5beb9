from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_exp.system.spool import Spool


@given(st.lists(st.one_of(st.integers(), st.just("take"))), st.integers(1, 5))
def test_items_are_returned_once_and_in_order(steps: list[int | str], most: int) -> None:
    spool: Spool[int] = Spool(most)
    given_in: list[int] = []
    taken: list[int] = []
    for step in steps:
        if isinstance(step, int):
            spool.put(step)
            given_in.append(step)
        elif len(taken) < len(given_in):
            some = spool.take()
            assert 0 < len(some) <= most
            taken += some
    spool.close()
    while some := spool.take():
        taken += some
    assert taken == given_in


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool: Spool[bytes] = Spool(10)
    for _ in range(1000):
        spool.put(bytes(1000))
    assert len(spool._memory) == 10
    assert spool._file is not None
    assert sum(len(spool.take()) for _ in range(100)) == 1000
    assert spool._file is None


def test_a_reader_waits_for_items() -> None:
    spool: Spool[str] = Spool(10)
    taken: list[str] = []
    reader = threading.Thread(target=lambda: taken.extend(spool.take()))
    reader.start()
    spool.put("it")
    reader.join(10)
    assert taken == ["it"]


def test_a_closed_queue_returns_its_items_and_then_nothing() -> None:
    spool: Spool[str] = Spool(1)
    spool.put("a")
    spool.put("b")
    spool.close()
    assert (spool.take(), spool.take(), spool.take()) == (["a"], ["b"], [])
