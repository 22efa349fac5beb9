"""One combination in a ranking, with all that a report needs to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cifar_exp.comparison.statistics.survival import TimeToTarget


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """One trial of a combination; a diverged one may have no validation accuracy."""

    number: int
    state: str
    diverged: bool
    lr: float
    batch_size: int
    val_accuracy: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmationResult:
    """One confirmation; `metrics` are its final test metrics, none where it failed."""

    number: int
    seed: int | None
    state: str
    val_accuracy: float | None
    seconds: float | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One combination in a ranking.

    Accuracies are shares of 1. `test_accuracy_mean` and `_std` are over the confirmations, the
    standard deviation with n - 1; `seconds` is the training time of all its trials. What no run
    has measured, or what so few runs cannot tell, is None; a combination without a mean has no
    rank.
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

    # By the ranking's yardstick, in its own units.
    values: tuple[float, ...] = ()
    """The yardstick of each confirmation in `value_seeds`."""
    value_seeds: tuple[int, ...] = ()
    """The number of the confirmation that each of `values` is from."""
    mean: float | None = None
    std: float | None = None
    interval_low: float | None = None
    """Confidence interval of the mean at level 1 - alpha."""
    interval_high: float | None = None
    difference_to_best: float | None = None
    """How much worse the mean is than that of the first; 0 for the first."""
    difference_low: float | None = None
    """Bounds of the difference, simultaneous for all combinations, at level 1 - alpha."""
    difference_high: float | None = None
    p_adjusted: float | None = None
    """P-value of the difference to the first, adjusted for all pairs."""
    in_best_group: bool | None = None
    """Whether it cannot be told from the first; None where it is not compared."""
    p_best: float | None = None
    """Share of the draws in which it is first."""
    rank_low: int | None = None
    """First rank that it may have, at the ranking's `rank_level`."""
    rank_high: int | None = None
    p_equivalent: float | None = None
    """Share of the draws in which it is within the rope of the first."""
    equivalent: bool | None = None
    """Whether the whole interval of its difference to the first lies within the rope."""
    metric_means: Mapping[str, float] = field(default_factory=dict)
    """Mean over the confirmations of every final test metric."""
    metric_stds: Mapping[str, float] = field(default_factory=dict)

    # What tuning cost, and how much it mattered.
    val_accuracy_confirmed: float | None = None
    """Mean validation accuracy of the confirmations: the best setting on fresh seeds."""
    winners_curse: float | None = None
    """`val_accuracy` minus `val_accuracy_confirmed`: how far choosing the best trial flatters."""
    diverged_share: float | None = None
    expected_best: tuple[float, ...] = ()
    """Best validation accuracy after 1, 2, ... trials; the ranking's `budget_curve` says how."""
    lr_low: float | None = None
    """Ends of the range that the learning rate was searched in; None for a fixed or unknown one."""
    lr_high: float | None = None
    lr_edge: str | None = None
    """`low` or `high` where the best learning rate is at that edge of its range."""
    lr_response: tuple[tuple[float, float], ...] = ()
    """Learning rate and validation accuracy of the complete trials, by learning rate."""
    accuracy_lost_lr_times_3: float | None = None
    """Validation accuracy lost at three times the best learning rate, interpolated."""
    accuracy_lost_lr_third: float | None = None
    time_to_target: TimeToTarget | None = None
    """How fast the confirmations reached the ranking's target; None where no epochs are known."""
    trial_results: tuple[TrialResult, ...] = ()
    confirmation_results: tuple[ConfirmationResult, ...] = ()
