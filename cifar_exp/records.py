"""What MLflow holds of one run, as a plain value; the comparison works on these alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["sweep", "combination", "trial", "confirmation", "train"]
TrialState = Literal["COMPLETE", "PRUNED", "FAIL"]
TRAININGS: tuple[Kind, ...] = ("trial", "confirmation")
"""The kinds of runs that are trainings of a combination."""
STATE = "trial_state"
"""The tag with the state of a training. A run that has it has everything else already."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run of an experiment; `number` counts trials from 0 and confirmations from 1."""

    run_id: str
    experiment: str
    kind: Kind
    name: str
    status: str
    start_time: int
    """Milliseconds since 1970; of a sweep, when it was last gone on with."""
    parent: str | None = None
    combination: str | None = None
    combination_id: str | None = None
    number: int | None = None
    state: TrialState | None = None
    diverged: bool = False
    confirms: int | None = None
    """The number of the trial whose setting a confirmation trains again."""
    data_digest: str | None = None
    """Digest of images, labels and split that a training saw."""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the training came to an end: its state is written last of all."""
        return self.state is not None
