"""What is repeated in a sweep: studies of each combination, or the confirmations of one study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """How often each combination is tuned and confirmed.

    A replicate is a study if there are several, else a confirmation of the one study.
    """

    trials: int
    """Trials of each study; fewer if its search space has fewer settings, see `num_trials`."""
    studies: int
    """Studies of each combination, at least."""
    seeds: int
    """Confirmations of each study, at least."""
    most: int | None = None
    """The most replicates, if their number depends on the results; None if it is fixed."""
    indifferent: float = 0.0
    """Difference in percentage points of test accuracy that does not matter."""

    @classmethod
    def of(cls, params: Mapping[str, str]) -> Design:
        """Return the design of a sweep from the params of its run."""
        return cls(
            trials=int(params["trials"]),
            studies=int(params.get("studies", 1)),
            seeds=int(params["seeds"]),
            most=int(params["most"]) if "most" in params else None,
            indifferent=float(params.get("indifferent", 0)),
        )

    def params(self) -> dict[str, object]:
        """Return the params of a sweep's run; values that older versions did not have are left out.

        So the run of an older sweep is found again.
        """
        decided = {"most": self.most, "indifferent": self.indifferent}
        return {
            "trials": self.trials,
            "seeds": self.seeds,
            **({"studies": self.studies} if self.repeats_studies else {}),
            **({} if self.most is None else decided),
        }

    @property
    def repeats_studies(self) -> bool:
        """Whether a replicate is a study."""
        return self.studies > 1

    @property
    def unit(self) -> str:
        """The word for several replicates."""
        return "studies" if self.repeats_studies else "seeds"

    @property
    def replicate(self) -> str:
        """The word for one replicate."""
        return "study" if self.repeats_studies else "seed"

    @property
    def replicates(self) -> tuple[int, int]:
        """The least and the most replicates of a combination."""
        least = self.studies if self.repeats_studies else self.seeds
        return least, least if self.most is None else self.most

    def numbers(self, replicates: int) -> tuple[range, range]:
        """Return the numbers of the studies, and of the confirmations of each; both from 1."""
        if self.repeats_studies:
            return range(1, replicates + 1), range(1, self.seeds + 1)
        return range(1, 2), range(1, replicates + 1)

    @property
    def all_studies(self) -> range:
        """The numbers of the studies that a combination may have."""
        return self.numbers(self.replicates[1])[0]
