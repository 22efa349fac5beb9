from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cifar_exp.training import hardware, peak_memory
from cifar_exp.training.peak_memory import PeakMemory

MIB = 2**20
LARGE = 300


def allocate(mebibytes: int) -> None:
    torch.ones(mebibytes * MIB // 4)  # float32


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux only")
def test_the_peak_of_an_earlier_training_is_forgotten() -> None:
    before = PeakMemory().metrics()["peak_memory"]
    allocate(LARGE)
    large = PeakMemory()
    start = large.metrics()["peak_memory"]
    assert start == pytest.approx(before, abs=LARGE / 4)
    allocate(LARGE)
    assert large.metrics()["peak_memory"] - start == pytest.approx(LARGE, rel=0.1)
    assert large.metrics()["peak_memory"] > start + LARGE / 2  # it stays


def test_a_system_that_cannot_forget_a_peak_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peak_memory, "CLEAR_REFS", tmp_path / "missing" / "clear_refs")
    assert "peak_memory" not in PeakMemory().metrics()


def test_the_memory_of_a_gpu_is_that_of_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[None] = []
    monkeypatch.setattr(hardware, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: resets.append(None))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5 * MIB + MIB // 2)
    assert PeakMemory().metrics()["peak_gpu_memory"] == 5.5
    assert len(resets) == 1
