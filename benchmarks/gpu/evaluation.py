"""Measure the share of an epoch that validation and its metrics take."""

from __future__ import annotations

from functools import partial
from statistics import median

from benchmarks.figure import Figure
from benchmarks.gpu.programs import program_of
from benchmarks.gpu.section import Row, Section, timed
from benchmarks.gpu.size import Size
from benchmarks.gpu.trainings import mixed
from cifar_exp.components.metrics.scores import scores_of

NAME = "7. validation and metrics, share of an epoch of the group"


def sections(size: Size) -> list[Section]:
    """Return the section of validation."""
    return [Section(names=(NAME,), measure=lambda _: [share(size)])]


def share(size: Size) -> Row:
    """Measure the parts of an epoch, after one warm-up epoch."""
    configs = mixed(size.batch_size, size.networks)
    data = size.data
    program = program_of(configs, data)
    losses = [config.loss_settings for config in configs]
    parts: list[tuple[float, float, float]] = []
    for epoch in (1, 2, 3):
        training, _ = timed(partial(program.train_epoch, epoch))
        outputs, logits = timed(partial(program.logits, data.val))
        labels = data.val.labels.to(logits.device)
        metrics, _ = timed(partial(scores_of, logits, labels, losses))
        parts.append((training, outputs, metrics))
    training, outputs, metrics = (median(part) for part in zip(*parts[1:], strict=True))
    return Figure(
        name=NAME,
        value=100 * (outputs + metrics) / (training + outputs + metrics),
        unit="%",
        at_most=10,
        aim=5,
        detail=f"{size.networks} networks: training {training:.3f} s, outputs {outputs:.3f} s, "
        f"metrics {metrics:.3f} s",
    )
