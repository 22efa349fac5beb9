"""How a sweep looks in MLflow's pages: the colours of its runs, the text above them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import mlflow

from cifar_exp.record import RunRecord

COLOUR = "mlflow.runColor"
NOTE = "mlflow.note.content"
OURS = "**Ranking of the sweep**"
LONGEST_NOTE = 20000  # MLflow's limit of an experiment's tag


def colour_runs(
    client: mlflow.MlflowClient, records: Iterable[RunRecord], colours: Mapping[str, str]
) -> None:
    """Give all runs of a combination its colour; those that have it already cost no request."""
    for record in records:
        colour = colours.get(record.combination or "")
        if colour is not None and record.tags.get(COLOUR) != colour:
            client.set_tag(record.run_id, COLOUR, colour)


def describe_experiment(client: mlflow.MlflowClient, experiment_id: str, text: str) -> None:
    """Put a ranking above the runs of an MLflow experiment; words of its user are left alone."""
    there = client.get_experiment(experiment_id).tags.get(NOTE, "")
    note = f"{OURS}\n\n{text}"
    if (not there or there.startswith(OURS)) and len(note) <= LONGEST_NOTE:
        client.set_experiment_tag(experiment_id, NOTE, note)
