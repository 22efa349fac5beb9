"""What a trainer receives, and what it returns: groups of trainings, steps and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import TrialState
from cifar_exp.training.loop import EpochMetrics


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One network to train."""

    name: str
    config: TrialConfig
    checkpoint: str | None = None
    """The name of its checkpoint; None for no checkpoint."""
    test: bool = False
    """Whether to score the trained network on the test split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Trainings that one trainer trains together."""

    trainings: tuple[Training, ...]
    data_path: Path
    """The cached data set, see `open_dataset`."""
    folder: Path
    """The folder for the files of trained networks."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """How a training ended."""

    state: TrialState
    epochs: int = 0
    val_accuracy: float | None = None
    """Validation accuracy of the last epoch; None for a failed training."""
    seconds: float = 0.0
    """Wall time from building the network to the last score, summed over all attempts.

    The networks of a group share its time evenly. `loop.warm_up` and epochs lost by an
    interruption do not count.
    """
    reason: str | None = None
    """Why the training failed."""
    diverged: bool = False
    together: int = 1
    """How many networks were trained by one program."""
    tested: Evaluation | None = None
    """The evaluation on the test split, if requested."""
    by_frequency: Mapping[str, float] = field(default_factory=dict)
    """The accuracy on the test split by frequency of the class, if the classes are imbalanced."""
    tested_ema: Evaluation | None = None
    """The same of the average of the weights, if there is one."""
    memory: Mapping[str, float] = field(default_factory=dict)
    """The peak memory of its group's trainer in MiB, see `PeakMemory`; after an interruption, of
    the last attempt."""
    network: Path | None = None
    """The file of the trained network; None unless the training is complete."""

    def metrics(self) -> dict[str, float]:
        """Return the final metrics by the names under which they are logged."""
        accuracy = {} if self.val_accuracy is None else {"val_accuracy": self.val_accuracy}
        scores = {} if self.tested is None else self.tested.named("test_")
        scores |= {f"test_{name}": value for name, value in self.by_frequency.items()}
        average = {} if self.tested_ema is None else self.tested_ema.named("test_ema_")
        cost = {"seconds": self.seconds, **self.memory}
        return {**accuracy, "epochs_trained": self.epochs, **scores, **average, **cost}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """The results of one step of a group, by the index of the training."""

    epochs: Mapping[int, EpochMetrics]
    """The finished epoch of each training that waits for a decision whether it continues."""
    outcomes: Mapping[int, Outcome]
    """The outcome of each training that has ended."""


class TooWide(Exception):  # noqa: N818 - the group is divided, nothing has failed
    """A group has more networks than the memory of its device holds.

    Attributes:
        width: A number of networks that may fit.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.width = width
