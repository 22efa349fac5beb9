"""Which trials of a study keep their models in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cifar_exp.comparison import best_trial
from cifar_exp.records import RunRecord
from cifar_exp.tracking import Tracker
from cifar_exp.training.trial import Outcome


class StoredModels(Protocol):
    """Decides, trial by trial, whose model is stored."""

    def keeps(self, outcome: Outcome) -> bool:
        """Say whether to store the model of a complete trial that is about to be closed."""

    def ended(self, run_id: str, outcome: Outcome) -> None:
        """Take note of a trial that has been closed."""


class AllModels:
    """Every complete trial keeps its model."""

    def keeps(self, outcome: Outcome) -> bool:  # noqa: ARG002
        """Say yes."""
        return True

    def ended(self, run_id: str, outcome: Outcome) -> None:
        """Nothing is to be done."""


class BestModel:
    """Only the best complete trial so far keeps its model.

    What there was before is read once: from then on a trial costs no request, and the model of a
    trial that is outdone is deleted when its successor is in place.

    Args:
        tracker: Where the models are deleted.
        records: The combination's runs; the models that an interruption has left are deleted.
    """

    def __init__(self, tracker: Tracker, records: Sequence[RunRecord]) -> None:
        self._tracker = tracker
        best = best_trial(records)
        self._run_id = best.run_id if best else None
        self._accuracy = best.metrics["val_accuracy"] if best else float("-inf")
        for record in records:
            if record.kind == "trial" and record.state == "COMPLETE" and record is not best:
                tracker.delete_models(record.run_id)

    def keeps(self, outcome: Outcome) -> bool:
        """Say whether a trial is better than all before it."""
        return outcome.val_accuracy is not None and outcome.val_accuracy > self._accuracy

    def ended(self, run_id: str, outcome: Outcome) -> None:
        """Delete the model of the trial that this one outdoes."""
        if outcome.state != "COMPLETE" or not self.keeps(outcome):
            return
        if self._run_id is not None:
            self._tracker.delete_models(self._run_id)
        assert outcome.val_accuracy is not None
        self._run_id, self._accuracy = run_id, outcome.val_accuracy


STORED_MODELS: Mapping[str, Callable[[Tracker, Sequence[RunRecord]], StoredModels]] = {
    "all": lambda *_: AllModels(),
    "best": BestModel,
}
"""By what a definition says of `keep_models`."""
