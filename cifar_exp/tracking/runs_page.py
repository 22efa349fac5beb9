"""The page of some runs in MLflow's UI."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import urlencode

from cifar_exp.system.urls import ui_of
from cifar_exp.tracking.outbox.outbox import every_outbox
from cifar_exp.tracking.outbox.sync_state import SyncState


def runs_page(uri: str, experiment_id: str, condition: str) -> str | None:
    """Return the address of the page with the runs that match a condition, the most accurate first.

    It is that of the server if the store is an outbox; None if the experiment is not delivered yet.

    Args:
        uri: The store that the runs are written to.
        experiment_id: The MLflow experiment.
        condition: A filter of MLflow, such as `tags.kind = 'trial'`.
    """
    outbox = next((each for each in every_outbox() if each.uri == uri), None)
    if outbox is None:
        return _page(ui_of(uri), experiment_id, condition)
    with closing(SyncState(outbox.sync_state_file)) as sync_state:
        on_server = sync_state.server_id(f"experiment/{experiment_id}")
    return on_server and _page(ui_of(outbox.server), on_server, condition)


def _page(address: str, experiment_id: str, condition: str) -> str:
    options = {
        "searchFilter": condition,
        "orderByKey": "metrics.`val_accuracy`",  # in order of time, it shows the sweep's run only
        "orderByAsc": "false",
        "workflowType": "machine_learning",
    }
    return f"{address}/#/experiments/{experiment_id}/runs?{urlencode(options)}"
