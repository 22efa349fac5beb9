"""Measure the private memory of a trainer, without that of its libraries and its network."""

from __future__ import annotations

import multiprocessing
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from benchmarks import synthetic
from benchmarks.asked import sweep_of
from benchmarks.figure import Figure, show
from benchmarks.folder import own_folder
from cifar_exp.components import datasets
from cifar_exp.components.datasets import Dataset
from cifar_exp.sweep import sweep
from cifar_exp.sweep.events import Event, Notice

BOUND = 60.0
WORKERS = 2
CIFAR10 = (45_000, 5_000, 10_000)
TINY = (500, 500, 500)
"""One evaluation batch per split, so that the memory of the network is the same."""
KIB_PER_MB = 1e6 / 1024
DEFINITION = """
name = "memory"
dataset = "digits"
model = "seed_cnn_relu"
epochs = 1
precision = "auto"
search = { trials = 2, sampler = "random", pruner = "none", batch_size = [128] }
confirm = { seeds = 1 }
losses = { cross_entropy = {}, mse = {} }
optimizers = { sgd = { lr = 0.01 } }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """The shared and the private resident memory of a process, in MB (10^6 bytes).

    Pages of a file that several processes map are shared; those that only one maps are private.
    """

    private: float
    shared: float


def measure(counts: tuple[int, int, int] = CIFAR10) -> list[Figure]:
    """Compare trainers of a sweep on many images with those of a sweep on few images."""
    if sys.platform != "linux":
        print("memory: not measured, as only Linux reports shared memory in /proc")
        return []
    with own_folder() as folder:
        tiny, large = (datasets.load(synthetic.Synthetic(counts=n)) for n in (TINY, counts))
        base = of_trainer(folder / "tiny", tiny)
        trainer = of_trainer(folder / "large", large)
    return [
        Figure(
            name="private memory of a trainer",
            value=trainer.private - base.private,
            unit="MB",
            at_most=BOUND,
            detail=f"{trainer.private:.0f} MB on {sum(counts):,} images, less the "
            f"{base.private:.0f} MB on {sum(TINY):,}",
        ),
        Figure(
            name="memory that a trainer shares",
            value=trainer.shared,
            unit="MB",
            detail=f"{base.shared:.0f} MB of it without the data",
        ),
    ]


def resident(process_id: int) -> Memory:
    """Read the memory of a running process from `smaps_rollup` of Linux."""
    kib = dict.fromkeys(("Private", "Shared"), 0)
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        kind, _, rest = line.partition("_")
        if kind in kib and not rest.startswith("Hugetlb"):
            kib[kind] += int(rest.split()[1])
    return Memory(private=kib["Private"] / KIB_PER_MB, shared=kib["Shared"] / KIB_PER_MB)


@dataclass(slots=True)
class FirstEpochs:
    """Measures the trainers when the last of them has trained its first epoch.

    Then all of them are alive and have read the data, so shared pages count as shared.
    """

    trained: set[str] = field(default_factory=set)
    seen: list[Memory] = field(default_factory=list)

    def __call__(self, event: Event | Notice) -> None:
        """Handle an event; a training without an epoch has not loaded much yet."""
        if isinstance(event, Event) and event.epoch:
            self.trained.add(event.study)
        if len(self.trained) == WORKERS and not self.seen:
            self.seen = [resident(w.pid or 0) for w in multiprocessing.active_children()]

    def mean(self) -> Memory:
        """Return the mean over the workers."""
        return Memory(
            private=fmean(memory.private for memory in self.seen),
            shared=fmean(memory.shared for memory in self.seen),
        )


def of_trainer(folder: Path, data: Dataset) -> Memory:
    """Measure two trainers of a real sweep, with new databases."""
    folder.mkdir()
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    request = sweep_of(DEFINITION, uri, folder, workers=WORKERS)
    watch = FirstEpochs()
    sweep.run(request, data, watch)
    return watch.mean()


if __name__ == "__main__":
    sys.exit(show(measure()))
