"""Check that a group computes the same as single networks, and a GPU the same as a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from benchmarks.figure import Figure
from benchmarks.gpu.programs import program_of
from benchmarks.gpu.section import Row, Section
from benchmarks.gpu.size import Size
from benchmarks.gpu.trainings import with_other
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.metrics.scores import scores_of
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import hardware, loop, untrained

ALONE = "9. networks of a group against each alone, fp32: losses"
BESIDE = "9. networks beside one with lr 1e6: weights that differ"
METRICS = "9. metrics on the GPU against the CPU"

THREE = (("cross_entropy", "sgd", 1.0), ("focal", "momentum", 1.0), ("mse", "adamw", 0.1))
"""Loss, optimizer and a factor of the learning rate.

AdamW's first steps follow the sign of gradients that are 0 except for rounding errors. At its usual
learning rate the losses differ by 5e-5 after 50 steps, on a CPU as well.
"""
EXTREME_LR = 1e6


def sections(size: Size) -> list[Section]:
    """Return the sections that compare results."""
    return [
        Section(names=(ALONE,), measure=lambda _: [against_single_networks(size)]),
        Section(names=(BESIDE,), measure=lambda _: [beside_a_diverging_network(size)]),
        Section(names=(METRICS,), measure=lambda _: [metrics_on_both(size)]),
    ]


def against_single_networks(size: Size) -> Row:
    """Compare the mean losses of short epochs with those of `loop.train` and torch's optimizers."""
    data = _few_steps(size)
    configs = [
        with_other(loss, optimizer, size.batch_size, lr, precision="fp32", epochs=size.equal_epochs)
        for loss, optimizer, lr in THREE
    ]
    program = program_of(configs, data)
    together = [program.train_epoch(1 + epoch) for epoch in range(size.equal_epochs)]
    largest = [
        _largest_difference(found, _losses_alone(config, data))
        for found, config in zip(zip(*together, strict=True), configs, strict=True)
    ]
    each = ", ".join(
        f"{loss}+{optimizer} {difference:.0e}"
        for (loss, optimizer, _), difference in zip(THREE, largest, strict=True)
    )
    return Figure(
        name=ALONE,
        value=max(largest),
        unit="relative",
        at_most=1e-4,
        detail=f"mean losses of {size.equal_steps} steps each, "
        f"{size.equal_epochs * size.equal_steps} steps: {each}",
    )


def _largest_difference(found: Sequence[float], expected: Sequence[float]) -> float:
    return max(abs(one - other) / abs(other) for one, other in zip(found, expected, strict=True))


def _losses_alone(config: TrialConfig, data: Dataset) -> list[float]:
    network = untrained.build_model(config, data)
    return [metrics.train_loss for metrics in loop.train(network, config, data)]


def beside_a_diverging_network(size: Size) -> Row:
    """Count the weights of two networks that depend on the learning rate of a third network."""
    with _deterministic():
        sane, again, extreme = (_weights_beside(lr, size) for lr in (0.01, 0.01, EXTREME_LR))
    noise = _num_different(sane, again)
    return Figure(
        name=BESIDE,
        value=_num_different(sane, extreme),
        unit="elements",
        at_most=0,
        detail=f"of {sum(w.numel() for w in sane):,}; between two equal groups {noise:,} differ",
    )


def _weights_beside(lr: float, size: Size) -> list[torch.Tensor]:
    """Return the weights of two networks trained in a group with one of this learning rate."""
    rates = (0.01, 0.02, lr)
    configs = [
        with_other("cross_entropy", "sgd", size.batch_size, precision="fp32", lr=rate)
        for rate in rates
    ]
    program = program_of(configs, _few_steps(size))
    for epoch in (1, 2):
        program.train_epoch(epoch)
    states = [program.state(index).to_cpu() for index in (0, 1)]
    return [tensor for state in states for tensor in state.weights.values()]


def _num_different(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> int:
    pairs = zip(some, others, strict=True)
    return sum(int((one != other).sum()) for one, other in pairs)


def metrics_on_both(size: Size) -> Row:
    """Compare all metrics of random outputs, with one network per loss."""
    losses = [loss() for loss in LOSSES.values()]
    random = torch.Generator().manual_seed(0)
    num_images, num_classes = len(size.data.val), size.data.num_classes
    logits = 3 * torch.randn(len(losses), num_images, num_classes, generator=random)
    labels = size.data.val.labels
    on_cpu = scores_of(logits, labels, losses)
    on_device = scores_of(logits.to(hardware.device()), labels.to(hardware.device()), losses)
    differences = [
        abs(found.values[name] - value)
        for found, expected in zip(on_device, on_cpu, strict=True)
        for name, value in expected.values.items()
    ]
    return Figure(
        name=METRICS,
        value=max(differences),
        unit="relative",
        at_most=1e-6,
        detail=f"largest absolute difference of {len(differences)} metrics",
    )


def _few_steps(size: Size) -> Dataset:
    """Return the images of an epoch that consists of a few full batches."""
    data = size.data
    num_images = size.equal_steps * size.batch_size
    return replace(data, train=data.train.first(num_images), val=data.val.first(num_images))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Allow deterministic cuDNN kernels only, so that any difference has another cause."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
