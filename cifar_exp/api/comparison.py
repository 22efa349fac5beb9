"""Rankings of recorded experiments, read from MLflow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import overload

from cifar_exp import tracking
from cifar_exp.api.ranking import Ranking, RanksAcross
from cifar_exp.comparison import Method
from cifar_exp.comparison import Ranking as Ranked
from cifar_exp.comparison.method import RAW_OF
from cifar_exp.errors import BadInput
from cifar_exp.sweep.results import Results
from cifar_exp.system import paths
from cifar_exp.system.urls import without_credentials


@overload
def compare(
    name: str,
    /,
    *,
    yardstick: str = ...,
    alpha: float = ...,
    rope: float = ...,
    target: float | None = ...,
    tracking_uri: str | None = ...,
) -> Ranking: ...


@overload
def compare(
    name: str,
    other: str,
    /,
    *others: str,
    yardstick: str = ...,
    alpha: float = ...,
    rope: float = ...,
    target: float | None = ...,
    tracking_uri: str | None = ...,
) -> RanksAcross: ...


def compare(
    name: str,
    /,
    *others: str,
    yardstick: str = "test_accuracy",
    alpha: float = 0.05,
    rope: float = 0.5,
    target: float | None = None,
    tracking_uri: str | None = None,
) -> Ranking | RanksAcross:
    """Return the ranking of an experiment's latest sweep, read from MLflow only.

    Of several experiments, return which combinations keep their rank across them.

    Args:
        name: The experiment's name in its definition.
        others: The names of further experiments.
        yardstick: Metric to rank by: accuracy, nll, brier, ... on the test set.
        alpha: Probability of any false claim that a combination is worse than the best.
        rope: Region of practical equivalence, in points (hundredths of the yardstick).
        target: Validation accuracy in % for the time to target; default: reached by half.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.

    Raises:
        BadInput: The store holds no sweep of that name, or no confirmation has the yardstick.
        Unavailable: The store cannot be used.

    Example:
        ```python
        ranking = cifar_exp.compare("mine")
        by_loss = cifar_exp.compare("mine", yardstick="nll")
        both = cifar_exp.compare("mine", "other")
        ```
    """
    method = Method(yardstick=yardstick, alpha=alpha, rope=rope, target=target)
    uri = tracking.resolve_uri(tracking_uri)
    results = [read_results(each, uri) for each in (name, *others)]
    rankings = by_one_yardstick(results, method)
    if others:
        return RanksAcross(rankings)
    return Ranking(rankings[0], lambda: results[0])


def by_one_yardstick(results: Sequence[Results], method: Method | None) -> list[Ranked]:
    """Rank every experiment by the same yardstick: the raw one if some have no scaled values."""
    rankings = [result.ranking(method) for result in results]
    yardsticks = {ranking.yardstick for ranking in rankings}
    if method is None or len(yardsticks) == 1:
        return rankings
    [raw] = yardsticks - RAW_OF.keys()
    return [result.ranking(replace(method, yardstick=raw)) for result in results]


def read_results(name: str, uri: str, sweep_run_id: str | None = None) -> Results:
    """Read the results of a sweep of an experiment from an MLflow store; default: the latest."""
    paths.require_home()
    client = tracking.connect_to_read(uri)
    records = tracking.read_records(client, name)
    try:
        return Results(client, records, sweep_run_id)
    except ValueError:
        store = without_credentials(uri)
        raise BadInput(f"the MLflow store {store} holds no sweep of experiment {name!r}") from None
