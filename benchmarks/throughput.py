"""Compare the images per second of trainings with the course notes' loop and Lightning."""

from __future__ import annotations

import sys
from functools import partial
from statistics import median

from benchmarks import contestants
from benchmarks.figure import Figure, show
from benchmarks.loaders import LOADERS
from benchmarks.notes_loop import BATCH_SIZE
from benchmarks.race import Contestant, Speeds, race, ratio
from cifar_exp.components.precision import Precision, resolve
from cifar_exp.system.cores import available_cores

NETWORK = "seed_cnn_relu"
BATCH_SIZES = (BATCH_SIZE, 256)
TRIAL_BOUNDS: dict[Precision, float] = {"fp32": 1.8, "bf16": 4.5}
SWEEP_BOUNDS: dict[Precision, float] = {"fp32": 2.2, "bf16": 6.0}
LIGHTNING_BOUNDS: dict[Precision, float] = {"fp32": 2.0, "bf16": 2.8}
KERNEL_BOUNDS: dict[Precision, float] = {"fp32": 0.78, "bf16": 0.57}


def measure(rounds: int = 5) -> list[Figure]:
    """Run all programs in turn; bf16 only if the processor supports it natively."""
    precisions = dict.fromkeys([resolve("fp32"), resolve("auto")])
    figures = [_without_activations(rounds)]
    for precision in precisions:
        speeds = race(_contestants(precision) | _lightnings(precision), rounds)
        figures += [figure for size in BATCH_SIZES for figure in _figures(precision, size, speeds)]
    return figures


def _without_activations(rounds: int) -> Figure:
    """Compare a trial of the original network, without activations, with the notes' training."""
    cores = available_cores()
    programs = {
        "ours": Contestant(start=partial(contestants.ours, "seed_cnn", "fp32", BATCH_SIZE, cores)),
        "notes": Contestant(start=partial(contestants.notes, "seed_cnn", cores)),
    }
    name = f"trial, seed_cnn, fp32, batch {BATCH_SIZE} / notes' loop"
    speeds = race(programs, rounds)
    return ratio(name, speeds, "ours", "notes", at_least=TRIAL_BOUNDS["fp32"])


def _lightnings(precision: Precision) -> dict[str, Contestant]:
    """Return Lightning in its default memory layout and in channels-last."""
    return _lightning(precision, channels_last=False) | _lightning(precision, channels_last=True)


def _lightning(
    precision: Precision, *, channels_last: bool, rounds: int = 3
) -> dict[str, Contestant]:
    """Return Lightning with the loader that is fastest on this machine, in one memory layout."""
    layout = ", channels-last" if channels_last else ""
    cores = available_cores()
    fits = {
        f"Lightning ({loader}{layout})": Contestant(
            start=partial(
                contestants.lightning, precision, loader, cores, channels_last=channels_last
            )
        )
        for loader in LOADERS
    }
    speeds = race(fits, rounds)
    best = max(speeds, key=lambda name: median(speeds[name]))
    return {best: fits[best]}


def _contestants(precision: Precision) -> dict[str, Contestant]:
    """Return all programs except Lightning in one precision; the notes' loop always uses fp32."""
    cores = available_cores()
    programs = {"notes": Contestant(start=partial(contestants.notes, NETWORK, cores))}
    for batch_size in BATCH_SIZES:
        trial = partial(contestants.ours, NETWORK, precision, batch_size)
        kernels = partial(contestants.bare_kernels, precision, batch_size)
        programs |= {
            f"trial {batch_size}": Contestant(start=partial(trial, cores)),
            f"thread {batch_size}": Contestant(start=partial(trial, 1)),
            f"sweep {batch_size}": Contestant(start=partial(trial, 1), num_processes=cores),
            f"kernels {batch_size}": Contestant(start=kernels),
        }
    return programs


def _figures(precision: Precision, batch_size: int, speeds: Speeds) -> list[Figure]:
    """Return the ratios of one precision and batch size."""
    trial, thread, sweep, kernels = (
        f"{what} {batch_size}" for what in ("trial", "thread", "sweep", "kernels")
    )
    lightnings = [name for name in speeds if name.startswith("Lightning")]
    how = f"{precision}, batch {batch_size}"
    notes = "notes"
    rows = [
        (f"trial, {how} / notes' loop", trial, notes, TRIAL_BOUNDS),
        (f"sweep, {how} / notes' loop", sweep, notes, SWEEP_BOUNDS),
        *((f"sweep, {how} / {name}", sweep, name, LIGHTNING_BOUNDS) for name in lightnings),
        (f"one thread, {how} / its convolutions alone", thread, kernels, KERNEL_BOUNDS),
    ]
    return [
        ratio(name, speeds, one, other, at_least=bounds[precision])
        for name, one, other, bounds in rows
    ]


if __name__ == "__main__":
    sys.exit(show(measure()))
