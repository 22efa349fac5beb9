"""The paths of files are distinct, and can be configured."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.system import paths

TRAININGS: list[tuple[str | int | None, ...]] = [
    ("store", "id", "trial", 1, None),
    ("store", "id", "confirmation", 1, 0),
    ("store", "id", "confirmation", 1, 1),
    ("store", "id", "confirmation", 1, 11),
    ("store", "id", "confirmation", 11, 1),
    ("store", "other", "confirmation", 1, 1),
    ("other", "id", "confirmation", 1, 1),
]


def test_checkpoints_of_two_trainings_have_different_names() -> None:
    assert len({paths.checkpoint_name(*training) for training in TRAININGS}) == len(TRAININGS)


def test_the_folders_are_those_of_the_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIFAR_EXP_CACHE", "mine")
    monkeypatch.setenv("CIFAR_EXP_OUTBOX", "box")
    assert paths.cache() == tmp_path / "mine"
    assert paths.checkpoints() == tmp_path / "mine" / "checkpoints"
    assert paths.outboxes() == tmp_path / "box"
    first, second = (paths.lock_file(purpose) for purpose in ("one", "other"))
    assert first.parent == second.parent == tmp_path / "mine" / "locks"
    assert first != second
