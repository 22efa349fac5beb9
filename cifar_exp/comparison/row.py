"""One row of a ranking, with the data for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cifar_exp.comparison.statistics.survival import TimeToTarget
from cifar_exp.experiment import CONSTANT


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """One trial of a combination; a diverged trial may have no validation accuracy."""

    number: int
    """Counted from 0 in each study."""
    study: int = 1
    state: str
    diverged: bool
    lr: float
    batch_size: int
    val_accuracy: float | None
    seconds: float
    seed: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of loss, optimizer and schedule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmationResult:
    """One confirmation; `metrics` are its final test metrics, empty if it failed."""

    number: int
    """Counted from 1 in each study."""
    study: int = 1
    seed: int | None
    state: str
    val_accuracy: float | None
    seconds: float | None
    metrics: Mapping[str, float]
    lr: float | None = None
    batch_size: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyResult:
    """One study of a combination: its best setting, confirmed on fresh seeds."""

    number: int
    lr: float
    batch_size: int
    settings: Mapping[str, str]
    val_accuracy: float
    """Validation accuracy of the best trial."""
    test_accuracy: float | None
    """Mean over the confirmations; None if none has a score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One combination in a ranking.

    Accuracies are fractions of 1. `test_accuracy_mean` and `_std` are over the replicates, the
    standard deviation with n - 1; `seconds` is the training time of all its trials. A value that is
    not measured, or cannot be estimated from so few runs, is None. A combination without a mean has
    no rank.
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
    schedule: str = CONSTANT.name
    space_size: int | None = None
    """Number of settings in the search space; None if it has a range of real numbers. Each study
    tries each setting once, so it may have fewer trials than the definition asks for."""
    val_accuracy: float | None
    """Validation accuracy of the best trial."""
    test_accuracies: tuple[float, ...]
    """Test accuracy of each confirmation."""
    studies: int = 1
    """Number of independent tunings; if there are several, `values` has the mean of each."""
    study: int = 1
    """The study with the best trial, of which `lr`, `batch_size` and `settings` are shown."""
    study_results: tuple[StudyResult, ...] = ()
    settings: Mapping[str, str]
    """Settings of loss, optimizer and schedule in the best trial, named as in MLflow."""
    pruned: int
    failed: int
    """Trials that failed for a reason other than divergence."""
    seeds_failed: int
    """Confirmations that diverged or failed; they are not in the mean."""
    threads: int | None = None
    """CPU threads of the best trial; with another number its result may differ by rounding."""
    test_images: int | None = None
    """Number of test images; None if the runs do not tell."""

    # Results by the ranking's yardstick, in the units of the yardstick.
    values: tuple[float, ...] = ()
    """The yardstick of each replicate: a confirmation or, with several studies, a study's mean."""
    value_seeds: tuple[int, ...] = ()
    """The number of the confirmation, or of the study, of each of `values`."""
    lost_seeds: tuple[int, ...] = ()
    """The numbers of the replicates that diverged or failed."""
    mean: float | None = None
    std: float | None = None
    interval_low: float | None = None
    """Confidence interval of the mean at level 1 - alpha."""
    interval_high: float | None = None
    difference_to_best: float | None = None
    """Difference of the mean to that of the first, positive if worse; 0 for the first."""
    difference_low: float | None = None
    """Simultaneous bounds of the difference, at level 1 - alpha for all combinations."""
    difference_high: float | None = None
    p_adjusted: float | None = None
    """P-value of the difference to the first, adjusted for all pairs."""
    may_be_best: bool | None = None
    """Whether it may be the best: no other one is shown to be at least as good; None if unknown."""
    p_may_be_best: float | None = None
    """P-value of being the best, by multiple comparisons with the best."""
    in_best_group: bool | None = None
    """Whether it is not distinguishable from the first; None if it is not compared."""
    p_best: float | None = None
    """Fraction of the draws in which it is first."""
    rank_low: int | None = None
    """Bounds of its rank, at the ranking's `rank_level`."""
    rank_high: int | None = None
    p_equivalent: float | None = None
    """Fraction of the draws in which its difference to the first is within `rope`."""
    equivalent: bool | None = None
    """Whether the whole interval of its difference to the first lies within `rope`."""
    metric_means: Mapping[str, float] = field(default_factory=dict)
    """Mean over the replicates of every final test metric."""
    metric_stds: Mapping[str, float] = field(default_factory=dict)

    # Cost and effect of tuning.
    val_accuracy_confirmed: float | None = None
    """Mean validation accuracy of the confirmations: the best setting on fresh seeds."""
    winners_curse: float | None = None
    """`val_accuracy` minus `val_accuracy_confirmed`: the bias from choosing the best trial.

    Too small if seeds were lost, as only those that were not can be counted."""
    diverged_share: float | None = None
    expected_best: tuple[float, ...] = ()
    """Best validation accuracy after 1, 2, ... trials; see the ranking's `budget_curve`."""
    lr_low: float | None = None
    """Ends of the searched range of the learning rate; None for a fixed or unknown one."""
    lr_high: float | None = None
    lr_edge: str | None = None
    """`low` or `high` if the best learning rate is at that edge of its range, or is the lowest or
    highest tried and the accuracy climbs up to it; else None."""
    lr_response: tuple[tuple[float, float], ...] = ()
    """Learning rate and validation accuracy of the complete trials, sorted by learning rate."""
    accuracy_lost_lr_times_3: float | None = None
    """Validation accuracy lost at three times the best learning rate, interpolated; None if a
    trial between the two diverged."""
    accuracy_lost_lr_third: float | None = None
    diverged_lr_times_3: bool = False
    """Whether a trial with the best batch size diverged up to three times the best rate."""
    diverged_lr_third: bool = False
    time_to_target: TimeToTarget | None = None
    """Time of the confirmations to the ranking's target; None if no epochs are known."""
    trial_results: tuple[TrialResult, ...] = ()
    confirmation_results: tuple[ConfirmationResult, ...] = ()
