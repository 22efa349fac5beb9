"""Rankings with tables and figures, as `run` and `compare` return them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import cached_property

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console

from cifar_exp import comparison
from cifar_exp.comparison import Row
from cifar_exp.comparison.across import Across, across
from cifar_exp.display import console
from cifar_exp.report import Subject, across_figure, excerpt, excerpt_across, figure_of
from cifar_exp.report.text.across import across_csv
from cifar_exp.report.text.tidy import to_csv
from cifar_exp.sweep.results import Results

WIDTH = 160


class Ranking:
    """The combinations of an experiment in rank order.

    A notebook shows it as a table, and `print` as `cifar-exp compare` does.

    Example:
        ```python
        ranking = cifar_exp.compare("mine")
        print(ranking)
        ranking.to_pandas()
        ranking.figure("heat map")
        ```
    """

    def __init__(self, ranking: comparison.Ranking, read_results: Callable[[], Results]) -> None:
        self._ranking = ranking
        self._subject = Subject(ranking, lambda: read_results().evidence())

    @property
    def experiment(self) -> str:
        """The name of the experiment."""
        return self._ranking.experiment

    @property
    def best(self) -> Row:
        """The first combination: name, best learning rate and batch size, results, as fields.

        Its `rank` is None if no combination has a result.
        """
        return self._ranking.combinations[0]

    @property
    def complete(self) -> bool:
        """Whether every combination has a result."""
        return self._ranking.complete

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each combination, with the columns of `ranking.csv` of a report."""
        return _table(to_csv(self._ranking))

    def figure(self, name: str) -> Figure:
        """Draw a figure of the report.

        Args:
            name: heat map, differences, seeds, p best, learning curves, lr response, budget, cost,
                reliability or confusion.

        Raises:
            BadInput: There is no such figure, or no data for it.
            Unavailable: The store cannot be read.
        """
        return figure_of(self._subject, name)

    def __repr__(self) -> str:
        """Return the name and the number of combinations."""
        return f"Ranking({self.experiment!r}, {len(self._ranking.combinations)} combinations)"

    def __str__(self) -> str:
        """Return the table and the sentences that explain it."""
        return _printed(lambda screen: console.print_ranking(screen, self._ranking))

    def _repr_html_(self) -> str:
        return excerpt(self._ranking)


class RanksAcross:
    """The combinations that several experiments share, in the order of their mean rank.

    A notebook shows it as a table, and `print` as `cifar-exp compare` does.

    Example:
        ```python
        both = cifar_exp.compare("mine", "other")
        print(both)
        both.to_pandas()
        both.figure()
        ```
    """

    def __init__(self, rankings: Sequence[comparison.Ranking]) -> None:
        self._rankings = rankings

    @cached_property
    def _across(self) -> Across:
        return across(self._rankings)

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each combination and experiment."""
        return _table(across_csv(self._across))

    def figure(self) -> Figure:
        """Draw the ranks of each combination in every experiment."""
        return across_figure(self._across)

    def __repr__(self) -> str:
        """Return the names of the experiments."""
        return f"RanksAcross({', '.join(map(repr, self._across.experiments))})"

    def __str__(self) -> str:
        """Return the table and the sentences that explain it."""
        return _printed(lambda screen: console.print_across(screen, self._across))

    def _repr_html_(self) -> str:
        return excerpt_across(self._across)


def _table(csv: str) -> pd.DataFrame:
    """Return a table with its types; only an empty cell is a missing value, not a name like NA."""
    return pd.read_csv(io.StringIO(csv), keep_default_na=False, na_values=[""])


def _printed(show: Callable[[Console], None]) -> str:
    text = io.StringIO()
    show(Console(file=text, width=WIDTH, force_jupyter=False))
    return text.getvalue().rstrip("\n")
