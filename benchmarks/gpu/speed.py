"""Images per second of one training, of many trainings, and of groups of several widths."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from statistics import median

from benchmarks.figure import Figure
from benchmarks.gpu import contestants
from benchmarks.gpu.programs import program_of
from benchmarks.gpu.section import Missing, Row, Section, timed
from benchmarks.gpu.size import Size
from benchmarks.gpu.trainings import NETWORK, mixed, plain
from benchmarks.race import Contestant, ContestantError, Speeds, race, ratio
from cifar_exp.experiment import TrialConfig

ONE = "1. one training / Lightning"
MANY = "2. trainings in a group / Lightning one after another"
SUM = "3. networks x images/s of the group"
RESNET = "4. resnet18 / before trainings were programs"
RESNET_BEFORE = 16_000
"""Images per second of resnet18 at batch size 128, bf16, measured on an H200 in November 2026."""

Configs = Callable[[int, int], list[TrialConfig]]
"""Returns trainings for a batch size and a number of trainings."""


def sections(size: Size) -> list[Section]:
    """Return the sections for one training, a group, and a large network."""
    return [
        Section(names=(ONE, MANY, SUM), measure=lambda _: against_lightning(size)),
        Section(names=(RESNET,), measure=lambda _: resnet(size)),
    ]


def sections_of_widths(size: Size) -> list[Section]:
    """Return a section for each width and for each variant of the large group."""
    number = size.networks
    variants: list[tuple[str, int, Configs]] = [
        *((f"10. {width} networks", width, mixed) for width in size.widths),
        (f"10. {number} networks, all cross-entropy and SGD", number, plain),
    ]
    searched = f"10. {number} networks, cudnn.benchmark on"
    return [
        *(
            Section(names=(name,), measure=partial(_width, size, name, configs, width))
            for name, width, configs in variants
        ),
        Section(names=(searched,), measure=lambda _: [_searched(size, searched)]),
    ]


def against_lightning(size: Size) -> list[Row]:
    """Measure one training, a group and Lightning in turn; without Lightning, only the others."""
    ours = {
        "one": Contestant(start=partial(contestants.one, size, NETWORK, size.batch_size)),
        "group": Contestant(start=partial(contestants.together, size)),
    }
    if importlib.util.find_spec("lightning") is None:
        return _without_lightning(race(ours, size.rounds, starts=1), "Lightning is not installed")
    fits = {
        f"Lightning{', channels-last' * last}": Contestant(
            start=partial(contestants.lightning, size, channels_last=last)
        )
        for last in (False, True)
    }
    try:
        speeds = race({**ours, **fits}, size.rounds, starts=1)
    except (ContestantError, EOFError, OSError) as error:  # the last two: a process died
        reason = f"{type(error).__name__}: {error}"
        return _without_lightning(race(ours, size.rounds, starts=1), reason)
    return _with_lightning(speeds, max(fits, key=lambda name: median(speeds[name])))


def _with_lightning(speeds: Speeds, lightning: str) -> list[Row]:
    note = f" ({lightning})"
    return [
        ratio(ONE, speeds, "one", lightning, at_least=5, aim=8, note=note),
        ratio(MANY, speeds, "group", lightning, at_least=30, aim=60, note=note),
        _sum(speeds),
    ]


def _without_lightning(speeds: Speeds, reason: str) -> list[Row]:
    """Give the reason why there is no ratio, and the speeds measured here."""
    return [
        Missing(name=name, reason=f"{reason}; ours: {median(speeds[ours]):,.0f} images/s")
        for name, ours in ((ONE, "one"), (MANY, "group"))
    ] + [_sum(speeds)]


def _sum(speeds: Speeds) -> Figure:
    group = speeds["group"]
    return Figure(
        name=SUM,
        value=median(group),
        unit="images/s",
        at_least=700_000,
        aim=2_000_000,
        detail=f"rounds {min(group):,.0f} to {max(group):,.0f}",
    )


def resnet(size: Size) -> list[Row]:
    """Train a single large network, in this process."""
    epochs = contestants.one(size, "resnet18", size.resnet_batch_size)
    [first, *speeds] = islice(epochs, 1 + size.rounds)
    value = median(speeds)
    return [
        Figure(
            name=RESNET,
            value=value / RESNET_BEFORE,
            unit="x",
            at_least=1.5,
            aim=2.5,
            detail=f"{value:,.0f} images/s (first epoch {first:,.0f}) / {RESNET_BEFORE:,}, which "
            "were measured on an H200",
        )
    ]


def _width(size: Size, name: str, configs: Configs, width: int, seconds_left: float) -> list[Row]:
    """Measure a program; its first epoch includes the capture."""
    del seconds_left
    data = size.data
    subset = replace(data, train=data.train.first(size.width_images))
    building, program = timed(lambda: program_of(configs(size.batch_size, width), subset))
    first, *others = (timed(partial(program.train_epoch, 1 + i))[0] for i in range(3))
    seconds = median(others)
    return [
        Figure(
            name=name,
            value=width * len(subset.train) / seconds,
            unit="images/s",
            detail=f"networks x images/s; building {building:.2f} s, "
            f"capture {max(0.0, first - seconds):.2f} s",
        )
    ]


def _searched(size: Size, name: str) -> Row:
    """Measure a group in a new process, as a process keeps the kernels chosen first."""
    short = replace(size, counts=(size.width_images, *size.counts[1:]))
    group = Contestant(start=partial(contestants.together, short, search=True))
    speeds = race({name: group}, size.rounds, starts=1)[name]
    detail = f"networks x images/s; rounds {min(speeds):,.0f} to {max(speeds):,.0f}"
    return Figure(name=name, value=median(speeds), unit="images/s", detail=detail)
