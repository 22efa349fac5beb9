"""Lines on combinations whose search space has fewer settings than trials."""

from __future__ import annotations

from cifar_exp.experiment import Experiment
from cifar_exp.system.formatting import counted, listed


def num_trials(experiment: Experiment) -> str:
    """Return the number of trials of a study, such as `20 trials` or `up to 20 trials`."""
    numbers = {experiment.trials_of(c) for c in experiment.combinations()}
    return f"{'up to ' if len(numbers) > 1 else ''}{counted(max(numbers), 'trial')}"


def small_spaces(experiment: Experiment) -> list[str]:
    """Return a line for each number of trials that is less than in the definition."""
    asked = experiment.search.trials
    names: dict[int, list[str]] = {}
    for combination in experiment.combinations():
        names.setdefault(experiment.trials_of(combination), []).append(combination.name)
    return [
        f"{counted(number, 'trial')} instead of {asked} for {listed(of_number)}: "
        "there are no other settings to try"
        for number, of_number in names.items()
        if number < asked
    ]
