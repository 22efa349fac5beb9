"""How many images a second a training takes in, against the loop that courses teach."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from statistics import median

import torch

from benchmarks import notes_loop, synthetic
from benchmarks.figure import Figure, show
from cifar_exp import training
from cifar_exp.datasets import Dataset
from cifar_exp.experiment import TrialConfig
from cifar_exp.losses import LOSSES
from cifar_exp.optimizers import OPTIMIZERS
from cifar_exp.precision import Precision
from cifar_exp.workers import available_cores

NETWORKS = ("seed_cnn", "seed_cnn_relu")
BOUND = 1.8
LARGE_BATCH = 256
NOTES = "the notes' loop"

Speeds = Mapping[str, list[float]]
"""Images per second of each contestant, round by round."""


def measure(num_images: int = 6_400, rounds: int = 7) -> list[Figure]:
    """Race this project against the notes' loop, on both forms of the original network."""
    torch.set_num_threads(available_cores())
    data = synthetic.dataset(num_images)
    races = {network: _race(_contestants(network, data, rounds), rounds) for network in NETWORKS}
    return [figure for network, speeds in races.items() for figure in _figures(network, speeds)]


def _contestants(network: str, data: Dataset, rounds: int) -> dict[str, Iterator[float]]:
    """Return everything that is raced, each an iterator over the speeds of its epochs."""
    relu = network == "seed_cnn_relu"
    ours: dict[str, tuple[int, Precision]] = {
        f"{network}, batch {notes_loop.BATCH_SIZE}": (notes_loop.BATCH_SIZE, "fp32"),
        f"{network}, batch {LARGE_BATCH}": (LARGE_BATCH, "fp32"),
    }
    if _has_native_bf16():
        ours[f"{network}, batch {notes_loop.BATCH_SIZE}, bf16"] = (notes_loop.BATCH_SIZE, "bf16")
    return {
        NOTES: notes_loop.epochs(_as_in_the_notes(data), relu=relu),
        **{name: _epochs(_config(network, *how, rounds), data) for name, how in ours.items()},
    }


def _race(contestants: Mapping[str, Iterator[float]], rounds: int) -> Speeds:
    """Let the contestants take turns, so that whatever else the machine does hits all of them."""
    for contestant in contestants.values():
        next(contestant)  # warm-up: memory, threads, kernels chosen at the first call
    turns = [{name: next(it) for name, it in contestants.items()} for _ in range(rounds)]
    return {name: [turn[name] for turn in turns] for name in contestants}


def _figures(network: str, speeds: Speeds) -> list[Figure]:
    """Compare each of ours with the notes' loop; the same batch size in fp32 has the bound."""
    judged = f"{network}, batch {notes_loop.BATCH_SIZE}"
    baseline = median(speeds[NOTES])
    return [
        Figure(
            name=name,
            value=median(ours) / baseline,
            unit="x",
            at_least=BOUND if name == judged else None,
            detail=f"{median(ours):,.0f} against {baseline:,.0f} images/s; "
            f"rounds {_spread(ours, speeds[NOTES])}",
        )
        for name, ours in speeds.items()
        if name != NOTES
    ]


def _spread(ours: list[float], notes: list[float]) -> str:
    ratios = [a / b for a, b in zip(ours, notes, strict=True)]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def _epochs(config: TrialConfig, data: Dataset) -> Iterator[float]:
    """Train; yield the images per second of each epoch, its validation left out."""
    model = training.build_model(config, data)
    for metrics in training.train(model, config, data):
        yield metrics.images_per_second


def _config(network: str, batch_size: int, precision: Precision, rounds: int) -> TrialConfig:
    return TrialConfig(
        model=network,
        loss="cross_entropy",
        loss_settings=LOSSES["cross_entropy"](),
        optimizer="sgd",
        optimizer_settings=OPTIMIZERS["sgd"](),
        lr=notes_loop.LEARNING_RATE,
        batch_size=batch_size,
        epochs=rounds + 1,
        seed=0,
        precision=precision,
    )


def _as_in_the_notes(data: Dataset) -> notes_loop.ImageDataset:
    images = data.train.images.permute(0, 2, 3, 1).numpy()
    return notes_loop.ImageDataset(images, data.train.labels.tolist())


def _has_native_bf16() -> bool:
    """Say whether the processor computes in bfloat16; elsewhere it is only emulated, and slow."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


if __name__ == "__main__":
    sys.exit(show(measure()))
