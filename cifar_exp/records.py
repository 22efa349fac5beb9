"""The record of one MLflow run as frozen data, the only input of the comparison; its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["sweep", "combination", "trial", "confirmation", "train"]
TrialState = Literal["COMPLETE", "PRUNED", "FAIL"]
TRAININGS: tuple[Kind, ...] = ("trial", "confirmation")
"""The kinds of runs that are trainings of a combination."""
STATE = "trial_state"
"""The tag with the state of a training; it is written after everything else."""
OF_COMPONENTS = ("loss.", "optimizer.", "schedule.")
"""The params of a training that begin with these are settings of its components."""
DIGEST_LENGTH = 8
"""Hex digits of a data set's fingerprint that a training records."""


def study_label(combination: str, study: int) -> str:
    """Return the name of a study of a combination; of the first one, that of the combination."""
    return combination if study == 1 else f"{combination} study {study}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run of an experiment; `number` counts trials from 0 and confirmations from 1."""

    run_id: str
    experiment: str
    kind: Kind
    name: str
    status: str
    start_time: int
    """Milliseconds since 1970; for a sweep, when it was last resumed."""
    parent: str | None = None
    combination: str | None = None
    combination_id: str | None = None
    study: int = 1
    """The study of a training, numbered from 1."""
    number: int | None = None
    state: TrialState | None = None
    diverged: bool = False
    confirms: int | None = None
    """The number of the trial whose setting a confirmation trains again."""
    data_digest: str | None = None
    """Digest of the images, labels and split of a training."""
    test_images: int | None = None
    """Number of images in the test set of a training."""
    num_classes: int | None = None
    """The number of classes of a training's data set."""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the training has ended: its state is written last."""
        return self.state is not None

    @property
    def settings(self) -> dict[str, str]:
        """Settings of loss, optimizer and schedule of a training, named as in MLflow."""
        names = sorted(name for name in self.params if name.startswith(OF_COMPONENTS))
        return {name: self.params[name] for name in names}


@dataclass(frozen=True, slots=True)
class Point:
    """The metrics of an epoch."""

    epoch: int
    timestamp: int
    """Milliseconds since 1970."""
    metrics: Mapping[str, float]
