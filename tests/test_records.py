from __future__ import annotations

import pytest

from cifar_exp.records import TrialState
from tests import records


@pytest.mark.parametrize("status", ["RUNNING", "FINISHED", "KILLED", "FAILED"])
@pytest.mark.parametrize("state", [None, "COMPLETE", "PRUNED", "FAIL"])
def test_a_training_is_finished_once_it_has_a_state(state: TrialState | None, status: str) -> None:
    """The state is written last; the status may differ, for example after a killed process."""
    record = records.trial("mse+sgd", 0, 0.5, state=state, status=status)
    assert record.finished == (state is not None)
