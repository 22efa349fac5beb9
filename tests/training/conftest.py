from __future__ import annotations

import math
from pathlib import Path

import pytest

from cifar_exp.training import checkpoint


@pytest.fixture
def keep_every_epoch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Save a checkpoint after every epoch, in the cache of the test."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(checkpoint, "MOST_SHARE", math.inf)
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "cache"))
