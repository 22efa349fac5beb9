"""The page of an MLflow experiment: its description, and what of it this program may write."""

from __future__ import annotations

import mlflow

from cifar_exp.tracking.store.search import pages
from cifar_exp.tracking.ui.views import SHARED_VIEW, is_edited, view_tag

NOTE = "mlflow.note.content"
OURS = "**Ranking of the sweep**"
LONGEST_NOTE = 20000  # MLflow's limit of an experiment's tag


def describe_experiment(client: mlflow.MlflowClient, experiment_id: str, text: str) -> None:
    """Set the description of an MLflow experiment to a ranking, unless a user has written one."""
    present = client.get_experiment(experiment_id).tags.get(NOTE, "")
    note = f"{OURS}\n\n{text}"
    if not is_users(NOTE, present) and len(note) <= LONGEST_NOTE:
        client.set_experiment_tag(experiment_id, NOTE, note)


def is_users(tag: str, present: str) -> bool:
    """Return whether a user has written or changed a tag of an experiment; "" if it is missing."""
    if tag == NOTE:
        return bool(present) and not present.startswith(OURS)
    return tag.startswith(SHARED_VIEW) and is_edited(present)


def ranked_experiments(client: mlflow.MlflowClient) -> dict[str, str]:
    """Return the path in MLflow's UI of each MLflow experiment with a ranking, by its name.

    The one with the newest sweep is first.
    """
    ranked = [e for e in pages(client.search_experiments) if view_tag("Ranking") in e.tags]
    newest = sorted(ranked, key=lambda e: _newest_sweep(client, e.experiment_id), reverse=True)
    return {e.name: f"/experiments/{e.experiment_id}/runs" for e in newest}


def _newest_sweep(client: mlflow.MlflowClient, experiment_id: str) -> int:
    """Return when the newest sweep of an MLflow experiment was started; 0 without one."""
    newest = client.search_runs(
        [experiment_id],
        "tags.kind = 'sweep'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return newest[0].info.start_time if newest else 0
