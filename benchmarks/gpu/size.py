"""The size of the measurement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks import synthetic
from cifar_exp.components.datasets import Dataset

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """The size of the measurement; the defaults are those of the published figures."""

    budget: float = 335.0
    """Seconds after which no section is started; six minutes including imports and last section."""
    counts: tuple[int, int, int] = (45_000, 5_000, 10_000)
    """Random images of train, val and test."""
    batch_size: int = 64
    networks: int = 64
    """Networks of the large group."""
    rounds: int = 3
    """Epochs of each program, after one warm-up epoch."""
    widths: tuple[int, ...] = (1, 4, 16, 64, 128)
    width_images: int = 9_600
    """Training images for the comparison of widths."""
    resnet_batch_size: int = 128
    equal_epochs: int = 10
    equal_steps: int = 5
    """Steps of an epoch in the comparison of a group with single networks."""
    definition: Path = EXPERIMENTS / "cifar10-medium.toml"
    """The sweep of the measured command; its data set is cifar10."""
    long_definition: Path = EXPERIMENTS / "cifar10.toml"
    """The sweep whose time is extrapolated, not measured."""

    @property
    def data(self) -> Dataset:
        """The random images, generated once."""
        return _data(self.counts)


@lru_cache(maxsize=1)
def _data(counts: tuple[int, int, int]) -> Dataset:
    return synthetic.dataset(*counts)
