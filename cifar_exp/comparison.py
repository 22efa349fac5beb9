"""The ranking of an experiment's combinations: pure functions on the records of its runs."""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from cifar_exp.record import RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One combination in a ranking.

    Accuracies are shares of 1. `test_accuracy_mean` and `_std` are over the confirmations, the
    standard deviation with n - 1; `seconds` is the training time of all its trials. What no run
    has measured is None, and a combination without a mean has no rank.
    """

    rank: int | None
    combination: str
    loss: str
    optimizer: str
    test_accuracy_mean: float | None
    test_accuracy_std: float | None
    seeds: int
    lr: float | None
    batch_size: int | None
    trials: int
    diverged: int
    seconds: float
    val_accuracy: float | None
    """Validation accuracy of the best trial."""
    test_accuracies: tuple[float, ...]
    """Test accuracy of each confirmation."""
    settings: Mapping[str, str]
    """Settings of the loss and the optimizer in the best trial, named as in MLflow."""
    pruned: int
    failed: int
    """Trials that broke for another reason than divergence."""
    seeds_failed: int
    """Confirmations that diverged or broke; they are not in the mean."""
    threads: int | None = None
    """Threads of the best trial: with another number its result is the same only nearly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """The combinations of an experiment, in rank order, those without a result last."""

    experiment: str
    combinations: tuple[Row, ...]

    @property
    def complete(self) -> bool:
        """Whether every combination has a result."""
        return all(row.rank is not None for row in self.combinations)


def rank(records: Sequence[RunRecord], sweep_run_id: str | None = None) -> Ranking:
    """Rank the combinations of a sweep by mean test accuracy over its confirmations.

    Args:
        records: The runs of an experiment.
        sweep_run_id: The run of the sweep; by default the latest sweep.

    Raises:
        ValueError: There is no such sweep among the records.
    """
    sweeps = [r for r in records if r.kind == "sweep" and sweep_run_id in (None, r.run_id)]
    if not sweeps:
        raise ValueError("there is no such sweep among these runs")
    sweep = max(sweeps, key=lambda r: r.start_time)
    trials, seeds = int(sweep.params["trials"]), int(sweep.params["seeds"])
    rows = [
        _row(combination, _under(combination, records, trials, seeds))
        for combination in records
        if combination.kind == "combination" and combination.parent == sweep.run_id
    ]
    ordered = sorted(rows, key=_order)
    return Ranking(
        experiment=sweep.experiment,
        combinations=tuple(_ranked(row, place) for place, row in enumerate(ordered, start=1)),
    )


def best_trial(records: Iterable[RunRecord]) -> RunRecord | None:
    """Return the complete trial of the highest validation accuracy, the earliest of equals."""
    complete = [r for r in records if r.kind == "trial" and r.state == "COMPLETE"]
    return min(complete, key=lambda r: (-r.metrics["val_accuracy"], r.number), default=None)


def confirmations(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Return the finished confirmations of the best trial's setting, of no other one."""
    records = list(records)
    best = best_trial(records)
    return [
        r
        for r in records
        if best and r.kind == "confirmation" and r.finished and r.confirms == best.number
    ]


def to_json(ranking: Ranking) -> str:
    """Write a ranking as JSON."""
    return json.dumps(asdict(ranking), indent=2, allow_nan=False) + "\n"


def to_csv(ranking: Ranking) -> str:
    """Write a ranking as CSV with a header, lists separated by spaces."""
    text = io.StringIO()
    names = [field.name for field in fields(Row)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in ranking.combinations:
        accuracies = " ".join(map(str, row.test_accuracies))
        settings = " ".join(f"{name}={value}" for name, value in row.settings.items())
        writer.writerow({**asdict(row), "test_accuracies": accuracies, "settings": settings})
    return text.getvalue()


HEADERS = (
    "rank",
    "combination",
    "test accuracy",
    "seeds",
    "best lr",
    "batch size",
    "trials",
    "diverged",
    "seconds",
)


def cells(row: Row) -> tuple[str, ...]:
    """Write a row for people, in the order of `HEADERS`."""
    lost = f" of {row.seeds + row.seeds_failed}" if row.seeds_failed else ""
    return (
        _text(row.rank, "d"),
        row.combination,
        accuracy_text(row.test_accuracy_mean, row.test_accuracy_std),
        f"{row.seeds}{lost}",
        _text(row.lr, ".2g"),
        _text(row.batch_size, "d"),
        str(row.trials),
        str(row.diverged),
        f"{row.seconds:.0f}",
    )


def accuracy_text(mean: float | None, std: float | None) -> str:
    """Write an accuracy in percent, with its standard deviation where there is one."""
    if mean is None:
        return "no result"
    return f"{100 * mean:.2f} %" if std is None else f"{100 * mean:.2f} ± {100 * std:.2f} %"


def to_markdown(ranking: Ranking) -> str:
    """Write a ranking as a Markdown table."""
    lines = [HEADERS, ["---:" if name != "combination" else "---" for name in HEADERS]]
    lines += [cells(row) for row in ranking.combinations]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _under(
    combination: RunRecord, records: Sequence[RunRecord], trials: int, seeds: int
) -> list[RunRecord]:
    """Return a combination's finished trainings within this sweep's budget."""
    children = [r for r in records if r.parent == combination.run_id and r.number is not None]
    within = {"trial": range(trials), "confirmation": range(1, seeds + 1)}
    return [r for r in children if r.finished and r.number in within[r.kind]]


def _row(combination: RunRecord, children: Sequence[RunRecord]) -> Row:
    trials = [r for r in children if r.kind == "trial"]
    best = best_trial(trials)
    confirmed = confirmations(children)
    scored = sorted((r for r in confirmed if r.state == "COMPLETE"), key=lambda r: r.number or 0)
    accuracies = tuple(r.metrics["test_accuracy"] for r in scored)
    failed = [r for r in trials if r.state == "FAIL"]
    return Row(
        rank=None,
        combination=combination.combination or combination.name,
        loss=combination.params["loss"],
        optimizer=combination.params["optimizer"],
        test_accuracy_mean=statistics.fmean(accuracies) if accuracies else None,
        test_accuracy_std=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        seeds=len(accuracies),
        lr=float(best.params["lr"]) if best else None,
        batch_size=int(best.params["batch_size"]) if best else None,
        trials=len(trials),
        diverged=sum(r.diverged for r in failed),
        seconds=math.fsum(r.metrics["seconds"] for r in trials),
        val_accuracy=best.metrics["val_accuracy"] if best else None,
        test_accuracies=accuracies,
        settings=_component_settings(best) if best else {},
        pruned=sum(r.state == "PRUNED" for r in trials),
        failed=sum(not r.diverged for r in failed),
        seeds_failed=len(confirmed) - len(scored),
        threads=int(best.params["threads"]) if best else None,
    )


def _component_settings(record: RunRecord) -> dict[str, str]:
    names = sorted(name for name in record.params if name.startswith(("loss.", "optimizer.")))
    return {name: record.params[name] for name in names}


def _order(row: Row) -> tuple[bool, float, str]:
    """Put the highest mean first, but behind all others what has lost a seed: it had luck."""
    mean = -math.inf if row.test_accuracy_mean is None else row.test_accuracy_mean
    return (row.seeds_failed > 0, -mean, row.combination)


def _ranked(row: Row, place: int) -> Row:
    return row if row.test_accuracy_mean is None else replace(row, rank=place)


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
