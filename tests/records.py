"""Artificial records of runs, as read from MLflow."""

from __future__ import annotations

from typing import Any

from cifar_exp.records import RunRecord


def sweep(
    run_id: str = "s", *, start: int = 0, trials: int = 9, seeds: int = 9, **params: str
) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        experiment="small",
        kind="sweep",
        name="small",
        status="FINISHED",
        start_time=start,
        params={"trials": str(trials), "seeds": str(seeds), **params},
    )


def combination(name: str, parent: str = "s") -> RunRecord:
    loss, _, optimizer = name.partition("+")
    return RunRecord(
        run_id=f"{parent}/{name}",
        experiment="small",
        kind="combination",
        name=name,
        combination=name,
        status="FINISHED",
        start_time=1,
        parent=parent,
        params={"loss": loss, "optimizer": optimizer},
    )


def trial(name: str, number: int, accuracy: float | None, **changes: Any) -> RunRecord:
    """Return a trial of 10 seconds; it is complete, or failed if it has no accuracy."""
    metrics = {"seconds": 10.0} | ({} if accuracy is None else {"val_accuracy": accuracy})
    values: dict[str, Any] = {
        "run_id": f"{name} #{number}",
        "experiment": "small",
        "kind": "trial",
        "name": f"{name} #{number}",
        "combination": name,
        "status": "FINISHED",
        "start_time": 2,
        "parent": f"s/{name}",
        "number": number,
        "state": "FAIL" if accuracy is None else "COMPLETE",
        "params": {
            "lr": f"0.{number + 1}",
            "batch_size": str(2**number),
            "loss.gamma": "1.5",
            "threads": "1",
        },
        "metrics": metrics,
    }
    return RunRecord(**{**values, **changes})


def confirmation(
    name: str, number: int, accuracy: float | None, *, confirms: int = 0, **changes: Any
) -> RunRecord:
    values: dict[str, Any] = {
        "run_id": f"{name} seed {number} of {confirms}",
        "experiment": "small",
        "kind": "confirmation",
        "name": f"{name} seed {number}",
        "combination": name,
        "status": "FINISHED",
        "start_time": 3,
        "parent": f"s/{name}",
        "number": number,
        "state": "FAIL" if accuracy is None else "COMPLETE",
        "confirms": confirms,
        "metrics": {} if accuracy is None else {"test_accuracy": accuracy},
    }
    return RunRecord(**{**values, **changes})


def scored(name: str, *accuracies: float) -> list[RunRecord]:
    """Return a combination of one trial with these test accuracies."""
    confirmed = [confirmation(name, i, value) for i, value in enumerate(accuracies, start=1)]
    return [combination(name), trial(name, 0, 0.5), *confirmed]
