from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for one test."""
    root = tmp_path / "cache"
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(root))
    return root
