"""Compute what a pruner would have saved and changed in a sweep that ran without one.

    python -m benchmarks.pruning STORE NAME

The trials of an independent sampler do not depend on which earlier trials were pruned. So the
decisions of a pruner can be replayed with the validation accuracies of all epochs from MLflow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from rich.table import Table

from benchmarks.figure import console_for_tables
from cifar_exp import experiment, tracking
from cifar_exp.comparison import best_trial, rank
from cifar_exp.experiment import Combination, Experiment
from cifar_exp.records import RunRecord
from cifar_exp.study import TrialResult, Tuning, tuning_name

PRUNERS = ("median", "hyperband")
INDEPENDENT_SAMPLERS = ("random", "qmc")

History = Mapping[int, float]
"""The validation accuracy after each epoch; epochs count from 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    """A sweep without a pruner, as stored in MLflow."""

    definition: Experiment
    fingerprint: str
    """That of the data set: it is part of the study's name, which decides Hyperband's brackets."""
    trials: Mapping[str, Sequence[RunRecord]]
    """The trials of each combination, by number; the combinations in rank order."""
    histories: Mapping[str, History]
    """By run id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """One combination with one pruner."""

    combination: str
    epochs: int
    """The number of epochs of all of its trials."""
    pruned: tuple[int, ...]
    best: RunRecord | None
    """The best complete trial, which would be confirmed."""


def read(uri: str, name: str) -> Swept:
    """Read the latest sweep of an experiment.

    Raises:
        ValueError: There is no sweep, or it had a pruner, or its sampler is not independent.
    """
    client = tracking.connect(uri)
    records = tracking.read_records(client, name)
    order = [row.combination for row in rank(records).combinations]
    sweep = max((r for r in records if r.kind == "sweep"), key=lambda r: r.start_time)
    check(sweep)
    with TemporaryDirectory() as folder:
        text = Path(client.download_artifacts(sweep.run_id, "experiment.toml", folder)).read_text()
    definition = experiment.read(text)
    parents = {
        r.run_id: r.combination or ""
        for r in records
        if r.kind == "combination" and r.parent == sweep.run_id
    }
    trials = _trials(records, parents, definition.search.trials)
    every = [trial for some in trials.values() for trial in some]
    return Swept(
        definition=definition,
        fingerprint=_fingerprint(client, every[0]),
        trials={combination: trials[combination] for combination in order},
        histories={trial.run_id: _history(client, trial) for trial in every},
    )


def check(sweep: RunRecord) -> None:
    """Check that the trials of a sweep do not depend on pruning.

    Raises:
        ValueError: They depend on it.
    """
    pruner, sampler = sweep.params["pruner"], sweep.params["sampler"]
    if pruner != "none" or sampler not in INDEPENDENT_SAMPLERS:
        raise ValueError(
            f"the latest sweep of {sweep.experiment!r} ran with sampler {sampler!r} and pruner "
            f"{pruner!r}; a replay needs one of {', '.join(INDEPENDENT_SAMPLERS)}, and 'none'"
        )


def replay(swept: Swept, combination: Combination, pruner: str) -> Replay:
    """Replay the trials of one combination in order; the pruner decides where each one ends."""
    search = swept.definition.search.model_copy(update={"pruner": pruner})
    definition = swept.definition.model_copy(update={"search": search})
    identity = definition.identity(combination, swept.fingerprint)
    name = tuning_name(definition.name, combination.name, identity)
    tuning = Tuning(definition, combination, name, definition.seed)
    ended: list[RunRecord] = []
    epochs = 0
    for number, trial in enumerate(swept.trials[combination.name]):
        result = _replay_trial(tuning, number, trial, swept.histories[trial.run_id])
        tuning.tell(result)
        epochs += len(result.accuracies)
        ended.append(replace(trial, state=result.state))
    return Replay(
        combination=combination.name,
        epochs=epochs,
        pruned=tuple(r.number or 0 for r in ended if r.state == "PRUNED"),
        best=best_trial(ended),
    )


def _replay_trial(tuning: Tuning, number: int, trial: RunRecord, history: History) -> TrialResult:
    assert trial.state is not None
    state = trial.state
    params = tuning.ask(number)
    accuracies: dict[int, float] = {}
    for epoch in sorted(history):
        accuracies[epoch] = history[epoch]
        if tuning.is_to_be_pruned(number, epoch, history[epoch]):
            state = "PRUNED"
            break
    value = trial.metrics["val_accuracy"] if state == "COMPLETE" else None
    return TrialResult(
        number=number, params=params, accuracies=accuracies, state=state, val_accuracy=value
    )


def replay_all(swept: Swept, pruner: str) -> list[Replay]:
    """Replay every combination, in rank order."""
    by_name = {combination.name: combination for combination in swept.definition.combinations()}
    return [replay(swept, by_name[name], pruner) for name in swept.trials]


def winner(before: Sequence[Replay], after: Sequence[Replay]) -> str:
    """Describe whether the first combination stays first.

    If a best trial changes, the result of its confirmations is unknown, as they were not trained.
    """
    changed = [a.combination for a, b in zip(after, before, strict=True) if not _same_best(a, b)]
    if not changed:
        return f"the same, {before[0].combination}: no best trial changed, so no confirmation does"
    by_validation = [_leader(replays) for replays in (before, after)]
    verdict = "the same" if by_validation[0] == by_validation[1] else f"now {by_validation[1]}"
    return (
        f"open, as {', '.join(changed)} would confirm another trial; "
        f"by validation accuracy {verdict} (before: {by_validation[0]})"
    )


def show(swept: Swept, pruners: Iterable[str] = PRUNERS) -> None:
    """Print the effect of each pruner."""
    console = console_for_tables()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it logs every study
    none = replay_all(swept, "none")
    for pruner in pruners:
        replayed = replay_all(swept, pruner)
        console.print(_table(pruner, none, replayed))
        before, after = (sum(r.epochs for r in some) for some in (none, replayed))
        console.print(f"{pruner}: {after} of {before} epochs ({100 * after / before:.0f} %)")
        console.print(f"{pruner}: the winner is {winner(none, replayed)}\n")


def _table(pruner: str, none: Sequence[Replay], replayed: Sequence[Replay]) -> Table:
    heads = ("combination", "epochs", "pruned", "best trial", "its val accuracy", "best changed")
    table = Table(*heads, title=pruner)
    for before, after in zip(none, replayed, strict=True):
        table.add_row(
            after.combination,
            f"{after.epochs} of {before.epochs}",
            " ".join(f"#{number}" for number in after.pruned),
            _best_text(before, after, lambda r: f"#{r.number}"),
            _best_text(before, after, lambda r: f"{100 * r.metrics['val_accuracy']:.2f} %"),
            "no" if _same_best(before, after) else "yes",
        )
    return table


def _trials(
    records: Iterable[RunRecord], parents: Mapping[str, str], count: int
) -> dict[str, list[RunRecord]]:
    """Return the finished trials of each combination's run, by number."""
    trials: dict[str, list[RunRecord]] = {name: [] for name in parents.values()}
    for r in records:
        name = parents.get(r.parent or "")
        if name is not None and r.kind == "trial" and r.finished and r.number in range(count):
            trials[name].append(r)
    return {name: sorted(some, key=lambda r: r.number or 0) for name, some in trials.items()}


def _history(client: tracking.Client, trial: RunRecord) -> History:
    points = client.get_metric_history(trial.run_id, "val/accuracy")
    return {point.step: point.value for point in points}


def _fingerprint(client: tracking.Client, trial: RunRecord) -> str:
    inputs = client.get_run(trial.run_id).inputs
    [given] = inputs.dataset_inputs if inputs else []
    return str(json.loads(given.dataset.profile or "{}")["fingerprint"])


def _same_best(one: Replay, other: Replay) -> bool:
    return (one.best and one.best.number) == (other.best and other.best.number)


def _leader(replays: Iterable[Replay]) -> str:
    """Return the name of the combination whose best trial has the highest validation accuracy."""
    best = best_trial(r.best for r in replays if r.best is not None)
    return "none" if best is None else best.combination or best.name


def _best_text(before: Replay, after: Replay, text: Callable[[RunRecord], str]) -> str:
    was, now = ("-" if r.best is None else text(r.best) for r in (before, after))
    return now if was == now else f"{now} (before: {was})"


def main(store: str, name: str) -> None:
    """Replay a sweep of a store: a database file, or any tracking URI that MLflow accepts."""
    uri = f"sqlite:///{Path(store).absolute()}" if Path(store).exists() else store
    show(read(uri, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
