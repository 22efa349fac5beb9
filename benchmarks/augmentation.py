"""Measure the share of an epoch that the augmentations take."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchmarks import synthetic
from benchmarks.figure import Figure, show
from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.precision import Precision, resolve
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import loop, untrained
from cifar_exp.training.hardware import prepare_process

BATCH_SIZES = (64, 256)
NONE = "none"
BOUNDS = {"crop_flip": 15.0}
"""Largest percentage of an epoch; augmentations without a bound are for information."""

Speeds = Mapping[str, list[float]]
"""Images per second with each augmentation, by round."""


def measure(
    num_images: int = 2_560, rounds: int = 5, batch_sizes: Sequence[int] = BATCH_SIZES
) -> list[Figure]:
    """Measure each augmentation at each batch size, in each native precision of this machine."""
    prepare_process(1)
    data = synthetic.dataset(num_images)
    precisions = dict.fromkeys(("fp32", resolve("auto")))
    return [
        figure
        for precision, batch_size in itertools.product(precisions, batch_sizes)
        for figure in _figures(
            f"batch {batch_size}, {precision}", _race(data, precision, batch_size, rounds)
        )
    ]


def _race(data: Dataset, precision: Precision, batch_size: int, rounds: int) -> Speeds:
    """Alternate between the augmentations, one epoch each, after one warm-up epoch."""
    epochs = {
        name: _epochs(_config(name, precision, batch_size, rounds + 1), data)
        for name in AUGMENTATIONS
    }
    turns = [{name: next(speeds) for name, speeds in epochs.items()} for _ in range(rounds + 1)]
    return {name: [turn[name] for turn in turns[1:]] for name in AUGMENTATIONS}


def _epochs(config: TrialConfig, data: Dataset) -> Iterator[float]:
    """Train; yield the images per second of each epoch, without its validation."""
    for metrics in loop.train(untrained.build_model(config, data), config, data):
        yield metrics.images_per_second


def _figures(setting: str, speeds: Speeds) -> list[Figure]:
    """Return the share of an epoch that each augmentation takes: the median over the rounds."""
    return [
        _figure(f"{name}, {setting}", shares(speeds[name], speeds[NONE]), BOUNDS.get(name))
        for name in AUGMENTATIONS
        if name != NONE
    ]


def shares(augmented: list[float], plain: list[float]) -> list[float]:
    """Return the extra time of each augmented epoch, in percent of the time of that epoch.

    Args:
        augmented: Images per second, by round.
        plain: The same without augmentation: t = n / v, so (t_a - t_p) / t_a = 1 - v_a / v_p.
    """
    return [100 * (1 - a / p) for a, p in zip(augmented, plain, strict=True)]


def _figure(name: str, percent: list[float], bound: float | None) -> Figure:
    return Figure(
        name=name,
        value=median(percent),
        unit="%",
        at_most=bound,
        detail=f"of an epoch; rounds {min(percent):.1f} to {max(percent):.1f}",
    )


def _config(augment: str, precision: Precision, batch_size: int, epochs: int) -> TrialConfig:
    return TrialConfig(
        model=read_model("seed_cnn_relu"),
        loss="cross_entropy",
        loss_settings=LOSSES["cross_entropy"](),
        optimizer="sgd",
        optimizer_settings=OPTIMIZERS["sgd"](),
        lr=0.01,
        batch_size=batch_size,
        epochs=epochs,
        seed=0,
        precision=precision,
        augment=AUGMENTATIONS[augment](),
    )


if __name__ == "__main__":
    sys.exit(show(measure()))
