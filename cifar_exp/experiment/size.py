"""The check of the number of trainings before a sweep."""

from __future__ import annotations

from cifar_exp.errors import BadInput
from cifar_exp.experiment.definition import Experiment

MAX_TRAININGS = 10_000
"""Number of trainings that one command starts without `--yes`."""


def check_size(definition: Experiment, source: str, consent: str) -> None:
    """Check that an experiment is small enough to start without consent.

    Args:
        definition: The experiment.
        source: Its file, for the message.
        consent: The option that allows more.

    Raises:
        BadInput: The experiment has more than MAX_TRAININGS trainings.
    """
    number = definition.at_most().num_trainings
    if number > MAX_TRAININGS:
        up_to = "up to " if number > definition.num_trainings else ""
        raise BadInput(
            f"{source}: {up_to}{number} trainings, and more than {MAX_TRAININGS} need {consent}; "
            "`cifar-exp plan` estimates their time and disk space"
        )
