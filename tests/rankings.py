"""Artificial rankings for tests of reports and tables."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cifar_exp.comparison import Method, Ranking, Row
from cifar_exp.comparison.inference import infer, replicates_to_decide


def row(rank: int | None, combination: str, **changes: Any) -> Row:
    """Return a combination's row, with three confirmations if it has a rank."""
    loss, _, optimizer = combination.partition("+")
    accuracies = () if rank is None else (0.5, 0.52, 0.54)
    values: dict[str, Any] = {
        "rank": rank,
        "combination": combination,
        "loss": loss,
        "optimizer": optimizer,
        "test_accuracy_mean": 0.52 if accuracies else None,
        "test_accuracy_std": 0.02 if accuracies else None,
        "seeds": len(accuracies),
        "lr": 0.0125 if accuracies else None,
        "batch_size": 64 if accuracies else None,
        "trials": 6,
        "diverged": 0 if accuracies else 6,
        "seconds": 41.6,
        "val_accuracy": 0.53 if accuracies else None,
        "test_accuracies": accuracies,
        "settings": {},
        "pruned": 1,
        "failed": 0,
        "seeds_failed": 0,
    }
    values |= changes
    by_yardstick = {
        "values": values["test_accuracies"],
        "value_seeds": tuple(range(1, 1 + len(values["test_accuracies"]))),
        "mean": values["test_accuracy_mean"],
        "std": values["test_accuracy_std"],
    }
    return Row(**{**by_yardstick, **values})


def ranking(*rows: Row) -> Ranking:
    """Return the ranking of an experiment named `small`, with statistical comparison."""
    compared, inference = infer(rows, Method())
    found = {field.name: getattr(inference, field.name) for field in fields(inference)}
    return Ranking(
        experiment="small",
        combinations=tuple(compared),
        replicates_to_decide=replicates_to_decide(compared, Method()),
        **found,
    )
