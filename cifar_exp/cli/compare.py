"""Comparison of the combinations of one or several experiments, read from MLflow only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cifar_exp import report, tracking
from cifar_exp.api.comparison import by_one_yardstick, read_results
from cifar_exp.comparison import Method, Ranking
from cifar_exp.comparison.across import across
from cifar_exp.comparison.factors import Factor
from cifar_exp.comparison.marginal import Marginal, marginal
from cifar_exp.comparison.pair import Pair, pair
from cifar_exp.display import console
from cifar_exp.errors import BadInput, Unavailable
from cifar_exp.report.text.across import (
    across_csv,
    across_json,
    across_latex,
    across_markdown,
)
from cifar_exp.report.text.formats import to_json, to_latex, to_markdown
from cifar_exp.report.text.marginal import (
    marginal_csv,
    marginal_json,
    marginal_latex,
    marginal_markdown,
)
from cifar_exp.report.text.pair import pair_csv, pair_json, pair_latex, pair_markdown
from cifar_exp.report.text.tidy import to_csv
from cifar_exp.sweep.disk_space import FULL
from cifar_exp.system.urls import without_credentials

FORMATS = {"csv": to_csv, "json": to_json, "md": to_markdown, "latex": to_latex}
ACROSS_FORMATS = {
    "csv": across_csv,
    "json": across_json,
    "md": across_markdown,
    "latex": across_latex,
}

BY_FORMATS = {
    "csv": marginal_csv,
    "json": marginal_json,
    "md": marginal_markdown,
    "latex": marginal_latex,
}
PAIR_FORMATS = {"csv": pair_csv, "json": pair_json, "md": pair_markdown, "latex": pair_latex}


def compare(
    name: str,
    *,
    form: str = "table",
    output: Path | None = None,
    tracking_uri: str | None = None,
    method: Method | None = None,
) -> Ranking:
    """Print and return the ranking of an experiment's latest sweep.

    Args:
        name: The experiment's name in its definition.
        form: The format to print: `table`, `csv`, `json`, `md` or `latex`.
        output: A folder to write the files of the ranking to.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.
        method: The yardstick and the error level; default: test accuracy at level 0.05.

    Raises:
        BadInput: The store holds no sweep of that name, or no confirmation has the yardstick.
        StoreError: The store cannot be used.
    """
    results = read_results(name, tracking.resolve_uri(tracking_uri))
    ranking = results.ranking(method)
    screen = console.stdout()
    if form == "table":
        console.print_ranking(screen, ranking)
    else:
        print(FORMATS[form](ranking), end="")
    if output is not None:
        evidence = results.evidence()
        _write(lambda folder: report.write(ranking, folder, evidence), output)
    return ranking


def compare_pair(
    name: str,
    combinations: tuple[str, str],
    *,
    form: str = "table",
    tracking_uri: str | None = None,
    method: Method | None = None,
) -> Pair:
    """Print and return how two combinations of an experiment's latest sweep differ.

    Args:
        name: The experiment's name in its definition.
        combinations: The two combinations.
        form: The format to print: `table`, `csv`, `json`, `md` or `latex`.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.
        method: The error level; default: 0.05.

    Raises:
        BadInput: The store holds no sweep of that name, or the sweep has no such combination.
        StoreError: The store cannot be used.
    """
    results = read_results(name, tracking.resolve_uri(tracking_uri))
    found = pair(results.ranking(method), *combinations, results.on_images(*combinations))
    if form == "table":
        console.print_pair(console.stdout(), found)
    else:
        print(PAIR_FORMATS[form](found), end="")
    return found


def compare_by(
    name: str,
    factor: Factor,
    *,
    form: str = "table",
    tracking_uri: str | None = None,
    method: Method | None = None,
) -> Marginal:
    """Print and return how the levels of a factor differ, within the same others.

    Args:
        name: The experiment's name in its definition.
        factor: The factor.
        form: The format to print: `table`, `csv`, `json`, `md` or `latex`.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.
        method: The yardstick and the error level; default: test accuracy at level 0.05.

    Raises:
        BadInput: The store holds no sweep of that name, or its combinations have one level.
        StoreError: The store cannot be used.
    """
    results = read_results(name, tracking.resolve_uri(tracking_uri))
    found = marginal(results.ranking(method), factor)
    if form == "table":
        console.print_by(console.stdout(), found)
    else:
        print(BY_FORMATS[form](found), end="")
    return found


def compare_several(
    names: Sequence[str],
    *,
    form: str = "table",
    output: Path | None = None,
    tracking_uri: str | None = None,
    method: Method | None = None,
) -> list[Ranking]:
    """Print which combinations keep their rank across experiments; return their rankings.

    Args:
        names: The experiments' names in their definitions.
        form: The format to print: `table`, `csv`, `json`, `md` or `latex`.
        output: A folder to write the files of the comparison to.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.
        method: The yardstick and the error level; default: test accuracy at level 0.05.

    Raises:
        BadInput: The store lacks a sweep, or the experiments share fewer than two combinations.
        StoreError: The store cannot be used.
    """
    uri = tracking.resolve_uri(tracking_uri)
    rankings = by_one_yardstick([read_results(name, uri) for name in names], method)
    comparison = across(rankings)
    if form == "table":
        console.print_across(console.stdout(), comparison)
    else:
        print(ACROSS_FORMATS[form](comparison), end="")
    if output is not None:
        _write(lambda folder: report.write_across(comparison, folder), output)
    return rankings


def newest(tracking_uri: str | None) -> str:
    """Return the name of the experiment whose sweep began last, and print it to stderr.

    Raises:
        BadInput: The store holds no sweep.
    """
    uri = tracking.resolve_uri(tracking_uri)
    sweeps = tracking.read_sweeps(tracking.connect_to_read(uri))
    if not sweeps:
        raise BadInput(f"the MLflow store {without_credentials(uri)} holds no sweep")
    name = sweeps[-1].experiment
    print(f"comparing {name}, whose sweep began last", file=sys.stderr)
    return name


def _write(write: Callable[[Path], Iterable[Path]], folder: Path) -> None:
    """Write files to a folder; print the new ones to stderr, as stdout is for the ranking.

    Raises:
        BadInput: The folder cannot be created or written.
        Unavailable: The disk is full.
    """
    try:
        files = list(write(folder))
    except OSError as error:
        kind = Unavailable if error.errno in FULL else BadInput
        raise kind(f"--output {folder}: cannot be written: {error.strerror}") from error
    names = dict.fromkeys(_entry(path.relative_to(folder)) for path in files)
    print(f"written to {folder}: {', '.join(sorted(names))}", file=sys.stderr)


def _entry(path: Path) -> str:
    """Return the name of a file, or of its folder with a slash."""
    first, *rest = path.parts
    return f"{first}/" if rest else first
