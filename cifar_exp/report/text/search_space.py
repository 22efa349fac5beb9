"""Sentences on search spaces with few settings, of which each is tried once."""

from __future__ import annotations

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import Row
from cifar_exp.system.formatting import counted, listed


def small_spaces(ranking: Ranking) -> str:
    """Return which combinations have fewer settings to try than trials; empty if none has."""
    if "trials" not in ranking.definition:
        return ""
    trials = int(ranking.definition["trials"])
    sizes = {row.combination: row.space_size for row in ranking.combinations}
    small = [
        f"{name} ({counted(size, 'setting')})"
        for name, size in sizes.items()
        if size is not None and size < trials
    ]
    if not small:
        return ""
    return (
        f"Fewer trials than the {trials} of the definition, as each setting of the search space is "
        f"tried once in a study: {listed(small)}."
    )


def repeated(ranking: Ranking) -> str:
    """Return which trials of older versions try a setting again; empty if none does."""
    numbers = {row.combination: _num_repeated(row) for row in ranking.combinations}
    rows = [
        f"{row.combination} {numbers[row.combination]} of {row.trials}"
        for row in ranking.combinations
        if numbers[row.combination]
    ]
    if not rows:
        return ""
    return (
        "Trials of an older version that try a setting again, with the same result: "
        f"{listed(rows)}."
    )


def _num_repeated(row: Row) -> int:
    settings = {
        (trial.study, trial.lr, trial.batch_size, *trial.settings.items())
        for trial in row.trial_results
    }
    return len(row.trial_results) - len(settings)
