"""How much memory a trainer has for itself, beyond what its libraries and its network take."""

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
from cifar_exp.sweep.events import Event, Look

BOUND = 60.0
WORKERS = 2
CIFAR10 = (45_000, 5_000, 10_000)
TINY = (500, 500, 500)
"""One batch of the evaluation, so that the network's own memory is the same."""
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
    """The resident memory of a process, in MB (10^6 bytes): what it shares, and what it does not.

    Pages of a file that several processes map are shared, those that only one maps are private.
    """

    private: float
    shared: float


def measure(counts: tuple[int, int, int] = CIFAR10) -> list[Figure]:
    """Compare trainers of a sweep over so many images with those of a sweep over few."""
    if sys.platform != "linux":
        print("memory: left out, as only Linux says in /proc what a process shares")
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
    """Read the memory of a running process from Linux's `smaps_rollup`."""
    kib = dict.fromkeys(("Private", "Shared"), 0)
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        kind, _, rest = line.partition("_")
        if kind in kib and not rest.startswith("Hugetlb"):
            kib[kind] += int(rest.split()[1])
    return Memory(private=kib["Private"] / KIB_PER_MB, shared=kib["Shared"] / KIB_PER_MB)


@dataclass(slots=True)
class FirstEpochs:
    """Looks at the trainers at the moment when the last of them has trained its first epoch.

    All of them are alive then and have touched the data, so that what they share counts as shared.
    """

    trained: set[str] = field(default_factory=set)
    seen: list[Memory] = field(default_factory=list)

    def __call__(self, event: Event | Look) -> None:
        """Take note of an epoch; a training that has only begun has loaded little yet."""
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
    """Measure two trainers of a real sweep, on new databases."""
    folder.mkdir()
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    asked = sweep_of(DEFINITION, uri, folder, workers=WORKERS)
    watch = FirstEpochs()
    sweep.run(asked, data, watch)
    return watch.mean()


if __name__ == "__main__":
    sys.exit(show(measure()))
